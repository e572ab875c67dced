/* Operators that move elements of any type, in row-major order. */
#include "net/onnx/exec_build.h"

#include <stdlib.h>
#include <string.h>

static enum nd_dtype dtype_of(const struct exec_build *b) {
    enum nd_dtype dtype = ND_F32;
    (void)exec_dtype(infer_in(&b->in, 0)->dtype, &dtype); /* checked before anything was made */
    return dtype;
}

static struct nd_shape shape_in(const struct exec_build *b) {
    const struct onnx_known *x = infer_in(&b->in, 0);
    return exec_shape(x, EXEC_ROWS, x->rank);
}

/* ---------------------------------------------------------------- Transpose, Slice, Expand, Tile, DepthToSpace */

static tess_status enqueue_move(struct onnx_run *run, const struct exec_step *step) {
    return nd_move_forward(step->op, exec_mem(run, step, 0), exec_mem(run, step, 1));
}

static void destroy_move(void *op) {
    nd_move_destroy(op);
}

/* op is this function's. */
static tess_status add_move(struct exec_build *b, struct nd_move *op) {
    struct exec_operand operands[2] = {0};
    tess_status status = exec_need(b, exec_input(b, 0), EXEC_ROWS, &operands[0].buffer);
    if (!status) status = exec_make(b, exec_output(b, 0), EXEC_ROWS, &operands[1].buffer);
    if (status) {
        nd_move_destroy(op);
        return status;
    }
    const struct exec_step step = {.op = op, .enqueue = enqueue_move, .destroy = destroy_move};
    return exec_add(b, &step, operands, 2);
}

tess_status exec_transpose(struct exec_build *b) {
    struct onnx_at at = exec_at(b);
    int perm[ONNX_MAX_RANK];
    struct nd_shape x = shape_in(b);
    struct nd_move *op = NULL;
    tess_status status = onnx_perm_of(&at, perm);
    if (!status) status = nd_transpose_create(b->run->ctx, dtype_of(b), &x, perm, false, &op);
    return status ? status : add_move(b, op);
}

tess_status exec_depth_to_space(struct exec_build *b) {
    static const int depth_first[6] = {0, 3, 4, 1, 5, 2}, column_first[6] = {0, 1, 4, 2, 5, 3};
    struct nd_shape x = shape_in(b);
    char mode[8] = "DCR";
    int64_t block = 1;
    struct nd_move *op = NULL;
    tess_status status = onnx_get_int(b->in.model, b->in.node, "blocksize", b->in.error, &block);
    if (!status)
        status = onnx_get_string(b->in.model, b->in.node, "mode", b->in.error, sizeof mode, mode);
    if (status) return status;
    bool columns = strcmp(mode, "CRD") == 0;
    int64_t c = x.dims[1] / (block * block);
    struct nd_shape split = {6, {x.dims[0], block, block, c, x.dims[2], x.dims[3]}};
    if (columns) {
        split.dims[1] = c;
        split.dims[3] = block;
    }
    status = nd_transpose_create(b->run->ctx, dtype_of(b), &split,
                                 columns ? column_first : depth_first, false, &op);
    return status ? status : add_move(b, op);
}

tess_status exec_slice(struct exec_build *b) {
    struct onnx_at at = exec_at(b);
    struct onnx_slice slice;
    struct nd_slice_desc desc = {.dtype = dtype_of(b), .x = shape_in(b)};
    struct nd_move *op = NULL;
    tess_status status = onnx_slice_of(&at, &slice);
    if (status) return status;
    desc.axis_count = desc.x.rank;
    for (int d = 0; d < desc.x.rank; d++) {
        bool empty = slice.size[d] == 0;
        int64_t last = slice.start[d] + (slice.size[d] - 1) * slice.step[d];
        int64_t end = last + (slice.step[d] > 0 ? 1 : -1);
        desc.axes[d] = d;
        desc.steps[d] = slice.step[d];
        desc.starts[d] = empty ? 0 : slice.start[d];
        desc.ends[d] = empty ? 0 : end < 0 ? -desc.x.dims[d] - 1 /* before the first */ : end;
    }
    status = nd_slice_create(b->run->ctx, &desc, &op);
    return status ? status : add_move(b, op);
}

