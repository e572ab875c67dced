/* What operators demand of their tensors; each failure names the tensor, what it is and what it should be. */
#ifndef TESSERA_OPS_EXPECT_H
#define TESSERA_OPS_EXPECT_H

#include "core/tensor.h"

/* tensor exists, belongs to ctx and has exactly this dtype, layout and shape. what: "pool: dy". */
tess_status expect_desc(tess_context *ctx, const tess_tensor *tensor, const tess_tensor_desc *desc,
                        const char *what);

/* tensor exists and has at least bytes bytes; with bytes 0 it may be NULL. */
tess_status expect_workspace(tess_context *ctx, const tess_tensor *tensor, size_t bytes,
                             const char *what);

/* tensor is NULL: the operator was made without it and would ignore it. */
tess_status expect_absent(tess_context *ctx, const tess_tensor *tensor, const char *what);

/* act.kind is one of the enum, alpha is finite and not negative. */
tess_status expect_activation(tess_context *ctx, tess_act act, const char *what);

#endif
