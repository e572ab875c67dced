#include "tuner/tune_fc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/fc_work.h"
#include "bench/timing.h"
#include "ops/clblast_params.h"
#include "tuner/tune_report.h"

enum { KERNELS = 16, BUILD_DEADLINE = 180, TRIES_MAX = 100000 };

/* conv comes first: it is the measure of the others, see worker_fc.h. */
enum { BACKENDS = 3 };
static const char *const backends[BACKENDS] = {"conv", "clblast", "stream"};

/* Training packs the weights again after each update, inference once, which decides between backends that pack and those that do not. */
static const struct fc_case {
    const char *operation; /* in the database */
    tess_conv_pass pass;
    bool repack;
} cases[] = {{"fc_fwd", TESS_CONV_FWD, false},
             {"fc_fwd_repack", TESS_CONV_FWD, true},
             {"fc_bwd_data", TESS_CONV_BWD_DATA, false},
             {"fc_bwd_data_repack", TESS_CONV_BWD_DATA, true},
             {"fc_bwd_weights", TESS_CONV_BWD_WEIGHTS, false}};

/* What is known to be best so far for each of CLBlast's kernels; "": its own parameters. */
struct best_params {
    char text[KERNELS][CLBLAST_TEXT_SIZE];
};

static json_t *params_json(const struct best_params *best) {
    json_t *object = json_object();
    for (int i = 0; i < clblast_kernel_count && i < KERNELS; i++)
        if (best->text[i][0])
            json_object_set_new(object, clblast_kernels[i].name, json_string(best->text[i]));
    return object;
}

static tess_status measure(struct runner *runner, const struct db_subject *subject,
                           const char *problem, const struct fc_case *c, const char *backend,
                           double reference, const struct best_params *params, tess_error *error,
                           struct trial *trial) {
    json_t *request = json_pack("{s:s, s:s, s:i, s:b, s:s, s:f, s:o}", "do", "fc", "problem",
                                problem, "pass", (int)c->pass, "repack", c->repack, "backend",
                                backend, "reference", reference, "parameters", params_json(params));
    return runner_request(runner, subject, request, BUILD_DEADLINE, error, trial);
}

/* ---------------------------------------------------------------- CLBlast's parameters */

struct clblast_search {
    struct runner *runner;
    const char *problem;
    struct best_params best;
    double best_seconds; /* of the forward pass with them */
    double reference;    /* of the forward pass by the convolution engine */
    uint64_t random;
    bool quiet; /* standard output is for JSON */
};

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A valid set: every parameter at random, or the best with one of them changed. false: none found. */
static bool propose(struct clblast_search *search, const struct clblast_kernel *kernel,
                    const char *from, int values[CLBLAST_PARAMS_MAX]) {
    int base[CLBLAST_PARAMS_MAX];
    bool near = *from && next_random(&search->random) % 2 == 0 &&
                clblast_params_parse(kernel, from, NULL, base) == TESS_OK;
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        uint64_t moved = next_random(&search->random) % (uint64_t)kernel->param_count;
        for (int i = 0; i < kernel->param_count; i++) {
            const struct clblast_param *param = &kernel->params[i];
            uint64_t pick = next_random(&search->random) % (uint64_t)param->count;
            values[i] = near && (uint64_t)i != moved ? base[i] : param->values[pick];
        }
        if (clblast_params_valid(kernel, runner_device(search->runner), values)) return true;
    }
    return false;
}

static tess_status try_params(struct clblast_search *search, int index, const char *text,
                              tess_error *error) {
    const struct clblast_kernel *kernel = &clblast_kernels[index];
    const struct db_subject subject = {.operation = "clblast",
                                       .problem = kernel->name,
                                       .dtype = "f32",
                                       .algo = "clblast",
                                       .config = text,
                                       .kernel_hash = "",
                                       .strict = true};
    struct best_params params = search->best;
    struct trial trial;
    snprintf(params.text[index], CLBLAST_TEXT_SIZE, "%s", text);
    tess_status status = measure(search->runner, &subject, search->problem, &cases[0], "clblast",
                                 search->reference, &params, error, &trial);
    if (status || trial.status != DB_OK) return status;
    if (search->best_seconds > 0 && trial.seconds >= search->best_seconds) return TESS_OK;
    if (!search->quiet) {
        printf("clblast %-14s %8.3f ms  %s\n", kernel->name, 1e3 * trial.seconds, text);
        fflush(stdout);
    }
    search->best = params;
    search->best_seconds = trial.seconds;
    return TESS_OK;
}

