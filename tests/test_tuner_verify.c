/* The tuner's verification of what is right: valid configurations, none of them rejected, winners, and the float64 answers themselves.
   Planted faults: test_tuner_faults.c. */
#include "support/check.h"
#include "support/fault_case.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tuner/float64.h"
#include "tuner/measure.h"
#include "tuner/verify.h"

/* check-full sets TESSERA_TEST_FULL=1. */
static bool full(void) {
    const char *text = getenv("TESSERA_TEST_FULL");
    return text && strcmp(text, "1") == 0;
}

static tess_context *open_context(void) {
    tess_error error = {0};
    tess_context *ctx = NULL;
    const char *device = getenv("TESSERA_DEVICE");
    tess_context_options options = {.device = device && *device ? device : "cpu"};
    return tess_context_create(&options, &error, &ctx) ? NULL : ctx;
}

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* ---------------------------------------------------------------- valid configurations */

enum { PROGRAMS_MAX = 64 };

struct sweep {
    tess_context *ctx;
    struct workbench *bench;
    const struct conv_algo *algo;
    uint32_t programs[PROGRAMS_MAX]; /* hashes of those that are used: building is what costs */
    int program_count, program_limit;
    int reversed_limit; /* the first so many of programs are also built with ids from the end */
    int checked, in_both_orders, rejected;
};

/* Parameters that are arguments of the kernel, not part of its program, may take any value. */
static bool is_argument(const struct conv_param *param) {
    return strcmp(param->name, "chunk") == 0 || strcmp(param->name, "band") == 0;
}

static uint32_t program_hash(const struct conv_algo *algo, const struct conv_config *config,
                             tess_conv_pass pass) {
    uint32_t h = 2166136261u + (uint32_t)pass;
    for (const char *c = algo->name; *c; c++)
        h = (h ^ (unsigned char)*c) * 16777619u;
    for (int i = 0; i < algo->param_count; i++)
        if (!is_argument(&algo->params[i])) h = (h ^ (uint32_t)config->value[i]) * 16777619u;
    return h ^ h >> 15;
}

static bool is_fixed(const struct conv_algo *algo, const struct conv_config *config) {
    for (int i = 0; i < algo->param_count; i++)
        if (strcmp(algo->params[i].name, "fix") == 0 && config->value[i]) return true;
    return false;
}

/* The number of the configuration's program among those that are used, or -1; as long as there is room, every seventh new one
   becomes one. */
static int use_program(struct sweep *sweep, const struct conv_config *config) {
    uint32_t hash = program_hash(sweep->algo, config, sweep->bench->problem.pass);
    for (int i = 0; i < sweep->program_count; i++)
        if (sweep->programs[i] == hash) return i;
    if (sweep->program_count == sweep->program_limit || hash % 7) return -1;
    sweep->programs[sweep->program_count] = hash;
    return sweep->program_count++;
}

static tess_status verify_one_order(struct workbench *bench, const char *printed,
                                    struct verdict *out) {
    struct instance *instance = NULL;
    tess_status status = instance_create(bench, printed, &instance);
    if (!status) status = verify_instance(instance, out);
    instance_destroy(instance);
    return status;
}

static int verify_config(void *user, const struct conv_config *config) {
    struct sweep *sweep = user;
    struct verdict verdict;
    char printed[CONV_CONFIG_SIZE];
    if (is_fixed(sweep->algo, config)) return 0;
    int program = sweep->algo->param_count ? use_program(sweep, config) : 0;
    if (program < 0) return 0;
    bool both = program < sweep->reversed_limit;
    conv_config_print(sweep->algo, sweep->bench->problem.pass, config, printed);
    assert_ok(sweep->ctx,
              (both ? verify_both_orders : verify_one_order)(sweep->bench, printed, &verdict));
    sweep->checked++;
    sweep->in_both_orders += both;
    if (!verdict.right) {
        char key[TESS_CONV_KEY_SIZE];
        tess_conv_desc_key(&sweep->bench->problem.d, key);
        print_message("rejected: %s %s: %s\n", key, printed, verdict.cause);
        sweep->rejected++;
    }
    return 0;
}

