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

bool conv_algo_applicable(const struct conv_algo *algo, const struct conv_problem *problem,
                          const tess_device_info *device) {
    if (problem->d.pad_mode == TESS_PAD_MIRROR && !algo->mirror) return false;
    if (problem->sliced && !algo->slices) return false;
    return algo->applicable(problem, device);
}

size_t conv_algo_packed(const struct conv_algo *algo, const struct conv_problem *problem,
                        const struct conv_config *config) {
    return algo->packed ? algo->packed(problem, config) : 0;
}

size_t conv_algo_workspace(const struct conv_algo *algo, const struct conv_problem *problem,
                           const struct conv_config *config) {
    return algo->workspace ? algo->workspace(problem, config) : 0;
}

size_t conv_algo_bytes(const struct conv_algo *algo, const struct conv_problem *problem,
                       const struct conv_config *config) {
    return conv_algo_packed(algo, problem, config) + conv_algo_workspace(algo, problem, config);
}

double conv_algo_error_growth(const struct conv_algo *algo, const struct conv_problem *problem,
                              const struct conv_config *config) {
    return algo->error_growth ? algo->error_growth(problem, config) : 1;
}

static bool used_in(const struct conv_param *param, tess_conv_pass pass) {
    return (param->passes >> pass & 1u) != 0;
}

static int value_count(const struct conv_param *param, tess_conv_pass pass) {
    return used_in(param, pass) ? param->count : 1;
}

/* ---------------------------------------------------------------- enumeration */

/* Most 32-bit registers that a work-item of a GPU can address. */
enum { GPU_REGISTERS = 255 };

static bool resources_fit(const struct conv_algo *algo, const struct conv_problem *problem,
                          const tess_device_info *device, const struct conv_config *config) {
    if (!algo->resources) return true;
    struct conv_resources need = {0};
    algo->resources(problem, config, &need);
    bool registers = !(device->type & CL_DEVICE_TYPE_GPU) || need.registers <= GPU_REGISTERS;
    return need.local_bytes <= device->local_memory && need.work_items <= device->max_work_group &&
           registers;
}

/* Those constraints that read no parameter outside bound and at least one of now. */
static bool constraints_hold(const struct conv_algo *algo, const struct conv_problem *problem,
                             const tess_device_info *device, const struct conv_config *config,
                             unsigned bound, unsigned now) {
    const struct conv_constraint *constraint = algo->constraints;
    for (; constraint && constraint->holds; constraint++)
        if ((constraint->reads & ~bound) == 0 && (constraint->reads & now) &&
            !constraint->holds(problem, device, config))
            return false;
    return true;
}

bool conv_config_valid(const struct conv_algo *algo, const struct conv_problem *problem,
                       const tess_device_info *device, const struct conv_config *config) {
    return constraints_hold(algo, problem, device, config, ~0u, ~0u) &&
           resources_fit(algo, problem, device, config);
}

struct enumeration {
    const struct conv_algo *algo;
    const struct conv_problem *problem;
    const tess_device_info *device;
    conv_config_visitor visit;
    void *user;
    struct conv_config config;
};

/* Parameters before index are bound. */
static int bind_from(struct enumeration *e, int index) {
    if (index == e->algo->param_count)
        return resources_fit(e->algo, e->problem, e->device, &e->config)
                   ? e->visit(e->user, &e->config)
                   : 0;
    const struct conv_param *param = &e->algo->params[index];
    unsigned now = 1u << index, bound = now | (now - 1);
    for (int i = 0; i < value_count(param, e->problem->pass); i++) {
        e->config.value[index] = param->values[i];
        if (!constraints_hold(e->algo, e->problem, e->device, &e->config, bound, now)) continue;
        int stop = bind_from(e, index + 1);
        if (stop) return stop;
    }
    return 0;
}

int conv_config_each(const struct conv_algo *algo, const struct conv_problem *problem,
                     const tess_device_info *device, conv_config_visitor visit, void *user) {
    struct enumeration e = {algo, problem, device, visit, user, {{0}}};
    return bind_from(&e, 0);
}

/* ---------------------------------------------------------------- text */

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