tess_status exec_expand(struct exec_build *b) {
    const struct onnx_known *y = infer_out(&b->in, 0);
    struct nd_shape x = shape_in(b), to = exec_shape(y, EXEC_ROWS, y->rank);
    struct nd_move *op = NULL;
    tess_status status = nd_expand_create(b->run->ctx, dtype_of(b), &x, &to, false, &op);
    return status ? status : add_move(b, op);
}

tess_status exec_tile(struct exec_build *b) {
    struct nd_shape x = shape_in(b);
    int64_t repeats[ONNX_MAX_RANK];
    int count = 0;
    struct nd_move *op = NULL;
    tess_status status = infer_ints(&b->in, 1, repeats, &count);
    if (!status) status = nd_tile_create(b->run->ctx, dtype_of(b), &x, repeats, false, &op);
    return status ? status : add_move(b, op);
}

/* ---------------------------------------------------------------- Concat, Split */

/* nd_concat with the list of its parts, which a step fills in. */
struct join {
    struct nd_concat *op;
    int count;
    cl_mem parts[];
};

static void destroy_join(void *op) {
    struct join *join = op;
    if (join) nd_concat_destroy(join->op);
    free(join);
}

/* Operands: parts, whole. */
static tess_status enqueue_concat(struct onnx_run *run, const struct exec_step *step) {
    struct join *join = step->op;
    for (int i = 0; i < join->count; i++)
        join->parts[i] = exec_mem(run, step, i);
    return nd_concat_join(join->op, join->parts, exec_mem(run, step, join->count));
}

static tess_status enqueue_split(struct onnx_run *run, const struct exec_step *step) {
    struct join *join = step->op;
    for (int i = 0; i < join->count; i++)
        join->parts[i] = exec_mem(run, step, i);
    return nd_concat_split(join->op, exec_mem(run, step, join->count), join->parts);
}

static tess_status join_create(struct exec_build *b, int axis, const struct nd_shape *parts,
                               int count, struct join **out) {
    struct join *join = calloc(1, sizeof *join + (size_t)count * sizeof *join->parts);
    if (!join) return infer_fail(&b->in, TESS_OUT_OF_HOST_MEMORY, "no memory for it; free some");
    join->count = count;
    tess_status status = nd_concat_create(b->run->ctx, dtype_of(b), axis, parts, count, &join->op);
    if (status)
        destroy_join(join);
    else
        *out = join;
    return status;
}

/* Pixels if all inputs are there as such, so that a convolution may follow without conversion. */
static enum exec_layout concat_layout(const struct exec_build *b) {
    for (int i = 0; i < b->in.node->input_count; i++)
        if (!exec_in_pixels(b, exec_input(b, i))) return EXEC_ROWS;
    return EXEC_PIXELS;
}

/* shapes and operands have room for all inputs and one more. */
static tess_status concat(struct exec_build *b, struct nd_shape *shapes,
                          struct exec_operand *operands) {
    int count = b->in.node->input_count, axis = 0, rank = infer_in(&b->in, 0)->rank;
    enum exec_layout layout = concat_layout(b);
    struct join *join = NULL;
    tess_status status = infer_axis_attribute(&b->in, 1, rank, &axis);
    for (int i = 0; i < count && !status; i++) {
        shapes[i] = exec_shape(infer_in(&b->in, i), layout, rank);
        status = exec_need(b, exec_input(b, i), layout, &operands[i].buffer);
    }
    if (!status) status = exec_make(b, exec_output(b, 0), layout, &operands[count].buffer);
    if (!status) status = join_create(b, exec_axis(layout, rank, axis), shapes, count, &join);
    if (status) return status;
    const struct exec_step step = {.op = join, .enqueue = enqueue_concat, .destroy = destroy_join};
    return exec_add(b, &step, operands, count + 1);
}

