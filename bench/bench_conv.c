/* Times convolution plans beside the device's multiply-add peak, interleaved in one run. */
#include "bench/bench_conv.h"

#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/roof.h"
#include "bench/sample_check.h"

enum { MAX_PROBLEMS = 256, CHECKED_ELEMENTS = 64 };

static const char usage[] =
    "usage: tessera bench conv --problem KEY ... | --problems FILE  [--pass LIST] [--json FILE]\n"
    "                          [--samples N] [--algo NAME [--config CONFIG]]\n"
    "  --problem KEY     n8c64h56w56k64r3s3pt1pb1pl1pr1; may be given several times\n"
    "  --problems FILE   one key a line; # starts a comment\n"
    "  --pass LIST       of fwd,bwd_data,bwd_weights; all three by default\n"
    "  --json FILE       append one JSON object a line; - for standard output\n"
    "  --samples N       timed samples of each (15)\n"
    "  --algo, --config  time this algorithm, this configuration (wt14_kv2), not the planner's "
    "choice\n";

struct request {
    tess_conv_desc problems[MAX_PROBLEMS];
    int problem_count;
    bool passes[3];
    const char *algo, *config;
    int samples;
    FILE *json;
};

static int fail(int status, const char *text) {
    fprintf(stderr, "tessera: %s\n", text);
    return status;
}

/* ---------------------------------------------------------------- one problem, one pass */

struct bench {
    tess_context *ctx;
    struct conv_problem problem;
    tess_conv_plan *plan;
    tess_conv_args args;
    float *host[3]; /* x, w, y as uploaded */
};

static tess_status run_plan(void *user) {
    struct bench *bench = user;
    return tess_conv_plan_enqueue(bench->plan, &bench->args);
}

/* Random operands in [-0.5, 0.5); the result starts as NaN. */
static tess_status make_tensor(struct bench *bench, int which, tess_tensor_desc desc,
                               tess_tensor **out) {
    size_t count = tess_tensor_desc_elements(&desc);
    float *data = malloc(count * sizeof *data);
    if (!data)
        return context_fail(bench->ctx, TESS_OUT_OF_HOST_MEMORY, "bench: no memory for operands");
    const int result[] = {2, 0, 1};
    uint32_t state = 12345u + (uint32_t)which;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        data[i] =
            result[bench->problem.pass] == which ? NAN : (float)(state >> 8) * 0x1p-24f - 0.5f;
    }
    bench->host[which] = data;
    tess_status status = tess_tensor_create(bench->ctx, &desc, out);
    return status ? status : tess_tensor_write(*out, data, desc.layout);
}

static tess_status open_bench(struct bench *bench, const tess_conv_desc *desc,
                              const tess_conv_options *options) {
    tess_context *ctx = bench->ctx;
    tess_status status = conv_problem_init(desc, options, &ctx->error, &bench->problem);
    if (!status) status = tess_conv_plan_create(ctx, desc, options, &bench->plan);
    if (status) return status;
    const struct conv_problem *p = &bench->problem;
    const tess_conv_desc *d = &p->d;
    tess_tensor_desc x = {TESS_F32, TESS_NHWC, d->n, d->c, d->h, d->w};
    tess_tensor_desc w = {TESS_F32, TESS_RSCK, d->k, p->cg, d->r, d->s};
    tess_tensor_desc y = {TESS_F32, TESS_NHWC, d->n, d->k, p->p, p->q};
    size_t bytes = tess_conv_plan_info(bench->plan).workspace;
    tess_tensor_desc workspace = {TESS_F32, TESS_NHWC, 1, (int)(bytes / 4), 1, 1};
    status = make_tensor(bench, 0, x, &bench->args.x);
    if (!status) status = make_tensor(bench, 1, w, &bench->args.w);
    if (!status) status = make_tensor(bench, 2, y, &bench->args.y);
    if (!status && bytes) status = tess_tensor_create(ctx, &workspace, &bench->args.workspace);
    return status;
}

static void close_bench(struct bench *bench) {
    tess_tensor_destroy(bench->args.x);
    tess_tensor_destroy(bench->args.w);
    tess_tensor_destroy(bench->args.y);
    tess_tensor_destroy(bench->args.workspace);
    tess_conv_plan_destroy(bench->plan);
    for (int i = 0; i < 3; i++)
        free(bench->host[i]);
}

