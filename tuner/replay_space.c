/* A recorded search as a space: algorithms and parameter tables are read from the printed configurations. */
#include "tuner/replay.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 24 };

struct replay_algo {
    struct conv_algo algo;
    struct conv_param params[CONV_PARAMS_MAX];
    char name[NAME_SIZE], param_names[CONV_PARAMS_MAX][NAME_SIZE];
};

struct parser {
    const struct trial_log *log;
    tess_error *error;
    struct replay_algo *algos;
    int algo_count;
    struct candidate *candidates; /* in the log's order */
};

static tess_status bad_config(const struct parser *in, const char *config, const char *why) {
    return error_set(in->error, TESS_BAD_FORMAT,
                     "trial log of %s: configuration '%s': %s; record the log again",
                     in->log->problem, config, why);
}

/* The algorithm called name[0 .. length-1], made if it is new; NULL: too many, or no name. */
static struct replay_algo *algo_named(struct parser *in, const char *name, size_t length) {
    if (length == 0 || length >= NAME_SIZE) return NULL;
    for (int i = 0; i < in->algo_count; i++)
        if (strlen(in->algos[i].name) == length && memcmp(in->algos[i].name, name, length) == 0)
            return &in->algos[i];
    if (in->algo_count == SPACE_ALGOS_MAX) return NULL;
    struct replay_algo *made = &in->algos[in->algo_count++];
    memcpy(made->name, name, length);
    made->algo = (struct conv_algo){.name = made->name, .params = made->params, .param_count = -1};
    return made;
}

/* Keeps values sorted; false: no room for one more. */
static bool add_value(struct conv_param *param, int value) {
    int at = 0;
    while (at < param->count && param->values[at] < value)
        at++;
    if (at < param->count && param->values[at] == value) return true;
    if (param->count == CONV_VALUES_MAX) return false;
    memmove(param->values + at + 1, param->values + at,
            (size_t)(param->count - at) * sizeof *param->values);
    param->values[at] = value;
    param->count++;
    return true;
}

/* Reads "wt14_kv2". The first configuration of an algorithm names its parameters, the others must have the same. */
static const char *parse_params(struct replay_algo *algo, const char *text,
                                struct conv_config *config) {
    bool fresh = algo->algo.param_count < 0;
    int count = 0;
    while (*text) {
        size_t length = strspn(text, "abcdefghijklmnopqrstuvwxyz");
        if (count == CONV_PARAMS_MAX || length == 0 || length >= NAME_SIZE ||
            !isdigit((unsigned char)text[length]))
            return "not written like wt14_kv2";
        char *name = algo->param_names[count], *end = NULL;
        if (fresh) memcpy(name, text, length);
        if (strlen(name) != length || memcmp(name, text, length) != 0)
            return "other parameters than the algorithm has elsewhere";
        long value = strtol(text + length, &end, 10);
        if (value > 1000000000 || (*end && (*end != '_' || !end[1])))
            return "not written like wt14_kv2";
        struct conv_param *param = &algo->params[count];
        param->name = name;
        param->passes = CONV_IN_ALL;
        if (!add_value(param, (int)value)) return "a parameter has too many values";
        config->value[count++] = (int)value;
        text = *end ? end + 1 : end;
    }
    if (!fresh && count != algo->algo.param_count)
        return "other parameters than the algorithm has elsewhere";
    algo->algo.param_count = count;
    return NULL;
}

