#include "ops/nd/nd_reduce_core.h"

#include <stdio.h>

/* As in kernels_cl/nd_reduce.cl. */
struct nd_reduction {
    cl_ulong by_kept[ND_OUTER], by_row[ND_OUTER];
    cl_ulong by_segments, by_run_segments, by_columns, by_groups;
    cl_int kept[ND_OUTER], kept_stride[ND_OUTER];
    cl_int row[ND_OUTER], row_stride[ND_OUTER];
    cl_int kept_rank, row_rank;
    cl_int inner, groups, columns;
    cl_int rows, run, run_stride;
    cl_int outputs, items;
    cl_int segments, run_segments;
    cl_int rows_each, run_start, run_length, run_step;
};

/* Vectors of one work-item in nd_reduce_columns. */
static int across(const tess_context *ctx) {
    return nd_on_cpu(ctx) ? 4 : 1;
}

tess_status nd_reduce_program(tess_context *ctx, enum nd_combine combine, struct program **out) {
    char options[64], config[64];
    int vector = launch_vector(ctx);
    snprintf(options, sizeof options, "-DVEC=%d -DACROSS=%d -DCOMBINE=%d", vector, across(ctx),
             (int)combine);
    snprintf(config, sizeof config, "nd_reduce__vec%d_across%d_combine%d", vector, across(ctx),
             (int)combine);
    return program_get(ctx, "nd_reduce.cl", options, config, out);
}

/* x's dimensions after merging neighbours that are both kept or both reduced. */
struct merged {
    int rank;
    int64_t dims[ND_SPACE_RANK], stride[ND_SPACE_RANK];
    bool reduced[ND_SPACE_RANK];
};

static struct merged merge(const struct nd_reduce_core_desc *desc) {
    struct merged m = {0};
    for (int d = 0; d < desc->rank; d++) {
        if (desc->dims[d] == 1) continue;
        if (m.rank > 0 && m.reduced[m.rank - 1] == desc->reduced[d]) {
            m.dims[m.rank - 1] *= desc->dims[d];
        } else {
            m.reduced[m.rank] = desc->reduced[d];
            m.dims[m.rank++] = desc->dims[d];
        }
    }
    int64_t stride = 1;
    for (int d = m.rank - 1; d >= 0; d--) {
        m.stride[d] = stride;
        stride *= m.dims[d];
    }
    return m;
}

/* Puts x's dimensions into kept and reduced ones. The innermost reduced one becomes the runs; if the innermost of all is kept, it
   becomes inner, otherwise inner is 0. */
static void place_dims(const struct merged *m, struct nd_reduction *r) {
    int last = m->rank - 1;
    r->rows = r->run = r->outputs = 1;
    for (int d = last, run = 1; d >= 0; d--) {
        cl_int dim = (cl_int)m->dims[d], stride = (cl_int)m->stride[d];
        if (!m->reduced[d]) {
            r->outputs *= dim;
            if (d == last) r->inner = dim;
        } else if (run) {
            r->run = dim;
            r->run_stride = stride;
            run = 0;
        } else {
            r->rows *= dim;
        }
    }
    int innermost_reduced = last >= 0 && m->reduced[last] ? last : last - 1;
    for (int d = 0; d <= last; d++) {
        cl_int dim = (cl_int)m->dims[d], stride = (cl_int)m->stride[d];
        if (m->reduced[d] && d != innermost_reduced) {
            r->row[r->row_rank] = dim;
            r->by_row[r->row_rank] = fastdiv(dim > 0 ? dim : 1);
            r->row_stride[r->row_rank++] = stride;
        } else if (!m->reduced[d] && d != last) {
            r->kept[r->kept_rank] = dim;
            r->by_kept[r->kept_rank] = fastdiv(dim);
            r->kept_stride[r->kept_rank++] = stride;
        }
    }
}

static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* Cuts the reduced elements into segments, where there are too few results to keep the device busy. */
static void cut(struct nd_reduction *r, bool cpu, int vector) {
    int64_t items = r->inner ? r->columns : r->outputs, reduced = (int64_t)r->rows * r->run;
    int64_t wanted = cpu ? 64 : 8192, least = cpu ? 4096 : 64;
    int64_t elements = r->inner ? reduced * (r->inner < vector ? r->inner : vector) : reduced;
    int64_t segments = items > 0 ? wanted / items : 1;
    if (segments > elements / least) segments = elements / least;
    if (segments > 512) segments = 512; /* one work-item adds the partial results of its columns */
    if (segments < 1) segments = 1;
    int64_t of_rows = segments < r->rows ? segments : r->rows > 0 ? r->rows : 1;
    r->rows_each = (cl_int)divide_up(r->rows, of_rows);
    of_rows = r->rows ? divide_up(r->rows, r->rows_each) : 1;
    int64_t of_run = divide_up(segments, of_rows), vectors = divide_up(r->run, vector);
    if (of_run > vectors) of_run = vectors > 0 ? vectors : 1;
    r->run_length = r->run;
    r->run_step = vector;
    if (!cpu && !r->inner) { /* neighbours read neighbours */
        r->run_start = vector;
        r->run_step = (cl_int)(of_run * vector);
    } else {
        r->run_start = r->run_length = (cl_int)(divide_up(vectors, of_run) * vector);
        of_run = r->run ? divide_up(r->run, r->run_length) : 1;
    }
    r->run_segments = (cl_int)of_run;
    r->segments = (cl_int)(of_rows * of_run);
    r->items = (cl_int)items * r->segments;
    r->by_run_segments = fastdiv(r->run_segments);
    r->by_segments = fastdiv(r->segments);
}

