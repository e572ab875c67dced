#include "tuner/search.h"

#include "tuner/search_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An algorithm is out when after a fair number of evaluations its best is this much slower than the leader's, and the
   model sees nothing in it that could win, within so many standard deviations. */
static const double drop_ratio = 1.5, likely_range = 1.5;
enum { FAIR_MAX = 6 };

/* Share of cold restarts in the evaluations after the race. */
static const double cold_share = 0.3;
enum {
    COLD_SAMPLE = 8, /* a restart begins at the least known of so many random candidates */
    COLD_MISSES = 3, /* and ends after so many steps without gain */
    BEST_FEW = 3     /* whose neighbours are tried */
};
enum { NEIGHBOURS_MAX = CONV_PARAMS_MAX * CONV_VALUES_MAX };

struct search {
    const struct space *space;
    struct search_model *model; /* NULL: exhaustive */
    struct search_options options;
    int *warm; /* owned; first and options.warm, without repetitions */
    int warm_count;
    uint64_t random;
    bool *asked;     /* by candidate, likewise seconds */
    double *seconds; /* 0: not told; INFINITY: failed */
    int seen, told;  /* candidates asked or told; told */
    int seen_of[SPACE_ALGOS_MAX], told_of[SPACE_ALGOS_MAX];
    int best_of[SPACE_ALGOS_MAX]; /* -1: none worked */
    int best;
    int cursor, stride;   /* of the exhaustive order */
    int after_race, cold; /* evaluations after the race, and those of them that are cold */
    int climb;            /* where the cold descent is; -1: nowhere */
    int climb_asked;      /* its last step, whose time decides what is next; -1: none */
    int climb_misses;
    bool local; /* turn of the neighbours of the best */
    bool stale; /* told since the model was updated */
};

/* ---------------------------------------------------------------- making */

