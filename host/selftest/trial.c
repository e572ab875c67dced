#include "selftest/trial.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

tess_tensor_desc trial_image(int n, int c, int h, int w) {
    return (tess_tensor_desc){TESS_F32, TESS_NHWC, n, c, h, w};
}

tess_tensor_desc trial_weights(int r, int s, int c, int k) {
    return (tess_tensor_desc){TESS_F32, TESS_RSCK, k, c, r, s};
}

tess_tensor_desc trial_vector(int count) {
    return (tess_tensor_desc){TESS_F32, TESS_NHWC, 1, count, 1, 1};
}

tess_tensor_desc trial_integers(int count) {
    return (tess_tensor_desc){TESS_I32, TESS_NHWC, 1, count, 1, 1};
}

bool trial_step(struct trial *trial, tess_status status) {
    if (status && !trial->status) {
        trial->status = status;
        const char *why = tess_context_last_error(trial->ctx);
        snprintf(trial->text, sizeof trial->text, "%s", *why ? why : tess_status_string(status));
    }
    return !trial->status;
}

/* xorshift64*: of its own, so that a fault of the library's generator does not hide. */
static float next_uniform(struct trial *trial, float low, float high) {
    trial->random ^= trial->random >> 12;
    trial->random ^= trial->random << 25;
    trial->random ^= trial->random >> 27;
    uint64_t bits = trial->random * 0x2545F4914F6CDD1Du >> 40;
    return low + (high - low) * (float)bits * 0x1p-24f;
}

static struct array *add(struct trial *trial, const char *name, tess_tensor_desc desc) {
    if (trial->status) return NULL;
    assert(trial->count < TRIAL_ARRAYS);
    struct array *array = &trial->arrays[trial->count++];
    size_t count = tess_tensor_desc_elements(&desc);
    *array = (struct array){.name = name, .desc = desc, .count = count};
    array->host.data = calloc(count, sizeof(float));
    tess_status status = TESS_OUT_OF_HOST_MEMORY;
    if (array->host.data)
        status = tess_tensor_create(trial->ctx, &desc, &array->tensor);
    else
        context_fail(trial->ctx, status, "self-test: no host memory; free some");
    return trial_step(trial, status) ? array : NULL;
}

struct array *trial_input(struct trial *trial, const char *name, tess_tensor_desc desc, float low,
                          float high) {
    struct array *array = add(trial, name, desc);
    if (!array || desc.dtype != TESS_F32) return array;
    for (size_t i = 0; i < array->count; i++)
        array->host.f[i] = next_uniform(trial, low, high);
    return array;
}

struct array *trial_output(struct trial *trial, const char *name, tess_tensor_desc desc,
                           double tolerance) {
    struct array *array = add(trial, name, desc);
    if (!array) return NULL;
    array->tolerance = tolerance;
    array->want = calloc(array->count, sizeof *array->want);
    if (!array->want) {
        trial_step(trial, context_fail(trial->ctx, TESS_OUT_OF_HOST_MEMORY,
                                       "self-test: no host memory; free some"));
        return NULL;
    }
    for (size_t i = 0; i < array->count; i++)
        if (desc.dtype == TESS_F32)
            array->host.f[i] = NAN;
        else
            array->host.i[i] = INT32_MAX;
    return array;
}

tess_tensor *trial_scratch(struct trial *trial, size_t bytes) {
    if (!bytes) return NULL;
    struct array *array = add(trial, NULL, trial_vector((int)((bytes + 3) / 4)));
    return array ? array->tensor : NULL;
}

void trial_ready(struct trial *trial) {
    if (trial->status) return;
    record_inputs(trial);
    for (int i = 0; i < trial->count; i++) {
        struct array *array = &trial->arrays[i];
        tess_layout layout = array->desc.layout;
        if (!array->name) continue;
        trial_step(trial, tess_tensor_write(array->tensor, array->host.data, layout));
    }
}

static double value_of(const struct array *array, size_t i) {
    return array->desc.dtype == TESS_F32 ? (double)array->host.f[i] : (double)array->host.i[i];
}

static void compare(const struct array *array, struct selftest_result *out) {
    size_t wrong = 0, first = 0;
    for (size_t i = 0; i < array->count; i++) {
        double error = fabs(value_of(array, i) - array->want[i]);
        if (error <= array->tolerance * (1 + fabs(array->want[i]))) continue;
        if (!wrong++) first = i;
    }
    if (!wrong || out->verdict != SELFTEST_PASSED) return;
    out->verdict = SELFTEST_WRONG;
    snprintf(out->text, sizeof out->text,
             "%zu of %zu values of %s are wrong: %s[%zu] is %.7g, not %.7g", wrong, array->count,
             array->name, array->name, first, value_of(array, first), array->want[first]);
}

void trial_compare(struct trial *trial, struct selftest_result *out) {
    *out = (struct selftest_result){SELFTEST_PASSED, ""};
    for (int i = 0; i < trial->count && !trial->status; i++) {
        struct array *array = &trial->arrays[i];
        if (!array->want) continue;
        trial_step(trial, tess_tensor_read(array->tensor, array->host.data, array->desc.layout));
    }
    if (!trial->status) record_outputs(trial);
    for (int i = 0; i < trial->count && !trial->status; i++)
        if (trial->arrays[i].want) compare(&trial->arrays[i], out);
    if (trial->status) {
        out->verdict = SELFTEST_FAILED;
        snprintf(out->text, sizeof out->text, "%s", trial->text);
    }
    if (trial->left_out) out->verdict = SELFTEST_LEFT_OUT;
}

void trial_clear(struct trial *trial) {
    for (int i = 0; i < trial->count; i++) {
        tess_tensor_destroy(trial->arrays[i].tensor);
        free(trial->arrays[i].host.data);
        free(trial->arrays[i].want);
    }
}
