#include "support/onnx_case.h"

#include "net/onnx/onnx_run.h"
#include "support/folder.h"
#include "support/onnx_data.h"
#include "support/onnx_scope.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_VALUES 32 /* inputs or outputs of a case */

struct values {
    struct onnx_tensor *tensors[MAX_VALUES];
    int count;
};

static void values_clear(struct values *values) {
    for (int i = 0; i < values->count; i++)
        onnx_tensor_destroy(values->tensors[i]);
}

/* input_0.pb, input_1.pb ... of a data set; false with a reason. */
static bool read_values(const char *folder, const char *kind, struct values *out, char *why,
                        size_t size) {
    for (out->count = 0; out->count < MAX_VALUES; out->count++) {
        char path[ONNX_DATA_PATH];
        struct stat info;
        tess_error error = {0};
        snprintf(path, sizeof path, "%s/%s_%d.pb", folder, kind, out->count);
        if (stat(path, &info)) return true;
        if (onnx_tensor_read(path, &error, &out->tensors[out->count])) {
            snprintf(why, size, "%s %d cannot be read", kind, out->count);
            return false;
        }
    }
    snprintf(why, size, "too many files");
    return false;
}

/* ---------------------------------------------------------------- comparison */

static bool close_enough(double got, double want) {
    if (isnan(want)) return isnan(got);
    if (isinf(want)) return got == want;
    return fabs(got - want) <= CASE_ABSOLUTE + CASE_RELATIVE * fabs(want);
}

static bool same_numbers(const struct onnx_tensor *got, const struct onnx_tensor *want, int index,
                         char *why, size_t size) {
    size_t bytes = (size_t)got->count * onnx_dtype_size(got->dtype);
    if (got->dtype != ONNX_FLOAT && got->dtype != ONNX_DOUBLE) {
        if (bytes == 0 || memcmp(got->data, want->data, bytes) == 0) return true;
        snprintf(why, size, "output %d has other numbers", index);
        return false;
    }
    for (int64_t i = 0; i < got->count; i++) {
        bool single = got->dtype == ONNX_FLOAT;
        double a = single ? ((const float *)got->data)[i] : ((const double *)got->data)[i];
        double b = single ? ((const float *)want->data)[i] : ((const double *)want->data)[i];
        if (close_enough(a, b)) continue;
        snprintf(why, size, "output %d has other numbers, e.g. %g instead of %g", index, a, b);
        return false;
    }
    return true;
}

static bool same_tensor(const struct onnx_tensor *got, const struct onnx_tensor *want, int index,
                        char *why, size_t size) {
    bool same = got->rank == want->rank;
    for (int d = 0; same && d < got->rank; d++)
        same = got->dims[d] == want->dims[d];
    if (!same || got->dtype != want->dtype) {
        snprintf(why, size, "output %d has another %s", index, same ? "type" : "shape");
        return false;
    }
    return same_numbers(got, want, index, why, size);
}

/* ---------------------------------------------------------------- running */

/* The last error without the model's path before it. */
static void explain(const tess_context *ctx, const struct onnx_model *model, char *why,
                    size_t size) {
    const char *text = tess_context_last_error(ctx);
    size_t path = strlen(model->path);
    if (strncmp(text, model->path, path) == 0) text += path + 2;
    snprintf(why, size, "%.*s", (int)size - 1, text);
}

static bool run_set(tess_context *ctx, const struct onnx_model *model, const struct values *inputs,
                    const struct values *outputs, char *why, size_t size) {
    struct onnx_given given[MAX_VALUES];
    struct onnx_tensor got[MAX_VALUES];
    if (inputs->count != model->input_count || outputs->count != model->output_count) {
        snprintf(why, size, "the files are not those of the model's inputs and outputs");
        return false;
    }
    for (int i = 0; i < inputs->count; i++)
        given[i] = (struct onnx_given){model->values[model->inputs[i]].name, inputs->tensors[i]};
    if (onnx_run_once(ctx, model, given, inputs->count, got)) {
        explain(ctx, model, why, size);
        return false;
    }
    bool same = true;
    for (int i = 0; i < outputs->count; i++) {
        same = same && same_tensor(&got[i], outputs->tensors[i], i, why, size);
        onnx_tensor_clear(&got[i]);
    }
    return same;
}