/* "conv_<algo>_<pass>" with "__<parameters>" where there are any. */
static tess_status parse_config(struct parser *in, const struct logged_trial *trial,
                                struct candidate *out) {
    const char *text = trial->config, *params = strstr(text, "__"), *end = text + strlen(text);
    const char *pass = conv_pass_name(in->log->pass);
    size_t length = (size_t)((params ? params : end) - text), tail = strlen(pass) + 1;
    if (length < 5 + tail || strncmp(text, "conv_", 5) != 0 || text[length - tail] != '_' ||
        strncmp(text + length - tail + 1, pass, tail - 1) != 0)
        return bad_config(in, text, "not of the log's pass");
    struct replay_algo *algo = algo_named(in, text + 5, length - 5 - tail);
    if (!algo) return bad_config(in, text, "too many algorithms, or no name of one");
    *out = (struct candidate){.algo = &algo->algo, .predicted = trial->predicted};
    const char *why = parse_params(algo, params ? params + 2 : end, &out->config);
    return why ? bad_config(in, text, why) : TESS_OK;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Fills in what is known about times. */
static tess_status measure(const struct parser *in, struct replay *replay) {
    double *noise = malloc((size_t)in->log->count * sizeof *noise);
    if (!noise)
        return error_set(in->error, TESS_OUT_OF_HOST_MEMORY, "replay: no memory; free some");
    replay->best = INFINITY;
    for (int i = 0; i < in->log->count; i++) {
        const struct logged_trial *trial = &in->log->trials[i];
        if (!(trial->seconds < INFINITY)) continue;
        replay->best = fmin(replay->best, trial->seconds);
        noise[replay->good++] = trial->mad / trial->seconds;
    }
    qsort(noise, (size_t)replay->good, sizeof *noise, compare);
    replay->noise = replay->good ? noise[replay->good / 2] : 0;
    free(noise);
    if (replay->good == 0)
        return error_set(in->error, TESS_BAD_FORMAT,
                         "trial log of %s: nothing in it worked; record it again",
                         in->log->problem);
    return TESS_OK;
}

/* Algorithm after algorithm, as a space wants them. */
static tess_status make_space(const struct parser *in, struct replay *replay) {
    int count = 0, total = in->log->count;
    struct conv_problem problem;
    tess_conv_desc desc;
    tess_status status = tess_conv_desc_parse(in->log->problem, in->error, &desc);
    tess_conv_options options = {.pass = in->log->pass};
    if (!status) status = conv_problem_init(&desc, &options, in->error, &problem);
    if (status) return status;
    struct candidate *sorted = malloc((size_t)total * sizeof *sorted);
    replay->seconds = malloc((size_t)total * sizeof *replay->seconds);
    if (!sorted || !replay->seconds) {
        free(sorted);
        return error_set(in->error, TESS_OUT_OF_HOST_MEMORY, "replay: no memory; free some");
    }
    for (int a = 0; a < in->algo_count; a++)
        for (int i = 0; i < total; i++) {
            if (in->candidates[i].algo != &in->algos[a].algo) continue;
            replay->seconds[count] = in->log->trials[i].seconds;
            sorted[count++] = in->candidates[i];
        }
    status = space_from_list(&problem, sorted, count, in->error, &replay->space);
    free(sorted);
    return status;
}

tess_status replay_create(const struct trial_log *log, tess_error *error, struct replay **out) {
    struct replay *replay = calloc(1, sizeof *replay);
    struct parser in = {.log = log, .error = error};
    in.candidates = calloc((size_t)log->count + 1, sizeof *in.candidates);
    if (replay) in.algos = replay->algos = calloc(SPACE_ALGOS_MAX, sizeof *in.algos);
    tess_status status = TESS_OK;
    if (!replay || !in.candidates || !in.algos)
        status = error_set(error, TESS_OUT_OF_HOST_MEMORY, "replay: no memory; free some");
    for (int i = 0; i < log->count && !status; i++)
        status = parse_config(&in, &log->trials[i], &in.candidates[i]);
    if (!status) status = measure(&in, replay);
    if (!status) status = make_space(&in, replay);
    free(in.candidates);
    if (status) {
        replay_destroy(replay);
        return status;
    }
    *out = replay;
    return TESS_OK;
}

void replay_destroy(struct replay *replay) {
    if (!replay) return;
    space_destroy(replay->space);
    free(replay->seconds);
    free(replay->algos);
    free(replay);
}
