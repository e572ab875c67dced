/* Times convolution plans beside the device's measured roofs and another library, interleaved in one run. */
#include "bench/bench_conv.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/conv_report.h"
#include "bench/conv_work.h"
#include "bench/peers/peer.h"
#include "bench/problem_list.h"
#include "bench/roof.h"
#include "bench/sample_check.h"
#include "core/context.h"

enum { CHECKED_ELEMENTS = 64, MAX_SAMPLES = 10000 };

static const char usage[] =
    "usage: tessera bench conv --net NAME --batch N | --problems FILE | --problem KEY ...\n"
    "                          [--pass LIST] [--peer onednn] [--strict] [--json FILE]\n"
    "                          [--samples N] [--algo NAME [--config CONFIG]]\n"
    "  --net NAME        every distinct convolution of a network of the zoo\n"
    "  --problems FILE   one key a line, x3 behind it for three of a kind; # starts a comment\n"
    "  --problem KEY     n8c64h56w56k64r3s3pt1pb1pl1pr1; may be given several times\n"
    "  --batch N         images a batch, instead of the keys' n\n"
    "  --pass LIST       of fwd,bwd_data,bwd_weights; all three by default\n"
    "  --peer onednn     compare with oneDNN's best: its own layouts, reorders not timed\n"
    "  --strict          no algorithm that rounds more than the plain sum (no Winograd)\n"
    "  --json FILE       append one JSON object a line; - for standard output\n"
    "  --samples N       timed samples of each (15)\n"
    "  --algo, --config  time this algorithm, this configuration (wt14_kv2), not the planner's "
    "choice\n";

struct request {
    struct problem_list problems;
    bool passes[3];
    const char *algo, *config;
    const struct peer *peer;
    bool strict;
    int batch, samples;
    FILE *json;
};

static int fail(int status, const char *text) {
    fprintf(stderr, "tessera: %s\n", text);
    return status;
}

/* ---------------------------------------------------------------- one problem, one pass */

struct roofs {
    struct fma_roof fma;
    double
        peak_gbytes; /* measured once: a copy that leaves the caches would empty them for the others */
};

enum { OURS, ROOF, PEER, WORKS };

/* Seconds until a peer's threads sleep. Those of GCC's OpenMP spin through 300,000 pause instructions after each loop, here 20 ms,
   in which what comes next would have half a core less. */
static const double PEER_PAUSE = 0.04;

/* Everything of one measurement. */
struct measurement {
    struct conv_work work;
    struct peer_conv *peer;
    double *samples[WORKS];
};

static void close_measurement(const struct request *request, struct measurement *m) {
    if (request->peer) request->peer->destroy(m->peer);
    conv_work_close(&m->work);
    for (int i = 0; i < WORKS; i++)
        free(m->samples[i]);
}

static tess_status open_measurement(tess_context *ctx, const struct request *request,
                                    const tess_conv_desc *desc, tess_conv_pass pass,
                                    struct measurement *m) {
    const tess_conv_options options = {
        .pass = pass, .algo = request->algo, .config = request->config, .strict = request->strict};
    *m = (struct measurement){0};
    tess_status status = conv_work_open(ctx, desc, &options, &m->work);
    for (int i = 0; i < WORKS && !status; i++) {
        m->samples[i] = malloc((size_t)request->samples * sizeof(double));
        if (!m->samples[i])
            status = context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "bench: no memory for samples");
    }
    if (!status && request->peer)
        status = request->peer->create(
            &m->work.problem, (int)tess_context_device(ctx)->compute_units, m->work.host[0],
            m->work.host[1], m->work.host[2], &ctx->error, &m->peer);
    return status;
}

/* Largest error of some elements of the first run's result, in float64. */
static tess_status measure_error(struct measurement *m, double *max_err) {
    float *result = NULL;
    tess_status status = conv_work_run(&m->work);
    if (!status) status = conv_work_read(&m->work, &result);
    if (!status)
        *max_err = sample_check(&m->work.problem, m->work.host[0], m->work.host[1], m->work.host[2],
                                result, CHECKED_ELEMENTS);
    free(result);
    /* Half the terms' size each, as many roundings as terms at the worst. */
    if (!status && !(*max_err <= 1e-2))
        status = context_fail(m->work.ctx, TESS_INTERNAL,
                              "bench: %s: the result is wrong (error %g); report it",
                              tess_conv_plan_info(m->work.plan).config, *max_err);
    return status;
}

/* Bytes of x, w and y, each read or written once. */
static double least_bytes(const struct conv_problem *p) {
    return 4.0 * (double)(conv_problem_x(p) + conv_problem_w(p) + conv_problem_y(p));
}

