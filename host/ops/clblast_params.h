/* The parameters of CLBlast's kernels: their names, legal values and constraints (the spaces of CLBlast's own tuners), and how a set of them is
   printed, read and put in force. Measured sets come from the tuning database, operation "clblast", problem: the kernel's name. */
#ifndef TESSERA_OPS_CLBLAST_PARAMS_H
#define TESSERA_OPS_CLBLAST_PARAMS_H

#include "core/context.h"

enum { CLBLAST_PARAMS_MAX = 16, CLBLAST_VALUES_MAX = 8, CLBLAST_TEXT_SIZE = 256 };

struct clblast_param {
    const char *name;
    int count;
    int values[CLBLAST_VALUES_MAX];
};

struct clblast_kernel {
    const char *name;  /* as CLBlastOverrideParameters takes it: "Xgemm" */
    const char *about; /* what it does in a fully connected layer */
    int param_count;
    struct clblast_param params[CLBLAST_PARAMS_MAX];
    /* Whether the values, in the order of params, are legal together. NULL: all are. */
    bool (*valid)(const int *values);
    size_t (*local_bytes)(const int *values); /* NULL: none */
    int (*work_items)(const int *values);     /* of a work-group */
};

extern const struct clblast_kernel clblast_kernels[];
extern const int clblast_kernel_count;

const struct clblast_kernel *clblast_kernel_find(const char *name); /* NULL: none of this name */

/* Legal together and within the device's limits. */
bool clblast_params_valid(const struct clblast_kernel *kernel, const tess_device_info *device,
                          const int *values);

/* "GEMMK=0_KREG=1_...". */
void clblast_params_print(const struct clblast_kernel *kernel, const int *values,
                          char text[CLBLAST_TEXT_SIZE]);
/* Every parameter must be there, once, with a legal value. */
tess_status clblast_params_parse(const struct clblast_kernel *kernel, const char *text,
                                 tess_error *error, int values[CLBLAST_PARAMS_MAX]);

/* Puts values in force for the device, in this process: CLBlast compiles the kernel anew when it is next used. */
tess_status clblast_params_use(tess_context *ctx, const struct clblast_kernel *kernel,
                               const int *values);

/* Puts in force what the context's tuning database knows, the first time it is called for a context. What CLBlast does not take is left
   out, with a warning. */
void clblast_use_tuning(tess_context *ctx);

#endif
