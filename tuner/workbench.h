/* One problem laid out on the device for verification and timing: operands between guard bands, a sample of the right answers, and
   configurations ready to run. */
#ifndef TESSERA_TUNER_WORKBENCH_H
#define TESSERA_TUNER_WORKBENCH_H

#include "ops/conv/conv_algo.h"

/* A tensor in the middle of a larger buffer, whose ends are filled with NaN of a pattern of their own: what is read there poisons
   a result, and what is written there shows. */
struct guarded {
    tess_tensor *whole, *tensor; /* tensor is a view of whole */
    size_t elements, guard;      /* floats of the tensor, and of each band */
    uint32_t salt;               /* of the pattern */
};

/* salt: a number of the buffer's own. */
tess_status guarded_create(tess_context *ctx, const tess_tensor_desc *desc, uint32_t salt,
                           struct guarded *out);
void guarded_destroy(struct guarded *guarded);

/* Writes the bands and the tensor: data, or with NULL poison, of the same pattern. Blocking. */
tess_status guarded_write(struct guarded *guarded, const float *data);

/* Whether the bands are as they were written, and, where data is not NULL, the tensor is data, bit for bit. Blocking. */
tess_status guarded_intact(struct guarded *guarded, const float *data, bool *out);

/* See rotation.h. */
struct rotation {
    struct guarded *copies; /* beside the original */
    int count;
};

struct workbench {
    tess_context *ctx;
    struct conv_problem problem;
    struct guarded
        operand[3]; /* x, w, y, by the number of the pass that makes it: see workbench_result */
    float *host[3]; /* what x, w, y hold; NULL for the result */
    size_t sample_count, *sample; /* flat indices into the result */
    double *answer;               /* in float64 */
    bool cold;                    /* timed runs find their operands in memory, not in a cache */
    struct rotation copies[3];    /* of the operands, where cold */
    long turn;                    /* of the last timed run */
};

enum { OPERAND_X, OPERAND_W, OPERAND_Y };

/* Which of the operands the pass makes. */
int workbench_result(const struct workbench *bench);

/* macs: about how many multiply-adds the sample of answers may cost; a result that costs less is computed whole.
   Operands are random in [-1, 1), the same every time. cold: instance_run_timed takes copies of them in turn, more than the last-level
   cache holds. */
tess_status workbench_create(tess_context *ctx, const struct conv_problem *problem, double macs,
                             bool cold, struct workbench **out);
void workbench_destroy(struct workbench *bench); /* NULL is allowed */

/* A configuration ready to run on a workbench. */
struct instance {
    struct workbench *bench;
    const struct conv_algo *algo;
    struct conv_config config;
    char printed[CONV_CONFIG_SIZE];
    void *state; /* the algorithm's */
    struct guarded packed, workspace;
    struct rotation packed_copies; /* where the workbench is cold */
    size_t bytes;                  /* of both */
    double build_seconds;
};

/* printed: as conv_config_print does. Refuses (TESS_UNSUPPORTED) what does not fit the problem or the device. */
tess_status instance_create(struct workbench *bench, const char *printed, struct instance **out);
void instance_destroy(struct instance *instance); /* NULL is allowed */

tess_status instance_pack(struct instance *instance); /* enqueues; nothing to do for many */
/* Enqueues once, without packing, on the guarded operands. */
tess_status instance_run(struct instance *instance);
/* user: an instance. The same on the next of the copies, where the workbench is cold; a struct timed's run. */
tess_status instance_run_timed(void *user);

/* Splits "conv_direct_fwd__wt14" into algorithm and configuration. */
tess_status config_read(const char *printed, tess_conv_pass pass, tess_error *error,
                        const struct conv_algo **algo, struct conv_config *config);

#endif
