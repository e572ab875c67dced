/* Times convolution plans beside the device's measured roofs and another library, interleaved in one run. */
#include "bench/bench_conv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/conv_measure.h"
#include "bench/net_choice.h"
#include "bench/options.h"
#include "bench/report/run_info.h"
#include "core/context.h"

/* Enough for a change of 10 % on a machine whose single samples differ by 10 %; see report/README.md. */
enum { MAX_SAMPLES = 10000, GATE_ROUNDS = 24, GATE_SAMPLES = 4 };

static const char usage[] =
    "usage: tessera bench conv --net NAME --batch N | --problems FILE | --problem KEY ...\n"
    "                          [--input CxHxW] [--classes N] [--width X]\n"
    "                          [--pass LIST] [--peer onednn] [--strict] [--json FILE]\n"
    "                          [--samples N] [--rounds N|--gate] [--untuned] [--algo NAME "
    "[--config CONFIG]]\n"
    "  --net NAME        every distinct convolution of a network of the zoo or of a .onnx file\n"
    "  --input, --classes, --width\n"
    "                    instead of the network's own; width is a factor on its filters\n"
    "  --problems FILE   one key a line, x3 behind it for three of a kind; # starts a comment\n"
    "  --problem KEY     n8c64h56w56k64r3s3pt1pb1pl1pr1; may be given several times\n"
    "  --batch N         images a batch, instead of the keys' n\n"
    "  --pass LIST       of fwd,bwd_data,bwd_weights; all three by default\n"
    "  --peer onednn     compare with oneDNN's best: its own layouts, reorders not timed\n"
    "  --strict          no algorithm that rounds more than the plain sum (no Winograd)\n"
    "  --json FILE       append one JSON object a line; - for standard output\n"
    "  --samples N       timed samples of each (16)\n"
    "  --rounds N        spread over N rounds (8), half a second or more apart, the other\n"
    "                    problems between them\n"
    "  --gate            24 rounds of 4 samples: what `bench compare` needs\n"
    "  --untuned         also time what is chosen without the tuning database\n"
    "  --algo, --config  time this algorithm, this configuration (wt14_kv2), not the planner's "
    "choice\n";

struct request {
    struct problem_list problems;
    struct net_choice nets;
    bool passes[3];
    const char *algo, *config;
    const struct peer *peer;
    bool strict, untuned;
    int batch, samples, rounds;
    FILE *json, *saved; /* saved: for later reports; NULL: no place */
    json_t *run;
    char command[RUN_COMMAND_SIZE];
};

/* ---------------------------------------------------------------- all of them */

static tess_status write_row(tess_context *ctx, const struct request *request,
                             const struct conv_row *row, json_t *run, FILE *saved) {
    if (request->json != stdout) {
        conv_row_print(row, stdout);
        fflush(stdout);
    }
    /* What is saved for reports is a convenience: a full disk there stops nothing. */
    if (saved && conv_row_json(row, run, saved)) fflush(saved);
    if (request->json && !conv_row_json(row, run, request->json))
        return context_fail(ctx, TESS_IO, "bench conv: writing JSON failed; is the disk full?");
    return TESS_OK;
}

/* Rounds of few rows would follow each other too fast to see anything of the machine's changes. */
static const double ROUND_SECONDS = 0.5;

static void wait_until(double moment) {
    double left = moment - timing_now();
    if (left <= 0) return;
    struct timespec pause = {(time_t)left, (long)((left - floor(left)) * 1e9)};
    nanosleep(&pause, NULL);
}

static tess_status bench_round(struct conv_measure *measure, const struct request *request,
                               int round, struct conv_row *rows, int *count) {
    tess_status status = TESS_OK;
    *count = 0;
    for (int i = 0; i < request->problems.count && !status; i++)
        for (int pass = 0; pass < 3 && !status; pass++) {
            if (!request->passes[pass]) continue;
            struct conv_row *row = &rows[(*count)++];
            status = conv_measure_round(measure, &request->problems.entries[i],
                                        (tess_conv_pass)pass, round, row);
            if (!status && round == measure->rounds - 1)
                status = write_row(measure->ctx, request, row, request->run, request->saved);
        }
    return status;
}

static tess_status bench_rows(tess_context *ctx, const struct request *request,
                              struct conv_row *rows, int *count) {
    struct conv_measure measure = {0};
    tess_status status = conv_measure_open(ctx, &measure);
    measure.algo = request->algo;
    measure.config = request->config;
    measure.peer = request->peer;
    measure.strict = request->strict;
    measure.untuned = request->untuned;
    measure.rounds = request->rounds < request->samples ? request->rounds : request->samples;
    measure.samples = (request->samples + measure.rounds - 1) / measure.rounds;
    for (int round = 0; round < measure.rounds && !status; round++) {
        double start = timing_now();
        status = bench_round(&measure, request, round, rows, count);
        if (!status && round < measure.rounds - 1) wait_until(start + ROUND_SECONDS);
    }
    conv_measure_close(&measure);
    return status;
}