/* Kernels that products use, with their shares of the time. A trial costs CLBlast's compilation, so that a short search may not come to the last ones. */
static const struct {
    const char *kernel;
    double share;
} schedule[] = {{"Xgemm", 0.7},
                {"XgemmDirect", 0.15},
                {"GemmRoutine", 0.05},
                {"Copy", 0.05},
                {"Transpose", 0.05}};

static tess_status search_clblast(struct clblast_search *search, double seconds,
                                  tess_error *error) {
    tess_status status = TESS_OK;
    double end = timing_now();
    for (size_t s = 0; s < sizeof schedule / sizeof *schedule && !status; s++) {
        const struct clblast_kernel *kernel = clblast_kernel_find(schedule[s].kernel);
        int index = (int)(kernel - clblast_kernels);
        end += seconds * schedule[s].share;
        while (!status && timing_now() < end) {
            int values[CLBLAST_PARAMS_MAX];
            char text[CLBLAST_TEXT_SIZE];
            if (!propose(search, kernel, search->best.text[index], values)) break;
            clblast_params_print(kernel, values, text);
            status = try_params(search, index, text, error);
        }
    }
    return status;
}

/* ---------------------------------------------------------------- backends */

/* What the backends of one case gave. */
struct fc_trials {
    struct trial trial[BACKENDS];
};

/* The fastest that works, which is what the database answers; -1: none. *second: the next one, or -1. */
static int fastest(const struct fc_trials *trials, int *second) {
    int first = -1;
    *second = -1;
    for (int i = 0; i < BACKENDS; i++) {
        const struct trial *t = &trials->trial[i];
        if (t->status != DB_OK) continue;
        if (first < 0 || t->seconds < trials->trial[first].seconds) {
            *second = first;
            first = i;
        } else if (*second < 0 || t->seconds < trials->trial[*second].seconds) {
            *second = i;
        }
    }
    return first;
}

static void print_case(const char *problem, const struct fc_case *c,
                       const struct fc_trials *trials) {
    int second, first = fastest(trials, &second);
    printf("%-20s %-18s", problem, c->operation);
    for (int i = 0; i < BACKENDS; i++)
        if (trials->trial[i].status == DB_OK)
            printf("  %s %.3f ms", backends[i], 1e3 * trials->trial[i].seconds);
        else
            printf("  %s failed: %s", backends[i], trials->trial[i].cause);
    if (first >= 0) printf("  %s taken", backends[first]);
    if (second >= 0)
        printf(", %.2f times as fast as %s",
               trials->trial[second].seconds / trials->trial[first].seconds, backends[second]);
    printf("\n");
    fflush(stdout);
}

static tess_status measure_backends(struct runner *runner, const char *problem,
                                    const struct fc_case *c, const struct best_params *params,
                                    struct tune_report *report, tess_error *error,
                                    double *conv_seconds) {
    struct fc_trials trials = {0};
    for (int i = 0; i < BACKENDS; i++) {
        const struct db_subject subject = {.operation = c->operation,
                                           .problem = problem,
                                           .dtype = "f32",
                                           .algo = backends[i],
                                           .config = backends[i],
                                           .kernel_hash = "",
                                           .strict = true};
        double reference = i && trials.trial[0].status == DB_OK ? trials.trial[0].seconds : 0;
        tess_status status = measure(runner, &subject, problem, c, backends[i], reference, params,
                                     error, &trials.trial[i]);
        if (status) return status;
        tune_report_fc(report, problem, c->operation, backends[i], &trials.trial[i]);
    }
    *conv_seconds = trials.trial[0].status == DB_OK ? trials.trial[0].seconds : 0;
    if (report->json != stdout) print_case(problem, c, &trials);
    return TESS_OK;
}

tess_status tune_fc_run(struct runner *runner, const struct tune_fc_options *options,
                        struct tune_report *report, tess_error *error) {
    struct clblast_search search = {.runner = runner,
                                    .problem = options->problems[0],
                                    .quiet = report->json == stdout,
                                    .random = options->seed * 2654435761u + 88172645463325252u};
    tess_status status = TESS_OK;
    if (options->clblast_seconds > 0)
        status = measure_backends(runner, options->problems[0], &cases[0], &search.best, report,
                                  error, &search.reference);
    if (!status && options->clblast_seconds > 0)
        status = search_clblast(&search, options->clblast_seconds, error);
    double conv_seconds;
    for (int i = 0; i < options->count && !status; i++)
        for (size_t k = 0; k < sizeof cases / sizeof *cases && !status; k++)
            if (options->passes[cases[k].pass])
                status = measure_backends(runner, options->problems[i], &cases[k], &search.best,
                                          report, error, &conv_seconds);
    return status;
}
