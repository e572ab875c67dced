#include "tuner/tune_layer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/timing.h"

enum { ROWS_MAX = 4096, FINALISTS_MAX = 6 };
static const double finalist_ratio = 1.02;

void layer_config(const struct tune_layer *layer, int candidate, char printed[CONV_CONFIG_SIZE]) {
    const struct candidate *c = &layer->space->list[candidate];
    conv_config_print(c->algo, layer->problem.pass, &c->config, printed);
}

void layer_close(struct tune_layer *layer) {
    search_destroy(layer->search);
    space_destroy(layer->space);
    free(layer->seconds);
    free(layer->mad);
    free(layer->status);
    free(layer->row);
    layer->search = NULL;
    layer->space = NULL;
    layer->seconds = NULL;
    layer->mad = NULL;
    layer->status = NULL;
    layer->row = NULL;
}

/* ---------------------------------------------------------------- opening */

static tess_status make_search(struct tune_layer *layer, const struct layer_turn *turn,
                               const struct runner_guesses *guesses, tess_error *error) {
    const struct layer_settings *settings = turn->settings;
    int warm[RUNNER_WARM_MAX], warm_count = 0;
    for (int i = 0; i < guesses->warm_count; i++) {
        int at = space_find_printed(layer->space, guesses->warm[i]);
        if (at >= 0) warm[warm_count++] = at;
    }
    int most = (int)(settings->share * layer->space->count);
    if (most < settings->at_least) most = settings->at_least;
    struct search_options options = {.seed = settings->seed,
                                     .evaluations = settings->exhaustive ? 0 : most,
                                     .first = space_find_printed(layer->space, layer->first),
                                     .warm = warm,
                                     .warm_count = warm_count,
                                     .exhaustive = settings->exhaustive};
    return search_create(layer->space, &options, error, &layer->search);
}

static void learn(struct tune_layer *layer, int candidate, double seconds, double mad) {
    char printed[CONV_CONFIG_SIZE];
    layer->mad[candidate] = mad;
    search_tell(layer->search, candidate, seconds);
    layer->seconds[candidate] = seconds;
    if (!(seconds < INFINITY)) return;
    layer_config(layer, candidate, printed);
    if (strcmp(printed, layer->first) == 0) layer->first_seconds = seconds;
    if (layer->best >= 0 && seconds >= layer->best_seconds) return;
    layer->best = candidate;
    layer->best_seconds = seconds;
}

/* What was measured here before with these kernels is not measured again. */
static tess_status resume(struct tune_layer *layer, const struct layer_turn *turn,
                          tess_error *error) {
    char operation[32];
    struct db_row *rows = malloc(ROWS_MAX * sizeof *rows);
    if (!rows) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "tune: out of memory");
    snprintf(operation, sizeof operation, "conv_%s", conv_pass_name(layer->problem.pass));
    int count = db_best(turn->db, operation, layer->key, runner_hash, turn->runner, rows, ROWS_MAX);
    for (int i = count - 1; i >= 0; i--) {
        int at = space_find_printed(layer->space, rows[i].config);
        if (at < 0) continue;
        learn(layer, at, rows[i].seconds, rows[i].mad);
        layer->resumed++;
    }
    free(rows);
    return TESS_OK;
}

