/* The timing engine on a clock and work that the test controls. */
#include <math.h>
#include <stdio.h>

#include "bench/timing.h"
#include "support/check.h"

/* The clock that the work moves on. cmocka's state is the context, so the rest of a test's state is here, reset by each. */
static double now;
static double fake_clock(void) {
    return now;
}

struct fake {
    const double *seconds; /* of each run, the last one again and again */
    int count, runs;
    int fail_after; /* runs until it fails; 0: never */
};

static tess_status run_fake(void *user) {
    struct fake *fake = user;
    if (fake->fail_after && fake->runs >= fake->fail_after) return TESS_INTERNAL;
    now += fake->seconds[fake->runs < fake->count ? fake->runs : fake->count - 1];
    fake->runs++;
    return TESS_OK;
}

static bool near(double a, double b) {
    return fabs(a - b) <= 1e-12 * fabs(b);
}

static void test_statistics(void **state) {
    (void)state;
    double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2}, spread[] = {1, 2, 4, 9, 9};
    assert_true(timing_median(odd, 3) == 2);
    assert_true(timing_median(even, 4) == 2.5);
    assert_true(timing_mad(spread, 5, 4) == 3);
    assert_true(isnan(timing_median(odd, 0)));
}

/* A machine that becomes three times slower half-way changes both medians, but not the ratio. */
static void test_ratio_divides_drift_out(void **state) {
    (void)state;
    double a[10], b[10], mad = -1;
    for (int i = 0; i < 10; i++) {
        double drift = i < 5 ? 1 : 3;
        a[i] = 2 * drift;
        b[i] = 4 * drift;
    }
    assert_true(near(timing_ratio(a, b, 10, &mad), 0.5));
    assert_true(mad == 0);
    assert_true(isnan(timing_ratio(a, b, 0, NULL)));
}

/* Samples are long enough, warm-up and calibration are not counted, and a sample's time is divided by its runs. */
static void test_samples(void **state) {
    static const double slow_start[] = {1, 1, 0.001};
    struct fake fake = {slow_start, 3, 0, 0};
    double samples[5];
    struct timed work = {.run = run_fake, .user = &fake, .samples = samples};
    now = 0;
    const struct timing_options options = {
        .samples = 5, .sample_seconds = 0.01, .clock = fake_clock};
    assert_ok(*state, timing_interleaved(*state, &work, 1, &options));
    assert_int_equal(work.runs_per_sample, 16); /* the first power of two that takes 10 ms */
    assert_int_equal(fake.runs, 2 + 31 + 5 * 16);
    for (int i = 0; i < 5; i++)
        assert_true(fabs(samples[i] - 0.001) < 1e-9);
    assert_true(fabs(work.median - 0.001) < 1e-9 && fabs(work.best - 0.001) < 1e-9);
    assert_true(work.mad < 1e-9);
}

/* Work whose runs a sample are known is not run but for its samples. */
static void test_known_runs(void **state) {
    static const double one[] = {0.001};
    struct fake fake = {one, 1, 0, 0};
    struct timed work = {.run = run_fake, .user = &fake, .runs_per_sample = 4};
    const struct timing_options options = {.samples = 3, .clock = fake_clock};
    now = 0;
    assert_ok(*state, timing_interleaved(*state, &work, 1, &options));
    assert_int_equal(fake.runs, 3 * 4);
    assert_int_equal(work.runs_per_sample, 4);
    assert_true(fabs(work.median - 0.001) < 1e-9);
}

/* A B A B: the runs of a round follow each other. */
static void test_interleaving(void **state) {
    static const double one[] = {0.02}, two[] = {0.04};
    struct fake a = {one, 1, 0, 0}, b = {two, 1, 0, 0};
    double first[7], second[7], mad;
    struct timed work[] = {{.run = run_fake, .user = &a, .samples = first},
                           {.run = run_fake, .user = &b, .samples = second}};
    now = 0;
    const struct timing_options options = {.samples = 7, .clock = fake_clock};
    assert_ok(*state, timing_interleaved(*state, work, 2, &options));
    assert_int_equal(work[0].runs_per_sample, 1);
    assert_int_equal(a.runs, 3 + 7);
    assert_int_equal(b.runs, 3 + 7);
    assert_true(fabs(timing_ratio(second, first, 7, &mad) - 2) < 1e-9 && mad < 1e-9);
}

/* Warm: one run more before each sample, also of work whose sample is a single run. */
static void test_warm(void **state) {
    static const double one[] = {0.02}, two[] = {0.001};
    struct fake a = {one, 1, 0, 0}, b = {two, 1, 0, 0};
    struct timed work[] = {{.run = run_fake, .user = &a, .runs_per_sample = 1},
                           {.run = run_fake, .user = &b, .runs_per_sample = 4}};
    struct timing_options options = {.samples = 7, .clock = fake_clock};
    now = 0;
    assert_ok(*state, timing_interleaved(*state, work, 2, &options));
    assert_int_equal(a.runs, 7);
    assert_int_equal(b.runs, 7 * (1 + 4));
    a.runs = b.runs = 0;
    options.warm = true;
    assert_ok(*state, timing_interleaved(*state, work, 2, &options));
    assert_int_equal(a.runs, 7 * (1 + 1));
    assert_int_equal(b.runs, 7 * (1 + 4));
    assert_true(fabs(work[0].median - 0.02) < 1e-9 && fabs(work[1].median - 0.001) < 1e-9);
}