static struct nd_reduction reduction_of(const tess_context *ctx, const struct merged *m) {
    struct nd_reduction r = {.groups = 1};
    int vector = launch_vector(ctx);
    place_dims(m, &r);
    if (r.inner) r.groups = (cl_int)divide_up(r.inner, (int64_t)vector * across(ctx));
    r.columns = r.inner ? r.outputs / r.inner * r.groups : 1;
    r.by_groups = fastdiv(r.groups);
    r.by_columns = fastdiv(r.columns);
    cut(&r, nd_on_cpu(ctx), vector);
    return r;
}

static tess_status make_launch(tess_context *ctx, struct program *program, struct nd_reduction *r,
                               const char *what, struct nd_reduction_launch *out) {
    const char *name = r->inner ? "nd_reduce_columns" : "nd_reduce_rows";
    tess_status status = program_kernel(ctx, program, name, &out->kernel);
    if (status) return status;
    out->range = launch_range(ctx, (size_t)r->items, nd_on_cpu(ctx) ? 8 : 64);
    return nd_upload(ctx, r, sizeof *r, what, &out->memory);
}

tess_status nd_reduce_core_create(tess_context *ctx, const struct nd_reduce_core_desc *desc,
                                  struct nd_reduce_core *out) {
    struct nd_reduce_core core = {.ctx = ctx, .map = desc->map, .finish = desc->finish};
    struct merged m = merge(desc);
    struct nd_reduction r = reduction_of(ctx, &m);
    struct program *program = NULL;
    tess_status status = TESS_OK;
    if (r.kept_rank > ND_OUTER || r.row_rank > ND_OUTER)
        return context_fail(ctx, TESS_UNSUPPORTED,
                            "%s: too many dimensions that do not merge; at most %d kept and %d "
                            "reduced ones fit",
                            desc->what, ND_OUTER, ND_OUTER);
    status = nd_reduce_program(ctx, desc->combine, &program);
    if (!status) status = make_launch(ctx, program, &r, desc->what, &core.first);
    if (!status && r.segments > 1) {
        core.partials = (size_t)r.segments * (size_t)r.outputs;
        struct merged partial = {.rank = 2,
                                 .dims = {r.segments, r.outputs},
                                 .stride = {r.outputs, 1},
                                 .reduced = {true, false}};
        struct nd_reduction second = reduction_of(ctx, &partial);
        /* No further partial results: one work-item adds all segments of its column. */
        second.rows_each = 1;
        second.run_start = second.run_length = second.run;
        second.run_segments = second.segments = 1;
        second.by_run_segments = second.by_segments = fastdiv(1);
        second.items = second.columns;
        status = make_launch(ctx, program, &second, desc->what, &core.second);
    }
    if (status) {
        nd_reduce_core_destroy(&core);
        return status;
    }
    *out = core;
    return TESS_OK;
}

void nd_reduce_core_destroy(struct nd_reduce_core *core) {
    kernel_release(core->first.kernel);
    kernel_release(core->second.kernel);
    context_buffer_release(core->ctx, core->first.memory, sizeof(struct nd_reduction));
    context_buffer_release(core->ctx, core->second.memory, sizeof(struct nd_reduction));
}

tess_status nd_reduce_core_enqueue(const struct nd_reduce_core *core,
                                   const struct nd_reduce_core_args *args, const char *what) {
    bool twice = core->second.memory != NULL;
    struct kernel_arg list[] = {ARG_MEM(core->first.memory),
                                ARG_INT((cl_int)core->map),
                                ARG_INT(twice ? ND_FINISH_SCALE : (cl_int)core->finish),
                                ARG_FLOAT(twice ? 1.0f : args->scale),
                                ARG_MEM(args->x),
                                ARG_INT((cl_int)args->x_start),
                                ARG_MEM(twice ? args->workspace : args->y),
                                ARG_INT(twice ? (cl_int)args->workspace_start : 0)};
    tess_status status =
        kernel_enqueue(core->ctx, core->first.kernel, &core->first.range, list, 8, what);
    if (status || !twice) return status;
    const struct kernel_arg again[] = {ARG_MEM(core->second.memory),
                                       ARG_INT(ND_MAP_NONE),
                                       ARG_INT((cl_int)core->finish),
                                       ARG_FLOAT(args->scale),
                                       ARG_MEM(args->workspace),
                                       ARG_INT((cl_int)args->workspace_start),
                                       ARG_MEM(args->y),
                                       ARG_INT(0)};
    return kernel_enqueue(core->ctx, core->second.kernel, &core->second.range, again, 8, what);
}
