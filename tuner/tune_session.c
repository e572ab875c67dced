#include "tuner/tune_session.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/timing.h"
#include "tuner/ahead.h"
#include "tuner/trial_log.h"
#include "tuner/tune_progress.h"
#include "tuner/tune_report.h"

const struct tune_mode tune_modes[] = {
    {"rapid", "a first good answer", 1.2, 0.02, 24, 4, 3, 2e7, 1, {1}, true},
    {"normal", "nearly the best", 32, 0.15, 128, 16, 8, 2e8, 2, {0.6, 0.4}},
    {"patient", "the best that a search finds", 180, 0.5, 512, 16, 16, 1e9, 3, {0.5, 0.3, 0.2}},
    {"exhaustive", "every valid configuration", 0, 1, 0, 16, 16, 1e9, 1, {1}},
};
const int tune_mode_count = (int)(sizeof tune_modes / sizeof *tune_modes);

const struct tune_mode *tune_mode_find(const char *name) {
    for (int i = 0; i < tune_mode_count; i++)
        if (strcmp(tune_modes[i].name, name) == 0) return &tune_modes[i];
    return NULL;
}

/* A turn shorter than this gets no more than one program built: later rounds leave such layers out. */
static const double turn_seconds_min = 0.5;

struct watcher {
    struct tune_session session;
    struct tune_progress progress;
    struct tune_report report;
};

static void watch(void *user, const struct tune_layer *layer, const char *config,
                  const struct trial *trial) {
    struct watcher *watcher = user;
    watcher->session.trials++;
    watcher->session.failures += trial->status != DB_OK;
    watcher->session.clocked += trial->clock > 0;
    watcher->session.clock_agrees += fabs(trial->clock - 1) <= TUNE_CLOCK_TOLERANCE;
    tune_report_trial(&watcher->report, layer, config, trial);
    tune_progress_show(&watcher->progress, &watcher->session, layer);
}

/* ---------------------------------------------------------------- layers */

static tess_status make_layers(struct tune_session *session, tess_error *error) {
    const struct tune_options *o = session->options;
    session->layers = calloc((size_t)o->problems.count * 3 + 1, sizeof *session->layers);
    if (!session->layers) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "tune: out of memory");
    for (int i = 0; i < o->problems.count; i++)
        for (int pass = 0; pass < 3; pass++) {
            if (!o->passes[pass]) continue;
            struct tune_layer *layer = &session->layers[session->layer_count++];
            tess_conv_options options = {.pass = (tess_conv_pass)pass};
            tess_status status =
                conv_problem_init(&o->problems.entries[i].desc, &options, error, &layer->problem);
            if (status) return status;
            layer->count = o->problems.entries[i].count;
            layer->best = -1;
            layer->gain = 1;
            tess_conv_desc_key(&layer->problem.d, layer->key);
        }
    return TESS_OK;
}

/* What another second on the layer promises, in seconds a step of its network: how often it occurs, what it takes, and what its last turn
   gained. Where nothing is known, its arithmetic stands for its time. */
static double promise_of(const struct tune_layer *layer, double flops_per_second) {
    if (layer->exhausted) return 0;
    double seconds = layer->best >= 0 ? layer->best_seconds
                                      : tess_conv_flops(&layer->problem.d) / flops_per_second;
    double gain = fmin(fmax(layer->gain, 0.02), 1);
    return layer->count * seconds * gain;
}

/* The speed at which the layers run that were measured; a guess before. */
static double mean_speed(const struct tune_session *session) {
    double flops = 0, seconds = 0;
    for (int i = 0; i < session->layer_count; i++) {
        const struct tune_layer *layer = &session->layers[i];
        if (layer->best < 0) continue;
        flops += tess_conv_flops(&layer->problem.d);
        seconds += layer->best_seconds;
    }
    return seconds > 0 ? flops / seconds : 1e11;
}

/* The share of layer i in what the layers from i on get: its promise, but half of the budget is spread evenly, so that small layers too
   see more than their first candidate. */
