/* A convolution in oneDNN's terms, for the peer and for the tests' second opinion. */
#ifndef TESSERA_BENCH_PEERS_ONEDNN_GEOMETRY_H
#define TESSERA_BENCH_PEERS_ONEDNN_GEOMETRY_H

#include "bench/peers/onednn.h"
#include "ops/conv/conv_problem.h"

enum { ONEDNN_X, ONEDNN_W, ONEDNN_Y, ONEDNN_OPERANDS };

/* Dimensions in oneDNN's order: n c h w, g k c r s, n k p q. */
struct onednn_geometry {
    dnnl_dims_t dims[ONEDNN_OPERANDS];
    int ndims[ONEDNN_OPERANDS];
    dnnl_dims_t strides, dilates, before, after;
};
struct onednn_geometry onednn_geometry_of(const struct conv_problem *problem);

/* Our layouts, without gaps: x and y NHWC, w RSCK. Ended with md_destroy. */
dnnl_status_t onednn_plain(const struct onednn_geometry *geometry, int operand,
                           dnnl_memory_desc_t *out);

/* The primitive descriptor of a pass on operands as described by md (their layouts may be left to oneDNN). */
dnnl_status_t onednn_conv_desc(dnnl_engine_t engine, const struct onednn_geometry *geometry,
                               const dnnl_memory_desc_t md[ONEDNN_OPERANDS],
                               dnnl_alg_kind_t algorithm, tess_conv_pass pass,
                               dnnl_primitive_desc_t *out);

/* Which operand the pass makes, and what an operand is called among the arguments of its primitive. */
int onednn_result(tess_conv_pass pass);
int onednn_argument(tess_conv_pass pass, int operand);

#endif
