/* Register tiles fit the registers of each width of vectors: one too many, and compilers move sums about in the inner loop. And what they load
   counts in predictions. */
#include "ops/conv/conv_algo.h"
#include "support/check.h"
#include "support/tuner_device.h"

struct widest {
    const struct conv_algo *algo;
    struct conv_problem problem;
    int floats;
};

static int widest_of(void *user, const struct conv_config *config) {
    struct widest *widest = user;
    struct conv_resources resources = {0};
    widest->algo->resources(&widest->problem, config, &resources);
    if (resources.registers > widest->floats) widest->floats = resources.registers;
    return 0;
}

/* Floats of sums, one set of vectors and the scalar: a vector's worth of registers holds the scalar, too, except that AVX-512
   can read one operand of a multiply-add from memory. */
static void tiles_fit(void **state) {
    (void)state;
    static const char *const algos[] = {"direct", "gemm1x1", "smallc"};
    static const char *const keys[] = {"n8c256h14w14k1024r1s1", "n8c64h56w56k64r3s3pt1pb1pl1pr1",
                                       "n8c128h56w56k128r3s3u2v2pt1pb1pl1pr1",
                                       "n8c3h224w224k64r7s7u2v2pt3pb3pl3pr3"};
    static const struct {
        unsigned width;
        int floats;
    } devices[] = {{16, 33 * 16}, {8, 16 * 8}};
    for (int i = 0; i < 2; i++)
        for (int a = 0; a < 3; a++)
            for (int k = 0; k < 4; k++)
                for (int pass = 0; pass < 3; pass++) {
                    tess_device_info device = tuner_cpu();
                    device.local_memory = 2 << 20;
                    device.native_float_vector = devices[i].width;
                    struct widest widest = {.algo = conv_algo_find(algos[a]),
                                            .problem =
                                                tuner_problem(keys[k], (tess_conv_pass)pass)};
                    if (!widest.algo->applicable(&widest.problem, &device)) continue;
                    conv_config_each(widest.algo, &widest.problem, &device, widest_of, &widest);
                    if (widest.floats < 1 || widest.floats > devices[i].floats)
                        fail_msg("%s, %s, pass %d, %u lanes: %d floats of registers", algos[a],
                                 keys[k], pass, devices[i].width, widest.floats);
                }
}

static double cycles_of(const struct conv_problem *problem, const tess_device_info *device,
                        const char *printed) {
    const struct conv_algo *direct = conv_algo_find("direct");
    struct conv_config config;
    tess_error error;
    assert_int_equal(conv_config_parse(direct, problem->pass, printed, &error, &config), TESS_OK);
    return direct->predict(problem, device, &config);
}

/* A core with 512-bit vectors loads about one of them a cycle: the tile of 14 pixels and 2 vectors, 16 loads for 28 multiply-adds, is
   predicted faster than those with the last vector loaded for each pixel (7 x 4, 17 loads; measured 1.2 times as slow) and with 29 loads. */
static void loads_count(void **state) {
    (void)state;
    tess_device_info device = tuner_cpu();
    device.native_float_vector = 16;
    struct conv_problem problem = tuner_problem("n8c64h224w224k64r3s3pt1pb1pl1pr1", TESS_CONV_FWD);
    double wide = cycles_of(&problem, &device, "wt14_kv2_nt1_order0_cb0");
    assert_true(cycles_of(&problem, &device, "wt7_kv4_nt1_order0_cb0") > 1.05 * wide);
    assert_true(cycles_of(&problem, &device, "wt28_kv1_nt1_order0_cb0") > 1.5 * wide);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(tiles_fit), cmocka_unit_test(loads_count)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