static void fill_row(const struct request *request, const struct roofs *roofs,
                     const struct measurement *m, const struct timed work[WORKS],
                     struct conv_row *row) {
    const struct conv_problem *p = &m->work.problem;
    tess_conv_info info = tess_conv_plan_info(m->work.plan);
    tess_conv_desc_key(&p->d, row->key);
    row->pass = p->pass;
    snprintf(row->algo, sizeof row->algo, "%s", info.algo);
    snprintf(row->config, sizeof row->config, "%s", info.config);
    snprintf(row->tier, sizeof row->tier, "%s", info.tier);
    row->ms = work[OURS].median * 1e3;
    row->ms_mad = work[OURS].mad * 1e3;
    row->gflops = tess_conv_flops(&p->d) / work[OURS].median / 1e9;
    row->peak_gflops = roofs->fma.flops / work[ROOF].median / 1e9;
    row->gbytes = least_bytes(p) / work[OURS].median / 1e9;
    row->peak_gbytes = roofs->peak_gbytes;
    row->workspace = info.workspace;
    row->packed = info.packed;
    if (!request->peer) return;
    row->peer = request->peer->name;
    snprintf(row->peer_about, sizeof row->peer_about, "%s", request->peer->about(m->peer));
    row->peer_ms = work[PEER].median * 1e3;
    row->peer_ms_mad = work[PEER].mad * 1e3;
    row->ratio =
        timing_ratio(m->samples[PEER], m->samples[OURS], request->samples, &row->ratio_mad);
}

static tess_status bench_pass(tess_context *ctx, struct roofs *roofs, const struct request *request,
                              const struct problem_entry *entry, tess_conv_pass pass,
                              struct conv_row *row) {
    struct measurement m;
    *row = (struct conv_row){.count = entry->count, .max_err = NAN};
    tess_status status = open_measurement(ctx, request, &entry->desc, pass, &m);
    struct timed work[WORKS] = {
        [OURS] = {.run = conv_work_run, .user = &m.work, .samples = m.samples[OURS]},
        [ROOF] = {.run = fma_roof_run, .user = &roofs->fma, .samples = m.samples[ROOF]},
        [PEER] = {.samples = m.samples[PEER]}};
    if (!status && request->peer) {
        work[PEER].run = request->peer->run;
        work[PEER].user = m.peer;
    }
    if (!status) status = measure_error(&m, &row->max_err);
    if (!status)
        status = timing_interleaved(
            ctx, work, request->peer ? WORKS : WORKS - 1,
            &(struct timing_options){.samples = request->samples,
                                     .pause_seconds = request->peer ? PEER_PAUSE : 0});
    if (!status) fill_row(request, roofs, &m, work, row);
    close_measurement(request, &m);
    return status;
}

/* ---------------------------------------------------------------- all of them */

static tess_status measure_bandwidth(tess_context *ctx, double *gbytes) {
    struct copy_roof copy;
    tess_status status = copy_roof_create(ctx, &copy);
    if (status) return status;
    struct timed work = {.run = copy_roof_run, .user = &copy};
    status = timing_interleaved(ctx, &work, 1, &(struct timing_options){.samples = 5});
    if (!status) *gbytes = copy.bytes / work.median / 1e9;
    copy_roof_destroy(&copy);
    return status;
}

static tess_status write_row(tess_context *ctx, const struct request *request,
                             const struct conv_row *row) {
    if (request->json != stdout) {
        conv_row_print(row, stdout);
        fflush(stdout);
    }
    if (request->json && !conv_row_json(row, request->json))
        return context_fail(ctx, TESS_IO, "bench conv: writing JSON failed; is the disk full?");
    return TESS_OK;
}

static tess_status bench_rows(tess_context *ctx, const struct request *request,
                              struct conv_row *rows, int *count) {
    struct roofs roofs = {0};
    tess_status status = measure_bandwidth(ctx, &roofs.peak_gbytes);
    if (!status) status = fma_roof_create(ctx, &roofs.fma);
    if (status) return status;
    for (int i = 0; i < request->problems.count && !status; i++)
        for (int pass = 0; pass < 3 && !status; pass++) {
            if (!request->passes[pass]) continue;
            status = bench_pass(ctx, &roofs, request, &request->problems.entries[i],
                                (tess_conv_pass)pass, &rows[*count]);
            if (!status) status = write_row(ctx, request, &rows[(*count)++]);
        }
    fma_roof_destroy(&roofs.fma);
    return status;
}

