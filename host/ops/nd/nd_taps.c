#include "ops/nd/nd_taps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As in kernels_cl/nd_taps.cl. */
struct nd_taps {
    cl_ulong by_inner, by_dim[ND_OUTER];
    cl_int dims[ND_OUTER], stride[ND_OUTER];
    cl_int table[ND_OUTER];
    cl_int rank, inner, inner_table, count, chunk, unused;
};

bool nd_tap_table_alloc(struct nd_tap_table *table, int x, int y, int taps) {
    *table = (struct nd_tap_table){.x = x, .y = y};
    size_t room = taps > 0 ? (size_t)taps : 1;
    table->start = calloc((size_t)y + 1, sizeof *table->start);
    table->index = malloc(room * sizeof *table->index);
    table->weight = malloc(room * sizeof *table->weight);
    if (table->start && table->index && table->weight) return true;
    nd_tap_table_free(table);
    return false;
}

void nd_tap_table_free(struct nd_tap_table *table) {
    free(table->start);
    free(table->index);
    free(table->weight);
    *table = (struct nd_tap_table){0};
}

bool nd_tap_table_transpose(const struct nd_tap_table *table, struct nd_tap_table *out) {
    struct nd_tap_table t;
    int taps = table->start[table->y];
    if (!nd_tap_table_alloc(&t, table->y, table->x, taps)) return false;
    for (int k = 0; k < taps; k++) /* count, at the place behind */
        t.start[table->index[k] + 1]++;
    for (int c = 0; c < t.y; c++)
        t.start[c + 1] += t.start[c];
    for (int c = 0; c < table->y; c++)
        for (int k = table->start[c]; k < table->start[c + 1]; k++) {
            int place = t.start[table->index[k]]++;
            t.index[place] = c;
            t.weight[place] = table->weight[k];
        }
    for (int c = t.y; c > 0; c--) /* each start has moved on to the next */
        t.start[c] = t.start[c - 1];
    t.start[0] = 0;
    *out = t;
    return true;
}

/* All tables behind each other. */
struct joined {
    int *start, *index;
    float *weight;
    int starts, taps;
};

static void free_joined(struct joined *all) {
    free(all->start);
    free(all->index);
    free(all->weight);
}

static bool join_tables(const struct nd_tap_table *tables, int rank, int place[ND_MAX_RANK],
                        struct joined *out) {
    struct joined all = {.starts = 1, .taps = 1}; /* buffers may not be empty */
    for (int d = 0; d < rank; d++) {
        if (!tables[d].start) continue;
        all.starts += tables[d].y + 1;
        all.taps += tables[d].start[tables[d].y];
    }
    all.start = calloc((size_t)all.starts, sizeof *all.start);
    all.index = calloc((size_t)all.taps, sizeof *all.index);
    all.weight = calloc((size_t)all.taps, sizeof *all.weight);
    if (!all.start || !all.index || !all.weight) {
        free_joined(&all);
        return false;
    }
    int start = 0, tap = 0;
    for (int d = 0; d < rank; d++) {
        const struct nd_tap_table *table = &tables[d];
        place[d] = table->start ? start : -1;
        if (!table->start) continue;
        int taps = table->start[table->y];
        for (int c = 0; c <= table->y; c++)
            all.start[start++] = table->start[c] + tap;
        memcpy(all.index + tap, table->index, (size_t)taps * sizeof *all.index);
        memcpy(all.weight + tap, table->weight, (size_t)taps * sizeof *all.weight);
        tap += taps;
    }
    *out = all;
    return true;
}

