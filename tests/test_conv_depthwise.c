/* Depthwise convolution beyond what test_conv sweeps: epilogues, several filters a channel, strides and dilations, in
   configurations of CPUs and of GPUs. */
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/conv_case.h"

#define RELU                                                                                       \
    { TESS_ACT_RELU, 0 }
#define LEAKY                                                                                      \
    { TESS_ACT_LEAKY_RELU, 0.3f }
#define TANH                                                                                       \
    { TESS_ACT_TANH, 0 }
#define SIGMOID                                                                                    \
    { TESS_ACT_SIGMOID, 0 }
#define NONE                                                                                       \
    { TESS_ACT_NONE, 0 }

/* Where one filter a channel fills vectors, where it does not, and where there are two and three. */
#define WHOLE  "n2c16h9w11k16r3s3pt1pb1pl1pr1g16"
#define RAGGED "n1c21h7w9k21r3s3u2v2pt1pb1pl1pr1g21"
#define TWO    "n2c4h8w7k8r3s3pt1pb1pl1pr1g4"
#define THREE  "n1c5h9w10k15r3s2u2v3pt2pb1pl0pr1d2e2g5"
/* One group that is all channels: C = 1. */
#define SINGLE "n2c1h7w9k6r3s5u1v2pt1pb1pl2pr2"
#define WIDE   "n1c6h13w14k6r2s3pt3pb0pl4pr2d3e4g6"

static const struct conv_case forward[] = {
    {WHOLE, "vec16_kv1_wt7_wg1_fix1", TESS_CONV_FWD, true, RELU},
    {WHOLE, "vec4_kv2_wt4_wg64_fix0", TESS_CONV_FWD, true, TANH},
    {RAGGED, "vec8_kv2_wt2_wg1_fix0", TESS_CONV_FWD, true, LEAKY},
    {RAGGED, "vec4_kv1_wt2_wg64_fix0", TESS_CONV_FWD, true, RELU},
    {TWO, "vec4_kv2_wt4_wg1_fix0", TESS_CONV_FWD, true, RELU},
    {TWO, "vec8_kv1_wt7_wg1_fix1", TESS_CONV_FWD, true, NONE},
    {TWO, "vec1_kv4_wt2_wg64_fix0", TESS_CONV_FWD, true, SIGMOID},
    {THREE, "vec4_kv4_wt2_wg1_fix0", TESS_CONV_FWD, true, TANH},
    {SINGLE, "vec4_kv2_wt4_wg1_fix0", TESS_CONV_FWD, true, LEAKY},
    {WIDE, "vec8_kv1_wt4_wg1_fix0", TESS_CONV_FWD, true, RELU},
    /* short vectors */
    {TWO, "vec4_kv1_wt2_wg1_fix0", TESS_CONV_FWD, true, RELU},
    {THREE, "vec1_kv2_wt2_wg1_fix0", TESS_CONV_FWD, true, TANH},
    {RAGGED, "vec4_kv1_wt2_wg1_fix0", TESS_CONV_FWD, true, LEAKY},
};
static const struct conv_case backward_data[] = {
    {WHOLE, "vec16_kv1_wt7_wg1_fix1", TESS_CONV_BWD_DATA, false, NONE},
    {RAGGED, "vec8_kv2_wt4_wg1_fix0", TESS_CONV_BWD_DATA, false, NONE},
    {RAGGED, "vec4_kv1_wt2_wg64_fix0", TESS_CONV_BWD_DATA, false, NONE},
    {TWO, "vec4_kv1_wt4_wg1_fix0", TESS_CONV_BWD_DATA, false, NONE},
    {TWO, "vec1_kv4_wt2_wg64_fix0", TESS_CONV_BWD_DATA, false, NONE},
    {THREE, "vec4_kv2_wt2_wg1_fix0", TESS_CONV_BWD_DATA, false, NONE},
    {SINGLE, "vec1_kv1_wt4_wg1_fix0", TESS_CONV_BWD_DATA, false, NONE},
    {WIDE, "vec8_kv1_wt4_wg1_fix0", TESS_CONV_BWD_DATA, false, NONE},
};
static const struct conv_case backward_weights[] = {
    {WHOLE, "vec16_kv1_rt1_st3_qt2_chunk64_band16_wg1_fix1", TESS_CONV_BWD_WEIGHTS, false, NONE},
    {RAGGED, "vec8_kv2_rt2_st2_qt1_chunk64_band64_wg1_fix0", TESS_CONV_BWD_WEIGHTS, false, NONE},
    {RAGGED, "vec4_kv1_rt1_st2_qt2_chunk64_band16_wg64_fix0", TESS_CONV_BWD_WEIGHTS, false, NONE},
    {TWO, "vec4_kv2_rt3_st2_qt1_chunk64_band16_wg1_fix0", TESS_CONV_BWD_WEIGHTS, false, NONE},
    {THREE, "vec4_kv4_rt2_st1_qt2_chunk64_band16_wg1_fix0", TESS_CONV_BWD_WEIGHTS, false, NONE},
    {SINGLE, "vec4_kv2_rt1_st5_qt1_chunk64_band16_wg1_fix0", TESS_CONV_BWD_WEIGHTS, false, NONE},
    {WIDE, "vec8_kv1_rt2_st3_qt2_chunk64_band64_wg1_fix0", TESS_CONV_BWD_WEIGHTS, false, NONE},
    {TWO, "vec1_kv2_rt3_st2_qt1_chunk64_band16_wg1_fix0", TESS_CONV_BWD_WEIGHTS, false, NONE},
    {TWO, "vec1_kv2_rt3_st2_qt1_chunk64_band16_wg64_fix0", TESS_CONV_BWD_WEIGHTS, false, NONE},
    {THREE, "vec1_kv4_rt2_st1_qt2_chunk64_band16_wg1_fix0", TESS_CONV_BWD_WEIGHTS, false, NONE},
};

/* Those of GPUs are not valid on CPUs, and the other way round: at least two of each list are. check-full (TESSERA_TEST_FULL=1) has all,
   check every other one, beside what test_conv sweeps. */
static void check_cases(tess_context *ctx, const struct conv_case *cases, size_t count) {
    const char *full = getenv("TESSERA_TEST_FULL");
    size_t step = full && strcmp(full, "1") == 0 ? 1 : 2;
    int checked = 0;
    for (size_t i = 0; i < count; i += step) {
        bool valid = conv_case_check(ctx, "depthwise", &cases[i]);
        if (!valid) print_message("not for this device: %s %s\n", cases[i].key, cases[i].config);
        checked += valid;
    }
    assert_true(checked >= 2);
}

static void test_forward(void **state) {
    check_cases(*state, forward, sizeof forward / sizeof *forward);
}
static void test_backward_data(void **state) {
    check_cases(*state, backward_data, sizeof backward_data / sizeof *backward_data);
}
static void test_backward_weights(void **state) {
    check_cases(*state, backward_weights, sizeof backward_weights / sizeof *backward_weights);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_backward_data),
        cmocka_unit_test(test_backward_weights),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
