/* Implicit GEMM beyond what test_conv sweeps: fixed configurations on ragged shapes, and what the planner makes of GPUs. */
#include <float.h>
#include <string.h>

#include "ops/conv/conv_algo.h"
#include "support/check.h"
#include "support/conv_case.h"
#include "support/tuner_device.h"

/* ---- fixed configurations */

static const struct conv_case cases[] = {
    /* Forward: both buffers, the widest vectors, groups, a tile that is hardly filled. */
    {"n2c8h9w7k24r3s3u2v1pt1pb0pl2pr1g2",
     "mwg64_nwg64_kwg8_mwi8_nwi8_vec4_db1_split1",
     TESS_CONV_FWD,
     true,
     {TESS_ACT_RELU, 0}},
    /* A split of 9 tiles of k in 4 leaves nothing for the last part. */
    {"n1c8h7w9k34r3s3pt1pb1pl1pr1",
     "mwg32_nwg32_kwg8_mwi4_nwi4_vec2_db0_split4",
     TESS_CONV_FWD,
     true,
     {TESS_ACT_LEAKY_RELU, 0.2f}},
    /* Backward-data: pixels that no window reaches. */
    {"n1c5h6w7k6r4s3u1v2pt2pb1pl2pr0",
     "mwg32_nwg32_kwg8_mwi4_nwi4_vec1_db1_split1",
     TESS_CONV_BWD_DATA,
     false,
     {0}},
    /* Backward-weights: dilated groups. */
    {"n2c6h8w7k10r3s2u2v1pt2pb2pl1pr0d2e3g2",
     "mwg64_nwg64_kwg8_mwi8_nwi8_vec1_db0_split1",
     TESS_CONV_BWD_WEIGHTS,
     false,
     {0}},
    /* Where running costs minutes, only those above. Backward-data: strides, dilation. */
    {"n2c6h11w10k10r3s2u2v3pt1pb0pl1pr0d2",
     "mwg32_nwg32_kwg8_mwi4_nwi4_vec2_db1_split1",
     TESS_CONV_BWD_DATA,
     false,
     {0}},
    {"n1c33h9w8k24r3s3u2v2pt1pb1pl1pr1",
     "mwg64_nwg64_kwg16_mwi8_nwi8_vec4_db0_split4",
     TESS_CONV_BWD_DATA,
     false,
     {0}},
    /* 324 pixels in 16 parts. */
    {"n4c4h9w9k36r3s3pt1pb1pl1pr1",
     "mwg32_nwg32_kwg8_mwi4_nwi4_vec4_db1_split16",
     TESS_CONV_BWD_WEIGHTS,
     false,
     {0}},
    /* A tile that is not square, several each way. */
    {"n3c20h13w11k70r3s3pt1pb1pl1pr1",
     "mwg128_nwg64_kwg16_mwi8_nwi8_vec4_db1_split1",
     TESS_CONV_FWD,
     true,
     {TESS_ACT_TANH, 0}},
};
enum { CASES = sizeof cases / sizeof *cases, SMALL = 4 };

static void fixed_configurations(void **state) {
    int checked = 0, count = check_tiny() ? SMALL : CASES;
    for (int i = 0; i < count; i++)
        checked += conv_case_check(*state, "igemm", &cases[i]);
    assert_true(checked >=
                count - 2); /* a device may have few compute units, or small work-groups */
}

/* ---- predictions, without a device */

static const char *const layers[] = {
    "n8c64h56w56k64r3s3pt1pb1pl1pr1",
    "n8c256h14w14k256r3s3pt1pb1pl1pr1",
    "n8c512h7w7k512r3s3pt1pb1pl1pr1",
    "n8c1024h14w14k256r1s1",
};
static const char *const others[] = {
    "n8c3h224w224k64r7s7u2v2pt3pb3pl3pr3",
    "n8c128h56w56k128r3s3u2v2pt1pb1pl1pr1",
    "n1c16h8w8k16r3s3g16",
    "n64c1h28w28k6r5s5",
    "n1c4096h1w1k1000r1s1",
    "n1c32h1w1k32r1s1pt50pb50pl50pr50",
};
enum { LAYERS = sizeof layers / sizeof *layers, OTHERS = sizeof others / sizeof *others };

static tess_device_info wide_gpu(void) {
    tess_device_info device = tuner_gpu();
    device.compute_units = 60;
    return device;
}
static tess_device_info many_threads_gpu(void) {
    tess_device_info device = tuner_gpu();
    device.compute_units = 132;
    device.local_memory = 48 << 10;
    device.max_work_group = 1024;
    return device;
}

/* What conv_config_each's visitor carries. */
struct best {
    const struct conv_problem *problem;
    const tess_device_info *device;
    const struct conv_algo *visited, *algo;
    struct conv_config config;
    double cycles;
    int visits;
};

static int take_better(void *user, const struct conv_config *config) {
    struct best *best = user;
    double cycles = best->visited->predict(best->problem, best->device, config);
    best->visits++;
    if (cycles >= best->cycles) return 0;
    best->cycles = cycles;
    best->algo = best->visited;
    best->config = *config;
    return 0;
}