/* Merges plain neighbours. The innermost dimension is the inner one. */
static struct nd_taps geometry(const struct nd_shape *x, const struct nd_tap_table *tables,
                               const int place[ND_MAX_RANK]) {
    int dims[ND_MAX_RANK + 1] = {0}, stride[ND_MAX_RANK + 1] = {0}, table[ND_MAX_RANK + 1] = {0};
    int rank = 0;
    int64_t strides[ND_MAX_RANK];
    struct nd_taps w = {.count = 1};
    nd_strides(x, strides);
    for (int d = 0; d < x->rank; d++) {
        bool plain = place[d] < 0;
        int size = plain ? (int)x->dims[d] : tables[d].y;
        w.count *= size;
        bool merge = plain && rank > 0 && table[rank - 1] < 0;
        if (!merge) rank++;
        dims[rank - 1] = merge ? dims[rank - 1] * size : size;
        stride[rank - 1] = (int)strides[d];
        table[rank - 1] = place[d];
    }
    w.rank = rank > 0 ? rank - 1 : 0;
    w.inner = rank > 0 ? dims[rank - 1] : 1;
    w.inner_table = rank > 0 ? table[rank - 1] : -1;
    w.by_inner = fastdiv(w.inner);
    for (int d = 0; d < w.rank; d++) {
        w.dims[d] = dims[d];
        w.by_dim[d] = fastdiv(dims[d]);
        w.stride[d] = stride[d];
        w.table[d] = table[d];
    }
    return w;
}

static tess_status make_kernel(struct nd_taps_launch *launch) {
    struct program *program = NULL;
    char options[32], config[32];
    snprintf(options, sizeof options, "-DVEC=%d", launch_vector(launch->ctx));
    snprintf(config, sizeof config, "nd_taps__vec%d", launch_vector(launch->ctx));
    tess_status status = program_get(launch->ctx, "nd_taps.cl", options, config, &program);
    if (status) return status;
    return program_kernel(launch->ctx, program, "nd_taps", &launch->kernel);
}

tess_status nd_taps_create(tess_context *ctx, const struct nd_shape *x,
                           const struct nd_tap_table *tables, const char *what,
                           struct nd_taps_launch *out) {
    struct nd_taps_launch launch = {.ctx = ctx};
    struct joined all = {0};
    int place[ND_MAX_RANK];
    if (!join_tables(tables, x->rank, place, &all))
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "%s: no memory; free some", what);
    struct nd_taps w = geometry(x, tables, place);
    w.chunk = nd_chunk(ctx, w.count, launch_vector(ctx));
    launch.range = nd_chunk_range(ctx, w.count, w.chunk);
    launch.bytes[0] = sizeof w;
    launch.bytes[1] = (size_t)all.starts * sizeof *all.start;
    launch.bytes[2] = (size_t)all.taps * sizeof *all.index;
    launch.bytes[3] = (size_t)all.taps * sizeof *all.weight;
    tess_status status = make_kernel(&launch);
    if (!status) status = nd_upload(ctx, &w, launch.bytes[0], what, &launch.memory);
    if (!status) status = nd_upload(ctx, all.start, launch.bytes[1], what, &launch.start);
    if (!status) status = nd_upload(ctx, all.index, launch.bytes[2], what, &launch.index);
    if (!status) status = nd_upload(ctx, all.weight, launch.bytes[3], what, &launch.weight);
    free_joined(&all);
    if (status) {
        nd_taps_destroy(&launch);
        return status;
    }
    *out = launch;
    return TESS_OK;
}

void nd_taps_destroy(struct nd_taps_launch *launch) {
    kernel_release(launch->kernel);
    context_buffer_release(launch->ctx, launch->memory, launch->bytes[0]);
    context_buffer_release(launch->ctx, launch->start, launch->bytes[1]);
    context_buffer_release(launch->ctx, launch->index, launch->bytes[2]);
    context_buffer_release(launch->ctx, launch->weight, launch->bytes[3]);
}

tess_status nd_taps_enqueue(const struct nd_taps_launch *launch, cl_mem x, cl_mem y,
                            const char *what) {
    const struct kernel_arg args[] = {ARG_MEM(launch->memory),
                                      ARG_MEM(launch->start),
                                      ARG_MEM(launch->index),
                                      ARG_MEM(launch->weight),
                                      ARG_MEM(x),
                                      ARG_MEM(y)};
    return kernel_enqueue(launch->ctx, launch->kernel, &launch->range, args, 6, what);
}
