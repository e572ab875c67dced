/* Fully connected layers: the convolution engine beside CLBlast, interleaved in one run. */
#include "bench/bench_fc.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/fc_work.h"
#include "bench/timing.h"
#include "core/context.h"
#include "ops/conv/conv_problem.h"

enum { BACKENDS = 2, MAX_PROBLEMS = 64, SAMPLES = 9, CHECKED_ELEMENTS = 64 };
static const char *const backends[BACKENDS] = {"conv", "clblast"};

static const char usage[] =
    "usage: tessera bench fc --problem n64c4096k4096 ... [--json FILE]\n"
    "  y[n,k] = sum_c x[n,c] w[c,k] and its two gradients by the convolution engine and by "
    "CLBlast\n"
    "  --json FILE   append one JSON object a line; - for standard output\n";

struct request {
    tess_fc_desc problems[MAX_PROBLEMS];
    int count;
    FILE *json;
};

static int fail(int status, const char *text) {
    fprintf(stderr, "tessera: %s\n", text);
    return status;
}

static void print_row(const tess_fc_desc *desc, tess_conv_pass pass, const struct timed *work,
                      double ratio, double spread, const double *error, const struct fc_work *first,
                      FILE *json) {
    tess_fc_info info = tess_fc_pass_info(first->fc, pass);
    char problem[64];
    snprintf(problem, sizeof problem, "n%dc%dk%d", desc->n, desc->c, desc->k);
    double flops = fc_flops(desc);
    if (json != stdout)
        printf("%-20s %-11s conv %.3f ms (%.1f GFLOP/s, err %.1e)  clblast %.3f ms (%.1f GFLOP/s, "
               "err %.1e)  ratio %.2f +- %.2f  %s\n",
               problem, conv_pass_name(pass), work[0].median * 1e3, flops / work[0].median / 1e9,
               error[0], work[1].median * 1e3, flops / work[1].median / 1e9, error[1], ratio,
               spread, info.config);
    if (!json) return;
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:s, s:f, s:f, s:f}", "problem", problem,
                  "pass", conv_pass_name(pass), "config", info.config, "ms", work[0].median * 1e3,
                  "ms_mad", work[0].mad * 1e3, "gflops", flops / work[0].median / 1e9, "max_err",
                  error[0], "peer", "clblast", "peer_ms", work[1].median * 1e3, "peer_ms_mad",
                  work[1].mad * 1e3, "ratio", ratio);
    if (!row) return;
    json_dumpf(row, json, JSON_COMPACT | JSON_REAL_PRECISION(6));
    fputc('\n', json);
    json_decref(row);
}

static tess_status bench_pass(tess_context *ctx, const tess_fc_desc *problem, tess_conv_pass pass,
                              FILE *json) {
    struct fc_work work[BACKENDS] = {{0}};
    struct timed timed[BACKENDS];
    double samples[BACKENDS][SAMPLES], error[BACKENDS] = {0}, spread = 0;
    tess_status status = TESS_OK;
    for (int i = 0; i < BACKENDS && !status; i++) {
        tess_fc_desc desc = *problem;
        desc.backend = backends[i];
        status = fc_work_open(ctx, &desc, pass, &work[i]);
        if (!status) status = fc_work_run(&work[i]);
        if (!status) status = fc_work_error(&work[i], CHECKED_ELEMENTS, &error[i]);
        if (!status && !(error[i] <= 1e-2))
            status = context_fail(ctx, TESS_INTERNAL,
                                  "bench fc: %s: the result is wrong (error %g); report it",
                                  backends[i], error[i]);
        timed[i] = (struct timed){.run = fc_work_run, .user = &work[i], .samples = samples[i]};
    }
    if (!status)
        status =
            timing_interleaved(ctx, timed, BACKENDS, &(struct timing_options){.samples = SAMPLES});
    if (!status) {
        double ratio = timing_ratio(samples[1], samples[0], SAMPLES, &spread);
        print_row(problem, pass, timed, ratio, spread, error, &work[0], json);
    }
    for (int i = 0; i < BACKENDS; i++)
        fc_work_close(&work[i]);
    return status;
}

static int bench_all(const char *device, const struct request *request) {
    tess_error error = {0};
    tess_context *ctx = NULL;
    if (tess_context_create(&(tess_context_options){.device = device}, &error, &ctx))
        return fail(1, error.text);
    if (request->json != stdout)
        printf("%s, driver %s\n", tess_context_device(ctx)->name,
               tess_context_device(ctx)->driver_version);
    tess_status status = tess_context_use_tuning(ctx, NULL);
    for (int i = 0; i < request->count && !status; i++)
        for (int pass = 0; pass < 3 && !status; pass++)
            status = bench_pass(ctx, &request->problems[i], (tess_conv_pass)pass, request->json);
    if (status) fail(1, tess_context_last_error(ctx));
    tess_context_destroy(ctx);
    return status ? 1 : 0;
}

static int set_option(struct request *request, int option, const char *value) {
    tess_error error = {0};
    switch (option) {
    case 'p':
        if (request->count == MAX_PROBLEMS)
            return fail(2, "bench fc: more than 64 problems; run it several times");
        if (fc_problem_parse(value, &error, &request->problems[request->count]))
            return fail(2, error.text);
        request->count++;
        return 0;
    case 'j':
        request->json = strcmp(value, "-") == 0 ? stdout : fopen(value, "a");
        return request->json ? 0 : fail(1, "bench fc: the JSON file cannot be written");
    case 'h':
        return fputs(usage, stdout) < 0 ? 1 : -1;
    default:
        return fail(2, "bench fc: unknown option or missing value; see --help");
    }
}

int bench_fc(const char *device, int argc, char **argv) {
    static const struct option options[] = {{"problem", required_argument, NULL, 'p'},
                                            {"json", required_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct request request = {.count = 0};
    int status = 0, option;
    opterr = 0;
    optind = 1;
    while (!status && (option = getopt_long(argc, argv, "h", options, NULL)) != -1)
        status = set_option(&request, option, optarg);
    if (!status && (optind < argc || request.count == 0))
        status = fail(2, "bench fc: give --problem n64c4096k4096, and nothing else; see --help");
    if (!status) status = bench_all(device, &request);
    if (request.json && request.json != stdout && fclose(request.json) && !status)
        status = fail(1, "bench fc: the JSON file could not be written; is the disk full?");
    return status < 0 ? 0 : status;
}