/* Over every algorithm, as the planner does; or over igemm alone. */
static struct best best_of(const struct conv_problem *problem, const tess_device_info *device,
                           bool igemm_alone) {
    struct best best = {.problem = problem, .device = device, .cycles = DBL_MAX};
    for (int i = 0; i < conv_algo_count; i++) {
        if (igemm_alone && conv_algos[i] != &conv_igemm) continue;
        if (!conv_algo_applicable(conv_algos[i], problem, device)) continue;
        best.visited = conv_algos[i];
        conv_config_each(conv_algos[i], problem, device, take_better, &best);
    }
    return best;
}

static int value_of(const struct best *best, const char *name) {
    for (int i = 0; i < best->algo->param_count; i++)
        if (strcmp(best->algo->params[i].name, name) == 0) return best->config.value[i];
    fail_msg("igemm has no parameter %s", name);
    return 0;
}

/* Wide loads, little beyond the edge, enough work-groups, and no split of many. */
static void check_tiles(const struct best *best, const char *label) {
    const struct conv_problem *p = best->problem;
    double taps = p->d.r * p->d.s, pixels = (double)p->d.n * p->p * p->q;
    double m = p->pass == TESS_CONV_BWD_WEIGHTS ? taps * p->cg : pixels; /* stride is 1 */
    double n = p->pass == TESS_CONV_BWD_DATA ? p->cg : p->kg;
    int mwg = value_of(best, "mwg"), nwg = value_of(best, "nwg"), split = value_of(best, "split");
    double tiles =
        (double)(((int)m + mwg - 1) / mwg) * (double)(((int)n + nwg - 1) / nwg) * p->d.groups;
    double products = tess_conv_flops(&p->d) / 2, units = best->device->compute_units;
    if (value_of(best, "vec") != 4 || tiles * mwg * nwg > 1.5 * m * n ||
        tiles * split < 0.75 * units || (split > 1 && tiles > 4 * units) ||
        best->cycles > 3 * products / 64 / units)
        fail_msg("%s: %g million cycles, %g tiles, of %g x %g", label, best->cycles / 1e6, tiles, m,
                 n);
}

static void planner_takes_it_on_gpus(void **state) {
    (void)state;
    const tess_device_info devices[] = {wide_gpu(), many_threads_gpu()};
    for (int i = 0; i < 2; i++)
        for (int layer = 0; layer < LAYERS; layer++)
            for (int pass = 0; pass < 3; pass++) {
                struct conv_problem problem = tuner_problem(layers[layer], (tess_conv_pass)pass);
                struct best best = best_of(&problem, &devices[i], false);
                char printed[CONV_CONFIG_SIZE];
                conv_config_print(best.algo, problem.pass, &best.config, printed);
                assert_ptr_equal(best.algo, &conv_igemm);
                check_tiles(&best, printed);
            }
}

/* Also where padding is nearly all of the output. */
static void planner_never_takes_it_on_cpus(void **state) {
    (void)state;
    tess_device_info devices[] = {tuner_cpu(), tuner_cpu()};
    devices[1].compute_units = 64;
    devices[1].native_float_vector = 1;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < LAYERS + OTHERS; k++)
            for (int pass = 0; pass < 3; pass++) {
                const char *key = k < LAYERS ? layers[k] : others[k - LAYERS];
                struct conv_problem problem = tuner_problem(key, (tess_conv_pass)pass);
                struct best all = best_of(&problem, &devices[i], false);
                struct best own = best_of(&problem, &devices[i], true);
                assert_ptr_not_equal(all.algo, &conv_igemm);
                assert_true(own.cycles > 30 * all.cycles);
            }
}

static void space_is_small(void **state) {
    (void)state;
    const tess_device_info devices[] = {tuner_cpu(), wide_gpu(), many_threads_gpu()};
    int most = 0;
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < LAYERS + OTHERS; k++)
            for (int pass = 0; pass < 3; pass++) {
                const char *key = k < LAYERS ? layers[k] : others[k - LAYERS];
                struct conv_problem problem = tuner_problem(key, (tess_conv_pass)pass);
                struct best own = best_of(&problem, &devices[i], true);
                assert_true(own.visits > 0);
                if (own.visits > most) most = own.visits;
            }
    assert_true(most <= 500);
}

int main(void) {
    const struct CMUnitTest on_device[] = {cmocka_unit_test(fixed_configurations)};
    const struct CMUnitTest predictions[] = {
        cmocka_unit_test(planner_takes_it_on_gpus),
        cmocka_unit_test(planner_never_takes_it_on_cpus),
        cmocka_unit_test(space_is_small),
    };
    int failed = cmocka_run_group_tests(on_device, check_setup, check_teardown);
    /* Further OpenCL implementations would only repeat these. */
    if (!check_tiny()) failed += cmocka_run_group_tests(predictions, NULL, NULL);
    return failed;
}