/* splitmix64, Steele et al. 2014. */
static uint64_t next_random(struct search *s) {
    uint64_t z = s->random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
static int random_below(struct search *s, int limit) {
    return (int)(next_random(s) % (uint64_t)limit);
}

static int greatest_common_divisor(int a, int b) {
    while (b) {
        int rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Steps of the golden section visit a list so that any prefix is spread over it. */
static void choose_order(struct search *s) {
    int count = s->space->count;
    s->cursor = random_below(s, count);
    s->stride = (int)(0.6180339887 * count);
    if (s->stride < 1) s->stride = 1;
    while (greatest_common_divisor(s->stride, count) != 1)
        s->stride++;
}

static void add_warm(struct search *s, int candidate) {
    if (candidate < 0 || candidate >= s->space->count) return;
    for (int i = 0; i < s->warm_count; i++)
        if (s->warm[i] == candidate) return;
    s->warm[s->warm_count++] = candidate;
}

tess_status search_create(const struct space *space, const struct search_options *options,
                          tess_error *error, struct search **out) {
    struct search *s = calloc(1, sizeof *s);
    tess_status status = TESS_OUT_OF_HOST_MEMORY;
    if (!s) goto fail;
    s->space = space;
    s->options = *options;
    s->options.warm = NULL;
    s->random = options->seed;
    s->warm = malloc(((size_t)options->warm_count + 1) * sizeof *s->warm);
    s->asked = calloc((size_t)space->count, sizeof *s->asked);
    s->seconds = calloc((size_t)space->count, sizeof *s->seconds);
    if (!s->warm || !s->asked || !s->seconds) goto fail;
    add_warm(s, options->first);
    for (int i = 0; i < options->warm_count; i++)
        add_warm(s, options->warm[i]);
    for (int i = 0; i < SPACE_ALGOS_MAX; i++)
        s->best_of[i] = -1;
    s->best = s->climb = s->climb_asked = -1;
    choose_order(s);
    if (!options->exhaustive) {
        status = search_model_create(space, error, &s->model);
        if (status) {
            search_destroy(s);
            return status;
        }
    }
    *out = s;
    return TESS_OK;
fail:
    search_destroy(s);
    return error_set(error, status, "search: no memory for %d candidates; free some", space->count);
}

void search_destroy(struct search *s) {
    if (!s) return;
    search_model_destroy(s->model);
    free(s->warm);
    free(s->asked);
    free(s->seconds);
    free(s);
}

/* ---------------------------------------------------------------- telling */

static int algo_end(const struct space *space, int algo) {
    return algo + 1 < space->algo_count ? space->algo_first[algo + 1] : space->count;
}
static int algo_size(const struct space *space, int algo) {
    return algo_end(space, algo) - space->algo_first[algo];
}
static int algo_of(const struct space *space, int candidate) {
    int algo = 0;
    while (candidate >= algo_end(space, algo))
        algo++;
    return algo;
}

static bool is_seen(const struct search *s, int candidate) {
    return s->asked[candidate] || s->seconds[candidate] > 0;
}
static void mark_seen(struct search *s, int candidate) {
    if (is_seen(s, candidate)) return;
    s->seen++;
    s->seen_of[algo_of(s->space, candidate)]++;
}

/* The fastest of [first, end), -1: none worked. */
static int fastest(const struct search *s, int first, int end) {
    int best = -1;
    for (int i = first; i < end; i++)
        if (s->seconds[i] > 0 && s->seconds[i] < INFINITY &&
            (best < 0 || s->seconds[i] < s->seconds[best]))
            best = i;
    return best;
}

/* The cold descent goes on from its last step if that was a gain. */
static void tell_climb(struct search *s) {
    int step = s->climb_asked;
    s->climb_asked = -1;
    if (s->seconds[step] < s->seconds[s->climb]) {
        s->climb = step;
        s->climb_misses = 0;
    } else {
        s->climb_misses++;
    }
}

/* Brings best_of[algo] and best up to date after candidate was told. */
static void keep_best(struct search *s, int algo, int candidate) {
    int *best = &s->best_of[algo];
    double seconds = s->seconds[candidate];
    if (candidate == *best)
        *best = fastest(s, s->space->algo_first[algo], algo_end(s->space, algo));
    else if (seconds < INFINITY && (*best < 0 || seconds < s->seconds[*best]))
        *best = candidate;
    s->best = -1;
    for (int i = 0; i < s->space->algo_count; i++)
        if (s->best_of[i] >= 0 && (s->best < 0 || s->seconds[s->best_of[i]] < s->seconds[s->best]))
            s->best = s->best_of[i];
}

void search_tell(struct search *s, int candidate, double seconds) {
    if (candidate < 0 || candidate >= s->space->count) return;
    mark_seen(s, candidate);
    int algo = algo_of(s->space, candidate);
    if (s->seconds[candidate] == 0) {
        s->told++;
        s->told_of[algo]++;
    }
    s->seconds[candidate] = seconds > 0 ? seconds : INFINITY;
    keep_best(s, algo, candidate);
    if (s->model) search_model_tell(s->model, candidate, s->seconds[candidate]);
    s->stale = true;
    if (candidate == s->climb_asked) tell_climb(s);
}

int search_best(const struct search *s) {
    return s->best;
}
int search_evaluated(const struct search *s) {
    return s->told;
}
int search_cold(const struct search *s) {
    return s->cold;
}

/* ---------------------------------------------------------------- choosing by the model */

static struct estimate estimate(struct search *s, int candidate) {
    if (s->stale) search_model_update(s->model);
    s->stale = false;
    return search_model_estimate(s->model, candidate);
}

/* Expected improvement over target (log seconds), in units of log seconds. Jones et al. 1998, eq. 15. */
static double improvement(struct estimate e, double target) {
    double z = (target - e.mean) / e.deviation;
    double density = exp(-0.5 * z * z) / 2.5066282746310002, below = 0.5 * erfc(-z / sqrt(2));
    return e.deviation * (z * below + density);
}

/* What a candidate promises; comparable as long as nothing is told. */
static double promise(struct search *s, int candidate, double target) {
    struct estimate e = estimate(s, candidate);
    double gain = improvement(e, target);
    /* Far above the target gains underflow; there the nearest is the best. */
    return gain > 1e-12 ? gain : -e.mean * 1e-6 - 1e-3;
}

static double target_of(const struct search *s, int best) {
    return best < 0 ? 0 : log(s->seconds[best]);
}

static bool may_take(const struct search *s, int candidate, const bool *out) {
    return !is_seen(s, candidate) && !out[algo_of(s->space, candidate)];
}

/* The most promising candidate of [first, end) that was not seen, -1: none. */
static int most_promising(struct search *s, int first, int end, double target) {
    int best = -1;
    double most = -INFINITY;
    for (int i = first; i < end; i++) {
        if (is_seen(s, i)) continue;
        double value = promise(s, i, target);
        if (best >= 0 && !(value > most)) continue;
        most = value;
        best = i;
    }
    return best;
}

static int by_model(struct search *s, const bool *out) {
    int best = -1;
    double target = target_of(s, s->best);
    for (int i = 0; i < s->space->algo_count; i++) {
        if (out[i]) continue;
        int there = most_promising(s, s->space->algo_first[i], algo_end(s->space, i), target);
        if (there < 0) continue;
        if (best < 0 || promise(s, there, target) > promise(s, best, target)) best = there;
    }
    return best;
}

/* The most promising neighbour of candidate that was not seen, better than the one that is known (which may be -1). */
static int better_neighbour(struct search *s, int candidate, double target, int known) {
    int list[NEIGHBOURS_MAX];
    int count = space_neighbours(s->space, candidate, list, NEIGHBOURS_MAX);
    for (int i = 0; i < count; i++)
        if (!is_seen(s, list[i]) &&
            (known < 0 || promise(s, list[i], target) > promise(s, known, target)))
            known = list[i];
    return known;
}

/* Likewise of those that differ in a pair of parameters. */
static int better_pair(struct search *s, int candidate, double target, int known) {
    int list[NEIGHBOURS_MAX];
    int count = space_neighbours(s->space, candidate, list, NEIGHBOURS_MAX);
    for (int i = 0; i < count; i++)
        known = better_neighbour(s, list[i], target, known);
    return known;
}

/* The best few told ones of algorithms that are not out; returns how many. */
static int best_few(const struct search *s, const bool *out, int few[BEST_FEW]) {
    int count = 0;
    for (int i = 0; i < s->space->count; i++) {
        if (!(s->seconds[i] > 0 && s->seconds[i] < INFINITY) || out[algo_of(s->space, i)]) continue;
        int at = count < BEST_FEW ? count++ : BEST_FEW;
        for (; at > 0 && s->seconds[few[at - 1]] > s->seconds[i]; at--)
            if (at < BEST_FEW) few[at] = few[at - 1];
        if (at < BEST_FEW) few[at] = i;
    }
    return count;
}

/* Local search: the neighbours of the best few, and when those are used up, the pairs of parameters. */
static int by_neighbours(struct search *s, const bool *out) {
    int few[BEST_FEW], found = -1;
    int count = best_few(s, out, few);
    double target = target_of(s, s->best);
    for (int i = 0; i < count; i++)
        found = better_neighbour(s, few[i], target, found);
    for (int i = 0; i < count && found < 0; i++)
        found = better_pair(s, few[i], target, found);
    return found;
}

/* ---------------------------------------------------------------- cold restarts */

/* A random candidate that was not seen, of a random algorithm: a small algorithm is tried as often as a large one. -1: none. */
static int random_candidate(struct search *s, const bool *out) {
    int algos = s->space->algo_count, algo = random_below(s, algos);
    for (int i = 0; i < algos; i++, algo = (algo + 1) % algos) {
        int first = s->space->algo_first[algo], size = algo_size(s->space, algo);
        if (out[algo] || s->seen_of[algo] == size) continue;
        int at = random_below(s, size);
        while (is_seen(s, first + at))
            at = (at + 1) % size;
        return first + at;
    }
    return -1;
}

/* The least known of a few random ones: independent of where the best is. */
static int spread_candidate(struct search *s, const bool *out) {
    int found = random_candidate(s, out);
    for (int i = 1; i < COLD_SAMPLE && found >= 0; i++) {
        int there = random_candidate(s, out);
        if (estimate(s, there).deviation > estimate(s, found).deviation) found = there;
    }
    return found;
}

static int by_cold_restart(struct search *s, const bool *out) {
    bool going = s->climb >= 0 && s->climb_misses < COLD_MISSES && s->seconds[s->climb] > 0 &&
                 s->seconds[s->climb] < INFINITY && !out[algo_of(s->space, s->climb)];
    int step = going ? better_neighbour(s, s->climb, target_of(s, s->climb), -1) : -1;
    s->climb_asked = step;
    if (step >= 0) return step;
    s->climb = spread_candidate(s, out);
    s->climb_misses = 0;
    return s->climb;
}

/* ---------------------------------------------------------------- race */

/* How many evaluations the search will probably have. */
static double horizon(const struct search *s, double spent) {
    double total = s->space->count;
    if (s->options.evaluations > 0 && s->options.evaluations < total)
        total = s->options.evaluations;
    if (spent > 0.02 && s->seen / spent < total) total = s->seen / spent;
    return total;
}

/* Evaluations that an algorithm gets before it may be dropped; none where not even four are to be had for each: then the
   predictions decide. */
static int fair_number(const struct search *s, double spent) {
    int fair = (int)(horizon(s, spent) / (4 * s->space->algo_count));
    return fair > FAIR_MAX ? FAIR_MAX : fair;
}

static double best_prediction(const struct search *s, int algo) {
    double best = INFINITY;
    for (int i = s->space->algo_first[algo]; i < algo_end(s->space, algo); i++)
        best = fmin(best, s->space->list[i].predicted);
    return best;
}

/* The algorithm that has had the fewest evaluations of those that have not had their fair number; the
   better predicted of equals; -1: the race is over. */
static int next_in_race(const struct search *s, int fair) {
    int next = -1;
    for (int i = 0; i < s->space->algo_count; i++) {
        if (s->seen_of[i] >= fair || s->seen_of[i] == algo_size(s->space, i)) continue;
        if (next < 0 || s->seen_of[i] < s->seen_of[next] ||
            (s->seen_of[i] == s->seen_of[next] && best_prediction(s, i) < best_prediction(s, next)))
            next = i;
    }
    return next;
}

/* The next warm start that was not seen, of any algorithm that is not out, or -1. */
static int next_warm(const struct search *s, const bool *out) {
    for (int i = 0; i < s->warm_count; i++)
        if (may_take(s, s->warm[i], out)) return s->warm[i];
    return -1;
}

static int race(struct search *s, int algo) {
    bool others[SPACE_ALGOS_MAX];
    for (int i = 0; i < s->space->algo_count; i++)
        others[i] = i != algo;
    int warm = next_warm(s, others);
    if (warm >= 0) return warm;
    int first = s->space->algo_first[algo], end = algo_end(s->space, algo);
    if (s->seen_of[algo] % 3 == 2) return spread_candidate(s, others);
    return most_promising(s, first, end, target_of(s, s->best_of[algo]));
}

/* Whether the model thinks it possible that something in the algorithm beats the best. */
static bool may_win(struct search *s, int algo) {
    double target = target_of(s, s->best);
    for (int i = s->space->algo_first[algo]; i < algo_end(s->space, algo); i++) {
        if (is_seen(s, i)) continue;
        struct estimate e = estimate(s, i);
        if (e.mean - likely_range * e.deviation < target) return true;
    }
    return false;
}

/* Which algorithms are out; none that are left to try: all may be tried again. */
static void find_dropped(struct search *s, int fair, bool out[SPACE_ALGOS_MAX]) {
    bool anything = false;
    for (int i = 0; i < s->space->algo_count; i++) {
        bool slow = s->best_of[i] < 0 ||
                    (s->best >= 0 && s->seconds[s->best_of[i]] > drop_ratio * s->seconds[s->best]);
        out[i] = s->best >= 0 && slow && s->told_of[i] >= fair && !may_win(s, i);
        anything |= !out[i] && s->seen_of[i] < algo_size(s->space, i);
    }
    if (!anything) memset(out, 0, SPACE_ALGOS_MAX * sizeof *out);
}

/* ---------------------------------------------------------------- asking */

static int after_race(struct search *s, int fair) {
    bool out[SPACE_ALGOS_MAX];
    find_dropped(s, fair, out);
    s->after_race++;
    int warm = next_warm(s, out);
    if (warm >= 0) return warm;
    if (s->after_race > 2 && s->cold < cold_share * s->after_race) {
        s->cold++;
        return by_cold_restart(s, out);
    }
    s->local = !s->local;
    int found = s->local ? by_neighbours(s, out) : -1;
    return found >= 0 ? found : by_model(s, out);
}

static int next_in_order(struct search *s) {
    bool none[SPACE_ALGOS_MAX] = {false};
    int warm = next_warm(s, none);
    if (warm >= 0) return warm;
    int count = s->space->count;
    do
        s->cursor = (int)(((int64_t)s->cursor + s->stride) % count);
    while (is_seen(s, s->cursor));
    return s->cursor;
}

int search_next(struct search *s, double spent) {
    int limit = s->options.evaluations;
    if (spent >= 1 || s->seen == s->space->count || (limit > 0 && s->seen >= limit)) return -1;
    int next;
    if (s->options.exhaustive) {
        next = next_in_order(s);
    } else if (s->seen == 0 && s->warm_count) {
        next = s->warm[0];
    } else {
        int fair = fair_number(s, spent), algo = next_in_race(s, fair);
        next = algo >= 0 ? race(s, algo) : after_race(s, fair);
    }
    mark_seen(s, next);
    s->asked[next] = true;
    return next;
}
