#include "ops/column_sum.h"

#include <stdio.h>

#include "ops/fastdiv.h"
#include "ops/launch.h"

struct column_split column_split_of(int rows, int channels) {
    int fold = 1; /* rows in a wide row: makes 16 divide its width */
    while ((int64_t)channels * fold % 16 != 0)
        fold *= 2;
    int64_t width = (int64_t)channels * fold;
    int64_t wide_rows = (rows + fold - 1) / fold;
    /* Enough blocks to keep a GPU busy, not so many that adding them up takes long. */
    int64_t blocks = 65536 / width < 256 ? 65536 / width : 256;
    if (blocks > wide_rows / 16) blocks = wide_rows / 16;
    if (blocks < 1) blocks = 1;
    int64_t each = (wide_rows + blocks - 1) / blocks;
    return (struct column_split){(int)width, (int)((wide_rows + each - 1) / each), (int)each};
}

size_t column_sum_workspace(int rows, int channels) {
    struct column_split split = column_split_of(rows, channels);
    return (size_t)split.width * (size_t)split.blocks * sizeof(cl_float);
}

tess_status column_sum_create(tess_context *ctx, struct column_sum *out) {
    struct column_sum sum = {.ctx = ctx, .vector = launch_vector(ctx)};
    struct program *program;
    char options[32], config[32];
    snprintf(options, sizeof options, "-DVEC=%d", sum.vector);
    snprintf(config, sizeof config, "column_sum__vec%d", sum.vector);
    tess_status status = program_get(ctx, "reduce.cl", options, config, &program);
    if (!status) status = program_kernel(ctx, program, "column_sum_partial", &sum.partial);
    if (!status) status = program_kernel(ctx, program, "column_sum_blocks", &sum.blocks);
    if (!status) status = program_kernel(ctx, program, "column_sum_channels", &sum.channels);
    if (status) {
        column_sum_destroy(&sum);
        return status;
    }
    *out = sum;
    return TESS_OK;
}

void column_sum_destroy(struct column_sum *sum) {
    kernel_release(sum->partial);
    kernel_release(sum->blocks);
    kernel_release(sum->channels);
}

tess_status column_sum_enqueue(const struct column_sum *sum, const struct column_sum_args *args,
                               const char *what) {
    struct column_split split = column_split_of(args->rows, args->channels);
    size_t vectors = (size_t)(split.width / sum->vector);

    struct kernel_range range = launch_range(sum->ctx, vectors * (size_t)split.blocks, 16);
    const struct kernel_arg partial[] = {ARG_MEM(args->x),
                                         ARG_MEM(args->workspace),
                                         ARG_INT((cl_int)args->start),
                                         ARG_INT(args->rows * args->channels),
                                         ARG_INT(split.width),
                                         ARG_INT(split.blocks),
                                         ARG_INT(split.rows_per_block),
                                         ARG_ULONG(fastdiv((int)vectors))};
    tess_status status = kernel_enqueue(sum->ctx, sum->partial, &range, partial, 8, what);
    if (status) return status;
    return column_sum_finish(sum, args, what);
}

tess_status column_sum_finish(const struct column_sum *sum, const struct column_sum_args *args,
                              const char *what) {
    struct column_split split = column_split_of(args->rows, args->channels);
    struct kernel_arg start = ARG_INT((cl_int)args->start);
    struct kernel_range range = launch_range(sum->ctx, (size_t)(split.width / sum->vector), 16);
    const struct kernel_arg blocks[] = {ARG_MEM(args->workspace), start, ARG_INT(split.width),
                                        ARG_INT(split.blocks)};
    tess_status status = kernel_enqueue(sum->ctx, sum->blocks, &range, blocks, 4, what);
    if (status) return status;

    range = launch_range(sum->ctx, (size_t)args->channels, 64);
    const struct kernel_arg channels[] = {ARG_MEM(args->workspace), start, ARG_MEM(args->out),
                                          ARG_INT(split.width), ARG_INT(args->channels)};
    return kernel_enqueue(sum->ctx, sum->channels, &range, channels, 5, what);
}