static bool run_sets(tess_context *ctx, const struct onnx_model *model, const char *folder,
                     char *why, size_t size) {
    for (int set = 0;; set++) {
        char path[ONNX_DATA_PATH];
        struct stat info;
        snprintf(path, sizeof path, "%s/test_data_set_%d", folder, set);
        if (stat(path, &info)) return set > 0;
        struct values inputs = {{NULL}, 0}, outputs = {{NULL}, 0};
        bool good = read_values(path, "input", &inputs, why, size) &&
                    read_values(path, "output", &outputs, why, size) &&
                    run_set(ctx, model, &inputs, &outputs, why, size);
        values_clear(&inputs);
        values_clear(&outputs);
        if (!good) return false;
    }
}

static bool run_model(tess_context *ctx, const char *path, const char *folder, char *why,
                      size_t size) {
    struct onnx_model *model = NULL;
    tess_error error = {0};
    if (onnx_model_read(path, &error, &model)) {
        const char *text = error.text;
        if (strncmp(text, path, strlen(path)) == 0) text += strlen(path) + 2;
        snprintf(why, size, "%.*s", (int)size - 1, text);
        return false;
    }
    bool good = run_sets(ctx, model, folder, why, size);
    onnx_model_destroy(model);
    return good;
}

struct case_result onnx_case_run(tess_context *ctx, const char *folder) {
    struct case_result result = {CASE_OUT_OF_SCOPE, "no model"};
    char path[ONNX_DATA_PATH], kind[sizeof result.why];
    size_t size = 0;
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    unsigned char *bytes = bytes_read(path, &size);
    Onnx__ModelProto *message = onnx__model_proto__unpack(NULL, size, bytes);
    free(bytes);
    if (message && message->graph && onnx_scope_operators(message, result.why, sizeof result.why)) {
        result = (struct case_result){CASE_PASSED, ""};
        if (!run_model(ctx, path, folder, result.why, sizeof result.why)) {
            result.outcome = CASE_FAILED;
            if (!onnx_scope_kinds(message, kind, sizeof kind)) {
                result.outcome = CASE_OUT_OF_SCOPE;
                memcpy(result.why, kind, sizeof kind);
            }
        }
    }
    if (message) onnx__model_proto__free_unpacked(message, NULL);
    return result;
}

/* ---------------------------------------------------------------- damaged models */

static void expect_reason(const char *folder, uint64_t seed, const char *text) {
    if (!*text || strchr(text, '\n'))
        fail_msg("%s, seed %llu: no reason in one line: \"%s\"", folder, (unsigned long long)seed,
                 text);
}

static bool run_damaged(tess_context *ctx, const struct onnx_model *model,
                        const struct values *inputs) {
    struct onnx_given given[MAX_VALUES];
    struct onnx_tensor got[MAX_VALUES];
    int count = inputs->count < model->input_count ? inputs->count : model->input_count;
    if (model->output_count > MAX_VALUES) return false;
    for (int i = 0; i < count; i++)
        given[i] = (struct onnx_given){model->values[model->inputs[i]].name, inputs->tensors[i]};
    if (onnx_run_once(ctx, model, given, count, got)) return false;
    for (int i = 0; i < model->output_count; i++)
        onnx_tensor_clear(&got[i]);
    return true;
}

bool onnx_case_damaged(tess_context *ctx, const char *folder, uint64_t seed) {
    char path[ONNX_DATA_PATH], why[300];
    struct onnx_model *model = NULL;
    struct values inputs = {{NULL}, 0};
    tess_error error = {0};
    size_t size = 0;
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    unsigned char *bytes = bytes_read(path, &size);
    bytes[(seed >> 3) % size] ^= (unsigned char)(1u << (seed & 7));
    snprintf(path, sizeof path, "%s/test_data_set_0", folder);
    bool ran = false;
    if (onnx_model_parse(bytes, size, "damaged", &error, &model)) {
        expect_reason(folder, seed, error.text);
    } else if (read_values(path, "input", &inputs, why, sizeof why)) {
        ran = run_damaged(ctx, model, &inputs);
        if (!ran) expect_reason(folder, seed, tess_context_last_error(ctx));
    }
    values_clear(&inputs);
    onnx_model_destroy(model);
    free(bytes);
    return ran;
}