/* A problem drawn at random, small and ragged. */
static bool draw_problem(uint64_t *state, tess_conv_desc *d) {
#define DRAW(low, high) ((low) + (int)(next_random(state) % (uint64_t)((high) - (low) + 1)))
    int groups = DRAW(0, 5) == 0 ? DRAW(2, 4) : 1;
    *d = (tess_conv_desc){.n = DRAW(1, 3),
                          .c = groups * DRAW(1, 20),
                          .h = DRAW(3, 15),
                          .w = DRAW(3, 19),
                          .k = groups * DRAW(1, 36),
                          .r = DRAW(1, 4),
                          .s = DRAW(1, 4),
                          .stride_h = DRAW(0, 2) == 0 ? 2 : 1,
                          .stride_w = DRAW(0, 2) == 0 ? 2 : 1,
                          .pad_top = DRAW(0, 2),
                          .pad_bottom = DRAW(0, 2),
                          .pad_left = DRAW(0, 2),
                          .pad_right = DRAW(0, 2),
                          .dilation_h = DRAW(0, 4) == 0 ? 2 : 1,
                          .dilation_w = DRAW(0, 4) == 0 ? 2 : 1,
                          .groups = groups,
                          .pad_mode = DRAW(0, 7) == 0 ? TESS_PAD_MIRROR : TESS_PAD_ZERO};
#undef DRAW
    tess_error error;
    struct conv_problem problem;
    return conv_problem_init(d, NULL, &error, &problem) == TESS_OK;
}

static void sweep_problem(struct sweep *sweep, const tess_conv_desc *d) {
    for (int pass = 0; pass < 3; pass++) {
        struct conv_problem problem;
        tess_context *ctx = sweep->ctx;
        tess_conv_options options = {.pass = (tess_conv_pass)pass};
        assert_ok(ctx, conv_problem_init(d, &options, &ctx->error, &problem));
        assert_ok(ctx, workbench_create(ctx, &problem, 1e6, false, &sweep->bench));
        for (int i = 0; i < conv_algo_count; i++) {
            sweep->algo = conv_algos[i];
            if (conv_algo_applicable(sweep->algo, &problem, &ctx->device))
                conv_config_each(sweep->algo, &problem, &ctx->device, verify_config, sweep);
        }
        workbench_destroy(sweep->bench);
    }
}

static void test_valid_configurations_pass(void **state) {
    struct sweep sweep = {.ctx = open_context(),
                          .program_limit = full() ? PROGRAMS_MAX : 16,
                          .reversed_limit = full() ? PROGRAMS_MAX : 1};
    uint64_t random = 5;
    int problems = 0, wanted = full() ? 4000 : 2000;
    (void)state;
    assert_non_null(sweep.ctx);
    while (sweep.checked < wanted) {
        tess_conv_desc d;
        if (!draw_problem(&random, &d)) continue;
        sweep_problem(&sweep, &d);
        problems++;
    }
    print_message("%d configurations, %d of them in both orders, on %d problems, %d programs: %d "
                  "rejected\n",
                  sweep.checked, sweep.in_both_orders, problems,
                  (int)(tess_context_counters(sweep.ctx).programs_compiled +
                        tess_context_counters(sweep.ctx).programs_loaded),
                  sweep.rejected);
    assert_int_equal(sweep.rejected, 0);
    tess_context_destroy(sweep.ctx);
}

