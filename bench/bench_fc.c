/* Fully connected layers by each backend, interleaved in one run. */
#include "bench/bench_fc.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/fc_work.h"
#include "bench/options.h"
#include "bench/timing.h"
#include "core/context.h"
#include "ops/conv/conv_problem.h"

enum { BACKENDS = 3, MAX_PROBLEMS = 64, SAMPLES = 9, CHECKED_ELEMENTS = 64 };
static const char *const backends[BACKENDS] = {"conv", "clblast", "stream"};

static const char usage[] =
    "usage: tessera bench fc --problem n64c4096k4096 ... [--repack] [--json FILE]\n"
    "  y[n,k] = sum_c x[n,c] w[c,k] and its two gradients by the convolution engine, by CLBlast "
    "and by\n"
    "  the kernels that stream the weights, in turn; and which of them a plan takes\n"
    "  --repack      the weights change before each call, as in training: packing them counts\n"
    "  --json FILE   append one JSON object a line; - for standard output\n";

struct request {
    tess_fc_desc problems[MAX_PROBLEMS];
    int count;
    bool repack;
    FILE *json;
};

/* One pass by all backends. */
struct fc_row {
    const tess_fc_desc *desc;
    tess_conv_pass pass;
    struct timed timed[BACKENDS];
    double samples[BACKENDS][SAMPLES], error[BACKENDS];
    const char *config; /* the convolution's */
    int first, second;  /* the fastest two */
    double times, times_mad;
    char taken[32], tier[16]; /* by the planner */
};

static void find_fastest(struct fc_row *row) {
    row->first = 0;
    for (int i = 1; i < BACKENDS; i++)
        if (row->timed[i].median < row->timed[row->first].median) row->first = i;
    row->second = row->first == 0;
    for (int i = 0; i < BACKENDS; i++)
        if (i != row->first && row->timed[i].median < row->timed[row->second].median)
            row->second = i;
    row->times =
        timing_ratio(row->samples[row->second], row->samples[row->first], SAMPLES, &row->times_mad);
}

static void print_text(const struct fc_row *row, const char *problem) {
    double flops = fc_flops(row->desc);
    printf("%-20s %-11s", problem, conv_pass_name(row->pass));
    for (int i = 0; i < BACKENDS; i++)
        printf(" %s %.3f ms (%.1f GFLOP/s, err %.1e) ", backends[i], row->timed[i].median * 1e3,
               flops / row->timed[i].median / 1e9, row->error[i]);
    printf(" %s is %.2f +- %.2f times as fast as %s; the planner takes %s [%s]  %s\n",
           backends[row->first], row->times, row->times_mad, backends[row->second], row->taken,
           row->tier, row->config);
}

/* ms, peer and ratio: the convolution engine beside CLBlast. */
static json_t *row_json(const struct fc_row *row, const char *problem) {
    const struct timed *conv = &row->timed[0], *clblast = &row->timed[1];
    double flops = fc_flops(row->desc), spread;
    json_t *all = json_object();
    for (int i = 0; i < BACKENDS; i++)
        json_object_set_new(all, backends[i],
                            json_pack("{s:f, s:f, s:f, s:f}", "ms", row->timed[i].median * 1e3,
                                      "ms_mad", row->timed[i].mad * 1e3, "gflops",
                                      flops / row->timed[i].median / 1e9, "max_err",
                                      row->error[i]));
    return json_pack(
        "{s:s, s:s, s:b, s:s, s:f, s:f, s:f, s:f, s:s, s:f, s:f, s:f, s:o, s:s, s:s, s:f, s:f, "
        "s:s, s:s}",
        "problem", problem, "pass", conv_pass_name(row->pass), "repack", row->desc->repack,
        "config", row->config, "ms", conv->median * 1e3, "ms_mad", conv->mad * 1e3, "gflops",
        flops / conv->median / 1e9, "max_err", row->error[0], "peer", "clblast", "peer_ms",
        clblast->median * 1e3, "peer_ms_mad", clblast->mad * 1e3, "ratio",
        timing_ratio(row->samples[1], row->samples[0], SAMPLES, &spread), "backends", all,
        "fastest", backends[row->first], "next", backends[row->second], "times", row->times,
        "times_mad", row->times_mad, "taken", row->taken, "tier", row->tier);
}

static void print_row(const struct fc_row *row, FILE *json) {
    char problem[64];
    snprintf(problem, sizeof problem, "n%dc%dk%d", row->desc->n, row->desc->c, row->desc->k);
    if (json != stdout) print_text(row, problem);
    json_t *line = json ? row_json(row, problem) : NULL;
    if (!line) return;
    json_dumpf(line, json, JSON_COMPACT | JSON_REAL_PRECISION(6));
    fputc('\n', json);
    json_decref(line);
}

