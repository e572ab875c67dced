/* What a convolution algorithm is: one file conv_<name>.c that says when it applies, how it may be configured, and how it
   runs, ending in one table; one kernel file; one line in conv_algos.def. Planner, tests, benchmarks and tuner go
   through the registry and know no algorithm by name. */
#ifndef TESSERA_OPS_CONV_ALGO_H
#define TESSERA_OPS_CONV_ALGO_H

#include "ops/conv/conv_problem.h"

enum { CONV_PARAMS_MAX = 12, CONV_VALUES_MAX = 13, CONV_CONFIG_SIZE = 160 };

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

/* What parameters must fulfil together. Enumeration binds parameters in the order of the table and asks as soon as all that
   the constraint reads are bound; the others are not to be looked at. */
struct conv_constraint {
    unsigned reads; /* bit 1u << i: parameter i */
    bool (*holds)(const struct conv_problem *problem, const tess_device_info *device,
                  const struct conv_config *config);
};

/* What one work-group and one work-item of the main kernel need. Enumeration leaves out what the device does not have. */
struct conv_resources {
    size_t local_bytes;
    size_t work_items; /* of a work-group */
    int registers; /* floats that a work-item keeps at once, an estimate; at most 255 on a GPU */
};

struct conv_algo {
    const char *name;
    const char *kernel_file; /* in kernels_cl/ */
    int param_count;
    const struct conv_param *params;
    bool mirror;                               /* whether it does mirror padding */
    bool slices;                               /* whether y may be a part of a wider tensor */
    const struct conv_constraint *constraints; /* up to one whose holds is NULL; NULL: none */

    /* Whether the algorithm can do this problem on this device at all; then at least one config is valid. */
    bool (*applicable)(const struct conv_problem *problem, const tess_device_info *device);

    /* NULL: a few registers, no local memory. */
    void (*resources)(const struct conv_problem *problem, const struct conv_config *config,
                      struct conv_resources *out);

    /* Bound on the rounding error relative to that of the plain sum in fp32. NULL: 1, and only such algorithms take
       part when the caller demands strict math. */
    double (*error_growth)(const struct conv_problem *problem, const struct conv_config *config);

    /* Predicted time without pack, in units that are comparable between algorithms on one device: clock cycles, all
       compute units working. */
    double (*predict)(const struct conv_problem *problem, const tess_device_info *device,
                      const struct conv_config *config);

    /* Bytes of weights in the algorithm's own arrangement, which live as long as the plan and are made by pack only when
       the weights changed (forward, backward-data). NULL: none. */
    size_t (*packed)(const struct conv_problem *problem, const struct conv_config *config);

    /* Bytes of workspace, whose contents no call leaves to the next. NULL: none. */
    size_t (*workspace)(const struct conv_problem *problem, const struct conv_config *config);

    /* Compiles; *state belongs to the caller until destroy. printed: for messages. */
    tess_status (*create)(tess_context *ctx, const struct conv_problem *problem,
                          const struct conv_config *config, const char *printed, void **state);

    /* Both enqueue; the arguments have been checked against the problem. packed: a tensor of packed() bytes, NULL
       if that is 0. pack is called before the first enqueue and whenever w changed; NULL where packed is. */
    tess_status (*pack)(void *state, const tess_tensor *w, tess_tensor *packed);
    tess_status (*enqueue)(void *state, const tess_conv_args *args, const tess_tensor *packed);
    void (*destroy)(void *state); /* takes NULL */
};

#define CONV_ALGO(name) extern const struct conv_algo conv_##name;
#include "ops/conv/conv_algos.def"
#undef CONV_ALGO

/* The registry, in the order of conv_algos.def. */
extern const struct conv_algo *const conv_algos[];
extern const int conv_algo_count;

const struct conv_algo *conv_algo_find(const char *name); /* NULL if there is none */

/* Visits every config of algo that is valid for the problem, depth first; a visitor that returns other than 0 stops it. */
typedef int (*conv_config_visitor)(void *user, const struct conv_config *config);
int conv_config_each(const struct conv_algo *algo, const struct conv_problem *problem,
                     const tess_device_info *device, conv_config_visitor visit, void *user);

