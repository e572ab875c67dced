/* Convolution: every registered algorithm, pass and a spread of configurations against a float64 reference. */
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/conv_check.h"

enum { CONV_ALGOS_MAX = 64 };

struct sweep {
    tess_context *ctx;
    const struct conv_data *data;
    tess_conv_options options;
    const struct conv_algo *algo;
    const double *want;
    size_t count, length;
    uint32_t one_in; /* configurations to check */
};

/* FNV-1a. Building costs half a second a program, so problems share theirs: which configurations are checked
   depends on the configuration alone. */
static uint32_t hash(const struct conv_algo *algo, const struct conv_config *config) {
    uint32_t h = 2166136261u;
    for (int i = 0; i < algo->param_count; i++)
        h = (h ^ (uint32_t)config->value[i]) * 16777619u;
    return h ^ h >> 15;
}

static int check_config(void *user, const struct conv_config *config) {
    struct sweep *sweep = user;
    if (hash(sweep->algo, config) % sweep->one_in) return 0;
    char printed[CONV_CONFIG_SIZE];
    conv_config_print(sweep->algo, sweep->options.pass, config, printed);
    const char *part = strstr(printed, "__");
    sweep->options.config = part ? part + 2 : NULL;
    conv_check_plan(sweep->ctx, sweep->data, &sweep->options, sweep->want, sweep->count,
                    sweep->length);
    return 0;
}

static int count_config(void *user, const struct conv_config *config) {
    (void)config;
    ++*(int *)user;
    return 0;
}

/* For backward-weights, whose spaces differ in size the most: a few of thousands of configurations, one or two of fewer; an
   algorithm that cannot do this layer is taken for one with thousands. The same for every problem, so that they share
   programs. */
static uint32_t one_in_for_weights(tess_context *ctx, const struct conv_algo *algo) {
    const tess_conv_desc layer = {.n = 8,
                                  .c = 64,
                                  .h = 56,
                                  .w = 56,
                                  .k = 64,
                                  .r = 3,
                                  .s = 3,
                                  .pad_top = 1,
                                  .pad_bottom = 1,
                                  .pad_left = 1,
                                  .pad_right = 1};
    const tess_conv_options options = {.pass = TESS_CONV_BWD_WEIGHTS};
    struct conv_problem problem;
    int count = 0;
    assert_ok(ctx, conv_problem_init(&layer, &options, &ctx->error, &problem));
    if (conv_algo_applicable(algo, &problem, &ctx->device))
        conv_config_each(algo, &problem, &ctx->device, count_config, &count);
    return count > 1000 || count == 0 ? 1777 : 37;
}

/* check-full sets TESSERA_TEST_FULL=1: three times as many configurations, and every algorithm's with every problem. */
static bool full(void) {
    const char *text = getenv("TESSERA_TEST_FULL");
    return text && strcmp(text, "1") == 0;
}

static uint32_t sample_of(tess_context *ctx, const struct conv_algo *algo, tess_conv_pass pass) {
    uint32_t every = pass == TESS_CONV_BWD_WEIGHTS ? one_in_for_weights(ctx, algo) : 97;
    if (!full()) every *= 3;
    return check_tiny() ? every * 3 : every; /* where compiling and running cost minutes */
}

/* with_sample: not only the planner's pick. */
static void sweep_algo(tess_context *ctx, const struct conv_data *t, const struct conv_algo *algo,
                       const tess_conv_options *base, bool with_sample) {
    tess_conv_options options = *base;
    struct conv_problem problem;
    assert_ok(ctx, conv_problem_init(&t->d, &options, &ctx->error, &problem));
    struct sweep sweep = {.ctx = ctx, .data = t, .options = options, .algo = algo};
    double *want = conv_reference(t, &options, &sweep.count, &sweep.length);
    sweep.want = want;
    sweep.one_in = !algo->param_count ? 1 : sample_of(ctx, algo, base->pass);
    if (with_sample) conv_config_each(algo, &problem, &ctx->device, check_config, &sweep);
    sweep.options.config = NULL; /* and the planner's pick */
    conv_check_plan(ctx, t, &sweep.options, want, sweep.count, sweep.length);
    free(want);
}

