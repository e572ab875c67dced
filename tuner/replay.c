#include "tuner/replay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- random search */

struct random_order {
    int *order; /* owned */
    int count, at;
};

static uint64_t next_random(uint64_t *random) {
    uint64_t z = *random += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void random_destroy(void *state) {
    struct random_order *random = state;
    if (!random) return;
    free(random->order);
    free(random);
}

static tess_status random_create(const struct space *space, const struct search_options *options,
                                 tess_error *error, void **state) {
    struct random_order *random = calloc(1, sizeof *random);
    if (random) random->order = calloc((size_t)space->count, sizeof *random->order);
    if (!random || !random->order) {
        random_destroy(random);
        return error_set(error, TESS_OUT_OF_HOST_MEMORY, "random search: no memory; free some");
    }
    uint64_t seed = options->seed;
    random->count = space->count;
    for (int i = 0; i < space->count; i++) {
        int k = (int)(next_random(&seed) % (uint64_t)(i + 1));
        random->order[i] = random->order[k];
        random->order[k] = i;
    }
    *state = random;
    return TESS_OK;
}

static int random_next(void *state, double spent) {
    struct random_order *random = state;
    return spent >= 1 || random->at == random->count ? -1 : random->order[random->at++];
}

static void random_tell(void *state, int candidate, double seconds) {
    (void)state, (void)candidate, (void)seconds;
}

const struct replay_strategy replay_random = {"random", random_create, random_next, random_tell,
                                              random_destroy};

/* ---------------------------------------------------------------- the tuner's search */

static tess_status tuner_create(const struct space *space, const struct search_options *options,
                                tess_error *error, void **state) {
    struct search *search = NULL;
    tess_status status = search_create(space, options, error, &search);
    if (!status) *state = search;
    return status;
}
static int tuner_next(void *state, double spent) {
    return search_next(state, spent);
}
static void tuner_tell(void *state, int candidate, double seconds) {
    search_tell(state, candidate, seconds);
}
static void tuner_destroy(void *state) {
    search_destroy(state);
}

const struct replay_strategy replay_search = {"search", tuner_create, tuner_next, tuner_tell,
                                              tuner_destroy};

/* ---------------------------------------------------------------- running */

int replay_evaluations(const struct replay *replay) {
    int share = (replay->good + 49) / 50;
    return share > 64 ? share : 64;
}

static int best_predicted(const struct space *space) {
    int best = 0;
    for (int i = 1; i < space->count; i++)
        if (space->list[i].predicted < space->list[best].predicted) best = i;
    return best;
}

/* One seed: the share of the optimum after each evaluation in shares[0 .. evaluations - 1]. */
static tess_status run_seed(const struct replay *replay, const struct replay_strategy *strategy,
                            const struct search_options *options, tess_error *error,
                            double *shares) {
    void *state = NULL;
    tess_status status = strategy->create(replay->space, options, error, &state);
    if (status) return status;
    double best = INFINITY;
    int done = 0, next;
    while (done < options->evaluations && (next = strategy->next(state, 0)) >= 0) {
        strategy->tell(state, next, replay->seconds[next]);
        best = fmin(best, replay->seconds[next]);
        shares[done++] = replay->best / best;
    }
    for (; done < options->evaluations; done++)
        shares[done] = replay->best / best;
    strategy->destroy(state);
    return TESS_OK;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median over the seeds of the share after the given number of evaluations; sorted receives all. */
static double median_after(const double *shares, int seeds, int evaluations, int after,
                           double *sorted) {
    if (after > evaluations) after = evaluations;
    for (int i = 0; i < seeds; i++)
        sorted[i] = shares[(size_t)i * (size_t)evaluations + (size_t)after - 1];
    qsort(sorted, (size_t)seeds, sizeof *sorted, compare);
    return 0.5 * (sorted[(seeds - 1) / 2] + sorted[seeds / 2]);
}

static void summarize(const double *shares, int seeds, int evaluations, double *sorted,
                      struct replay_report *out) {
    *out = (struct replay_report){.evaluations = evaluations};
    for (int i = 0; i < REPLAY_CURVE; i++)
        out->curve[i] = median_after(shares, seeds, evaluations, 1 << i, sorted);
    out->median = median_after(shares, seeds, evaluations, evaluations, sorted);
    out->worst = sorted[0];
    for (int i = 0; i < seeds; i++)
        out->mean += sorted[i] / seeds;
}

tess_status replay_run(const struct replay *replay, const struct replay_strategy *strategy,
                       int seeds, int evaluations, tess_error *error, struct replay_report *out) {
    if (evaluations == 0) evaluations = replay_evaluations(replay);
    if (seeds < 1 || evaluations < 1)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "replay: %d seeds, %d evaluations; take at least one of each", seeds,
                         evaluations);
    double *shares = calloc((size_t)seeds * (size_t)evaluations, sizeof *shares);
    double *sorted = malloc((size_t)seeds * sizeof *sorted);
    tess_status status = TESS_OK;
    if (!shares || !sorted)
        status = error_set(error, TESS_OUT_OF_HOST_MEMORY, "replay: no memory; free some");
    struct search_options options = {.evaluations = evaluations,
                                     .first = best_predicted(replay->space)};
    for (int i = 0; i < seeds && !status; i++) {
        options.seed = (uint64_t)i;
        status =
            run_seed(replay, strategy, &options, error, shares + (size_t)i * (size_t)evaluations);
    }
    if (!status) summarize(shares, seeds, evaluations, sorted, out);
    free(shares);
    free(sorted);
    return status;
}
