#include "support/dnnl_pool.h"

#include "bench/peers/onednn.h"
#include "support/check.h"

#define assert_dnnl(call)                                                                          \
    do {                                                                                           \
        dnnl_status_t dnnl_status_ = (call);                                                       \
        if (dnnl_status_ != dnnl_success)                                                          \
            fail_msg("%s: oneDNN status %d", #call, (int)dnnl_status_);                            \
    } while (0)

struct peer {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_memory_desc_t x_desc, y_desc;
    dnnl_memory_t x, y, dy, dx, workspace;
    dnnl_primitive_desc_t forward_desc;
};

static dnnl_memory_t wrap(struct peer *peer, md_ref desc, void *data) {
    dnnl_memory_t memory;
    assert_dnnl(dnnl_memory_create(&memory, desc, peer->engine, data));
    return memory;
}

static dnnl_alg_kind_t algorithm(tess_pool_mode mode) {
    if (mode == TESS_POOL_MAX) return dnnl_pooling_max;
    return mode == TESS_POOL_AVG ? dnnl_pooling_avg_exclude_padding
                                 : dnnl_pooling_avg_include_padding;
}

/* Padding behind the image so that oneDNN, which rounds down, arrives at count windows. */
static dnnl_dim_t pad_end(int size, int window, int stride, int before, int after, int count,
                          bool ceil_mode) {
    return ceil_mode ? (count - 1) * stride + window - size - before : after;
}

static void run_once(struct peer *peer, dnnl_primitive_desc_t desc, const dnnl_exec_arg_t *args,
                     int count) {
    dnnl_primitive_t primitive;
    assert_dnnl(dnnl_primitive_create(&primitive, desc));
    assert_dnnl(dnnl_primitive_execute(primitive, peer->stream, count, args));
    assert_dnnl(dnnl_stream_wait(peer->stream));
    assert_dnnl(dnnl_primitive_destroy(primitive));
}

struct geometry {
    dnnl_alg_kind_t algorithm;
    dnnl_dims_t strides, window, before, after;
};

static void make_desc(struct peer *peer, const struct geometry *g, bool backward,
                      dnnl_primitive_desc_t *out) {
    md_ref x = MD(peer->x_desc), y = MD(peer->y_desc);
#if DNNL_VERSION_MAJOR >= 3
    const dnnl_dims_t dense = {0, 0};
    if (backward)
        assert_dnnl(dnnl_pooling_backward_primitive_desc_create(
            out, peer->engine, g->algorithm, x, y, g->strides, g->window, dense, g->before,
            g->after, peer->forward_desc, NULL));
    else
        assert_dnnl(dnnl_pooling_forward_primitive_desc_create(
            out, peer->engine, dnnl_forward_training, g->algorithm, x, y, g->strides, g->window,
            dense, g->before, g->after, NULL));
#else
    dnnl_pooling_desc_t desc;
    if (backward)
        assert_dnnl(dnnl_pooling_backward_desc_init(&desc, g->algorithm, x, y, g->strides,
                                                    g->window, g->before, g->after));
    else
        assert_dnnl(dnnl_pooling_forward_desc_init(&desc, dnnl_forward_training, g->algorithm, x, y,
                                                   g->strides, g->window, g->before, g->after));
    assert_dnnl(dnnl_primitive_desc_create(out, &desc, NULL, peer->engine,
                                           backward ? peer->forward_desc : NULL));
#endif
}

static void forward(struct peer *peer, const struct geometry *g, bool max) {
    make_desc(peer, g, false, &peer->forward_desc);
    if (max)
        peer->workspace =
            wrap(peer, dnnl_primitive_desc_query_md(peer->forward_desc, dnnl_query_workspace_md, 0),
                 DNNL_MEMORY_ALLOCATE);
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, peer->x}, {DNNL_ARG_DST, peer->y}, {DNNL_ARG_WORKSPACE, peer->workspace}};
    run_once(peer, peer->forward_desc, args, max ? 3 : 2);
}

static void backward(struct peer *peer, const struct geometry *g, bool max) {
    dnnl_primitive_desc_t primitive_desc;
    make_desc(peer, g, true, &primitive_desc);
    dnnl_exec_arg_t args[] = {{DNNL_ARG_DIFF_DST, peer->dy},
                              {DNNL_ARG_DIFF_SRC, peer->dx},
                              {DNNL_ARG_WORKSPACE, peer->workspace}};
    run_once(peer, primitive_desc, args, max ? 3 : 2);
    assert_dnnl(dnnl_primitive_desc_destroy(primitive_desc));
}

void dnnl_pool(const tess_pool_desc *d, int p, int q, float *x, float *y, float *dy, float *dx) {
    struct peer peer = {0};
    bool max = d->mode == TESS_POOL_MAX;
    assert_dnnl(dnnl_engine_create(&peer.engine, dnnl_cpu, 0));
    assert_dnnl(dnnl_stream_create(&peer.stream, peer.engine, dnnl_stream_default_flags));
    dnnl_dims_t x_dims = {d->n, d->c, d->h, d->w}, y_dims = {d->n, d->c, p, q};
    assert_dnnl(md_create_tag(&peer.x_desc, 4, x_dims, dnnl_f32, dnnl_nhwc));
    assert_dnnl(md_create_tag(&peer.y_desc, 4, y_dims, dnnl_f32, dnnl_nhwc));
    peer.x = wrap(&peer, MD(peer.x_desc), x);
    peer.y = wrap(&peer, MD(peer.y_desc), y);
    peer.dy = wrap(&peer, MD(peer.y_desc), dy);
    peer.dx = wrap(&peer, MD(peer.x_desc), dx);

    const struct geometry g = {
        .algorithm = algorithm(d->mode),
        .strides = {d->stride_h, d->stride_w},
        .window = {d->r, d->s},
        .before = {d->pad_top, d->pad_left},
        .after = {pad_end(d->h, d->r, d->stride_h, d->pad_top, d->pad_bottom, p, d->ceil_mode),
                  pad_end(d->w, d->s, d->stride_w, d->pad_left, d->pad_right, q, d->ceil_mode)}};
    forward(&peer, &g, max);
    backward(&peer, &g, max);

    dnnl_memory_t memories[] = {peer.x, peer.y, peer.dy, peer.dx, peer.workspace};
    for (int i = 0; i < (max ? 5 : 4); i++)
        assert_dnnl(dnnl_memory_destroy(memories[i]));
    assert_dnnl(dnnl_primitive_desc_destroy(peer.forward_desc));
    md_destroy(peer.x_desc);
    md_destroy(peer.y_desc);
    assert_dnnl(dnnl_stream_destroy(peer.stream));
    assert_dnnl(dnnl_engine_destroy(peer.engine));
}