/* A space that is there already stays: a caller may bring its own. */
static tess_status make_space(struct tune_layer *layer, const struct layer_turn *turn,
                              const struct runner_guesses *guesses, tess_error *error) {
    struct space_options options = {.strict = turn->settings->strict};
    snprintf(layer->first, sizeof layer->first, "%s", guesses->first);
    layer->best = -1;
    layer->gain = 1;
    tess_status status = TESS_OK;
    if (!layer->space)
        status = space_create(&layer->problem, runner_device(turn->runner), &options, error,
                              &layer->space);
    if (status) return status;
    /* A space that was made is not NULL. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    size_t count = (size_t)layer->space->count;
    layer->seconds = calloc(count, sizeof *layer->seconds);
    layer->mad = calloc(count, sizeof *layer->mad);
    layer->status = calloc(count, sizeof *layer->status);
    layer->row = calloc(count, sizeof *layer->row);
    if (!layer->seconds || !layer->mad || !layer->status || !layer->row)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY, "tune: out of memory");
    status = make_search(layer, turn, guesses, error);
    return status ? status : resume(layer, turn, error);
}

/* The best that still runs becomes the incumbent. */
static tess_status restore_best(struct tune_layer *layer, const struct layer_turn *turn,
                                tess_error *error) {
    while (layer->best >= 0) {
        char printed[CONV_CONFIG_SIZE];
        bool good;
        layer_config(layer, layer->best, printed);
        tess_status status =
            runner_set_incumbent(turn->runner, printed, layer->best_seconds, error, &good);
        if (status || good) return status;
        search_tell(layer->search, layer->best, INFINITY);
        layer->seconds[layer->best] = INFINITY;
        layer->best = search_best(layer->search);
        if (layer->best >= 0) layer->best_seconds = layer->seconds[layer->best];
    }
    return TESS_OK;
}

tess_status layer_open(struct tune_layer *layer, const struct layer_turn *turn, tess_error *error) {
    struct runner_guesses guesses;
    double start = timing_now();
    tess_status status =
        runner_open(turn->runner, &layer->problem, turn->settings->strict, error, &guesses);
    if (!status && !layer->search) status = make_space(layer, turn, &guesses, error);
    if (!status) status = restore_best(layer, turn, error);
    layer->spent += timing_now() - start;
    return status;
}

/* ---------------------------------------------------------------- searching */

/* Failures that may have had another cause than the configuration: the machine's load, or what the worker did before. */
static bool may_pass(enum db_status status) {
    return status == DB_CRASHED || status == DB_TIMED_OUT || status == DB_OUT_OF_MEMORY;
}

/* One candidate; a second time, in a new worker, after a failure that may pass. */
static tess_status try_candidate(struct tune_layer *layer, const struct layer_turn *turn,
                                 int candidate, tess_error *error) {
    char printed[CONV_CONFIG_SIZE];
    bool quarantined;
    layer_config(layer, candidate, printed);
    for (int i = 0; i < 2; i++) {
        tess_status status = runner_quarantined(turn->runner, printed, error, &quarantined);
        if (status) return status;
        if (quarantined) break;
        struct trial trial;
        status = runner_try(turn->runner, printed, error, &trial);
        if (status) return status;
        layer->evaluations++;
        layer->failures += trial.status != DB_OK;
        if (trial.status == DB_OK) {
            learn(layer, candidate, trial.seconds, trial.mad);
            layer->row[candidate] = trial.id;
        }
        layer->status[candidate] = trial.status;
        turn->watch(turn->watch_user, layer, printed, &trial);
        if (trial.status == DB_OK) return TESS_OK;
        if (!may_pass(trial.status)) break;
    }
    learn(layer, candidate, INFINITY, 0);
    return TESS_OK;
}

tess_status layer_search(struct tune_layer *layer, const struct layer_turn *turn, double seconds,
                         double total, tess_error *error) {
    double start = timing_now(), before = layer->spent;
    double best_before = layer->best >= 0 ? layer->best_seconds : 0;
    tess_status status = TESS_OK;
    while (!status) {
        double now = timing_now() - start;
        bool any = layer->best >= 0;
        layer->spent = before + now;
        if (any && now >= seconds) break;
        int candidate = search_next(layer->search, any ? fmin(layer->spent / total, 1) : 0);
        if (candidate < 0) {
            layer->exhausted = true;
            break;
        }
        /* A search may ask for what was measured before it was told. */
        if (layer->seconds[candidate] > 0)
            search_tell(layer->search, candidate, layer->seconds[candidate]);
        else
            status = try_candidate(layer, turn, candidate, error);
    }
    layer->spent = before + (timing_now() - start);
    if (best_before > 0 && layer->best >= 0)
        layer->gain = best_before / layer->best_seconds - 1;
    else if (layer->first_seconds > 0 && layer->best >= 0)
        layer->gain = layer->first_seconds / layer->best_seconds - 1;
    return status;
}

/* ---------------------------------------------------------------- finishing */

/* Candidates within 2 % of the best, the best left out, nearest first; returns how many. */
static int choose_finalists(const struct tune_layer *layer, int out[FINALISTS_MAX]) {
    int count = 0;
    for (int i = 0; i < layer->space->count; i++) {
        double s = layer->seconds[i];
        if (i == layer->best || !(s > 0) || s > finalist_ratio * layer->best_seconds) continue;
        int at = count < FINALISTS_MAX ? count++ : FINALISTS_MAX;
        for (; at > 0 && layer->seconds[out[at - 1]] > s; at--)
            if (at < FINALISTS_MAX) out[at] = out[at - 1];
        if (at < FINALISTS_MAX) out[at] = i;
    }
    return count;
}

static tess_status compare_finalists(struct tune_layer *layer, const struct layer_turn *turn,
                                     tess_error *error) {
    int finalists[FINALISTS_MAX];
    int count = choose_finalists(layer, finalists);
    for (int i = 0; i < count; i++) {
        char printed[CONV_CONFIG_SIZE];
        struct trial trial;
        layer_config(layer, finalists[i], printed);
        tess_status status =
            runner_compare(turn->runner, printed, layer->space->list[finalists[i]].bytes,
                           layer->space->list[layer->best].bytes, error, &trial);
        if (status) return status;
        layer->evaluations++;
        layer->failures += trial.status != DB_OK;
        turn->watch(turn->watch_user, layer, printed, &trial);
        if (!trial.best) continue;
        layer->best = finalists[i];
        layer->best_seconds = layer->seconds[layer->best] = trial.seconds;
        layer->row[layer->best] = trial.id;
    }
    return TESS_OK;
}

/* The winner is wrong: the next best. */
static void dethrone(struct tune_layer *layer) {
    layer->seconds[layer->best] = INFINITY;
    layer->failures++;
    search_tell(layer->search, layer->best, INFINITY);
    layer->best = -1;
    for (int i = 0; i < layer->space->count; i++)
        if (layer->seconds[i] > 0 && layer->seconds[i] < INFINITY &&
            (layer->best < 0 || layer->seconds[i] < layer->best_seconds)) {
            layer->best = i;
            layer->best_seconds = layer->seconds[i];
        }
}

tess_status layer_finish(struct tune_layer *layer, const struct layer_turn *turn,
                         tess_error *error) {
    double start = timing_now();
    tess_status status = layer->best >= 0 && layer->evaluations > 0
                             ? compare_finalists(layer, turn, error)
                             : TESS_OK;
    while (!status && layer->best >= 0 && !layer->verified) {
        char printed[CONV_CONFIG_SIZE];
        struct trial trial;
        layer_config(layer, layer->best, printed);
        status = runner_verify_winner(turn->runner, printed, turn->settings->winner_macs,
                                      layer->row[layer->best], error, &trial);
        if (status) break;
        layer->verified = trial.status == DB_OK;
        if (layer->verified) break;
        turn->watch(turn->watch_user, layer, printed, &trial);
        dethrone(layer);
    }
    layer->spent += timing_now() - start;
    return status;
}