static double share_of(const struct tune_session *session, int i) {
    double speed = mean_speed(session), sum = 0;
    int open = 0;
    for (int j = i; j < session->layer_count; j++) {
        sum += promise_of(&session->layers[j], speed);
        open += !session->layers[j].exhausted;
    }
    if (session->layers[i].exhausted || open == 0) return 0;
    double promised = sum > 0 ? promise_of(&session->layers[i], speed) / sum : 0;
    return 0.5 * promised + 0.5 / open;
}

/* ---------------------------------------------------------------- rounds */

/* DIR/<pass>_<key>.jsonl.gz: what was tried, for the replay of searches. */
static tess_status record_layer(const struct tune_session *session, const struct tune_layer *layer,
                                tess_error *error) {
    const char *folder = session->options->record;
    char path[4096];
    struct trial_log *log = NULL;
    if (!folder || !layer->space) return TESS_OK;
    tess_status status =
        trial_log_create(layer->space, runner_device(session->runner), error, &log);
    if (status) return status;
    for (int i = 0; i < layer->space->count; i++)
        if (layer->seconds[i] > 0)
            trial_log_set(log, i, db_status_name(layer->status[i]), layer->seconds[i],
                          layer->mad[i]);
    snprintf(path, sizeof path, "%s/%s_%s.jsonl.gz", folder, conv_pass_name(layer->problem.pass),
             layer->key);
    status = trial_log_write(path, log, error);
    trial_log_destroy(log);
    return status;
}

static tess_status finish_layer(struct watcher *watcher, struct tune_layer *layer,
                                const struct layer_turn *turn, tess_error *error) {
    struct tune_session *session = &watcher->session;
    double start = timing_now();
    tess_status status = layer_finish(layer, turn, error);
    if (!status) status = record_layer(session, layer, error);
    if (status) return status;
    session->finish_seconds = (session->finish_seconds * session->finished + timing_now() - start) /
                              (session->finished + 1);
    session->finished++;
    tune_report_layer(&watcher->report, session, layer);
    tune_progress_show(&watcher->progress, session, layer);
    return TESS_OK;
}

/* The time that the layer will have had at the session's end if its share stays what it is. */
static double total_of(const struct tune_layer *layer, const struct tune_mode *mode, int round,
                       double seconds) {
    double later = 0;
    for (int i = round + 1; i < mode->round_count; i++)
        later += mode->rounds[i];
    return fmax(layer->spent + seconds * (1 + later / mode->rounds[round]), 1e-3);
}

static tess_status run_round(struct watcher *watcher, int round, const struct layer_turn *turn,
                             tess_error *error) {
    struct tune_session *session = &watcher->session;
    const struct tune_mode *mode = session->options->mode;
    bool last = round == mode->round_count - 1;
    double left = session->budget * mode->rounds[round];
    tess_status status = TESS_OK;
    for (int i = 0; i < session->layer_count && !status; i++) {
        struct tune_layer *layer = &session->layers[i];
        double seconds = session->budget > 0 ? left * share_of(session, i) : INFINITY;
        bool search = !layer->exhausted && (round == 0 || seconds >= turn_seconds_min);
        if (!search && !last) continue;
        double before = layer->spent;
        status = layer_open(layer, turn, error);
        seconds -= layer->spent - before;
        if (!status && search)
            status =
                layer_search(layer, turn, seconds, total_of(layer, mode, round, seconds), error);
        if (!status && last) status = finish_layer(watcher, layer, turn, error);
        left = fmax(left - (layer->spent - before), 0);
        tune_progress_show(&watcher->progress, session, layer);
    }
    return status;
}

double tune_session_left(const struct tune_session *session) {
    double unfinished = session->layer_count - session->finished;
    double left = session->started + session->budget - timing_now();
    if (session->budget > 0)
        return fmax(left, 0) + (left < unfinished * session->finish_seconds
                                    ? unfinished * session->finish_seconds - fmax(left, 0)
                                    : 0);
    /* Exhaustive: by what a trial has taken so far. */
    double trials = 0;
    for (int i = 0; i < session->layer_count; i++) {
        const struct tune_layer *layer = &session->layers[i];
        if (!layer->space) return NAN;
        trials += layer->space->count - search_evaluated(layer->search);
    }
    return session->trials ? (timing_now() - session->started) / (double)session->trials * trials
                           : NAN;
}

/* ---------------------------------------------------------------- session */

