/* Backward through an activation whose output, or its gradient, is a part of the channels of a wider tensor: what concatenations without
   copies leave behind. */
#ifndef TESSERA_OPS_SLICE_ACTIVATION_H
#define TESSERA_OPS_SLICE_ACTIVATION_H

#include "core/tensor.h"

struct slice_activation;

/* One program an activation. */
tess_status slice_activation_create(tess_context *ctx, tess_act act, struct slice_activation **out);
void slice_activation_destroy(struct slice_activation *op); /* takes NULL */

/* dx = dy act', from the output y; all NHWC, of the same N, H, W. y and dy may have more channels than dx, the one's begin at
   y_first, the other's at dy_first. dx shares no memory with them. */
tess_status slice_activation_backward(struct slice_activation *op, const tess_tensor *y,
                                      int y_first, const tess_tensor *dy, int dy_first,
                                      tess_tensor *dx);

#endif
