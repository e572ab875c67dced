#include "ops/expect.h"

#include <stdio.h>

#include "ops/activation.h"

static const char *layout_name(tess_layout layout) {
    static const char *const names[] = {"NHWC", "NCHW", "RSCK"};
    return (unsigned)layout < 3 ? names[layout] : "?";
}

static void print_desc(const tess_tensor_desc *desc, char text[96]) {
    snprintf(text, 96, "%s %s n%d c%d h%d w%d", desc->dtype == TESS_F32 ? "f32" : "i32",
             layout_name(desc->layout), desc->n, desc->c, desc->h, desc->w);
}

tess_status expect_desc(tess_context *ctx, const tess_tensor *tensor, const tess_tensor_desc *desc,
                        const char *what) {
    tess_status status = tensor_expect(ctx, tensor, desc->dtype, 0, what);
    if (status) return status;
    const tess_tensor_desc *have = &tensor->desc;
    if (have->layout == desc->layout && have->n == desc->n && have->c == desc->c &&
        have->h == desc->h && have->w == desc->w)
        return TESS_OK;
    char got[96], want[96];
    print_desc(have, got);
    print_desc(desc, want);
    return context_fail(ctx, TESS_INVALID_SHAPE, "%s: is %s; give a tensor of %s", what, got, want);
}

tess_status expect_workspace(tess_context *ctx, const tess_tensor *tensor, size_t bytes,
                             const char *what) {
    if (bytes == 0) return TESS_OK;
    if (!tensor)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "%s: no workspace; give a tensor of at least %zu bytes", what, bytes);
    size_t have = tess_tensor_desc_bytes(&tensor->desc);
    if (have >= bytes) return TESS_OK;
    return context_fail(ctx, TESS_INVALID_SHAPE,
                        "%s: the workspace has %zu bytes; give one of at least %zu", what, have,
                        bytes);
}

tess_status expect_absent(tess_context *ctx, const tess_tensor *tensor, const char *what) {
    if (!tensor) return TESS_OK;
    return context_fail(ctx, TESS_INVALID_ARGUMENT,
                        "%s: given to an operator that was made without; pass NULL, or ask for it "
                        "where the operator is made",
                        what);
}

tess_status expect_activation(tess_context *ctx, tess_act act, const char *what) {
    if ((unsigned)act.kind >= ACTIVATION_COUNT)
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "%s: no activation has number %d; use one of tess_activation", what,
                            (int)act.kind);
    if (!(act.alpha >= 0.0f && act.alpha <= 3.4e38f))
        return context_fail(ctx, TESS_INVALID_ARGUMENT,
                            "%s: alpha is %g; give a finite positive one, or 0 for the default",
                            what, (double)act.alpha);
    return TESS_OK;
}
