#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/conv/conv_algo.h"

const struct conv_algo *const conv_algos[] = {
#define CONV_ALGO(name) &conv_##name,
#include "ops/conv/conv_algos.def"
#undef CONV_ALGO
};
const int conv_algo_count = (int)(sizeof conv_algos / sizeof *conv_algos);

const struct conv_algo *conv_algo_find(const char *name) {
    for (int i = 0; i < conv_algo_count; i++)
        if (strcmp(conv_algos[i]->name, name) == 0) return conv_algos[i];
    return NULL;
}

size_t conv_algo_workspace(const struct conv_algo *algo, const struct conv_problem *problem,
                           const struct conv_config *config) {
    return algo->workspace ? algo->workspace(problem, config) : 0;
}

static bool used_in(const struct conv_param *param, tess_conv_pass pass) {
    return (param->passes >> pass & 1u) != 0;
}

static int value_count(const struct conv_param *param, tess_conv_pass pass) {
    return used_in(param, pass) ? param->count : 1;
}

int conv_config_each(const struct conv_algo *algo, const struct conv_problem *problem,
                     const tess_device_info *device, conv_config_visitor visit, void *user) {
    int index[CONV_PARAMS_MAX] = {0};
    for (;;) {
        struct conv_config config = {{0}};
        for (int i = 0; i < algo->param_count; i++)
            config.value[i] = algo->params[i].values[index[i]];
        if (!algo->valid || algo->valid(problem, device, &config)) {
            int stop = visit(user, &config);
            if (stop) return stop;
        }
        int i = algo->param_count - 1;
        while (i >= 0 && ++index[i] >= value_count(&algo->params[i], problem->pass))
            index[i--] = 0;
        if (i < 0) return 0;
    }
}

void conv_config_print(const struct conv_algo *algo, tess_conv_pass pass,
                       const struct conv_config *config, char text[CONV_CONFIG_SIZE]) {
    size_t used =
        (size_t)snprintf(text, CONV_CONFIG_SIZE, "conv_%s_%s", algo->name, conv_pass_name(pass));
    const char *separator = "__";
    for (int i = 0; i < algo->param_count; i++) {
        if (!used_in(&algo->params[i], pass)) continue;
        used += (size_t)snprintf(text + used, CONV_CONFIG_SIZE - used, "%s%s%d", separator,
                                 algo->params[i].name, config->value[i]);
        separator = "_";
    }
}

static tess_status bad_config(const struct conv_algo *algo, tess_conv_pass pass, const char *text,
                              tess_error *error) {
    char names[100] = "";
    size_t used = 0;
    for (int i = 0; i < algo->param_count && used < sizeof names; i++)
        if (used_in(&algo->params[i], pass))
            used +=
                (size_t)snprintf(names + used, sizeof names - used, " %s", algo->params[i].name);
    return error_set(
        error, TESS_INVALID_ARGUMENT,
        "configuration '%.80s' of %s, %s: not parameters with legal values; they are%s, "
        "written like wt14_kv2",
        text, algo->name, conv_pass_name(pass), used ? names : " none");
}

/* Reads one "wt14" at *at and moves *at behind it and the "_" that may follow. */
static bool parse_param(const struct conv_algo *algo, tess_conv_pass pass, const char **at,
                        struct conv_config *config) {
    size_t length = strspn(*at, "abcdefghijklmnopqrstuvwxyz");
    int found = -1;
    for (int i = 0; i < algo->param_count; i++)
        if (used_in(&algo->params[i], pass) && strlen(algo->params[i].name) == length &&
            strncmp(algo->params[i].name, *at, length) == 0)
            found = i;
    if (found < 0 || !isdigit((unsigned char)(*at)[length])) return false;
    char *end = NULL;
    long value = strtol(*at + length, &end, 10);
    bool legal = false;
    for (int j = 0; j < algo->params[found].count; j++)
        legal |= algo->params[found].values[j] == value;
    if (!legal || (*end && (*end != '_' || !end[1]))) return false;
    config->value[found] = (int)value;
    *at = *end ? end + 1 : end;
    return true;
}

tess_status conv_config_parse(const struct conv_algo *algo, tess_conv_pass pass, const char *text,
                              tess_error *error, struct conv_config *out) {
    struct conv_config config = {{0}};
    for (int i = 0; i < algo->param_count; i++)
        config.value[i] = algo->params[i].values[0];
    for (const char *at = text; *at;)
        if (!parse_param(algo, pass, &at, &config)) return bad_config(algo, pass, text, error);
    *out = config;
    return TESS_OK;
}