static tess_status split(struct exec_build *b, struct nd_shape *shapes,
                         struct exec_operand *operands) {
    int count = b->in.node->output_count, axis = 0, rank = infer_in(&b->in, 0)->rank;
    struct join *join = NULL;
    tess_status status = infer_axis_attribute(&b->in, 0, rank, &axis);
    for (int i = 0; i < count && !status; i++) {
        const struct onnx_known *part = infer_out(&b->in, i);
        if (!part)
            return infer_fail(&b->in, TESS_UNSUPPORTED,
                              "leaves out its output %d; export it with all of them", i);
        shapes[i] = exec_shape(part, EXEC_ROWS, rank);
        status = exec_make(b, exec_output(b, i), EXEC_ROWS, &operands[i].buffer);
    }
    if (!status) status = exec_need(b, exec_input(b, 0), EXEC_ROWS, &operands[count].buffer);
    if (!status) status = join_create(b, axis, shapes, count, &join);
    if (status) return status;
    const struct exec_step step = {.op = join, .enqueue = enqueue_split, .destroy = destroy_join};
    return exec_add(b, &step, operands, count + 1);
}

static tess_status with_lists(struct exec_build *b, int count,
                              tess_status (*work)(struct exec_build *, struct nd_shape *,
                                                  struct exec_operand *)) {
    struct nd_shape *shapes = calloc((size_t)count + 1, sizeof *shapes);
    struct exec_operand *operands = calloc((size_t)count + 1, sizeof *operands);
    tess_status status = shapes && operands ? work(b, shapes, operands)
                                            : infer_fail(&b->in, TESS_OUT_OF_HOST_MEMORY,
                                                         "no memory for it; free some");
    free(shapes);
    free(operands);
    return status;
}

tess_status exec_concat(struct exec_build *b) {
    return with_lists(b, b->in.node->input_count, concat);
}

tess_status exec_split(struct exec_build *b) {
    return with_lists(b, b->in.node->output_count, split);
}

/* ---------------------------------------------------------------- Pad */

static tess_status enqueue_pad(struct onnx_run *run, const struct exec_step *step) {
    return nd_pad_forward(step->op, exec_mem(run, step, 0), exec_mem(run, step, 1));
}

static void destroy_pad(void *op) {
    nd_pad_destroy(op);
}

static tess_status read_pad(struct exec_build *b, struct nd_pad_desc *desc) {
    static const char *const modes[] = {"constant", "edge", "reflect"}; /* as enum nd_pad_mode */
    struct onnx_at at = exec_at(b);
    struct onnx_pad pad;
    int mode = 0;
    tess_status status = onnx_pad_of(&at, &pad);
    if (status) return status;
    while (mode < 3 && strcmp(modes[mode], pad.mode) != 0)
        mode++;
    if (mode == 3)
        return infer_fail(&b->in, TESS_UNSUPPORTED,
                          "mode %s is not supported; use constant, edge or reflect", pad.mode);
    if (desc->dtype != ND_F32 && pad.value != 0)
        return infer_fail(&b->in, TESS_UNSUPPORTED,
                          "pads integers with %g, and only 0 is supported; use float32", pad.value);
    desc->mode = (enum nd_pad_mode)mode;
    desc->value = (float)pad.value;
    memcpy(desc->before, pad.before, sizeof desc->before);
    memcpy(desc->after, pad.after, sizeof desc->after);
    return TESS_OK;
}

tess_status exec_pad(struct exec_build *b) {
    struct nd_pad_desc desc = {.dtype = dtype_of(b), .x = shape_in(b)};
    struct exec_operand operands[2] = {0};
    struct nd_pad *op = NULL;
    tess_status status = read_pad(b, &desc);
    if (!status) status = exec_need(b, exec_input(b, 0), EXEC_ROWS, &operands[0].buffer);
    if (!status) status = exec_make(b, exec_output(b, 0), EXEC_ROWS, &operands[1].buffer);
    if (!status) status = nd_pad_create(b->run->ctx, &desc, &op);
    if (status) return status;
    const struct exec_step step = {.op = op, .enqueue = enqueue_pad, .destroy = destroy_pad};
    return exec_add(b, &step, operands, 2);
}
