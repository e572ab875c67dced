#include <stdint.h>
#include <string.h>

#include "tuner/workbench.h"

enum { GUARD_BYTES = 4096 };

/* Quiet NaNs that differ from buffer to buffer and from place to place: arithmetic hands a NaN's bits on, so what a kernel read next to one
   buffer and wrote next to another, or elsewhere next to the same one, does not look as if nothing had been written. */
static uint32_t pattern(const struct guarded *guarded, size_t i) {
    uint32_t mixed = ((uint32_t)i + guarded->salt * 40503u) * 2654435761u;
    return 0x7fc00000u | (mixed >> 10);
}

tess_status guarded_create(tess_context *ctx, const tess_tensor_desc *desc, uint32_t salt,
                           struct guarded *out) {
    size_t align = ctx->device.base_align > GUARD_BYTES ? ctx->device.base_align : GUARD_BYTES;
    struct guarded g = {
        .elements = tess_tensor_desc_elements(desc), .guard = align / sizeof(float), .salt = salt};
    size_t total = g.elements + 2 * g.guard;
    if (total > INT32_MAX)
        return context_fail(ctx, TESS_UNSUPPORTED, "tune: a tensor of %zu elements is too large",
                            g.elements);
    tess_tensor_desc whole = {TESS_F32, TESS_NHWC, 1, (int)total, 1, 1};
    tess_status status = tess_tensor_create(ctx, &whole, &g.whole);
    if (!status) status = tess_tensor_view(g.whole, desc, align, &g.tensor);
    if (status) {
        guarded_destroy(&g);
        return status;
    }
    *out = g;
    return TESS_OK;
}

void guarded_destroy(struct guarded *guarded) {
    tess_tensor_destroy(guarded->tensor);
    tess_tensor_destroy(guarded->whole);
    *guarded = (struct guarded){0};
}

/* Elements first .. last - 1 of the whole. */
static void fill(const struct guarded *guarded, float *whole, size_t first, size_t last) {
    for (size_t i = first; i < last; i++) {
        uint32_t bits = pattern(guarded, i);
        memcpy(whole + i, &bits, sizeof bits);
    }
}

tess_status guarded_write(struct guarded *guarded, const float *data) {
    void *mapped;
    tess_status status = tess_tensor_map(guarded->whole, true, &mapped);
    if (status) return status;
    float *whole = mapped;
    size_t end = guarded->guard + guarded->elements;
    fill(guarded, whole, 0, data ? guarded->guard : end);
    fill(guarded, whole, end, end + guarded->guard);
    if (data) memcpy(whole + guarded->guard, data, guarded->elements * sizeof *data);
    return tess_tensor_unmap(guarded->whole, mapped);
}

static bool is_filled(const struct guarded *guarded, const float *whole, size_t first,
                      size_t last) {
    for (size_t i = first; i < last; i++) {
        uint32_t bits = pattern(guarded, i);
        /* Bytes: the pattern is a NaN. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
        if (memcmp(whole + i, &bits, sizeof bits) != 0) return false;
    }
    return true;
}

tess_status guarded_intact(struct guarded *guarded, const float *data, bool *out) {
    void *mapped;
    tess_status status = tess_tensor_map(guarded->whole, false, &mapped);
    if (status) return status;
    const float *whole = mapped;
    size_t end = guarded->guard + guarded->elements;
    bool intact =
        is_filled(guarded, whole, 0, guarded->guard) &&
        is_filled(guarded, whole, end, end + guarded->guard) &&
        (!data || memcmp(whole + guarded->guard, data, guarded->elements * sizeof *data) == 0);
    status = tess_tensor_unmap(guarded->whole, mapped);
    if (!status) *out = intact;
    return status;
}
