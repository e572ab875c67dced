/* A convolution problem as algorithms see it: a checked descriptor, its output size, one pass. */
#ifndef TESSERA_OPS_CONV_PROBLEM_H
#define TESSERA_OPS_CONV_PROBLEM_H

#include "core/context.h"

struct conv_problem {
    tess_conv_desc d; /* no zeros: strides, dilations and groups are at least 1 */
    int p, q;         /* output */
    int cg, kg;       /* channels and filters of a group */
    tess_conv_pass pass;
    bool bias, residual; /* forward only */
    tess_act act;        /* forward only; alpha resolved */
    bool sliced;         /* y is the channels from y_first on of a tensor with y_channels */
    int y_channels, y_first;
};

/* Fills in defaults and checks everything; *out is written only on success. */
tess_status conv_problem_init(const tess_conv_desc *desc, const tess_conv_options *options,
                              tess_error *error, struct conv_problem *out);

/* What a forward pass in layout NHWC without residual may write instead of a tensor of its own: the channels from first on of
   a tensor with channels. channels 0: its own. */
struct conv_slice {
    int channels, first;
};

/* Makes y such a part. */
tess_status conv_problem_slice(struct conv_problem *problem, const struct conv_slice *slice,
                               tess_error *error);

/* Elements of x, w and y; of a sliced y, those of the tensor that it is a part of. */
size_t conv_problem_x(const struct conv_problem *problem);
size_t conv_problem_w(const struct conv_problem *problem);
size_t conv_problem_y(const struct conv_problem *problem);

const char *conv_pass_name(tess_conv_pass pass); /* "fwd", "bwd_data", "bwd_weights" */

#endif
