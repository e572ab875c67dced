#include "support/onednn_conv.h"

#include <stdlib.h>
#include <string.h>

#include "bench/peers/onednn.h"
#include "support/check.h"

static void must(dnnl_status_t status, const char *what) {
    if (status != dnnl_success) fail_msg("oneDNN: %s: status %d", what, (int)status);
}

/* Dense strides of a tensor whose dimensions, outermost first, are named by order. */
static dnnl_memory_desc_t dense(int ndims, const dnnl_dim_t *dims, const int *order) {
    dnnl_dims_t strides;
    dnnl_dim_t stride = 1;
    for (int i = ndims - 1; i >= 0; i--) {
        strides[order[i]] = stride;
        stride *= dims[order[i]];
    }
    dnnl_memory_desc_t md;
    must(md_create_strides(&md, ndims, dims, dnnl_f32, strides), "memory desc");
    return md;
}

struct call {
    dnnl_memory_desc_t x, w, y;
    dnnl_dims_t strides, dilates, before, after;
};

static struct call describe(const tess_conv_desc *d) {
    int p, q;
    assert_int_equal(tess_conv_out_size(d, NULL, &p, &q), TESS_OK);
    const int nhwc[] = {0, 2, 3, 1};    /* of n c h w */
    const int rsck[] = {3, 4, 2, 0, 1}; /* of g k c r s; g outside k within the last dimension */
    struct call call = {.strides = {d->stride_h, d->stride_w},
                        .dilates = {d->dilation_h - 1, d->dilation_w - 1},
                        .before = {d->pad_top, d->pad_left},
                        .after = {d->pad_bottom, d->pad_right}};
    call.x = dense(4, (dnnl_dims_t){d->n, d->c, d->h, d->w}, nhwc);
    call.y = dense(4, (dnnl_dims_t){d->n, d->k, p, q}, nhwc);
    call.w =
        dense(5, (dnnl_dims_t){d->groups, d->k / d->groups, d->c / d->groups, d->r, d->s}, rsck);
    return call;
}

/* hint: the forward primitive descriptor; unused for the forward pass. */
static dnnl_status_t make_desc(dnnl_engine_t engine, struct call *c, tess_conv_pass pass,
                               dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *out) {
    const dnnl_alg_kind_t algorithm = dnnl_convolution_direct;
    md_ref x = MD(c->x), w = MD(c->w), y = MD(c->y);
#if DNNL_VERSION_MAJOR >= 3
    if (pass == TESS_CONV_FWD)
        return dnnl_convolution_forward_primitive_desc_create(
            out, engine, dnnl_forward_training, algorithm, x, w, NULL, y, c->strides, c->dilates,
            c->before, c->after, NULL);
    if (pass == TESS_CONV_BWD_DATA)
        return dnnl_convolution_backward_data_primitive_desc_create(
            out, engine, algorithm, x, w, y, c->strides, c->dilates, c->before, c->after, hint,
            NULL);
    return dnnl_convolution_backward_weights_primitive_desc_create(out, engine, algorithm, x, w,
                                                                   NULL, y, c->strides, c->dilates,
                                                                   c->before, c->after, hint, NULL);
#else
    dnnl_convolution_desc_t desc;
    dnnl_status_t status;
    if (pass == TESS_CONV_FWD)
        status = dnnl_dilated_convolution_forward_desc_init(&desc, dnnl_forward_training, algorithm,
                                                            x, w, NULL, y, c->strides, c->dilates,
                                                            c->before, c->after);
    else if (pass == TESS_CONV_BWD_DATA)
        status = dnnl_dilated_convolution_backward_data_desc_init(
            &desc, algorithm, x, w, y, c->strides, c->dilates, c->before, c->after);
    else
        status = dnnl_dilated_convolution_backward_weights_desc_init(
            &desc, algorithm, x, w, NULL, y, c->strides, c->dilates, c->before, c->after);
    return status != dnnl_success ? status
                                  : dnnl_primitive_desc_create(out, &desc, NULL, engine, hint);
#endif
}

static dnnl_primitive_desc_t primitive_desc(dnnl_engine_t engine, struct call *c,
                                            tess_conv_pass pass) {
    dnnl_primitive_desc_t hint, desc;
    must(make_desc(engine, c, TESS_CONV_FWD, NULL, &hint), "forward primitive desc");
    if (pass == TESS_CONV_FWD) return hint;
    must(make_desc(engine, c, pass, hint, &desc), "backward primitive desc");
    dnnl_primitive_desc_destroy(hint);
    return desc;
}

float *onednn_conv(const tess_conv_desc *d, tess_conv_pass pass, const float *x, const float *w,
                   const float *dy) {
    struct call call = describe(d);
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    must(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
    must(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
    dnnl_primitive_desc_t desc = primitive_desc(engine, &call, pass);
    must(dnnl_primitive_create(&primitive, desc), "primitive");

    const int slots[3][3] = {{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                             {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                             {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
    md_ref const mds[] = {MD(call.x), MD(call.w), MD(call.y)};
    const float *const inputs[] = {x, w, dy};
    const int result_of[] = {2, 0, 1};
    float *result = NULL;
    dnnl_exec_arg_t args[3];
    for (int i = 0; i < 3; i++) {
        void *data = (void *)(uintptr_t)inputs[i];
        if (i == result_of[pass]) data = result = check_alloc(dnnl_memory_desc_get_size(mds[i]));
        args[i].arg = slots[pass][i];
        must(dnnl_memory_create(&args[i].memory, mds[i], engine, data), "memory");
    }
    must(dnnl_primitive_execute(primitive, stream, 3, args), "execute");
    must(dnnl_stream_wait(stream), "wait");
    for (int i = 0; i < 3; i++)
        dnnl_memory_destroy(args[i].memory);
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(desc);
    md_destroy(call.x);
    md_destroy(call.w);
    md_destroy(call.y);
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
    return result;
}