/* Winners: whole, and on ragged problems. */
static void test_winners_pass(void **state) {
    /* The last compiles each problem's sizes in: a program for each. */
    static const char *const keys[] = {"n2c16h9w11k20r3s3pt1pb1pl1pr1", "n2c7h8w8k9r1s1",
                                       "n1c6h10w9k6r3s3pt1pb1pl1pr1g6"};
    tess_context *ctx = open_context();
    (void)state;
    assert_non_null(ctx);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (int pass = 0; pass < (i == 2 ? 1 : 3); pass++) {
            tess_conv_desc d;
            struct conv_problem problem;
            struct conv_choice choice;
            struct workbench *bench;
            struct verdict verdict = {.right = false};
            char printed[CONV_CONFIG_SIZE];
            tess_conv_options options = {.pass = (tess_conv_pass)pass};
            assert_ok(ctx, tess_conv_desc_parse(keys[i], &ctx->error, &d));
            assert_ok(ctx, conv_problem_init(&d, &options, &ctx->error, &problem));
            assert_ok(ctx, conv_choose(ctx, &problem, &options, &choice));
            conv_config_print(choice.algo, problem.pass, &choice.config, printed);
            assert_ok(ctx, workbench_create(ctx, &problem, 1e4, false, &bench));
            assert_ok(ctx, verify_winner(bench, printed, 1e5, &verdict));
            if (!verdict.right) fail_msg("%s %s: %s", keys[i], printed, verdict.cause);
            workbench_destroy(bench);
        }
    tess_context_destroy(ctx);
}

/* A reference that has drifted does not make times of nothing: a run takes a quarter of its fastest sample at least. */
static void test_drifted_reference(void **state) {
    tess_context *ctx = open_context();
    tess_conv_desc d = {.n = 1, .c = 3, .h = 8, .w = 8, .k = 4, .r = 3, .s = 3};
    struct conv_problem problem;
    struct workbench *bench = NULL;
    struct instance *pair[2] = {NULL, NULL};
    struct race_options options = {.reference = 1e-12, .sample_seconds = 1e-4, .samples = 4};
    struct race_result result;
    (void)state;
    assert_non_null(ctx);
    assert_ok(ctx, conv_problem_init(&d, NULL, &ctx->error, &problem));
    assert_ok(ctx, workbench_create(ctx, &problem, 1e4, false, &bench));
    for (int i = 0; i < 2; i++)
        assert_ok(ctx, instance_create(bench, "conv_generic_fwd", &pair[i]));
    assert_ok(ctx, race(pair[0], pair[1], &options, &result));
    assert_int_equal(result.sample_count, 4);
    double fastest = INFINITY;
    for (int i = 0; i < result.sample_count; i++)
        fastest = fmin(fastest, result.samples[i]);
    assert_true(result.seconds >= fastest / 4 && fastest > 0);
    instance_destroy(pair[0]);
    instance_destroy(pair[1]);
    workbench_destroy(bench);
    tess_context_destroy(ctx);
}

/* The answers themselves, against another program's. */
static void test_answers(void **state) {
    uint64_t random = 11;
    (void)state;
    for (int i = 0; i < 60;) {
        tess_conv_desc d;
        if (!draw_problem(&random, &d)) continue;
        char key[TESS_CONV_KEY_SIZE];
        tess_conv_desc_key(&d, key);
        struct fault_case t = fault_case_make(key);
        for (int pass = 0; pass < 3; pass++) {
            struct conv_problem problem;
            tess_error error = {0};
            tess_conv_options options = {.pass = (tess_conv_pass)pass};
            assert_int_equal(conv_problem_init(&d, &options, &error, &problem), TESS_OK);
            const struct float64_operands operands = {&problem, t.operand[0], t.operand[1],
                                                      t.operand[2]};
            for (size_t j = 0; j < float64_elements(&problem); j++)
                if (!(fabs(float64_at(&operands, j) - t.want[pass][j]) <= 1e-12 * 4000))
                    fail_msg("%s, %s: element %zu is %.15g, not %.15g", key,
                             conv_pass_name(problem.pass), j, float64_at(&operands, j),
                             t.want[pass][j]);
        }
        fault_case_free(&t);
        i++;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_winners_pass),
        cmocka_unit_test(test_drifted_reference),
        cmocka_unit_test(test_valid_configurations_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