/* What a plan without a wish takes. */
static tess_status ask_planner(tess_context *ctx, struct fc_row *row) {
    tess_fc_desc desc = *row->desc;
    tess_fc *fc = NULL;
    desc.forward_only = row->pass == TESS_CONV_FWD;
    tess_status status = tess_fc_create(ctx, &desc, &fc);
    if (status) return status;
    tess_fc_info info = tess_fc_pass_info(fc, row->pass);
    snprintf(row->taken, sizeof row->taken, "%s", info.backend);
    snprintf(row->tier, sizeof row->tier, "%s", info.tier);
    tess_fc_destroy(fc);
    return TESS_OK;
}

static tess_status open_verified(tess_context *ctx, struct fc_row *row, int backend,
                                 struct fc_work *work) {
    tess_fc_desc desc = *row->desc;
    desc.backend = backends[backend];
    tess_status status = fc_work_open(ctx, &desc, row->pass, work);
    if (!status) status = fc_work_run(work);
    if (!status) status = fc_work_error(work, CHECKED_ELEMENTS, &row->error[backend]);
    if (!status && !(row->error[backend] <= 1e-2))
        status = context_fail(ctx, TESS_INTERNAL,
                              "bench fc: %s: the result is wrong (error %g); report it",
                              backends[backend], row->error[backend]);
    row->timed[backend] =
        (struct timed){.run = fc_work_run, .user = work, .samples = row->samples[backend]};
    return status;
}

static tess_status bench_pass(tess_context *ctx, const tess_fc_desc *problem, tess_conv_pass pass,
                              FILE *json) {
    struct fc_work work[BACKENDS] = {{0}};
    struct fc_row row = {.desc = problem, .pass = pass};
    tess_status status = ask_planner(ctx, &row);
    for (int i = 0; i < BACKENDS && !status; i++)
        status = open_verified(ctx, &row, i, &work[i]);
    if (!status)
        status = timing_interleaved(ctx, row.timed, BACKENDS,
                                    &(struct timing_options){.samples = SAMPLES});
    if (!status) {
        row.config = tess_fc_pass_info(work[0].fc, pass).config;
        find_fastest(&row);
        print_row(&row, json);
    }
    for (int i = 0; i < BACKENDS; i++)
        fc_work_close(&work[i]);
    return status;
}

static int bench_all(const char *device, const struct request *request) {
    tess_error error = {0};
    tess_context *ctx = NULL;
    if (tess_context_create(&(tess_context_options){.device = device}, &error, &ctx))
        return option_fail(1, "%s", error.text);
    if (request->json != stdout)
        printf("%s, driver %s\n", tess_context_device(ctx)->name,
               tess_context_device(ctx)->driver_version);
    tess_status status = tess_context_use_tuning(ctx, NULL);
    for (int i = 0; i < request->count && !status; i++) {
        tess_fc_desc desc = request->problems[i];
        desc.repack = request->repack;
        for (int pass = 0; pass < 3 && !status; pass++)
            status = bench_pass(ctx, &desc, (tess_conv_pass)pass, request->json);
    }
    if (status) option_fail(1, "%s", tess_context_last_error(ctx));
    tess_context_destroy(ctx);
    return status ? 1 : 0;
}

static int set_option(void *user, int option, char *value) {
    struct request *request = user;
    tess_error error = {0};
    switch (option) {
    case 'p':
        if (request->count == MAX_PROBLEMS)
            return option_fail(2, "bench fc: more than 64 problems; run it several times");
        if (fc_problem_parse(value, &error, &request->problems[request->count]))
            return option_fail(2, "%s", error.text);
        request->count++;
        return 0;
    case 'j':
        return option_json(value, &request->json);
    default:
        request->repack = true;
        return 0;
    }
}

int bench_fc(const char *device, int argc, char **argv) {
    static const struct option list[] = {{"problem", required_argument, NULL, 'p'},
                                         {"json", required_argument, NULL, 'j'},
                                         {"repack", no_argument, NULL, 'r'},
                                         {"help", no_argument, NULL, 'h'},
                                         {NULL, 0, NULL, 0}};
    struct request request = {.count = 0};
    int status = options_read(
        &(struct options){.command = "bench fc", .usage = usage, .list = list, .set = set_option},
        argc, argv, &request);
    if (!status && request.count == 0)
        status = option_fail(2, "bench fc: no problem; give --problem n64c4096k4096");
    if (!status) status = bench_all(device, &request);
    status = option_json_close(request.json, status);
    return status < 0 ? 0 : status;
}
