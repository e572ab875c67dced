/* Convolution: the planner's choice against oneDNN, and its gradients against difference quotients. */
#include <stdlib.h>

#include "support/check.h"
#include "support/conv_check.h"
#include "support/onednn_conv.h"
#include "support/ref_conv.h"

static void test_against_onednn(void **state) {
    for (int i = 0; i < conv_problem_count(); i++) {
        struct conv_data t = conv_data_make(conv_problems[i]);
        /* oneDNN knows zeros only. */
        for (int pass = 0; pass < 3 && t.d.pad_mode == TESS_PAD_ZERO; pass++) {
            tess_conv_options o = {.pass = (tess_conv_pass)pass};
            size_t count, length;
            conv_result_size(&t, o.pass, &count, &length);
            float *theirs = onednn_conv(&t.d, o.pass, t.x, t.w, t.dy);
            double *want = check_alloc(count * sizeof *want);
            for (size_t j = 0; j < count; j++)
                want[j] = (double)theirs[j];
            conv_check_plan(*state, &t, &o, want, count, length);
            free(theirs), free(want);
        }
        conv_data_free(&t);
    }
}

/* <conv(x, w), dy> is linear in x and in w: its derivative along a direction is the gradient's product with it, and so
   a difference quotient of the reference, at any step, must agree with the device's gradients. */
static void test_gradients_by_differences(void **state) {
    for (int i = 0; i < conv_problem_count(); i++) {
        struct conv_data t = conv_data_make(conv_problems[i]);
        for (int pass = TESS_CONV_BWD_DATA; pass <= TESS_CONV_BWD_WEIGHTS; pass++) {
            tess_conv_options o = {.pass = (tess_conv_pass)pass};
            tess_conv_plan *plan = NULL;
            assert_ok(*state, tess_conv_plan_create(*state, &t.d, &o, &plan));
            float *gradient = conv_run(*state, &t, plan, &o);
            tess_conv_plan_destroy(plan);
            float *vary = pass == TESS_CONV_BWD_DATA ? t.x : t.w;
            size_t count = pass == TESS_CONV_BWD_DATA ? t.nx : t.nw;
            for (size_t j = 0; j < count; j += 1 + count / 5) {
                double loss[2];
                float kept = vary[j];
                for (int side = 0; side < 2; side++) {
                    vary[j] = kept + (side ? 0.5f : -0.5f);
                    loss[side] = ref_conv_dot(&t.d, t.x, t.w, t.dy);
                }
                double step = (double)(kept + 0.5f) - (double)(kept - 0.5f);
                vary[j] = kept;
                double want = (loss[1] - loss[0]) / step;
                check_close(&gradient[j], &want, 1, 1e-4, 10, "difference quotient");
            }
            free(gradient);
        }
        conv_data_free(&t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_onednn),
        cmocka_unit_test(test_gradients_by_differences),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
