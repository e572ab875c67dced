#include "support/fault_case.h"

#include "support/ref_conv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MARGIN = 16384 }; /* floats around each operand */

struct arena {
    tess_tensor *whole, *part;
    float *before; /* all of it */
    size_t count;  /* of part */
};

static struct arena make_arena(tess_context *ctx, tess_tensor_desc desc, const float *data,
                               float filling, float old) {
    struct arena a = {.count = tess_tensor_desc_elements(&desc)};
    size_t total = a.count + 2 * MARGIN;
    a.before = check_alloc(total * sizeof(float));
    for (size_t i = 0; i < total; i++)
        a.before[i] = filling;
    for (size_t i = 0; i < a.count; i++)
        a.before[MARGIN + i] = data ? data[i] : old;
    a.whole = check_tensor(ctx, desc_vector((int)total), a.before);
    assert_ok(ctx, tess_tensor_view(a.whole, &desc, MARGIN * sizeof(float), &a.part));
    return a;
}

/* Whether the margins, and with all also the operand, are as they were. Ends the arena; *result, if wanted, is the operand. */
static bool end_arena(struct arena *a, bool all, float **result) {
    float *after = check_read(a->whole);
    size_t total = a->count + 2 * MARGIN;
    /* NOLINTBEGIN(bugprone-suspicious-memory-comparison): bytes, poison included */
    bool same =
        memcmp(a->before, after, MARGIN * sizeof(float)) == 0 &&
        memcmp(a->before + total - MARGIN, after + total - MARGIN, MARGIN * sizeof(float)) == 0;
    if (all) same = same && memcmp(a->before, after, total * sizeof(float)) == 0;
    /* NOLINTEND(bugprone-suspicious-memory-comparison) */
    if (result) {
        *result = check_alloc(a->count * sizeof(float));
        memcpy(*result, after + MARGIN, a->count * sizeof(float));
    }
    free(after);
    free(a->before);
    tess_tensor_destroy(a->part), tess_tensor_destroy(a->whole);
    return same;
}

struct fault_case fault_case_make(const char *key) {
    struct fault_case t = {0};
    tess_error error = {0};
    int p, q;
    if (tess_conv_desc_parse(key, &error, &t.d)) fail_msg("%s", error.text);
    assert_int_equal(tess_conv_out_size(&t.d, &error, &p, &q), TESS_OK);
    t.desc[0] = (tess_tensor_desc){TESS_F32, TESS_NHWC, t.d.n, t.d.c, t.d.h, t.d.w};
    t.desc[1] = (tess_tensor_desc){TESS_F32, TESS_RSCK, t.d.k, t.d.c / t.d.groups, t.d.r, t.d.s};
    t.desc[2] = (tess_tensor_desc){TESS_F32, TESS_NHWC, t.d.n, t.d.k, p, q};
    for (int i = 0; i < 3; i++) {
        size_t count = tess_tensor_desc_elements(&t.desc[i]);
        t.operand[i] = check_alloc(count * sizeof(float));
        check_random(t.operand[i], count, -1, 1, 40 + (uint64_t)i);
    }
    t.want[0] = ref_conv_fwd(&t.d, t.operand[0], t.operand[1], NULL, NULL, (tess_act){0});
    t.want[1] = ref_conv_bwd_data(&t.d, t.operand[2], t.operand[1]);
    t.want[2] = ref_conv_bwd_weights(&t.d, t.operand[0], t.operand[2]);
    return t;
}

void fault_case_free(struct fault_case *t) {
    for (int i = 0; i < 3; i++)
        free(t->operand[i]), free(t->want[i]);
}

bool fault_run_is_right(tess_context *ctx, const struct fault_case *t, tess_conv_plan *plan,
                        tess_conv_pass pass, float filling, float old) {
    static const int made[] = {2, 0, 1};
    int result = made[pass];
    struct arena a[4] = {{0}};
    for (int i = 0; i < 3; i++)
        a[i] = make_arena(ctx, t->desc[i], i == result ? NULL : t->operand[i], filling, old);
    size_t bytes = tess_conv_plan_info(plan).workspace;
    if (bytes) a[3] = make_arena(ctx, desc_vector((int)((bytes + 3) / 4)), NULL, filling, old);
    const tess_conv_args args = {
        .x = a[0].part, .w = a[1].part, .y = a[2].part, .workspace = a[3].part};
    assert_ok(ctx, tess_conv_plan_enqueue(plan, &args));
    assert_ok(ctx, tess_context_finish(ctx));
    float *got = NULL;
    bool right = true;
    for (int i = 0; i < 3; i++)
        right = end_arena(&a[i], i != result, i == result ? &got : NULL) && right;
    if (bytes) right = end_arena(&a[3], false, NULL) && right;
    size_t count = tess_tensor_desc_elements(&t->desc[result]);
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - t->want[pass][i]) <= 1e-4)) right = false;
    free(got);
    return right;
}
