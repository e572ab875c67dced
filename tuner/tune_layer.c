#include "tuner/tune_layer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/timing.h"

enum { ROWS_MAX = 4096 };
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
    layer->first_strict = space_find_printed(layer->space, guesses->first_strict);
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

/* The anchor of the last turn, so that times stay on one scale; else the best that still runs. */
static tess_status restore_anchor(struct tune_layer *layer, const struct layer_turn *turn,
                                  tess_error *error) {
    bool good = false;
    if (layer->anchor[0]) {
        tess_status status =
            runner_set_anchor(turn->runner, layer->anchor, layer->anchor_seconds, error, &good);
        if (status || good) return status;
    }
    while (layer->best >= 0) {
        char printed[CONV_CONFIG_SIZE];
        layer_config(layer, layer->best, printed);
        tess_status status =
            runner_set_anchor(turn->runner, printed, layer->best_seconds, error, &good);
        if (status || good) return status;
        search_tell(layer->search, layer->best, INFINITY);
        layer->seconds[layer->best] = INFINITY;
        layer->best = search_best(layer->search);
        if (layer->best >= 0) layer->best_seconds = layer->seconds[layer->best];
    }
    return TESS_OK;
}

static void keep_anchor(struct tune_layer *layer, const struct layer_turn *turn) {
    const char *anchor = runner_anchor(turn->runner, &layer->anchor_seconds);
    snprintf(layer->anchor, sizeof layer->anchor, "%s", anchor);
}

tess_status layer_open(struct tune_layer *layer, const struct layer_turn *turn, tess_error *error) {
    struct runner_guesses guesses;
    double start = timing_now();
    tess_status status =
        runner_open(turn->runner, &layer->problem, turn->settings->strict, error, &guesses);
    if (!status && !layer->search) status = make_space(layer, turn, &guesses, error);
    if (!status) status = restore_anchor(layer, turn, error);
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
        status = runner_try(turn->runner, printed, layer->best >= 0 ? layer->best_seconds : 0,
                            error, &trial);
        if (status) return status;
        layer->evaluations += !trial.twin;
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
    keep_anchor(layer, turn);
    layer->spent = before + (timing_now() - start);
    if (best_before > 0 && layer->best >= 0)
        layer->gain = best_before / layer->best_seconds - 1;
    else if (layer->first_seconds > 0 && layer->best >= 0)
        layer->gain = layer->first_seconds / layer->best_seconds - 1;
    return status;
}

/* ---------------------------------------------------------------- finishing */

static bool measured(const struct tune_layer *layer, int candidate) {
    return layer->seconds[candidate] > 0 && layer->seconds[candidate] < INFINITY;
}

static bool is_strict(const struct tune_layer *layer, int candidate) {
    return !layer->space->list[candidate].algo->error_growth;
}

/* Of all that were measured; of the strict ones, if only they count; of those whose mark is that, if there are marks; -1: none. */
static int fastest(const struct tune_layer *layer, bool strict, const bool *marks, bool mark) {
    int best = -1;
    for (int i = 0; i < layer->space->count; i++)
        if (measured(layer, i) && (!strict || is_strict(layer, i)) &&
            (!marks || marks[i] == mark) && (best < 0 || layer->seconds[i] < layer->seconds[best]))
            best = i;
    return best;
}

static void take_best(struct tune_layer *layer) {
    layer->best = fastest(layer, false, NULL, true);
    if (layer->best >= 0) layer->best_seconds = layer->seconds[layer->best];
}

/* One finalist, whose new time replaces its old one; the anchor's own stands by definition. */
static tess_status measure_finalist(struct tune_layer *layer, const struct layer_turn *turn,
                                    int candidate, const struct runner_rival *rival,
                                    tess_error *error) {
    char printed[CONV_CONFIG_SIZE];
    struct trial trial;
    double anchor_seconds;
    layer_config(layer, candidate, printed);
    if (strcmp(printed, runner_anchor(turn->runner, &anchor_seconds)) == 0) return TESS_OK;
    for (int i = 0; i < 2; i++) {
        tess_status status = runner_final(turn->runner, printed, rival, error, &trial);
        if (status) return status;
        layer->evaluations++;
        layer->failures += trial.status != DB_OK;
        turn->watch(turn->watch_user, layer, printed, &trial);
        if (!may_pass(trial.status)) break;
    }
    bool good = trial.status == DB_OK;
    layer->seconds[candidate] = good ? trial.seconds : INFINITY;
    if (good) layer->row[candidate] = trial.id;
    if (good && strcmp(printed, layer->first) == 0) layer->first_seconds = trial.seconds;
    return TESS_OK;
}

