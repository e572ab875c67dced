/* oneDNN at its best: convolution_auto on layouts of its own choice, reorders outside the timed region. */
#include <stdio.h>
#include <stdlib.h>

#include <omp.h>

#include "bench/peers/onednn_geometry.h"
#include "bench/peers/peer.h"

enum { OPERANDS = ONEDNN_OPERANDS };

struct peer_conv {
    tess_conv_pass pass;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_memory_desc_t plain[OPERANDS]; /* ours: NHWC, RSCK, NHWC */
    bool have_plain;
    dnnl_memory_t own[OPERANDS]; /* as oneDNN wants them */
    dnnl_exec_arg_t args[OPERANDS];
    char about[160];
};

/* The first failure stays; later calls are skipped. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        if (code == dnnl_success) code = (call);                                                   \
    } while (0)

static tess_status report(tess_error *error, dnnl_status_t code, const char *what) {
    if (code == dnnl_success) return TESS_OK;
    return error_set(error, code == dnnl_unimplemented ? TESS_UNSUPPORTED : TESS_INTERNAL,
                     "oneDNN: %s: status %d; leave the peer out for this problem", what, (int)code);
}

/* The primitive on layouts of oneDNN's choice. */
static dnnl_status_t make_primitive(struct peer_conv *conv, const struct onednn_geometry *g) {
    dnnl_memory_desc_t any[OPERANDS];
    dnnl_status_t code = dnnl_success;
    for (int i = 0; i < OPERANDS; i++)
        TRY(md_create_tag(&any[i], g->ndims[i], g->dims[i], dnnl_f32, dnnl_format_tag_any));
    if (code != dnnl_success) return code;
    TRY(onednn_conv_desc(conv->engine, g, any, dnnl_convolution_auto, conv->pass, &conv->desc));
    TRY(dnnl_primitive_create(&conv->primitive, conv->desc));
    for (int i = 0; i < OPERANDS; i++)
        md_destroy(any[i]);
    return code;
}

static dnnl_status_t make_plain(struct peer_conv *conv, const struct onednn_geometry *g) {
    dnnl_status_t code = dnnl_success;
    for (int i = 0; i < OPERANDS; i++)
        TRY(onednn_plain(g, i, &conv->plain[i]));
    conv->have_plain = code == dnnl_success;
    return code;
}

/* Copies between our layout (host) and oneDNN's. */
static dnnl_status_t reorder(struct peer_conv *conv, int which, float *host, bool in) {
    dnnl_memory_t plain = NULL;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_status_t code = dnnl_success;
    TRY(dnnl_memory_create(&plain, MD(conv->plain[which]), conv->engine, host));
    md_ref own_md = NULL;
    TRY(dnnl_memory_get_memory_desc(conv->own[which], &own_md));
    md_ref from = in ? MD(conv->plain[which]) : own_md, to = in ? own_md : MD(conv->plain[which]);
    TRY(dnnl_reorder_primitive_desc_create(&desc, from, conv->engine, to, conv->engine, NULL));
    TRY(dnnl_primitive_create(&primitive, desc));
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, in ? plain : conv->own[which]},
                              {DNNL_ARG_TO, in ? conv->own[which] : plain}};
    TRY(dnnl_primitive_execute(primitive, conv->stream, 2, args));
    TRY(dnnl_stream_wait(conv->stream));
    if (primitive) dnnl_primitive_destroy(primitive);
    if (desc) dnnl_primitive_desc_destroy(desc);
    if (plain) dnnl_memory_destroy(plain);
    return code;
}

/* oneDNN's own copies of the operands. */
static dnnl_status_t make_operands(struct peer_conv *conv, const float *const host[OPERANDS]) {
    static const dnnl_query_t queries[3][OPERANDS] = {
        {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
        {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
        {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md}};
    dnnl_status_t code = dnnl_success;
    for (int i = 0; i < OPERANDS; i++) {
        md_ref md = dnnl_primitive_desc_query_md(conv->desc, queries[conv->pass][i], 0);
        TRY(dnnl_memory_create(&conv->own[i], md, conv->engine, DNNL_MEMORY_ALLOCATE));
        if (i != onednn_result(conv->pass))
            TRY(reorder(conv, i, (float *)(uintptr_t)host[i], true));
        conv->args[i] = (dnnl_exec_arg_t){onednn_argument(conv->pass, i), conv->own[i]};
    }
    return code;
}

static void destroy(struct peer_conv *conv) {
    if (!conv) return;
    for (int i = 0; i < OPERANDS; i++) {
        if (conv->own[i]) dnnl_memory_destroy(conv->own[i]);
        if (conv->have_plain) md_destroy(conv->plain[i]);
    }
    if (conv->primitive) dnnl_primitive_destroy(conv->primitive);
    if (conv->desc) dnnl_primitive_desc_destroy(conv->desc);
    if (conv->stream) dnnl_stream_destroy(conv->stream);
    if (conv->engine) dnnl_engine_destroy(conv->engine);
    free(conv);
}

static void describe(struct peer_conv *conv) {
    const char *implementation = "";
    dnnl_primitive_desc_query(conv->desc, dnnl_query_impl_info_str, 0, (void *)&implementation);
    const dnnl_version_t *version = dnnl_version();
    snprintf(conv->about, sizeof conv->about, "oneDNN %d.%d.%d %s", version->major, version->minor,
             version->patch, implementation);
}

static tess_status create(const struct conv_problem *problem, int threads, const float *x,
                          const float *w, const float *y, tess_error *error,
                          struct peer_conv **out) {
    const float *const host[OPERANDS] = {x, w, y};
    struct onednn_geometry g = onednn_geometry_of(problem);
    if (problem->d.pad_mode != TESS_PAD_ZERO)
        return error_set(error, TESS_UNSUPPORTED,
                         "oneDNN: it has no mirror padding; leave the peer out for this problem");
    struct peer_conv *conv = calloc(1, sizeof *conv);
    if (!conv) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "oneDNN: no host memory");
    omp_set_num_threads(threads);
    conv->pass = problem->pass;
    dnnl_status_t code = dnnl_engine_create(&conv->engine, dnnl_cpu, 0);
    TRY(dnnl_stream_create(&conv->stream, conv->engine, dnnl_stream_default_flags));
    tess_status status = report(error, code, "engine and stream");
    if (!status) status = report(error, make_primitive(conv, &g), "the convolution");
    if (!status) status = report(error, make_plain(conv, &g), "memory descriptors");
    if (!status) status = report(error, make_operands(conv, host), "operands");
    if (status) {
        destroy(conv);
        return status;
    }
    describe(conv);
    *out = conv;
    return TESS_OK;
}

static tess_status run(void *user) {
    struct peer_conv *conv = user;
    dnnl_status_t code =
        dnnl_primitive_execute(conv->primitive, conv->stream, OPERANDS, conv->args);
    TRY(dnnl_stream_wait(conv->stream));
    return report(NULL, code, "execution");
}

static tess_status read(struct peer_conv *conv, float *result) {
    return report(NULL, reorder(conv, onednn_result(conv->pass), result, false),
                  "reading the result");
}

static const char *about(const struct peer_conv *conv) {
    return conv->about;
}

const struct peer peer_onednn = {
    .name = "onednn",
    .create = create,
    .run = run,
    .about = about,
    .read = read,
    .destroy = destroy,
};
