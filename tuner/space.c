#include "tuner/space.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Tables that permit more than this are a mistake: nobody could measure them, and memory has a bound. */
enum { SPACE_MAX = 1000000 };

/* What space_create allocates: the public part and the hash table behind space_find. */
struct indexed_space {
    struct space space;
    int *slots;  /* candidate + 1, 0: empty; open addressing */
    size_t mask; /* slot count - 1, a power of two less one */
};

struct collector {
    const struct space_options *options;
    const tess_device_info *device;
    const struct conv_algo *algo;
    struct space *space;
    size_t room;
    tess_status status;
};

/* ---------------------------------------------------------------- look-up */

static size_t hash_config(const struct conv_algo *algo, const struct conv_config *config) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *c = algo->name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    for (int i = 0; i < algo->param_count; i++)
        hash = (hash ^ (uint32_t)config->value[i]) * 0x100000001b3u;
    return (size_t)(hash ^ hash >> 32);
}

static bool same_config(const struct conv_algo *algo, const struct conv_config *a,
                        const struct conv_config *b) {
    return memcmp(a->value, b->value, (size_t)algo->param_count * sizeof *a->value) == 0;
}

/* The slot of a configuration, or the empty one where it would be. */
static size_t slot_of(const struct indexed_space *in, const struct conv_algo *algo,
                      const struct conv_config *config) {
    size_t slot = hash_config(algo, config) & in->mask;
    for (; in->slots[slot]; slot = (slot + 1) & in->mask) {
        const struct candidate *there = &in->space.list[in->slots[slot] - 1];
        if (there->algo == algo && same_config(algo, &there->config, config)) break;
    }
    return slot;
}

int space_find(const struct space *space, const struct conv_algo *algo,
               const struct conv_config *config) {
    /* Every space is the first member of an indexed one. */
    const struct indexed_space *in = (const struct indexed_space *)space;
    return in->slots[slot_of(in, algo, config)] - 1;
}

int space_find_printed(const struct space *space, const char *printed) {
    for (int i = 0; i < space->algo_count; i++) {
        const struct conv_algo *algo = space->algo[i];
        const char *rest = printed;
        const char *const parts[] = {"conv_", algo->name, "_", conv_pass_name(space->problem.pass)};
        for (int k = 0; k < 4 && rest; k++)
            rest = strncmp(rest, parts[k], strlen(parts[k])) == 0 ? rest + strlen(parts[k]) : NULL;
        if (!rest || (*rest && strncmp(rest, "__", 2) != 0)) continue;
        struct conv_config config;
        if (*rest) rest += 2;
        if (conv_config_parse(algo, space->problem.pass, rest, NULL, &config)) return -1;
        return space_find(space, algo, &config);
    }
    return -1;
}

/* ---------------------------------------------------------------- making */

static tess_status no_memory(tess_error *error) {
    return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                     "search space: no memory for its candidates; free some");
}

static bool append(struct collector *c, const struct candidate *candidate) {
    struct space *space = c->space;
    if (space->count == SPACE_MAX) {
        c->status = TESS_UNSUPPORTED;
        return false;
    }
    if ((size_t)space->count == c->room) {
        size_t room = c->room ? 2 * c->room : 256;
        struct candidate *list = realloc(space->list, room * sizeof *list);
        if (!list) {
            c->status = TESS_OUT_OF_HOST_MEMORY;
            return false;
        }
        space->list = list;
        c->room = room;
    }
    space->list[space->count++] = *candidate;
    return true;
}

/* A conv_config_visitor. */
static int collect(void *user, const struct conv_config *config) {
    struct collector *c = user;
    const struct conv_problem *problem = &c->space->problem;
    struct candidate candidate = {
        .algo = c->algo, .config = *config, .bytes = conv_algo_bytes(c->algo, problem, config)};
    if (c->options && c->options->limit_bytes && candidate.bytes > c->options->byte_limit) return 0;
    candidate.predicted = c->algo->predict(problem, c->device, config);
    /* A prediction that is no time says nothing: last in every order. */
    if (!(candidate.predicted > 0)) candidate.predicted = INFINITY;
    return append(c, &candidate) ? 0 : 1;
}

/* Fills in algo, algo_first and the hash table; list is complete. */
static tess_status index_list(struct indexed_space *in, tess_error *error) {
    struct space *space = &in->space;
    size_t slots = 16;
    while (slots < 2 * (size_t)space->count)
        slots *= 2;
    in->slots = calloc(slots, sizeof *in->slots);
    if (!in->slots) return no_memory(error);
    in->mask = slots - 1;
    for (int i = 0; i < space->count; i++) {
        const struct conv_algo *algo = space->list[i].algo;
        if (space->algo_count == 0 || space->algo[space->algo_count - 1] != algo) {
            space->algo[space->algo_count] = algo;
            space->algo_first[space->algo_count++] = i;
        }
        size_t slot = slot_of(in, algo, &space->list[i].config);
        if (in->slots[slot])
            return error_set(error, TESS_INVALID_ARGUMENT,
                             "search space: a configuration of %s is there twice; correct the "
                             "parameter table or the log that it comes from",
                             algo->name);
        in->slots[slot] = i + 1;
    }
    return TESS_OK;
}