/* The least of many noisy times is luck in part. Whoever looks fastest (of the strict ones, if only they count) is measured again, until it
   is one that was; then some that are nearly as fast, and what would be taken untuned, so that the gain is no luck either. done: who was
   measured so, updated. */
static tess_status measure_finalists(struct tune_layer *layer, const struct layer_turn *turn,
                                     bool strict, bool *done, tess_error *error) {
    int best = fastest(layer, strict, done, true);
    int first = strict ? layer->first_strict : space_find_printed(layer->space, layer->first);
    tess_status status = TESS_OK;
    for (int count = 0; !status; count++) {
        int next = fastest(layer, strict, done, false);
        double limit = best < 0                            ? INFINITY
                       : count < turn->settings->finalists ? finalist_ratio * layer->seconds[best]
                                                           : layer->seconds[best];
        if (next < 0 || layer->seconds[next] > limit)
            next = first >= 0 && !done[first] && measured(layer, first) ? first : -1;
        if (next < 0) break;
        const struct runner_rival rival = {best >= 0 ? layer->seconds[best] : 0,
                                           best >= 0 ? layer->space->list[best].bytes : 0};
        status = measure_finalist(layer, turn, next, &rival, error);
        done[next] = true;
        if (measured(layer, next) && (best < 0 || layer->seconds[next] < layer->seconds[best]))
            best = next;
    }
    return status;
}

/* The winner is wrong. */
static void dethrone(struct tune_layer *layer, int winner) {
    layer->seconds[winner] = INFINITY;
    layer->failures++;
    search_tell(layer->search, winner, INFINITY);
    take_best(layer);
}

static tess_status verify(struct tune_layer *layer, const struct layer_turn *turn, int winner,
                          bool *right, tess_error *error) {
    char printed[CONV_CONFIG_SIZE];
    struct trial trial;
    layer_config(layer, winner, printed);
    *right = strcmp(printed, layer->ahead) == 0;
    if (*right) return TESS_OK;
    tess_status status = runner_verify_winner(turn->runner, printed, turn->settings->winner_macs,
                                              layer->row[winner], error, &trial);
    if (status) return status;
    *right = trial.status == DB_OK;
    if (*right) return TESS_OK;
    turn->watch(turn->watch_user, layer, printed, &trial);
    dethrone(layer, winner);
    return TESS_OK;
}

/* Who wins of all, or of the strict ones alone. After a winner that is wrong the next best is one that was measured again, too. */
static tess_status crown(struct tune_layer *layer, const struct layer_turn *turn, bool strict,
                         bool *done, tess_error *error) {
    tess_status status = TESS_OK;
    bool right = false;
    while (!status && !right) {
        if (layer->evaluations > 0) status = measure_finalists(layer, turn, strict, done, error);
        take_best(layer);
        int winner = strict ? fastest(layer, true, NULL, true) : layer->best;
        if (status || winner < 0) break;
        status = verify(layer, turn, winner, &right, error);
    }
    if (!strict) layer->verified = right;
    return status;
}

/* What is taken untuned, if the search had no time for it: what is known from earlier may be slower. *met: it was measured now. */
static tess_status meet(struct tune_layer *layer, const struct layer_turn *turn, int candidate,
                        bool *met, tess_error *error) {
    *met = candidate >= 0 && layer->seconds[candidate] == 0;
    return *met ? try_candidate(layer, turn, candidate, error) : TESS_OK;
}

/* Nobody who demands strict math does worse than untuned, although the search was for others. Where it met nobody strict, the planner
   answers as untuned anyway. */
static tess_status crown_strict(struct tune_layer *layer, const struct layer_turn *turn, bool *done,
                                tess_error *error) {
    bool met;
    if (fastest(layer, true, NULL, true) < 0) return TESS_OK;
    tess_status status = meet(layer, turn, layer->first_strict, &met, error);
    if (status || (is_strict(layer, layer->best) && !met)) return status;
    return crown(layer, turn, true, done, error);
}

tess_status layer_finish(struct tune_layer *layer, const struct layer_turn *turn,
                         tess_error *error) {
    double start = timing_now();
    bool *done = calloc((size_t)layer->space->count, sizeof *done);
    if (!done) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "tune: out of memory");
    bool met;
    tess_status status =
        meet(layer, turn, space_find_printed(layer->space, layer->first), &met, error);
    if (!status) status = crown(layer, turn, false, done, error);
    if (!status) status = crown_strict(layer, turn, done, error);
    free(done);
    layer->spent += timing_now() - start;
    return status;
}
