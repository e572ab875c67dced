/* Plans that pack the weights into the caller's workspace at every call give the same bits as those that keep them. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/conv/conv_algo.h"

static const tess_conv_desc desc = {
    .n = 2, .c = 16, .h = 17, .w = 17, .k = 24, .r = 3, .s = 3, .pad_top = 1, .pad_left = 1};

struct wish {
    const struct conv_algo *algo;
    const struct conv_problem *problem;
    bool workspace;
    char text[CONV_CONFIG_SIZE]; /* the answer, "": none */
};

/* The first configuration that packs, and that needs a workspace as wished. */
static int consider(void *user, const struct conv_config *config) {
    struct wish *wish = user;
    char printed[CONV_CONFIG_SIZE];
    bool works = conv_algo_workspace(wish->algo, wish->problem, config) > 0;
    if (!conv_algo_packed(wish->algo, wish->problem, config) || works != wish->workspace) return 0;
    conv_config_print(wish->algo, wish->problem->pass, config, printed);
    const char *start = strstr(printed, "__");
    snprintf(wish->text, sizeof wish->text, "%s", start ? start + 2 : "");
    return 1;
}

enum { PIXELS = 16 * 16, ROUNDS = 3 };

static tess_tensor *space(tess_context *ctx, size_t bytes) {
    return bytes ? check_tensor(ctx, desc_vector((int)(bytes / 4)), NULL) : NULL;
}

static tess_tensor *noise(tess_context *ctx, tess_tensor_desc of, uint64_t seed) {
    size_t count = tess_tensor_desc_elements(&of);
    float *data = check_alloc(count * sizeof *data);
    check_random(data, count, -1, 1, seed);
    tess_tensor *tensor = check_tensor(ctx, of, data);
    free(data);
    return tensor;
}

static float *run(tess_context *ctx, tess_conv_plan *plan, tess_tensor *w, tess_tensor *workspace) {
    tess_tensor *x = noise(ctx, desc_nhwc(desc.n, desc.c, desc.h, desc.w), 100);
    tess_tensor *y = check_tensor(ctx, desc_nhwc(desc.n, desc.k, 16, 16), NULL);
    assert_ok(ctx, tess_conv_plan_enqueue(
                       plan, &(tess_conv_args){.x = x, .w = w, .y = y, .workspace = workspace}));
    float *result = check_read(y);
    tess_tensor_destroy(x);
    tess_tensor_destroy(y);
    return result;
}

/* New weights in each round; two workspaces in turn. */
static void compare(tess_context *ctx, tess_conv_plan *keeps, tess_conv_plan *repacks,
                    const char *label) {
    size_t bytes = (size_t)desc.n * (size_t)desc.k * PIXELS * sizeof(float);
    tess_conv_info a = tess_conv_plan_info(keeps), b = tess_conv_plan_info(repacks);
    assert_true(a.packed > 0);
    assert_int_equal(b.packed, 0);
    assert_true(b.workspace >= a.workspace + a.packed);
    tess_tensor *own = space(ctx, a.workspace);
    tess_tensor *shared[2] = {space(ctx, b.workspace), space(ctx, b.workspace + 4096)};
    for (int i = 0; i < ROUNDS; i++) {
        tess_tensor *w = noise(ctx, desc_rsck(3, 3, desc.c, desc.k), (uint64_t)i);
        float *expected = run(ctx, keeps, w, own), *got = run(ctx, repacks, w, shared[i % 2]);
        check_same_bytes(expected, got, bytes, label);
        free(expected);
        free(got);
        tess_tensor_destroy(w);
    }
    tess_tensor_destroy(own);
    tess_tensor_destroy(shared[0]);
    tess_tensor_destroy(shared[1]);
}

static void same_with_and_without(tess_context *ctx, const char *algo, const char *config) {
    tess_conv_options options = {.algo = algo, .config = config};
    tess_conv_plan *keeps = NULL, *repacks = NULL;
    assert_ok(ctx, tess_conv_plan_create(ctx, &desc, &options, &keeps));
    options.repack = true;
    assert_ok(ctx, tess_conv_plan_create(ctx, &desc, &options, &repacks));
    compare(ctx, keeps, repacks, algo);
    tess_conv_plan_destroy(keeps);
    tess_conv_plan_destroy(repacks);
}

static void test_repack(void **state) {
    tess_context *ctx = *state;
    uint64_t before = tess_context_counters(ctx).device_bytes;
    static const struct {
        const char *algo;
        bool workspace;
    } cases[] = {{"direct", false}, {"winograd", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct conv_problem problem;
        assert_ok(ctx, conv_problem_init(&desc, NULL, NULL, &problem));
        struct wish wish = {.algo = conv_algo_find(cases[i].algo),
                            .problem = &problem,
                            .workspace = cases[i].workspace};
        if (!conv_algo_applicable(wish.algo, &problem, &ctx->device)) continue;
        conv_config_each(wish.algo, &problem, &ctx->device, consider, &wish);
        if (wish.text[0]) same_with_and_without(ctx, cases[i].algo, wish.text);
    }
    assert_int_equal(tess_context_counters(ctx).device_bytes, before);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_repack)};
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