static void watch_ahead(void *user, int done, int right, int count) {
    struct watcher *watcher = user;
    tune_progress_ahead(&watcher->progress, done, right, count);
}

/* Before the budget's time begins: it is a part of verification. */
static tess_status look_ahead(struct watcher *watcher, const struct worker_options *worker,
                              tess_error *error) {
    struct tune_session *session = &watcher->session;
    const struct tune_options *o = session->options;
    const struct ahead_options options = {.worker = *worker,
                                          .workers = ahead_workers(),
                                          .strict = o->strict,
                                          .macs = o->mode->winner_macs,
                                          .seconds =
                                              3 * (o->build_seconds > 0 ? o->build_seconds : 60),
                                          .watch = watch_ahead,
                                          .user = watcher};
    if (!o->mode->ahead || options.workers < 2 || session->layer_count < 2) return TESS_OK;
    struct ahead_job *jobs = calloc((size_t)session->layer_count, sizeof *jobs);
    if (!jobs) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "tune: out of memory");
    for (int i = 0; i < session->layer_count; i++)
        jobs[i].problem = &session->layers[i].problem;
    double start = timing_now();
    bool whole = verify_ahead(&options, jobs, session->layer_count);
    runner_add_verification(session->runner, timing_now() - start);
    for (int i = 0; i < session->layer_count; i++)
        memcpy(session->layers[i].ahead, jobs[i].config, sizeof jobs[i].config);
    free(jobs);
    return whole ? TESS_OK : runner_stopped(error);
}

static tess_status open_session(struct watcher *watcher, tess_error *error) {
    struct tune_session *session = &watcher->session;
    const struct tune_options *o = session->options;
    struct runner_options options = {
        .worker = {.device = o->device, .verbose = o->verbose},
        .build_seconds = o->build_seconds,
        .run_seconds = o->run_seconds,
        .cold = o->cold,
        .samples = o->mode->samples,
        .final_samples = 4 * o->mode->samples,
    };
    tess_status status = make_layers(session, error);
    if (!status) status = db_open(o->db, NULL, NULL, error, &session->db);
    if (status) return status;
    options.worker.db = db_path(session->db);
    status = runner_create(&options, session->db, error, &session->runner);
    if (!status) status = runner_peak(session->runner, error, &session->peak);
    if (!status) status = look_ahead(watcher, &options.worker, error);
    session->started = timing_now();
    session->budget = o->budget > 0 ? o->budget : o->mode->seconds_per_layer * session->layer_count;
    return status;
}

static void close_session(struct tune_session *session) {
    runner_destroy(session->runner);
    db_close(session->db);
    for (int i = 0; i < session->layer_count; i++)
        layer_close(&session->layers[i]);
    free(session->layers);
}

tess_status tune_session_run(const struct tune_options *options, tess_error *error) {
    struct watcher watcher = {.session = {.options = options}};
    struct tune_session *session = &watcher.session;
    tess_status status = options->record ? trial_log_try_folder(options->record, error) : TESS_OK;
    if (!status) status = tune_report_open(&watcher.report, options->json, error);
    if (status) return status;
    tune_progress_start(&watcher.progress);
    status = open_session(&watcher, error);
    struct layer_settings settings = {.strict = options->strict,
                                      .exhaustive = options->mode->at_least == 0,
                                      .seed = options->seed,
                                      .share = options->mode->share,
                                      .at_least = options->mode->at_least,
                                      .finalists = options->mode->finalists,
                                      .winner_macs = options->mode->winner_macs};
    struct layer_turn turn = {.runner = session->runner,
                              .db = session->db,
                              .settings = &settings,
                              .watch = watch,
                              .watch_user = &watcher};
    for (int round = 0; round < options->mode->round_count && !status; round++)
        status = run_round(&watcher, round, &turn, error);
    tune_progress_clear(&watcher.progress);
    if (!status && options->fc.count)
        status = tune_fc_run(session->runner, &options->fc, &watcher.report, error);
    if (session->layer_count && (session->trials || !status))
        tune_report_table(&watcher.report, session);
    tess_error ignored;
    tess_status closed = tune_report_close(&watcher.report, status ? &ignored : error);
    close_session(session);
    return status ? status : closed;
}