static void test_failing_work_ends_it(void **state) {
    static const double one[] = {0.02};
    struct fake fake = {one, 1, 0, 5};
    struct timed work = {.run = run_fake, .user = &fake, .median = -1};
    const struct timing_options options = {.clock = fake_clock};
    assert_int_equal(timing_interleaved(*state, &work, 1, &options), TESS_INTERNAL);
    assert_int_equal(fake.runs, 5);
    assert_true(work.median == -1);
}

struct fill {
    tess_tensor *tensor;
};
static tess_status run_fill(void *user) {
    return tess_tensor_fill(((struct fill *)user)->tensor, 1);
}

static tess_context *profiling_context(const tess_device_info *device) {
    tess_context *ctx = NULL;
    char spec[32];
    snprintf(spec, sizeof spec, "%u:%u", device->platform_index, device->device_index);
    tess_error error = {0};
    if (tess_context_create(&(tess_context_options){.device = spec, .profiling = true}, &error,
                            &ctx))
        fail_msg("%s", error.text);
    return ctx;
}

/* The device's clock and the host's agree on work that fills a sample. */
static void test_device_clock(void **state) {
    tess_context *plain = *state, *ctx = profiling_context(tess_context_device(plain));
    struct fill fill = {check_tensor(ctx, desc_vector(1 << 22), NULL)};
    struct timed work = {.run = run_fill, .user = &fill};
    /* On a busy machine threads wait, which the host's clock alone counts: some moment must be quiet enough. */
    bool agree = false;
    for (int attempt = 0; attempt < 20 && !agree; attempt++) {
        assert_ok(ctx, timing_interleaved(ctx, &work, 1, NULL));
        assert_true(work.clock > 0 && work.clock <= 1.05);
        agree = work.clock >= 0.5;
    }
    assert_true(agree);
    tess_tensor_destroy(fill.tensor);
    tess_context_destroy(ctx);

    struct fill other = {check_tensor(plain, desc_vector(64), NULL)};
    struct timed unprofiled = {.run = run_fill, .user = &other};
    assert_ok(plain, timing_interleaved(plain, &unprofiled, 1, NULL));
    assert_true(unprofiled.clock == 0 && unprofiled.median > 0);
    tess_tensor_destroy(other.tensor);
}

/* Every third run is long. */
struct uneven {
    tess_tensor *quick, *slow;
    int runs;
};
static tess_status run_uneven(void *user) {
    struct uneven *uneven = user;
    return tess_tensor_fill(uneven->runs++ % 3 == 0 ? uneven->slow : uneven->quick, 1);
}

/* The run that leads in is no part of the sample, however long; the runs behind it are, to the last one's end. */
static void test_lead_in(void **state) {
    tess_context *plain = *state, *ctx = profiling_context(tess_context_device(plain));
    struct uneven uneven = {.quick = check_tensor(ctx, desc_vector(64), NULL),
                            .slow = check_tensor(ctx, desc_vector(1 << 22), NULL)};
    struct timed work = {.run = run_uneven, .user = &uneven, .runs_per_sample = 2};
    const struct timing_options options = {.samples = 5, .lead_in = true};
    double median[3];
    bool told = false;
    for (int attempt = 0; attempt < 20 && !told; attempt++) {
        for (int first = 0; first < 3; first++) {
            uneven.runs = first;
            assert_ok(ctx, timing_interleaved(ctx, &work, 1, &options));
            assert_int_equal(uneven.runs, first + 5 * 3);
            assert_true(work.clock > 0 && work.clock <= 1.05);
            median[first] = work.median;
        }
        told = 4 * median[0] < median[1] && 4 * median[0] < median[2];
    }
    assert_true(told);
    tess_tensor_destroy(uneven.quick);
    tess_tensor_destroy(uneven.slow);
    tess_context_destroy(ctx);

    /* Where the device does not tell, a run before each sample, as with warm. */
    static const double one[] = {0.02};
    struct fake a = {one, 1, 0, 0}, b = {one, 1, 0, 0};
    struct timed pair[] = {{.run = run_fake, .user = &a, .runs_per_sample = 1},
                           {.run = run_fake, .user = &b, .runs_per_sample = 1}};
    now = 0;
    assert_ok(plain, timing_interleaved(plain, pair, 2,
                                        &(struct timing_options){
                                            .samples = 7, .lead_in = true, .clock = fake_clock}));
    assert_int_equal(a.runs, 7 * 2);
    assert_true(fabs(pair[0].median - 0.02) < 1e-9 && pair[0].clock == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_ratio_divides_drift_out),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_known_runs),
        cmocka_unit_test(test_interleaving),
        cmocka_unit_test(test_warm),
        cmocka_unit_test(test_failing_work_ends_it),
        cmocka_unit_test(test_device_clock),
        cmocka_unit_test(test_lead_in),
    };
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
