#include "tuner/worker_fc.h"

#include <math.h>
#include <string.h>

#include "bench/fc_work.h"
#include "bench/timing.h"

enum { SAMPLES = 7, CHECKED_ELEMENTS = 256 };

static const char *text_of(const json_t *request, const char *key) {
    const char *text = json_string_value(json_object_get(request, key));
    return text ? text : "";
}

/* CLBlast compiles anew whatever is overridden, so only what changes is. */
static tess_status use_parameters(struct worker_fc *state, tess_context *ctx,
                                  const json_t *parameters) {
    for (int i = 0; i < clblast_kernel_count && i < WORKER_FC_KERNELS; i++) {
        const struct clblast_kernel *kernel = &clblast_kernels[i];
        const char *text = text_of(parameters, kernel->name);
        int values[CLBLAST_PARAMS_MAX];
        if (!*text || strcmp(text, state->text[i]) == 0 || strlen(text) >= CLBLAST_TEXT_SIZE)
            continue;
        tess_status status = clblast_params_parse(kernel, text, &ctx->error, values);
        if (!status) status = clblast_params_use(ctx, kernel, values);
        if (status) return status;
        memcpy(state->text[i], text, strlen(text) + 1);
    }
    return TESS_OK;
}

/* Elements are products of numbers below a half, summed; rounding as for any sum of that many terms. */
static double error_bound(const tess_fc_desc *desc, tess_conv_pass pass) {
    int terms = pass == TESS_CONV_FWD ? desc->c : pass == TESS_CONV_BWD_DATA ? desc->k : desc->n;
    return 8 * 0x1p-24 * (1 + sqrt((double)terms)) * sqrt((double)terms);
}

static tess_status open_verified(tess_context *ctx, const tess_fc_desc *desc, tess_conv_pass pass,
                                 struct fc_work *work, struct worker_fc_result *result) {
    double err = NAN, start = timing_now();
    tess_status status = fc_work_open(ctx, desc, pass, work);
    double opened = timing_now();
    if (!status) status = fc_work_run(work);
    if (!status) status = fc_work_error(work, CHECKED_ELEMENTS, &err);
    result->build_seconds += opened - start;
    result->verify_seconds += timing_now() - opened;
    if (status) return status;
    double relative = err / error_bound(desc, pass);
    result->right = relative <= 1;
    result->max_err = relative < 1e30 ? relative : 1e30; /* JSON has no infinity and no NaN */
    return TESS_OK;
}

/* conv NULL: mine alone. */
static tess_status time_both(tess_context *ctx, struct fc_work *mine, struct fc_work *conv,
                             double reference, struct worker_fc_result *result) {
    double samples[2][SAMPLES];
    struct timed timed[2] = {{.run = fc_work_run, .user = mine, .samples = samples[0]},
                             {.run = fc_work_run, .user = conv, .samples = samples[1]}};
    tess_status status =
        timing_interleaved(ctx, timed, conv ? 2 : 1, &(struct timing_options){.samples = SAMPLES});
    if (status) return status;
    result->seconds = timed[0].median;
    result->mad = timed[0].mad;
    if (!conv) return TESS_OK;
    result->seconds = reference * timing_ratio(samples[0], samples[1], SAMPLES, &result->mad);
    result->mad *= reference;
    return TESS_OK;
}

tess_status worker_fc_run(struct worker_fc *state, tess_context *ctx, const json_t *request,
                          struct worker_fc_result *out) {
    struct fc_work mine = {0}, conv = {0};
    struct worker_fc_result result = {0}, other = {0};
    tess_fc_desc desc;
    tess_conv_pass pass = (tess_conv_pass)json_integer_value(json_object_get(request, "pass"));
    tess_status status = fc_problem_parse(text_of(request, "problem"), &ctx->error, &desc);
    if (!status) status = use_parameters(state, ctx, json_object_get(request, "parameters"));
    if (status) return status;
    desc.backend = text_of(request, "backend");
    desc.repack = json_is_true(json_object_get(request, "repack"));
    double reference = json_number_value(json_object_get(request, "reference"));
    status = open_verified(ctx, &desc, pass, &mine, &result);
    if (!status && result.right) {
        desc.backend = "conv";
        if (reference > 0) status = open_verified(ctx, &desc, pass, &conv, &other);
        result.build_seconds += other.build_seconds;
        result.verify_seconds += other.verify_seconds;
        double start = timing_now();
        if (!status)
            status = time_both(ctx, &mine, reference > 0 ? &conv : NULL, reference, &result);
        result.run_seconds = timing_now() - start;
    }
    fc_work_close(&mine);
    fc_work_close(&conv);
    if (!status) *out = result;
    return status;
}
