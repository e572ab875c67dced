/* What a convolution algorithm is: one file conv_<name>.c that says when it applies, how it may be configured, and how it
   runs, ending in one table; one kernel file; one line in conv_algos.def. Planner, tests, benchmarks and tuner go
   through the registry and know no algorithm by name. */
#ifndef TESSERA_OPS_CONV_ALGO_H
#define TESSERA_OPS_CONV_ALGO_H

#include "ops/conv/conv_problem.h"

enum { CONV_PARAMS_MAX = 12, CONV_VALUES_MAX = 12, CONV_CONFIG_SIZE = 160 };

/* Bits of conv_param.passes. */
enum {
    CONV_IN_FWD = 1 << TESS_CONV_FWD,
    CONV_IN_BWD_DATA = 1 << TESS_CONV_BWD_DATA,
    CONV_IN_BWD_WEIGHTS = 1 << TESS_CONV_BWD_WEIGHTS,
    CONV_IN_ALL = CONV_IN_FWD | CONV_IN_BWD_DATA | CONV_IN_BWD_WEIGHTS
};

/* One tuning parameter: its name in printed configurations, the passes that use it (in others it has its first
   value and is not printed), and its legal values. */
struct conv_param {
    const char *name;
    unsigned passes;
    int count;
    int values[CONV_VALUES_MAX];
};

/* The values of an algorithm's parameters, in the order of its table. */
struct conv_config {
    int value[CONV_PARAMS_MAX];
};

struct conv_algo {
    const char *name;
    const char *kernel_file; /* in kernels_cl/ */
    int param_count;
    const struct conv_param *params;

    /* Whether the algorithm can do this problem on this device at all. */
    bool (*applicable)(const struct conv_problem *problem, const tess_device_info *device);

    /* Whether config, whose values are all legal, makes sense for the problem and the device. At least one
       config is valid for an applicable problem. NULL: all are. */
    bool (*valid)(const struct conv_problem *problem, const tess_device_info *device,
                  const struct conv_config *config);

    /* Predicted time in units that are comparable between algorithms on one device: clock cycles of one compute unit. */
    double (*predict)(const struct conv_problem *problem, const tess_device_info *device,
                      const struct conv_config *config);

    /* Bytes of workspace. NULL: none. */
    size_t (*workspace)(const struct conv_problem *problem, const struct conv_config *config);

    /* Compiles; *state belongs to the caller until destroy. printed: for messages. */
    tess_status (*create)(tess_context *ctx, const struct conv_problem *problem,
                          const struct conv_config *config, const char *printed, void **state);

    /* Enqueues; the arguments have been checked against the problem. */
    tess_status (*enqueue)(void *state, const tess_conv_args *args);
    void (*destroy)(void *state); /* takes NULL */
};

#define CONV_ALGO(name) extern const struct conv_algo conv_##name;
#include "ops/conv/conv_algos.def"
#undef CONV_ALGO

/* The registry, in the order of conv_algos.def. */
extern const struct conv_algo *const conv_algos[];
extern const int conv_algo_count;

const struct conv_algo *conv_algo_find(const char *name); /* NULL if there is none */

/* Visits every config of algo that is valid for the problem; a visitor that returns other than 0 stops it. */
typedef int (*conv_config_visitor)(void *user, const struct conv_config *config);
int conv_config_each(const struct conv_algo *algo, const struct conv_problem *problem,
                     const tess_device_info *device, conv_config_visitor visit, void *user);

/* "conv_direct_fwd__wt14_kv2", without "__..." where there are no parameters. */
void conv_config_print(const struct conv_algo *algo, tess_conv_pass pass,
                       const struct conv_config *config, char text[CONV_CONFIG_SIZE]);

/* Reads the part after "__": "wt14_kv2" (parameters that are left out get their first value). */
tess_status conv_config_parse(const struct conv_algo *algo, tess_conv_pass pass, const char *text,
                              tess_error *error, struct conv_config *out);

/* Bytes of workspace of algo with config. */
size_t conv_algo_workspace(const struct conv_algo *algo, const struct conv_problem *problem,
                           const struct conv_config *config);

/* What the planner answers. */
struct conv_choice {
    const struct conv_algo *algo;
    struct conv_config config;
    const char *tier; /* as in tess_conv_info */
    char why[200];
};

/* Chooses algorithm and configuration for a checked problem; nothing is compiled. options may be NULL. */
tess_status conv_choose(tess_context *ctx, const struct conv_problem *problem,
                        const tess_conv_options *options, struct conv_choice *out);

#endif