static int bench_all(const char *device, struct request *request) {
    tess_error error = {0};
    tess_context *ctx = NULL;
    tess_context_options options = {.device = device};
    if (tess_context_create(&options, &error, &ctx)) return option_fail(1, "%s", error.text);
    if (request->json != stdout)
        printf("%s, driver %s\n", tess_context_device(ctx)->name,
               tess_context_device(ctx)->driver_version);
    struct conv_row *rows = calloc(3 * (size_t)request->problems.count, sizeof *rows);
    int count = 0;
    request->run = run_info(ctx, request->command);
    request->saved = saved_runs_open();
    tess_status status = tess_context_use_tuning(ctx, NULL);
    if (!rows || !request->run)
        status = context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "bench conv: no host memory");
    if (!status) status = bench_rows(ctx, request, rows, &count);
    if (status) option_fail(1, "%s", tess_context_last_error(ctx));
    if (!status && count > 1 && request->json != stdout) conv_rows_summary(rows, count, stdout);
    for (int i = 0; rows && i < 3 * request->problems.count; i++)
        conv_row_free(&rows[i]);
    free(rows);
    if (request->saved) fclose(request->saved);
    json_decref(request->run);
    tess_context_destroy(ctx);
    return status ? 1 : 0;
}

/* ---------------------------------------------------------------- command line */

static int set_peer(struct request *request, const char *name) {
    request->peer = peer_find(name);
    if (request->peer) return 0;
    return option_fail(2,
                       "bench conv: no peer '%s' in this build; there is onednn where oneDNN was "
                       "installed when Tessera was built",
                       name);
}

static int set_option(void *user, int option, char *value) {
    struct request *request = user;
    switch (option) {
    case 'p':
    case 'f':
        return option_problem(option == 'f', value, &request->problems);
    case 't':
    case 'I':
    case 'K':
    case 'W':
        return option_net(option, value, &request->nets);
    case 'b':
        return option_number("batch", value, 1, 1 << 20, &request->batch);
    case 'n':
        return option_number("samples", value, 3, MAX_SAMPLES, &request->samples);
    case 'd':
        return option_passes(value, request->passes);
    case 'e':
        return set_peer(request, value);
    case 'r':
        return option_number("rounds", value, 1, MAX_SAMPLES, &request->rounds);
    case 'g':
        request->rounds = GATE_ROUNDS;
        request->samples = GATE_ROUNDS * GATE_SAMPLES;
        return 0;
    case 's':
        request->strict = true;
        return 0;
    case 'u':
        request->untuned = true;
        return 0;
    case 'j':
        return option_json(value, &request->json);
    case 'a':
        request->algo = value;
        return 0;
    default:
        request->config = value;
        return 0;
    }
}

static int parse(struct request *request, int argc, char **argv) {
    static const struct option list[] = {{"problem", required_argument, NULL, 'p'},
                                         {"problems", required_argument, NULL, 'f'},
                                         {"net", required_argument, NULL, 't'},
                                         {"batch", required_argument, NULL, 'b'},
                                         {"pass", required_argument, NULL, 'd'},
                                         {"peer", required_argument, NULL, 'e'},
                                         {"strict", no_argument, NULL, 's'},
                                         {"json", required_argument, NULL, 'j'},
                                         {"samples", required_argument, NULL, 'n'},
                                         {"rounds", required_argument, NULL, 'r'},
                                         {"gate", no_argument, NULL, 'g'},
                                         {"untuned", no_argument, NULL, 'u'},
                                         {"algo", required_argument, NULL, 'a'},
                                         {"config", required_argument, NULL, 'c'},
                                         {"input", required_argument, NULL, 'I'},
                                         {"classes", required_argument, NULL, 'K'},
                                         {"width", required_argument, NULL, 'W'},
                                         {"help", no_argument, NULL, 'h'},
                                         {NULL, 0, NULL, 0}};
    int status = options_read(
        &(struct options){.command = "bench conv", .usage = usage, .list = list, .set = set_option},
        argc, argv, request);
    if (!status) status = option_problems_end(&request->nets, request->batch, &request->problems);
    if (!status && request->problems.count == 0)
        return option_fail(
            2, "bench conv: no problem; give --net NAME, --problems FILE or --problem KEY");
    return status;
}

int bench_conv(const char *device, int argc, char **argv) {
    struct request request = {.samples = 16, .rounds = 8, .passes = {true, true, true}};
    run_command("bench", argc, argv, request.command);
    int status = parse(&request, argc, argv);
    if (!status) status = bench_all(device, &request);
    status = option_json_close(request.json, status);
    problem_list_free(&request.problems);
    return status < 0 ? 0 : status;
}
