#include "bench/peers/onednn_geometry.h"

struct onednn_geometry onednn_geometry_of(const struct conv_problem *p) {
    const tess_conv_desc *d = &p->d;
    return (struct onednn_geometry){
        .dims = {{d->n, d->c, d->h, d->w},
                 {d->groups, p->kg, p->cg, d->r, d->s},
                 {d->n, d->k, p->p, p->q}},
        .ndims = {4, 5, 4},
        .strides = {d->stride_h, d->stride_w},
        .dilates = {d->dilation_h - 1, d->dilation_w - 1},
        .before = {d->pad_top, d->pad_left},
        .after = {d->pad_bottom, d->pad_right},
    };
}

dnnl_status_t onednn_plain(const struct onednn_geometry *g, int operand, dnnl_memory_desc_t *out) {
    /* Outermost first. Filters k of a group g are next to each other in K. */
    static const int nhwc[] = {0, 2, 3, 1}, rsck[] = {3, 4, 2, 0, 1};
    const int *order = operand == ONEDNN_W ? rsck : nhwc;
    dnnl_dims_t strides;
    dnnl_dim_t stride = 1;
    for (int i = g->ndims[operand] - 1; i >= 0; i--) {
        strides[order[i]] = stride;
        stride *= g->dims[operand][order[i]];
    }
    return md_create_strides(out, g->ndims[operand], g->dims[operand], dnnl_f32, strides);
}

/* hint: the forward primitive descriptor; unused for the forward pass. */
static dnnl_status_t make_desc(dnnl_engine_t engine, const struct onednn_geometry *g,
                               const dnnl_memory_desc_t md[ONEDNN_OPERANDS],
                               dnnl_alg_kind_t algorithm, tess_conv_pass pass,
                               dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *out) {
    md_ref x = MD(md[ONEDNN_X]), w = MD(md[ONEDNN_W]), y = MD(md[ONEDNN_Y]);
#if DNNL_VERSION_MAJOR >= 3
    if (pass == TESS_CONV_FWD)
        return dnnl_convolution_forward_primitive_desc_create(
            out, engine, dnnl_forward_training, algorithm, x, w, NULL, y, g->strides, g->dilates,
            g->before, g->after, NULL);
    if (pass == TESS_CONV_BWD_DATA)
        return dnnl_convolution_backward_data_primitive_desc_create(
            out, engine, algorithm, x, w, y, g->strides, g->dilates, g->before, g->after, hint,
            NULL);
    return dnnl_convolution_backward_weights_primitive_desc_create(out, engine, algorithm, x, w,
                                                                   NULL, y, g->strides, g->dilates,
                                                                   g->before, g->after, hint, NULL);
#else
    dnnl_convolution_desc_t desc;
    dnnl_status_t code;
    if (pass == TESS_CONV_FWD)
        code = dnnl_dilated_convolution_forward_desc_init(&desc, dnnl_forward_training, algorithm,
                                                          x, w, NULL, y, g->strides, g->dilates,
                                                          g->before, g->after);
    else if (pass == TESS_CONV_BWD_DATA)
        code = dnnl_dilated_convolution_backward_data_desc_init(
            &desc, algorithm, x, w, y, g->strides, g->dilates, g->before, g->after);
    else
        code = dnnl_dilated_convolution_backward_weights_desc_init(
            &desc, algorithm, x, w, NULL, y, g->strides, g->dilates, g->before, g->after);
    return code != dnnl_success ? code : dnnl_primitive_desc_create(out, &desc, NULL, engine, hint);
#endif
}

dnnl_status_t onednn_conv_desc(dnnl_engine_t engine, const struct onednn_geometry *g,
                               const dnnl_memory_desc_t md[ONEDNN_OPERANDS],
                               dnnl_alg_kind_t algorithm, tess_conv_pass pass,
                               dnnl_primitive_desc_t *out) {
    dnnl_primitive_desc_t hint = NULL;
    if (pass == TESS_CONV_FWD) return make_desc(engine, g, md, algorithm, pass, NULL, out);
    dnnl_status_t code = make_desc(engine, g, md, algorithm, TESS_CONV_FWD, NULL, &hint);
    if (code == dnnl_success) code = make_desc(engine, g, md, algorithm, pass, hint, out);
    if (hint) dnnl_primitive_desc_destroy(hint);
    return code;
}

int onednn_result(tess_conv_pass pass) {
    static const int results[] = {ONEDNN_Y, ONEDNN_X, ONEDNN_W};
    return results[pass];
}

int onednn_argument(tess_conv_pass pass, int operand) {
    static const int arguments[3][ONEDNN_OPERANDS] = {
        {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
        {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
        {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
    return arguments[pass][operand];
}
