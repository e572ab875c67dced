#include "support/onnx_expect.h"

#include "support/check.h"

#include <string.h>

void onnx_expect_error(tess_status got, const tess_error *error, tess_status want,
                       const char *text) {
    if (got != want)
        fail_msg("want \"%s\": %s instead: %s", text, tess_status_string(got), error->text);
    assert_int_equal(error->status, want);
    if (!strstr(error->text, text)) fail_msg("want \"%s\" in \"%s\"", text, error->text);
    if (!strchr(error->text, ';') || !strchr(error->text, ':') || strchr(error->text, '\n'))
        fail_msg("no \"what: why; what to do\" in one line: \"%s\"", error->text);
}

struct onnx_model *onnx_expect_model(const void *data, size_t size) {
    struct onnx_model *model = NULL;
    tess_error error = {0};
    if (onnx_model_parse(data, size, "model", &error, &model)) fail_msg("%s", error.text);
    assert_non_null(model);
    return model;
}

void onnx_expect_refused(const void *data, size_t size, tess_status want, const char *text) {
    struct onnx_model *untouched = (struct onnx_model *)&want, *out = untouched;
    tess_error error = {0};
    tess_status status = onnx_model_parse(data, size, "model", &error, &out);
    onnx_expect_error(status, &error, want, text);
    if (strncmp(error.text, "model: ", 7) != 0) fail_msg("no file name in \"%s\"", error.text);
    assert_ptr_equal(out, untouched);
}