/* "conv_direct_fwd__wt14_kv2", without "__..." where there are no parameters. */
void conv_config_print(const struct conv_algo *algo, tess_conv_pass pass,
                       const struct conv_config *config, char text[CONV_CONFIG_SIZE]);

/* Reads the part after "__": "wt14_kv2" (parameters that are left out get their first value). */
tess_status conv_config_parse(const struct conv_algo *algo, tess_conv_pass pass, const char *text,
                              tess_error *error, struct conv_config *out);

/* Whether algo can do the problem on the device: asks its applicable and knows what all algorithms have in common. */
bool conv_algo_applicable(const struct conv_algo *algo, const struct conv_problem *problem,
                          const tess_device_info *device);

/* Whether a config with legal values is valid for the problem on the device. */
bool conv_config_valid(const struct conv_algo *algo, const struct conv_problem *problem,
                       const tess_device_info *device, const struct conv_config *config);

/* What the algorithm's members of these names say; 0, 0 and 1 where they are NULL. */
size_t conv_algo_packed(const struct conv_algo *algo, const struct conv_problem *problem,
                        const struct conv_config *config);
size_t conv_algo_workspace(const struct conv_algo *algo, const struct conv_problem *problem,
                           const struct conv_config *config);
double conv_algo_error_growth(const struct conv_algo *algo, const struct conv_problem *problem,
                              const struct conv_config *config);

/* Bytes that a plan with this config takes: packed weights and workspace. What a workspace limit limits. */
size_t conv_algo_bytes(const struct conv_algo *algo, const struct conv_problem *problem,
                       const struct conv_config *config);

/* Whether a plan with these options, were it to write to a part of a wider tensor, would have the algorithm that it has now. */
bool conv_plan_can_slice(tess_context *ctx, const tess_conv_desc *desc,
                         const tess_conv_options *options);

/* What the planner answers. */
struct conv_choice {
    const struct conv_algo *algo;
    struct conv_config config;
    const char *tier; /* as in tess_conv_info */
    char why[200];
    double seconds; /* measured here; 0: not measured */
};

/* Chooses algorithm and configuration for a checked problem; nothing is compiled. options may be NULL. */
tess_status conv_choose(tess_context *ctx, const struct conv_problem *problem,
                        const tess_conv_options *options, struct conv_choice *out);

/* One of several ways to do a problem. */
struct conv_candidate {
    struct conv_choice choice;
    double seconds;           /* predicted, or measured here; with repack it includes the packing */
    size_t workspace, packed; /* bytes, as the plan would say: with repack, packed is 0 */
};
enum { CONV_CANDIDATES = 32 };

/* Fills out with conv_choose's answer first, and then with those that are predicted the fastest of all that need as little
   workspace and packed weights; one that needs neither is always among them unless the options name an algorithm. Predictions
   are scaled by what was measured on the problem, and nothing is taken to be faster than conv_choose's answer. */
tess_status conv_candidates(tess_context *ctx, const struct conv_problem *problem,
                            const tess_conv_options *options,
                            struct conv_candidate out[CONV_CANDIDATES], int *count);

/* tess_conv_plan_create with the planner's answer at hand; NULL, or one that cannot write to the slice: asks it. slice may be
   NULL; with one, tess_conv_args.y is the whole tensor. */
tess_status conv_plan_create(tess_context *ctx, const tess_conv_desc *desc,
                             const tess_conv_options *options, const struct conv_slice *slice,
                             const struct conv_choice *choice, tess_conv_plan **out);

/* Runs it on whatever is in memory of its own, and waits: drivers that generate code at the first launch have done so
   afterwards. */
tess_status conv_plan_run_once(tess_conv_plan *plan);

/* Packs w for good: from now on the plan's calls may have a NULL w, and then use what was packed here. For plans whose
   tess_conv_info.packed is above 0. */
tess_status conv_plan_pack(tess_conv_plan *plan, const tess_tensor *w);

/* The first multiple of the device's base_align from bytes on: where the algorithm's workspace begins behind packed weights. */
size_t conv_rest_offset(const tess_context *ctx, size_t packed);

#endif