/* Largest error of some elements of the result that is in device memory now. */
static tess_status measure_error(struct bench *bench, double *max_err) {
    tess_tensor *const results[] = {bench->args.y, bench->args.x, bench->args.w};
    tess_tensor *result = results[bench->problem.pass];
    const tess_tensor_desc *desc = tess_tensor_get_desc(result);
    float *data = malloc(tess_tensor_desc_bytes(desc));
    if (!data)
        return context_fail(bench->ctx, TESS_OUT_OF_HOST_MEMORY, "bench: no memory for a result");
    tess_status status = tess_tensor_read(result, data, desc->layout);
    if (!status)
        *max_err = sample_check(&bench->problem, bench->host[0], bench->host[1], bench->host[2],
                                data, CHECKED_ELEMENTS);
    free(data);
    return status;
}

/* ---------------------------------------------------------------- report */

static void print_row(const struct bench *bench, const struct timed work[2], double peak_flops,
                      double max_err, FILE *json) {
    char key[TESS_CONV_KEY_SIZE];
    tess_conv_desc_key(&bench->problem.d, key);
    tess_conv_info info = tess_conv_plan_info(bench->plan);
    const char *pass = conv_pass_name(bench->problem.pass);
    double gflops = tess_conv_flops(&bench->problem.d) / work[0].median / 1e9;
    double peak = peak_flops / work[1].median / 1e9;
    if (json != stdout)
        printf("%-44s %-11s %9.3f ms +- %5.1f %% %8.1f GFLOP/s %5.1f %% of %.0f  err %.1e  %s\n",
               key, pass, work[0].median * 1e3, 100 * work[0].mad / work[0].median, gflops,
               100 * gflops / peak, peak, max_err, info.config);
    if (!json) return;
    json_t *row = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:I}", "problem", key, "pass",
        pass, "algo", info.algo, "config", info.config, "tier", info.tier, "ms",
        work[0].median * 1e3, "ms_mad", work[0].mad * 1e3, "gflops", gflops, "max_err", max_err,
        "peak_gflops", peak, "of_peak", gflops / peak, "workspace", (json_int_t)info.workspace);
    if (!row) return;
    json_dumpf(row, json, JSON_COMPACT | JSON_REAL_PRECISION(6));
    fputc('\n', json);
    json_decref(row);
}

static tess_status bench_pass(tess_context *ctx, struct fma_roof *roof,
                              const struct request *request, const tess_conv_desc *desc,
                              tess_conv_pass pass) {
    struct bench bench = {.ctx = ctx};
    tess_conv_options options = {.pass = pass, .algo = request->algo, .config = request->config};
    tess_status status = open_bench(&bench, desc, &options);
    struct timed work[2] = {{.run = run_plan, .user = &bench}, {.run = fma_roof_run, .user = roof}};
    double max_err = NAN;
    if (!status) status = run_plan(&bench);
    if (!status) status = measure_error(&bench, &max_err);
    if (!status)
        status =
            timing_interleaved(ctx, work, 2, &(struct timing_options){.samples = request->samples});
    if (!status) print_row(&bench, work, roof->flops, max_err, request->json);
    /* Half the terms' size each, as many roundings as terms at the worst. */
    if (!status && !(max_err <= 1e-2))
        status = context_fail(ctx, TESS_INTERNAL,
                              "bench: the result is wrong (error %g); report it", max_err);
    close_bench(&bench);
    return status;
}

static int bench_all(const char *device, const struct request *request) {
    tess_error error = {0};
    tess_context *ctx = NULL;
    tess_context_options options = {.device = device};
    tess_status status = tess_context_create(&options, &error, &ctx);
    if (status) return fail(1, error.text);
    struct fma_roof roof;
    status = fma_roof_create(ctx, &roof);
    if (!status) {
        if (request->json != stdout)
            printf("%s, driver %s\n", tess_context_device(ctx)->name,
                   tess_context_device(ctx)->driver_version);
        for (int i = 0; i < request->problem_count && !status; i++)
            for (int pass = 0; pass < 3 && !status; pass++)
                if (request->passes[pass])
                    status = bench_pass(ctx, &roof, request, &request->problems[i],
                                        (tess_conv_pass)pass);
        fma_roof_destroy(&roof);
    }
    if (status) fail(1, tess_context_last_error(ctx));
    tess_context_destroy(ctx);
    return status ? 1 : 0;
}

