/* Register tiles fit the registers of each width of vectors: one too many, and compilers move sums about in the inner loop. */
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

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(tiles_fit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