/* What space_options.hopeless says; false: nonsense. */
static bool hopeless_ratio(const struct space_options *options, double *out) {
    *out = options && options->hopeless != 0 ? options->hopeless : 30;
    return *out >= 1;
}

/* What takes that much longer is not worth an exhaustive search's time. A prediction that is none is INFINITY, which says nothing. */
static void leave_out_hopeless(struct space *space, double ratio) {
    double best = INFINITY;
    for (int i = 0; i < space->count; i++)
        best = fmin(best, space->list[i].predicted);
    int kept = 0;
    for (int i = 0; i < space->count; i++) {
        double predicted = space->list[i].predicted;
        if (predicted == INFINITY || predicted <= ratio * best)
            space->list[kept++] = space->list[i];
    }
    space->count = kept;
}

static tess_status collect_failed(const struct collector *c, tess_error *error) {
    if (c->status == TESS_OUT_OF_HOST_MEMORY) return no_memory(error);
    return error_set(error, c->status,
                     "search space: %s alone takes it over %d candidates; add constraints to its "
                     "table",
                     c->algo->name, (int)SPACE_MAX);
}

tess_status space_create(const struct conv_problem *problem, const tess_device_info *device,
                         const struct space_options *options, tess_error *error,
                         struct space **out) {
    double ratio;
    if (!hopeless_ratio(options, &ratio))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "search space: candidates that take %g times the best are hopeless; give "
                         "a ratio of at least 1, or 0 for the default",
                         ratio);
    struct indexed_space *in = calloc(1, sizeof *in);
    if (!in) return no_memory(error);
    struct space *space = &in->space;
    space->problem = *problem;
    struct collector c = {.options = options, .device = device, .space = space};
    int algos = 0;
    for (int i = 0; i < conv_algo_count && !c.status; i++) {
        c.algo = conv_algos[i];
        if (options && options->strict && c.algo->error_growth) continue;
        if (!conv_algo_applicable(c.algo, problem, device)) continue;
        int before = space->count;
        conv_config_each(c.algo, problem, device, collect, &c);
        algos += space->count > before;
        if (algos == SPACE_ALGOS_MAX) break;
    }
    tess_status status = c.status ? collect_failed(&c, error) : TESS_OK;
    if (!status && space->count == 0)
        status = error_set(error, TESS_UNSUPPORTED,
                           "search space: no algorithm can do the problem on this device within "
                           "the limits; allow more workspace");
    leave_out_hopeless(space, ratio);
    if (!status) status = index_list(in, error);
    if (status) {
        space_destroy(space);
        return status;
    }
    *out = space;
    return TESS_OK;
}

tess_status space_from_list(const struct conv_problem *problem, const struct candidate *list,
                            int count, tess_error *error, struct space **out) {
    struct indexed_space *in = calloc(1, sizeof *in);
    if (!in) return no_memory(error);
    struct space *space = &in->space;
    space->problem = *problem;
    tess_status status = TESS_OK;
    int algos = 0;
    for (int i = 0; i < count; i++)
        algos += i == 0 || list[i].algo != list[i - 1].algo;
    if (count < 1 || count > SPACE_MAX || algos > SPACE_ALGOS_MAX) {
        status =
            error_set(error, TESS_INVALID_ARGUMENT,
                      "search space: %d candidates in %d runs of one algorithm; 1 to %d "
                      "candidates and at most %d algorithms, one after the other, make a space",
                      count, algos, (int)SPACE_MAX, (int)SPACE_ALGOS_MAX);
        goto fail;
    }
    space->list = malloc((size_t)count * sizeof *list);
    if (!space->list) {
        status = no_memory(error);
        goto fail;
    }
    memcpy(space->list, list, (size_t)count * sizeof *list);
    space->count = count;
    status = index_list(in, error);
    if (status) goto fail;
    *out = space;
    return TESS_OK;
fail:
    space_destroy(space);
    return status;
}

void space_destroy(struct space *space) {
    if (!space) return;
    struct indexed_space *in = (struct indexed_space *)space;
    free(in->slots);
    free(space->list);
    free(in);
}

/* ---------------------------------------------------------------- neighbours */

/* The position of a value in its parameter's table, or -1. */
static int position_of(const struct conv_param *param, int value) {
    for (int i = 0; i < param->count; i++)
        if (param->values[i] == value) return i;
    return -1;
}

/* The candidate whose parameter is step positions away; -1: there is none. */
static int stepped(const struct space *space, int candidate, int param, int step) {
    const struct candidate *from = &space->list[candidate];
    const struct conv_param *table = &from->algo->params[param];
    if (!(table->passes >> space->problem.pass & 1u)) return -1;
    int position = position_of(table, from->config.value[param]);
    if (position < 0 || position + step < 0 || position + step >= table->count) return -1;
    struct conv_config config = from->config;
    config.value[param] = table->values[position + step];
    return space_find(space, from->algo, &config);
}

int space_neighbours(const struct space *space, int candidate, int *out, int max) {
    int found = 0;
    for (int distance = 1; distance < CONV_VALUES_MAX; distance++)
        for (int i = 0; i < 2 * space->list[candidate].algo->param_count; i++) {
            int there = stepped(space, candidate, i / 2, i % 2 ? distance : -distance);
            if (there < 0) continue;
            if (found == max) return found;
            out[found++] = there;
        }
    return found;
}
