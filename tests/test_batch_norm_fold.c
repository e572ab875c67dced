/* A convolution with batch normalisation folded into it against the two one after the other. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/ref_batch_norm.h"
#include "support/ref_conv.h"

enum { MOST = 5 * 5 * 6 * 22 };

struct parameters {
    float weights[MOST], bias[22], scale[22], shift[22], mean[22], var[22];
};

static struct parameters random_parameters(void) {
    struct parameters p = {0};
    check_random(p.weights, MOST, -1, 1, 1);
    check_random(p.bias, 22, -1, 1, 2);
    check_random(p.scale, 22, -2, 2, 3);
    check_random(p.shift, 22, -1, 1, 4);
    check_random(p.mean, 22, -3, 3, 5);
    check_random(p.var, 22, 0.01f, 4, 6);
    return p;
}

/* want: the float64 convolution, then the float64 normalisation. plain: no biases, no scale. */
static void check_problem(const char *key, bool plain) {
    tess_conv_desc d;
    assert_int_equal(tess_conv_desc_parse(key, NULL, &d), TESS_OK);
    int P, Q;
    assert_int_equal(tess_conv_out_size(&d, NULL, &P, &Q), TESS_OK);
    struct parameters p = random_parameters();
    size_t k = (size_t)d.k, count = (size_t)d.n * (size_t)P * (size_t)Q * k;
    size_t inputs = (size_t)d.n * (size_t)d.c * (size_t)d.h * (size_t)d.w;
    float *x = check_alloc(inputs * sizeof *x), weights[MOST], bias[22];
    check_random(x, inputs, -1, 1, 7);
    tess_batch_norm_fold_args fold = {.rows = (size_t)(d.r * d.s * d.c / d.groups),
                                      .k = d.k,
                                      .eps = 1e-3f,
                                      .weights = p.weights,
                                      .bias = plain ? NULL : p.bias,
                                      .scale = plain ? NULL : p.scale,
                                      .shift = plain ? NULL : p.shift,
                                      .mean = p.mean,
                                      .var = p.var,
                                      .folded_weights = weights,
                                      .folded_bias = bias};
    assert_int_equal(tess_batch_norm_fold(&fold, NULL), TESS_OK);

    double *conv = ref_conv_fwd(&d, x, p.weights, fold.bias, NULL, (tess_act){0}), vectors[4][22];
    const float *narrow[] = {p.scale, p.shift, p.mean, p.var};
    for (int i = 0; i < 4; i++)
        for (size_t j = 0; j < k; j++)
            vectors[i][j] = (double)narrow[i][j];
    struct ref_batch_norm norm = {.rows = count / k,
                                  .c = k,
                                  .eps = (double)1e-3f,
                                  .act = {TESS_ACT_RELU, 0},
                                  .x = conv,
                                  .scale = plain ? NULL : vectors[0],
                                  .bias = plain ? NULL : vectors[1]};
    double *want = check_alloc(count * sizeof *want);
    ref_batch_norm_forward(&norm, vectors[2], vectors[3], NULL, want);

    double *wide = ref_conv_fwd(&d, x, weights, bias, NULL, (tess_act){TESS_ACT_RELU, 0});
    float *got = check_alloc(count * sizeof *got);
    for (size_t i = 0; i < count; i++)
        got[i] = (float)wide[i];
    check_close(got, want, count, 1e-6, 20, key);
    free(got);
    free(wide);
    free(want);
    free(conv);
    free(x);

    fold.folded_weights = p.weights; /* in place */
    fold.folded_bias = p.bias;
    assert_int_equal(tess_batch_norm_fold(&fold, NULL), TESS_OK);
    check_same_bytes(p.weights, weights, fold.rows * k * sizeof *weights, key);
    check_same_bytes(p.bias, bias, k * sizeof *bias, key);
}

static void folded_convolutions(void **state) {
    (void)state;
    check_problem("n2c3h7w6k5r3s3pt1pb1pl1pr1", false);
    check_problem("n1c6h5w4k22r1s1", false);
    check_problem("n1c6h9w8k22r5s5u2v2pt2pb2pl2pr2", true);
    check_problem("n2c6h5w5k6r3s2d1e1g3", false);
}

static void bad_arguments_are_refused(void **state) {
    (void)state;
    struct parameters p = random_parameters();
    tess_batch_norm_fold_args good = {.rows = 3,
                                      .k = 2,
                                      .weights = p.weights,
                                      .mean = p.mean,
                                      .var = p.var,
                                      .folded_weights = p.weights,
                                      .folded_bias = p.bias};
    tess_batch_norm_fold_args bad[] = {good, good, good, good, good, good, good, good, good};
    bad[0].rows = 0;
    bad[1].k = 0;
    bad[2].weights = NULL;
    bad[3].mean = NULL;
    bad[4].var = NULL;
    bad[5].folded_weights = NULL;
    bad[6].folded_bias = NULL;
    bad[7].eps = -p.var[1];
    bad[8].eps = NAN;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        tess_error error = {0};
        assert_int_equal(tess_batch_norm_fold(&bad[i], &error), TESS_INVALID_ARGUMENT);
        assert_true(strlen(error.text) > 0);
    }
    assert_int_equal(tess_batch_norm_fold(NULL, NULL), TESS_INVALID_ARGUMENT);
    assert_int_equal(tess_batch_norm_fold(&good, NULL), TESS_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folded_convolutions),
        cmocka_unit_test(bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
