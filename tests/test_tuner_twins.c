/* Configurations that are the same work: told by what they hand to the device, and not timed twice. */
#include "support/check.h"

#include <stdlib.h>
#include <string.h>

#include "core/program.h"
#include "tuner/rotation.h"
#include "tuner/twins.h"

/* ---- an algorithm with a parameter of each kind; its launches are looked at, never made */

enum { UNUSED, RUN, LOCAL, SCALE, SWAPPED, PARAMS }; /* UNUSED: no kernel names it */

struct state {
    tess_context *ctx;
    cl_kernel kernel;
    struct conv_config config;
};

static tess_status create(tess_context *ctx, const struct conv_problem *problem,
                          const struct conv_config *config, const char *printed, void **out) {
    struct state *state = check_alloc(sizeof *state);
    struct program *program;
    char options[64];
    (void)problem;
    snprintf(options, sizeof options, "-DRU=%d -DRUN=%d", config->value[UNUSED],
             config->value[RUN]);
    *state = (struct state){.ctx = ctx, .config = *config};
    assert_ok(ctx, program_get(ctx, "roof_copy.cl", options, printed, &program));
    assert_ok(ctx, program_kernel(ctx, program, "roof_triad", &state->kernel));
    *out = state;
    return TESS_OK;
}

static tess_status enqueue(void *user, const tess_conv_args *args, const tess_tensor *packed) {
    const struct state *state = user;
    const int *value = state->config.value;
    struct kernel_range range = {.dims = 1, .global = {64}, .local = {(size_t)value[LOCAL]}};
    const tess_tensor *x = value[SWAPPED] ? args->w : args->x;
    const tess_tensor *w = value[SWAPPED] ? args->x : args->w;
    const struct kernel_arg list[] = {ARG_TENSOR(x), ARG_TENSOR(w), ARG_TENSOR(args->y),
                                      ARG_FLOAT((float)value[SCALE])};
    (void)packed;
    return kernel_enqueue(state->ctx, state->kernel, &range, list, 4, "test");
}

static void destroy(void *user) {
    struct state *state = user;
    if (state) kernel_release(state->kernel);
    free(state);
}

static tess_status pack(void *user, const tess_tensor *w, tess_tensor *packed) {
    const struct state *state = user;
    struct kernel_range range = {.dims = 1, .global = {64}, .local = {4}};
    const struct kernel_arg list[] = {ARG_TENSOR(w), ARG_TENSOR(w), ARG_TENSOR(packed),
                                      ARG_FLOAT(1)};
    return kernel_enqueue(state->ctx, state->kernel, &range, list, 4, "test");
}

static const struct conv_algo algo = {
    .name = "fake", .create = create, .pack = pack, .enqueue = enqueue, .destroy = destroy};

/* ---- identity */

struct fixture {
    tess_context *ctx;
    struct workbench *bench;
    struct identity *identity;
};

static void print_identity(struct fixture *f, const int value[PARAMS], size_t bytes,
                           char out[IDENTITY_SIZE]) {
    struct instance instance = {.bench = f->bench, .algo = &algo, .bytes = bytes};
    memcpy(instance.config.value, value, PARAMS * sizeof *value);
    assert_ok(f->ctx,
              create(f->ctx, &f->bench->problem, &instance.config, "fake", &instance.state));
    tess_counters before = tess_context_counters(f->ctx);
    identity_of(f->identity, &instance, out);
    assert_int_equal(tess_context_counters(f->ctx).kernels_enqueued, before.kernels_enqueued);
    destroy(instance.state);
    assert_int_equal(strlen(out), IDENTITY_SIZE - 1);
}

static void open_fixture(tess_context *ctx, struct fixture *f) {
    tess_error error = {0};
    tess_conv_desc desc;
    struct conv_problem problem;
    *f = (struct fixture){.ctx = ctx};
    assert_int_equal(tess_conv_desc_parse("n1c4h4w4k4r1s1", &error, &desc), TESS_OK);
    assert_int_equal(conv_problem_init(&desc, NULL, &error, &problem), TESS_OK);
    assert_ok(ctx, workbench_create(ctx, &problem, 1e4, false, &f->bench));
    f->identity = identity_create(ctx);
    assert_non_null(f->identity);
}

static void close_fixture(struct fixture *f) {
    identity_destroy(f->identity);
    workbench_destroy(f->bench);
}

