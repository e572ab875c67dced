#include "support/program_fixture.h"

#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char value_source[] = "__kernel void value(__global int *out) {\n"
                                   "    if (get_global_id(0) == 0) out[0] = VALUE;\n"
                                   "}\n";

static void record(void *user, tess_log_level level, const char *line) {
    struct fixture *fixture = user;
    fixture->lines[level]++;
    if (fixture->log_count < FIXTURE_LOG_LINES)
        snprintf(fixture->log[fixture->log_count++], sizeof fixture->log[0], "%s", line);
}

void fixture_create(struct fixture *fixture) {
    memset(fixture, 0, sizeof *fixture);
    folder_create(fixture->root);
    folder_path(fixture->root, "kernels", fixture->kernels);
    folder_path(fixture->root, "cache", fixture->cache);
    assert_int_equal(mkdir(fixture->kernels, 0777), 0);
    folder_write_text(fixture->kernels, "value.cl", value_source);
}

void fixture_destroy(struct fixture *fixture) {
    tess_context_destroy(fixture->ctx);
    folder_remove(fixture->root);
}

tess_context *fixture_context(const char *kernels, const char *cache, struct fixture *log) {
    tess_context_options options = {.device = getenv("TESSERA_DEVICE"),
                                    .kernel_dir = kernels,
                                    .cache_dir = cache,
                                    .log = log ? record : NULL,
                                    .log_user = log,
                                    .log_level = TESS_LOG_DEBUG};
    if (!options.device || !*options.device) options.device = "cpu";
    tess_error error = {0};
    tess_context *ctx = NULL;
    if (tess_context_create(&options, &error, &ctx)) {
        options.device = NULL;
        if (tess_context_create(&options, &error, &ctx)) fail_msg("%s", error.text);
    }
    return ctx;
}

void fixture_open(struct fixture *fixture) {
    tess_context_destroy(fixture->ctx);
    memset(fixture->lines, 0, sizeof fixture->lines);
    fixture->log_count = 0;
    fixture->ctx = fixture_context(fixture->kernels, fixture->cache, fixture);
}

int fixture_run(tess_context *ctx, const char *file, const char *options) {
    struct program *program = NULL;
    cl_kernel kernel = NULL;
    int got = 0x7FFFFFFF;
    tess_tensor_desc desc = {.dtype = TESS_I32, .n = 1, .c = 1, .h = 1, .w = 1};
    tess_tensor *out = check_tensor(ctx, desc, NULL);
    assert_ok(ctx, program_get(ctx, file, options, "fixture__run", &program));
    assert_ok(ctx, program_kernel(ctx, program, "value", &kernel));
    struct kernel_range range = {.dims = 1, .global = {1}};
    struct kernel_arg args[] = {ARG_TENSOR(out)};
    assert_ok(ctx, kernel_enqueue(ctx, kernel, &range, args, 1, "fixture"));
    assert_ok(ctx, tess_tensor_read(out, &got, TESS_NHWC));
    kernel_release(kernel);
    tess_tensor_destroy(out);
    return got;
}

bool fixture_logged(const struct fixture *fixture, const char *text) {
    for (int i = 0; i < fixture->log_count; i++)
        if (strstr(fixture->log[i], text)) return true;
    return false;
}
