#include "ops/clblast_params.h"

#include <clblast_c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/conv/conv_advice.h"

/* ---------------------------------------------------------------- the kernels

   Names and meanings: CLBlast's tuners (doc/tuning.md). Orders below are those of the tables. */

enum { GEMMK, KREG, KWG, KWI, MDIMA, MDIMC, MWG, NDIMB, NDIMC, NWG, SA, SB, STRM, STRN, VWM, VWN };

static bool divides(int a, int b) {
    return b % a == 0;
}

/* The constraints of kernel 0, which stages tiles through local memory. */
static bool xgemm_valid(const int *v) {
    return divides(v[KWI], v[KWG]) && divides(v[MDIMC] * v[VWM], v[MWG]) &&
           divides(v[NDIMC] * v[VWN], v[NWG]) && divides(v[MDIMA] * v[VWM], v[MWG]) &&
           divides(v[NDIMB] * v[VWN], v[NWG]) && divides(v[MDIMA], v[MDIMC] * v[NDIMC]) &&
           divides(v[NDIMB], v[MDIMC] * v[NDIMC]) &&
           divides(v[MDIMC] * v[NDIMC] / v[MDIMA], v[KWG]) &&
           divides(v[MDIMC] * v[NDIMC] / v[NDIMB], v[KWG]);
}
static size_t xgemm_local(const int *v) {
    return sizeof(float) * (size_t)(v[SA] * v[KWG] * v[MWG] + v[SB] * v[KWG] * v[NWG]);
}
static int xgemm_items(const int *v) {
    return v[MDIMC] * v[NDIMC];
}

enum { KWID, MDIMAD, MDIMCD, NDIMBD, NDIMCD, PADA, PADB, VWMD, VWND, WGD };

static bool xgemm_direct_valid(const int *v) {
    return divides(v[KWID], v[WGD]) && divides(v[MDIMCD] * v[VWMD], v[WGD]) &&
           divides(v[NDIMCD] * v[VWND], v[WGD]) && divides(v[MDIMAD] * v[VWMD], v[WGD]) &&
           divides(v[NDIMBD] * v[VWND], v[WGD]) && divides(v[MDIMAD], v[MDIMCD] * v[NDIMCD]) &&
           divides(v[NDIMBD], v[MDIMCD] * v[NDIMCD]) &&
           divides(v[MDIMCD] * v[NDIMCD] / v[MDIMAD], v[WGD]) &&
           divides(v[MDIMCD] * v[NDIMCD] / v[NDIMBD], v[WGD]);
}
static size_t xgemm_direct_local(const int *v) {
    return sizeof(float) * (size_t)(v[WGD] * (v[WGD] + v[PADA]) + v[WGD] * (v[WGD] + v[PADB]));
}
static int xgemm_direct_items(const int *v) {
    return v[MDIMCD] * v[NDIMCD];
}

static int first_items(const int *v) {
    return v[0];
}
static int first_two_items(const int *v) {
    return v[0] * v[1];
}
/* XgemvFast(Rot): VW, WGS, WPT; a work-item's rows come in whole vectors. */
static bool vector_divides_work(const int *v) {
    return divides(v[0], v[2]);
}
static int second_items(const int *v) {
    return v[1];
}
static size_t transpose_local(const int *v) {
    return sizeof(float) * (size_t)(v[0] * v[3] * (v[0] * v[3] + v[1]));
}
static int square_items(const int *v) {
    return v[0] * v[0];
}
static size_t padtranspose_local(const int *v) {
    return sizeof(float) * (size_t)(v[1] * v[2] * (v[1] * v[2] + v[0]));
}
static int tile_items(const int *v) {
    return v[1] * v[1];
}
static int one_item(const int *v) {
    (void)v;
    return 1;
}

