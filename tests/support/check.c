#include "support/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int check_setup(void **state) {
    tess_error error = {0};
    tess_context *ctx = NULL;
    tess_context_options options = {.device = getenv("TESSERA_DEVICE")};
    if (!options.device || !*options.device) options.device = "cpu";
    if (tess_context_create(&options, &error, &ctx)) {
        options.device = NULL;
        if (tess_context_create(&options, &error, &ctx)) {
            print_error("no device to test on: %s\n", error.text);
            return -1;
        }
    }
    *state = ctx;
    return 0;
}

int check_teardown(void **state) {
    tess_context_destroy(*state);
    return 0;
}

bool check_tiny(void) {
    const char *tiny = getenv("TESSERA_TEST_TINY");
    return tiny && *tiny && strcmp(tiny, "0") != 0;
}

void check_ok(const tess_context *ctx, tess_status status, const char *call, const char *file,
              int line) {
    if (status == TESS_OK) return;
    print_error("%s: %s: %s\n", call, tess_status_string(status),
                ctx ? tess_context_last_error(ctx) : "");
    _fail(file, line);
}

/* SplitMix64: Steele, Lea, Flood 2014. */
static uint64_t splitmix(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void check_random(float *data, size_t count, float low, float high, uint64_t seed) {
    for (size_t i = 0; i < count; i++)
        data[i] = low + (high - low) * (float)(splitmix(&seed) >> 40) * 0x1p-24f;
}

void *check_alloc(size_t bytes) {
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory) fail_msg("out of host memory (%zu bytes)", bytes);
    return memory;
}

tess_tensor *check_tensor(tess_context *ctx, tess_tensor_desc desc, const void *data) {
    tess_tensor *tensor = NULL;
    assert_ok(ctx, tess_tensor_create(ctx, &desc, &tensor));
    size_t count = tess_tensor_desc_elements(&desc);
    uint32_t *poison = NULL;
    if (!data) {
        poison = check_alloc(count * sizeof *poison);
        for (size_t i = 0; i < count; i++)
            poison[i] = desc.dtype == TESS_F32 ? 0x7FC00000u : 0x7FFFFFFFu;
    }
    assert_ok(ctx, tess_tensor_write(tensor, data ? data : poison, desc.layout));
    free(poison);
    return tensor;
}

tess_tensor_desc desc_nhwc(int n, int c, int h, int w) {
    return (tess_tensor_desc){
        .dtype = TESS_F32, .layout = TESS_NHWC, .n = n, .c = c, .h = h, .w = w};
}

tess_tensor_desc desc_rsck(int r, int s, int c, int k) {
    return (tess_tensor_desc){
        .dtype = TESS_F32, .layout = TESS_RSCK, .n = k, .c = c, .h = r, .w = s};
}

tess_tensor_desc desc_vector(int count) {
    return desc_nhwc(1, count, 1, 1);
}

float *check_read(tess_tensor *tensor) {
    const tess_tensor_desc *desc = tess_tensor_get_desc(tensor);
    float *data = check_alloc(tess_tensor_desc_bytes(desc));
    assert_ok(tensor->ctx, tess_tensor_read(tensor, data, desc->layout));
    return data;
}

void check_close(const float *got, const double *want, size_t count, double relative, double scale,
                 const char *label) {
    for (size_t i = 0; i < count; i++) {
        double err = fabs((double)got[i] - want[i]);
        double tol = relative * (fabs(want[i]) + scale);
        if (!(err <= tol))
            fail_msg("%s: element %zu of %zu: got %.9g, want %.9g, error %.3g > %.3g", label, i,
                     count, (double)got[i], want[i], err, tol);
    }
}

double check_tolerance(size_t length) {
    return 8 * 0x1p-24 * (1 + sqrt((double)length));
}

void check_same_bytes(const void *a, const void *b, size_t bytes, const char *label) {
    if (memcmp(a, b, bytes) != 0) fail_msg("%s: %zu bytes differ between two runs", label, bytes);
}
