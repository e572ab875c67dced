/* The peer of the benchmarks computes what we compute: same problem, same operands, same result. */
#include <math.h>
#include <stdlib.h>

#include "bench/conv_work.h"
#include "bench/peers/peer.h"
#include "support/check.h"

static void compare(tess_context *ctx, const struct peer *peer, const char *key,
                    tess_conv_pass pass) {
    tess_conv_desc desc;
    struct conv_work work;
    struct peer_conv *theirs = NULL;
    assert_ok(ctx, tess_conv_desc_parse(key, &ctx->error, &desc));
    assert_ok(ctx, conv_work_open(ctx, &desc, &(tess_conv_options){.pass = pass}, &work));
    assert_ok(ctx, peer->create(&work.problem, 2, work.host[0], work.host[1], work.host[2],
                                &ctx->error, &theirs));
    assert_ok(ctx, conv_work_run(&work));
    assert_ok(ctx, peer->run(theirs));
    size_t count = conv_work_elements(&work);
    float *ours = NULL, *other = check_alloc(count * sizeof *other);
    double *want = check_alloc(count * sizeof *want);
    assert_ok(ctx, conv_work_read(&work, &ours));
    assert_ok(ctx, peer->read(theirs, other));
    for (size_t i = 0; i < count; i++)
        want[i] = (double)other[i];
    check_close(ours, want, count, 1e-4, 1, key);
    free(ours), free(other), free(want);
    peer->destroy(theirs);
    conv_work_close(&work);
}

static void test_same_results(void **state) {
    static const char *const keys[] = {"n2c5h9w8k7r3s3pt1pb1pl1pr1",
                                       "n1c8h11w10k32r3s2u2v1pt1pb0pl0pr1",
                                       "n1c6h9w9k4r3s3d2e2g2pt2pb2pl2pr2", "n2c16h6w6k16r1s1"};
    const struct peer *peer = peer_find("onednn");
    if (!peer) {
        print_message("oneDNN was not found when this was built: skipped\n");
        skip();
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (int pass = 0; pass < 3; pass++)
            compare(*state, peer, keys[i], (tess_conv_pass)pass);
}

static void test_refusals(void **state) {
    tess_context *ctx = *state;
    const struct peer *peer = peer_find("onednn");
    assert_null(peer_find("cudnn"));
    if (!peer) return;
    struct peer_conv *theirs = NULL;
    struct conv_problem problem;
    const tess_conv_desc mirror = {.n = 1,
                                   .c = 1,
                                   .h = 4,
                                   .w = 4,
                                   .k = 1,
                                   .r = 3,
                                   .s = 3,
                                   .pad_top = 1,
                                   .pad_mode = TESS_PAD_MIRROR};
    assert_ok(ctx, conv_problem_init(&mirror, NULL, &ctx->error, &problem));
    assert_int_equal(peer->create(&problem, 1, NULL, NULL, NULL, &ctx->error, &theirs),
                     TESS_UNSUPPORTED);
    assert_null(theirs);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_results),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