#define P(name, count, ...)                                                                        \
    {                                                                                              \
        name, count, {                                                                             \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
const struct clblast_kernel clblast_kernels[] = {
    {"Xgemm",
     "large products, on padded copies",
     16,
     {P("GEMMK", 1, 0), P("KREG", 1, 1), P("KWG", 2, 16, 32), P("KWI", 2, 2, 8),
      P("MDIMA", 4, 4, 8, 16, 32), P("MDIMC", 5, 1, 4, 8, 16, 32), P("MWG", 4, 16, 32, 64, 128),
      P("NDIMB", 4, 4, 8, 16, 32), P("NDIMC", 5, 1, 4, 8, 16, 32), P("NWG", 4, 16, 32, 64, 128),
      P("SA", 2, 0, 1), P("SB", 2, 0, 1), P("STRM", 2, 0, 1), P("STRN", 2, 0, 1),
      P("VWM", 4, 1, 2, 4, 8), P("VWN", 4, 1, 2, 4, 8)},
     xgemm_valid,
     xgemm_local,
     xgemm_items},
    {"XgemmDirect",
     "small products, without copies",
     10,
     {P("KWID", 3, 2, 8, 16), P("MDIMAD", 3, 8, 16, 32), P("MDIMCD", 3, 8, 16, 32),
      P("NDIMBD", 3, 8, 16, 32), P("NDIMCD", 3, 8, 16, 32), P("PADA", 2, 0, 1), P("PADB", 2, 0, 1),
      P("VWMD", 4, 1, 2, 4, 8), P("VWND", 4, 1, 2, 4, 8), P("WGD", 4, 8, 16, 32, 64)},
     xgemm_direct_valid,
     xgemm_direct_local,
     xgemm_direct_items},
    {"GemmRoutine",
     "the size from which large products take the padded copies",
     1,
     {P("XGEMM_MIN_INDIRECT_SIZE", 6, 64, 128, 256, 512, 1024, 2048)},
     NULL,
     NULL,
     one_item},
    {"Copy",
     "copies of matrices that need no padding",
     4,
     {P("COPY_DIMX", 3, 8, 16, 32), P("COPY_DIMY", 3, 8, 16, 32), P("COPY_VW", 4, 1, 2, 4, 8),
      P("COPY_WPT", 4, 1, 2, 4, 8)},
     NULL,
     NULL,
     first_two_items},
    {"Pad",
     "copies of matrices that do",
     4,
     {P("PAD_DIMX", 3, 8, 16, 32), P("PAD_DIMY", 3, 8, 16, 32), P("PAD_WPTX", 3, 1, 2, 4),
      P("PAD_WPTY", 3, 1, 2, 4)},
     NULL,
     NULL,
     first_two_items},
    {"Transpose",
     "transposed copies without padding",
     4,
     {P("TRA_DIM", 3, 4, 8, 16), P("TRA_PAD", 2, 0, 1), P("TRA_SHUFFLE", 2, 0, 1),
      P("TRA_WPT", 4, 1, 2, 4, 8)},
     NULL,
     transpose_local,
     square_items},
    {"Padtranspose",
     "transposed copies with padding",
     3,
     {P("PADTRA_PAD", 2, 0, 1), P("PADTRA_TILE", 3, 8, 16, 32), P("PADTRA_WPT", 4, 1, 2, 4, 8)},
     NULL,
     padtranspose_local,
     tile_items},
    {"Xgemv",
     "one row times a matrix of any size",
     2,
     {P("WGS1", 4, 32, 64, 128, 256), P("WPT1", 3, 1, 2, 4)},
     NULL,
     NULL,
     first_items},
    {"XgemvFast",
     "one row times a matrix, sizes that fit",
     3,
     {P("VW2", 4, 1, 2, 4, 8), P("WGS2", 4, 16, 32, 64, 128), P("WPT2", 3, 1, 2, 4)},
     vector_divides_work,
     NULL,
     second_items},
    {"XgemvFastRot",
     "one row times a transposed matrix, sizes that fit",
     3,
     {P("VW3", 4, 1, 2, 4, 8), P("WGS3", 4, 16, 32, 64, 128), P("WPT3", 5, 1, 2, 4, 8, 16)},
     vector_divides_work,
     NULL,
     second_items},
    {"Xger",
     "the outer product of two rows",
     3,
     {P("WGS1", 6, 4, 8, 16, 32, 64, 128), P("WGS2", 5, 1, 2, 4, 8, 16), P("WPT", 3, 1, 2, 4)},
     NULL,
     NULL,
     first_two_items},
};
#undef P
const int clblast_kernel_count = (int)(sizeof clblast_kernels / sizeof *clblast_kernels);

const struct clblast_kernel *clblast_kernel_find(const char *name) {
    for (int i = 0; i < clblast_kernel_count; i++)
        if (strcmp(clblast_kernels[i].name, name) == 0) return &clblast_kernels[i];
    return NULL;
}

bool clblast_params_valid(const struct clblast_kernel *kernel, const tess_device_info *device,
                          const int *values) {
    if (kernel->valid && !kernel->valid(values)) return false;
    if (kernel->local_bytes && kernel->local_bytes(values) > device->local_memory) return false;
    return (size_t)kernel->work_items(values) <= device->max_work_group;
}

/* ---------------------------------------------------------------- text */

void clblast_params_print(const struct clblast_kernel *kernel, const int *values,
                          char text[CLBLAST_TEXT_SIZE]) {
    size_t used = 0;
    for (int i = 0; i < kernel->param_count && used < CLBLAST_TEXT_SIZE; i++)
        used += (size_t)snprintf(text + used, CLBLAST_TEXT_SIZE - used, "%s%s=%d", i ? "_" : "",
                                 kernel->params[i].name, values[i]);
}

static bool legal(const struct clblast_param *param, long value) {
    for (int i = 0; i < param->count; i++)
        if (param->values[i] == value) return true;
    return false;
}

tess_status clblast_params_parse(const struct clblast_kernel *kernel, const char *text,
                                 tess_error *error, int values[CLBLAST_PARAMS_MAX]) {
    int parsed[CLBLAST_PARAMS_MAX] = {0};
    const char *at = text;
    for (int i = 0; i < kernel->param_count; i++) {
        const struct clblast_param *param = &kernel->params[i];
        size_t length = strlen(param->name);
        char *end = NULL;
        bool named = strncmp(at, param->name, length) == 0 && at[length] == '=';
        long value = named ? strtol(at + length + 1, &end, 10) : 0;
        bool last = i + 1 == kernel->param_count;
        if (!named || end == at + length + 1 || *end != (last ? '\0' : '_') || !legal(param, value))
            return error_set(
                error, TESS_INVALID_ARGUMENT,
                "CLBlast's %s: '%.200s' is no set of its parameters: at %s; tune again",
                kernel->name, text, param->name);
        parsed[i] = (int)value;
        at = end + 1;
    }
    memcpy(values, parsed, sizeof parsed);
    return TESS_OK;
}

/* ---------------------------------------------------------------- putting them in force */

tess_status clblast_params_use(tess_context *ctx, const struct clblast_kernel *kernel,
                               const int *values) {
    const char *names[CLBLAST_PARAMS_MAX];
    size_t numbers[CLBLAST_PARAMS_MAX];
    for (int i = 0; i < kernel->param_count; i++) {
        names[i] = kernel->params[i].name;
        numbers[i] = (size_t)values[i];
    }
    CLBlastStatusCode code =
        CLBlastOverrideParameters(ctx->device.device, kernel->name, CLBlastPrecisionSingle,
                                  (size_t)kernel->param_count, names, numbers);
    if (code == CLBlastSuccess) return TESS_OK;
    return context_fail(ctx, TESS_UNSUPPORTED,
                        "CLBlast's %s: it does not take these parameters (status %d); another "
                        "version of CLBlast needs another tuning",
                        kernel->name, (int)code);
}

void clblast_use_tuning(tess_context *ctx) {
    const struct conv_advisor *advisor = ctx->advisor;
    if (ctx->clblast_tuned || !advisor || !advisor->lookup) return;
    ctx->clblast_tuned = true;
    for (int i = 0; i < clblast_kernel_count; i++) {
        const struct clblast_kernel *kernel = &clblast_kernels[i];
        char text[CLBLAST_TEXT_SIZE];
        int values[CLBLAST_PARAMS_MAX];
        if (!advisor->lookup(advisor->user, "clblast", kernel->name, text, sizeof text)) continue;
        tess_error error = {0};
        if (clblast_params_parse(kernel, text, &error, values))
            context_log(ctx, TESS_LOG_WARN, "%s", error.text);
        else if (clblast_params_use(ctx, kernel, values))
            context_log(ctx, TESS_LOG_WARN, "%s", ctx->error.text);
    }
}
