/* Between the files of conv_gemm1x1: its parameters, its plan, and what backward-weights gives the table. */
#ifndef TESSERA_OPS_CONV_GEMM1X1_H
#define TESSERA_OPS_CONV_GEMM1X1_H

#include "core/tensor.h"
#include "ops/conv/conv_algo.h"
#include "ops/conv/conv_tile.h"

/* Indices of parameters. */
enum { MR, KV, CB, TILES, PARTS, STREAM, CT, COPY, CHUNKS, BAND, CPART, KPART, PARAM_COUNT };
enum { LANES = 16 }; /* of a float16 */

struct gemm {
    tess_context *ctx;
    struct conv_problem problem;
    struct conv_config config;
    cl_kernel pack, main; /* forward and backward-data */
    cl_kernel reduce;     /* backward-weights: after main, if there are several chunks */
};

static inline bool is_rows(const struct conv_problem *p) {
    return p->pass != TESS_CONV_BWD_WEIGHTS;
}
static inline int dest_channels(const struct conv_problem *p) {
    return p->pass == TESS_CONV_BWD_DATA ? p->cg : p->kg;
}
static inline int pixels(const struct conv_problem *p) {
    return p->d.n * p->p * p->q;
}

/* Dimensions in the order in which every main kernel takes them. */
enum { DIMS = 10 };
static inline void gemm1x1_append_dimensions(const struct conv_problem *p,
                                             struct kernel_arg *args) {
    const tess_conv_desc *d = &p->d;
    const int dim[DIMS] = {pixels(p), d->h, d->w,        d->c,        p->p,
                           p->q,      d->k, d->stride_h, d->stride_w, d->groups};
    for (int i = 0; i < DIMS; i++)
        args[i] = ARG_INT(dim[i]);
}

/* The rest is for backward-weights; what is asked before a plan exists answers for other passes, too. */

/* Bytes of the panels of a work-item, and of the sums of all chunks. */
size_t gemm1x1_local_bytes(const struct conv_problem *p, const struct conv_config *config);
size_t gemm1x1_workspace(const struct conv_problem *p, const struct conv_config *config);

/* Constraints. */
bool gemm1x1_weight_tile_fits(const struct conv_problem *p, const tess_device_info *device,
                              const struct conv_config *config);
bool gemm1x1_copy_fits(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config);
bool gemm1x1_chunks_fit(const struct conv_problem *p, const tess_device_info *device,
                        const struct conv_config *config);
bool gemm1x1_band_fits(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config);
bool gemm1x1_c_part_fits(const struct conv_problem *p, const tess_device_info *device,
                         const struct conv_config *config);
bool gemm1x1_k_part_fits(const struct conv_problem *p, const tess_device_info *device,
                         const struct conv_config *config);

double gemm1x1_predict_weights(const struct conv_problem *p, const tess_device_info *device,
                               const struct conv_config *config);

tess_status gemm1x1_enqueue_weights(const struct gemm *gemm, const tess_conv_args *args);

#endif