/* Of the problems that an algorithm can do, it meets every other one with the planner's pick, and every fourth also with the sample of
   its configurations; where that costs minutes, only these. test_conv_oracles has the planner's choice for every problem. */
static void every_algorithm(tess_context *ctx, tess_conv_pass pass) {
    int met[CONV_ALGOS_MAX];
    assert_true(conv_algo_count <= CONV_ALGOS_MAX);
    /* From the first problem on, or from the second: some algorithms have but two. */
    for (int a = 0; a < conv_algo_count; a++)
        met[a] = pass == TESS_CONV_FWD ? 0 : 3;
    for (int i = 0; i < conv_problem_count(); i++) {
        struct conv_data t = conv_data_make(conv_problems[i]);
        tess_conv_options options = {.pass = pass};
        for (int a = 0; a < conv_algo_count; a++) {
            options.algo = conv_algos[a]->name;
            if (!conv_can_do(ctx, &t.d, &options, conv_algos[a])) continue;
            int turn = full() ? 0 : met[a]++ % 4;
            if (turn == 0 || (turn == 2 && !check_tiny()))
                sweep_algo(ctx, &t, conv_algos[a], &options, turn == 0);
        }
        conv_data_free(&t);
    }
}

static void test_forward(void **state) {
    every_algorithm(*state, TESS_CONV_FWD);
}
static void test_backward_data(void **state) {
    every_algorithm(*state, TESS_CONV_BWD_DATA);
}
static void test_backward_weights(void **state) {
    every_algorithm(*state, TESS_CONV_BWD_WEIGHTS);
}

/* The first configuration whose name has part in it. */
struct wish {
    const struct conv_algo *algo;
    tess_conv_pass pass;
    const char *part;
    char printed[CONV_CONFIG_SIZE];
};
static int grant(void *user, const struct conv_config *config) {
    struct wish *wish = user;
    conv_config_print(wish->algo, wish->pass, config, wish->printed);
    return strstr(wish->printed, wish->part) != NULL;
}

/* Many work-groups, between which some devices get idle ones (range_spread_out); the sample above may have none such. */
static void test_many_groups(void **state) {
    static const struct {
        const char *key, *algo, *part;
        tess_conv_pass pass;
    } all[] = {
        {"n3c36h25w14k40r1s1", "gemm1x1", "_tiles4_", TESS_CONV_FWD},
        {"n3c36h25w14k40r1s1", "gemm1x1", "_tiles4_", TESS_CONV_BWD_DATA},
        {"n3c36h25w14k40r1s1", "gemm1x1", "_chunks8_", TESS_CONV_BWD_WEIGHTS},
        {"n3c20h14w14k40r3s3pt1pb1pl1pr1", "direct", "_chunks4_", TESS_CONV_BWD_WEIGHTS},
    };
    tess_context *ctx = *state;
    if (check_tiny()) skip(); /* no device of tiny shapes has idle work-groups */
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct conv_data t = conv_data_make(all[i].key);
        tess_conv_options options = {.pass = all[i].pass, .algo = all[i].algo};
        struct wish wish = {conv_algo_find(all[i].algo), all[i].pass, all[i].part, ""};
        struct conv_problem problem;
        assert_ok(ctx, conv_problem_init(&t.d, &options, &ctx->error, &problem));
        assert_true(conv_config_each(wish.algo, &problem, &ctx->device, grant, &wish));
        const char *part = strstr(wish.printed, "__");
        assert_non_null(part);
        options.config = part + 2;
        size_t count, length;
        double *want = conv_reference(&t, &options, &count, &length);
        conv_check_plan(ctx, &t, &options, want, count, length);
        free(want);
        conv_data_free(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_backward_data),
        cmocka_unit_test(test_backward_weights),
        cmocka_unit_test(test_many_groups),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
