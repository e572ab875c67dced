/* One self-test in the making: its arrays, on the host and on the device, and what went wrong first. */
#ifndef TESSERA_SELFTEST_TRIAL_H
#define TESSERA_SELFTEST_TRIAL_H

#include "core/program.h"
#include "core/tensor.h"
#include "selftest/selftest.h"

enum { TRIAL_ARRAYS = 20 };

struct array {
    const char *name;
    tess_tensor_desc desc;
    size_t count; /* elements */
    tess_tensor *tensor;
    union {
        void *data;
        float *f;
        int *i;
    } host;           /* inputs: what goes to the device. Outputs: what came back */
    double *want;     /* outputs: to be filled in. NULL: an input */
    double tolerance; /* allowed error: tolerance times (1 + |want|) */
};

struct trial {
    tess_context *ctx;
    const char *folder; /* see selftest_run */
    tess_status status; /* of the first call that failed */
    bool left_out;
    char text[1024]; /* its explanation */
    uint64_t random;
    int count, programs;
    struct array arrays[TRIAL_ARRAYS];
};

typedef void trial_run(struct trial *trial);

/* Dimensions of activations (TESS_NHWC), weights (TESS_RSCK) and vectors. */
tess_tensor_desc trial_image(int n, int c, int h, int w);
tess_tensor_desc trial_weights(int r, int s, int c, int k);
tess_tensor_desc trial_vector(int count);
tess_tensor_desc trial_integers(int count); /* TESS_I32 */

/* An input: floats uniform in [low, high), zeros for integers; the host's copy may be changed until trial_ready. NULL without memory, with
   trial->status set: ask for all arrays, then look at that. */
struct array *trial_input(struct trial *trial, const char *name, tess_tensor_desc desc, float low,
                          float high);

/* An output, poisoned on the device; want starts as zeros. */
struct array *trial_output(struct trial *trial, const char *name, tess_tensor_desc desc,
                           double tolerance);

/* Scratch memory that is neither recorded nor compared; NULL for no bytes. */
tess_tensor *trial_scratch(struct trial *trial, size_t bytes);

/* Inputs and expectations are complete: uploads and records them. */
void trial_ready(struct trial *trial);

/* Notes the first failure, with the context's words. Gives true as long as there was none. */
bool trial_step(struct trial *trial, tess_status status);

/* Reads the outputs back and compares. */
void trial_compare(struct trial *trial, struct selftest_result *out);

void trial_clear(struct trial *trial);

/* ---- recording: record.c. All do nothing without a folder. */

void record_inputs(struct trial *trial);
void record_outputs(struct trial *trial);
/* What the context's program observer calls; user: the trial. */
void record_program(void *user, const struct program_event *event);

/* ---- the tests */

struct selftest {
    const char *name;
    trial_run *run;
};

/* Each ends with a NULL name. Convolutions are not among them: they come from the registry. */
extern const struct selftest selftest_layers[], selftest_elements[], selftest_losses[],
    selftest_nd[];

int selftest_conv_count(void);
void selftest_conv_name(int index, char name[SELFTEST_NAME_SIZE]);
void selftest_conv_run(struct trial *trial, int index);

#endif