/* Each kind of difference, and whether it is the same work. */
static void test_identity(void **state) {
    static const struct {
        const char *what;
        int value[PARAMS];
        size_t bytes;
        bool same;
    } cases[] = {{"nothing", {1, 1, 4, 2, 0}, 0, true},
                 {"an option that no kernel names", {2, 1, 4, 2, 0}, 0, true},
                 {"an option that the kernel names", {1, 2, 4, 2, 0}, 0, false},
                 {"the work-groups alone", {1, 1, 8, 2, 0}, 0, false},
                 {"a number", {1, 1, 4, 3, 0}, 0, false},
                 {"the order of the tensors", {1, 1, 4, 2, 1}, 0, false},
                 {"the workspace", {1, 1, 4, 2, 0}, 64, false}};
    struct fixture f;
    char first[IDENTITY_SIZE], other[IDENTITY_SIZE];
    open_fixture(*state, &f);
    print_identity(&f, cases[0].value, 0, first);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_identity(&f, cases[i].value, cases[i].bytes, other);
        if ((strcmp(first, other) == 0) != cases[i].same)
            fail_msg("%s: %s", cases[i].what, cases[i].same ? "told apart" : "taken for the same");
    }
    close_fixture(&f);
}

/* Packed weights lie elsewhere in each instance, and so do their copies where the workbench is cold. */
static void test_packed(void **state) {
    const tess_tensor_desc desc = desc_vector(16);
    struct fixture f;
    char first[IDENTITY_SIZE], other[IDENTITY_SIZE];
    struct instance all[2] = {{.algo = &algo}, {.algo = &algo}};
    open_fixture(*state, &f);
    for (int i = 0; i < 2; i++) {
        struct instance *instance = &all[i];
        instance->bench = f.bench;
        memcpy(instance->config.value, (const int[PARAMS]){5, 8, 4, 2, 0}, PARAMS * sizeof(int));
        assert_ok(f.ctx, guarded_create(f.ctx, &desc, 3, &instance->packed));
        assert_ok(f.ctx,
                  rotation_open(f.ctx, &instance->packed, 3, NULL, &instance->packed_copies));
        assert_ok(f.ctx,
                  create(f.ctx, &f.bench->problem, &instance->config, "fake", &instance->state));
    }
    identity_of(f.identity, &all[0], first);
    identity_of(f.identity, &all[1], other);
    assert_int_equal(strlen(first), IDENTITY_SIZE - 1);
    assert_string_equal(first, other);
    for (int i = 0; i < 2; i++) {
        destroy(all[i].state);
        rotation_close(&all[i].packed_copies);
        guarded_destroy(&all[i].packed);
    }
    close_fixture(&f);
}

/* A program that was made before anybody watched has an unknown source: no identity is better than a wrong one. */
static void test_unknown(void **state) {
    struct fixture f;
    char out[IDENTITY_SIZE];
    struct instance instance = {.algo = &algo, .config = {.value = {3, 4, 4, 2, 0}}};
    open_fixture(*state, &f);
    instance.bench = f.bench;
    identity_destroy(f.identity);
    assert_ok(f.ctx, create(f.ctx, &f.bench->problem, &instance.config, "fake", &instance.state));
    f.identity = identity_create(f.ctx);
    identity_of(f.identity, &instance, out);
    if (strstr(tess_context_device(f.ctx)->platform_name, "Portable")) assert_string_equal(out, "");
    destroy(instance.state);
    close_fixture(&f);
}

/* ---- what the runner remembers */

static void test_twins(void **state) {
    struct twins twins = {0};
    struct trial trial = {.seconds = 0.5, .mad = 0.1, .max_err = 0.2}, found = {.seconds = 0};
    (void)state;
    twins_add(&twins, "", "a", 16, &trial);
    assert_false(twins_find(&twins, "", "b", 16, &found));
    twins_add(&twins, "id", "a", 16, &trial);
    assert_false(twins_find(&twins, "id", "a", 16, &found)); /* itself again */
    assert_false(twins_find(&twins, "other", "b", 16, &found));
    assert_false(twins_find(&twins, "id", "b", 48, &found)); /* wanted better */
    assert_false(found.twin);
    assert_true(twins_find(&twins, "id", "b", 16, &found));
    assert_true(found.twin && found.status == DB_OK && found.seconds > 0.4 && found.max_err > 0.1);
    assert_string_equal(found.cause, "identical to a");
    trial.seconds = 2;
    twins_add(&twins, "id", "a", 48, &trial); /* in place of the older one */
    assert_int_equal(twins.count, 1);
    assert_true(twins_find(&twins, "id", "b", 48, &found));
    assert_true(found.seconds > 1);
    twins_clear(&twins);
    assert_false(twins_find(&twins, "id", "b", 1, &found));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_twins),
    };
    return cmocka_run_group_tests_name("tuner_twins", tests, check_setup, check_teardown);
}