/* ---------------------------------------------------------------- command line */

static int add_problem(struct request *request, const char *key) {
    tess_error error = {0};
    if (request->problem_count == MAX_PROBLEMS)
        return fail(2, "bench conv: more than 256 problems; split the list");
    if (tess_conv_desc_parse(key, &error, &request->problems[request->problem_count]))
        return fail(2, error.text);
    request->problem_count++;
    return 0;
}

static int add_file(struct request *request, const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "tessera: bench conv: cannot read '%s'; give a file of problem keys\n",
                path);
        return 1;
    }
    char line[512];
    int status = 0;
    while (!status && fgets(line, sizeof line, file)) {
        line[strcspn(line, "#\r\n")] = '\0';
        const char *start = line + strspn(line, " \t");
        line[strcspn(start, " \t") + (size_t)(start - line)] = '\0';
        if (*start) status = add_problem(request, start);
    }
    fclose(file);
    return status;
}

static int set_passes(struct request *request, char *list) {
    memset(request->passes, 0, sizeof request->passes);
    char *rest = NULL;
    for (char *name = strtok_r(list, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        int found = -1;
        for (int pass = 0; pass < 3; pass++)
            if (strcmp(name, conv_pass_name((tess_conv_pass)pass)) == 0) found = pass;
        if (found < 0)
            return fail(2, "bench conv: unknown pass; --pass takes fwd,bwd_data,bwd_weights");
        request->passes[found] = true;
    }
    return 0;
}

static int set_json(struct request *request, const char *path) {
    request->json = strcmp(path, "-") == 0 ? stdout : fopen(path, "a");
    if (request->json) return 0;
    fprintf(stderr, "tessera: bench conv: cannot write '%s'; choose a writable file\n", path);
    return 1;
}

static int set_samples(struct request *request, const char *text) {
    char *end = NULL;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < 3 || value > 10000)
        return fail(2, "bench conv: --samples: not a number from 3 to 10000");
    request->samples = (int)value;
    return 0;
}

static int parse(struct request *request, int argc, char **argv) {
    static const struct option options[] = {{"problem", required_argument, NULL, 'p'},
                                            {"problems", required_argument, NULL, 'f'},
                                            {"pass", required_argument, NULL, 'd'},
                                            {"json", required_argument, NULL, 'j'},
                                            {"samples", required_argument, NULL, 'n'},
                                            {"algo", required_argument, NULL, 'a'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int status = 0, option;
    while (!status && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'p')
            status = add_problem(request, optarg);
        else if (option == 'f')
            status = add_file(request, optarg);
        else if (option == 'd')
            status = set_passes(request, optarg);
        else if (option == 'j')
            status = set_json(request, optarg);
        else if (option == 'n')
            status = set_samples(request, optarg);
        else if (option == 'a')
            request->algo = optarg;
        else if (option == 'c')
            request->config = optarg;
        else if (option == 'h')
            return fputs(usage, stdout) < 0 ? 1 : -1;
        else
            return fail(2, "bench conv: unknown option or missing value; see --help");
    }
    if (!status && optind < argc) return fail(2, "bench conv: unexpected argument; see --help");
    if (!status && request->problem_count == 0)
        return fail(2, "bench conv: no problem; give --problem KEY or --problems FILE");
    return status;
}

int bench_conv(const char *device, int argc, char **argv) {
    struct request *request = calloc(1, sizeof *request);
    if (!request) return fail(1, "bench conv: out of memory; close other programs");
    for (int pass = 0; pass < 3; pass++)
        request->passes[pass] = true;
    opterr = 0;
    optind = 1;
    int status = parse(request, argc, argv);
    if (!status) status = bench_all(device, request);
    if (request->json && request->json != stdout && fclose(request->json) && !status)
        status = fail(1, "bench conv: the JSON file could not be written; is the disk full?");
    free(request);
    return status < 0 ? 0 : status;
}