static int bench_all(const char *device, const struct request *request) {
    tess_error error = {0};
    tess_context *ctx = NULL;
    tess_context_options options = {.device = device};
    if (tess_context_create(&options, &error, &ctx)) return fail(1, error.text);
    if (request->json != stdout)
        printf("%s, driver %s\n", tess_context_device(ctx)->name,
               tess_context_device(ctx)->driver_version);
    struct conv_row *rows = calloc(3 * (size_t)request->problems.count, sizeof *rows);
    int count = 0;
    tess_status status = tess_context_use_tuning(ctx, NULL);
    if (!rows) status = context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "bench conv: no host memory");
    if (!status) status = bench_rows(ctx, request, rows, &count);
    if (status) fail(1, tess_context_last_error(ctx));
    if (count > 1 && request->json != stdout) conv_rows_summary(rows, count, stdout);
    free(rows);
    tess_context_destroy(ctx);
    return status ? 1 : 0;
}

/* ---------------------------------------------------------------- command line */

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

static int set_number(const char *option, const char *text, int least, int most, int *out) {
    char *end = NULL;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < least || value > most) {
        fprintf(stderr, "tessera: bench conv: --%s: not a number from %d to %d\n", option, least,
                most);
        return 2;
    }
    *out = (int)value;
    return 0;
}

static int set_peer(struct request *request, const char *name) {
    request->peer = peer_find(name);
    if (request->peer) return 0;
    fprintf(stderr,
            "tessera: bench conv: no peer '%s' in this build; there is onednn where oneDNN was "
            "installed when Tessera was built\n",
            name);
    return 2;
}

static int set_problem(struct request *request, int option, const char *value) {
    tess_error error = {0};
    struct problem_list *list = &request->problems;
    tess_status status = option == 'p'   ? problem_list_add(list, value, 1, &error)
                         : option == 'f' ? problem_list_add_file(list, value, &error)
                                         : problem_list_add_net(list, value, &error);
    return status ? fail(status == TESS_IO ? 1 : 2, error.text) : 0;
}

static int set_option(struct request *request, int option, char *value) {
    switch (option) {
    case 'p':
    case 'f':
    case 't':
        return set_problem(request, option, value);
    case 'b':
        return set_number("batch", value, 1, 1 << 20, &request->batch);
    case 'n':
        return set_number("samples", value, 3, MAX_SAMPLES, &request->samples);
    case 'd':
        return set_passes(request, value);
    case 'e':
        return set_peer(request, value);
    case 's':
        request->strict = true;
        return 0;
    case 'j':
        return set_json(request, value);
    case 'a':
        request->algo = value;
        return 0;
    case 'c':
        request->config = value;
        return 0;
    case 'h':
        return fputs(usage, stdout) < 0 ? 1 : -1;
    default:
        return fail(2, "bench conv: unknown option or missing value; see --help");
    }
}

static int parse(struct request *request, int argc, char **argv) {
    static const struct option options[] = {{"problem", required_argument, NULL, 'p'},
                                            {"problems", required_argument, NULL, 'f'},
                                            {"net", required_argument, NULL, 't'},
                                            {"batch", required_argument, NULL, 'b'},
                                            {"pass", required_argument, NULL, 'd'},
                                            {"peer", required_argument, NULL, 'e'},
                                            {"strict", no_argument, NULL, 's'},
                                            {"json", required_argument, NULL, 'j'},
                                            {"samples", required_argument, NULL, 'n'},
                                            {"algo", required_argument, NULL, 'a'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int status = 0, option;
    while (!status && (option = getopt_long(argc, argv, "h", options, NULL)) != -1)
        status = set_option(request, option, optarg);
    if (!status && optind < argc) return fail(2, "bench conv: unexpected argument; see --help");
    if (!status && request->problems.count == 0)
        return fail(2, "bench conv: no problem; give --net NAME, --problems FILE or --problem KEY");
    tess_error error = {0};
    if (!status && request->batch &&
        problem_list_set_batch(&request->problems, request->batch, &error))
        return fail(2, error.text);
    return status;
}

int bench_conv(const char *device, int argc, char **argv) {
    struct request request = {.samples = 15, .passes = {true, true, true}};
    opterr = 0;
    optind = 1;
    int status = parse(&request, argc, argv);
    if (!status) status = bench_all(device, &request);
    if (request.json && request.json != stdout && fclose(request.json) && !status)
        status = fail(1, "bench conv: the JSON file could not be written; is the disk full?");
    problem_list_free(&request.problems);
    return status < 0 ? 0 : status;
}
