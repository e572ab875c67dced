/* Values in layouts, and the steps that make them. */
#include "net/onnx/exec_build.h"

#include "ops/nd/nd_walk.h"

#include <stdlib.h>
#include <string.h>

struct onnx_at exec_at(const struct exec_build *b) {
    return (struct onnx_at){b->in.model, b->in.folded, b->in.node, b->in.error};
}

int exec_input(const struct exec_build *b, int i) {
    return i < b->in.node->input_count ? b->in.node->inputs[i] : ONNX_ABSENT;
}

int exec_output(const struct exec_build *b, int i) {
    return i < b->in.node->output_count ? b->in.node->outputs[i] : ONNX_ABSENT;
}

bool exec_dtype(int dtype, enum nd_dtype *out) {
    switch (onnx_dtype_size(dtype)) {
    case 1:
        *out = ND_BOOL;
        return true;
    case 4:
        *out = dtype == ONNX_FLOAT ? ND_F32 : ND_I32;
        return true;
    case 8:
        *out = ND_I64;
        return true;
    default:
        return false;
    }
}

/* ---------------------------------------------------------------- shapes */

tess_tensor_desc exec_image(const struct onnx_known *known, enum exec_layout layout) {
    static const tess_layout layouts[EXEC_LAYOUTS] = {TESS_NCHW, TESS_NHWC, TESS_RSCK};
    int64_t dims[4] = {1, 1, 1, 1};
    for (int d = 0; d < known->rank; d++) {
        int at = d < 2 ? d : d == 2 && known->rank > 3 ? 2 : 3;
        dims[at] *= known->dims[d];
    }
    return (tess_tensor_desc){.dtype = TESS_F32,
                              .layout = layouts[layout],
                              .n = (int)dims[0],
                              .c = (int)dims[1],
                              .h = (int)dims[2],
                              .w = (int)dims[3]};
}

tess_tensor_desc exec_vector(int64_t count) {
    return (tess_tensor_desc){
        .dtype = TESS_F32, .layout = TESS_NHWC, .n = 1, .c = (int)count, .h = 1, .w = 1};
}

int exec_axis(enum exec_layout layout, int rank, int d) {
    if (layout == EXEC_ROWS || d == 0) return d;
    return d == 1 ? rank - 1 : d - 1;
}

struct nd_shape exec_shape(const struct onnx_known *known, enum exec_layout layout, int rank) {
    struct nd_shape shape = {.rank = rank};
    int missing = rank - known->rank;
    for (int d = 0; d < rank; d++)
        shape.dims[exec_axis(layout, rank, d)] = d < missing ? 1 : known->dims[d - missing];
    return shape;
}

/* Whether a value's elements lie the same way in both. */
static bool same_place(const struct onnx_known *known, enum exec_layout a, enum exec_layout b) {
    tess_tensor_desc from = exec_image(known, a), to = exec_image(known, b);
    return a == b || layout_same(&from, from.layout, to.layout);
}

bool exec_in_pixels(const struct exec_build *b, int value) {
    const struct exec_value *v = &b->run->values[value];
    return v->buffer[EXEC_PIXELS] >= 0 && v->buffer[EXEC_ROWS] < 0;
}

/* ---------------------------------------------------------------- buffers */

static tess_status no_memory(struct onnx_run *run) {
    return context_fail(run->ctx, TESS_OUT_OF_HOST_MEMORY,
                        "%s: no host memory to plan it; free some memory", run->model->path);
}

tess_status exec_buffer_add(struct onnx_run *run, size_t bytes, int *buffer) {
    if (run->buffer_count == run->buffer_room) {
        int room = run->buffer_room ? 2 * run->buffer_room : 64;
        struct exec_buffer *more = realloc(run->buffers, (size_t)room * sizeof *more);
        if (!more) return no_memory(run);
        run->buffers = more;
        run->buffer_room = room;
    }
    run->buffers[run->buffer_count] = (struct exec_buffer){.bytes = bytes, .first = -1};
    *buffer = run->buffer_count++;
    return TESS_OK;
}

tess_status exec_buffer_constant(struct onnx_run *run, const void *data, size_t bytes,
                                 int *buffer) {
    int index = 0;
    tess_status status = exec_buffer_add(run, bytes, &index);
    if (status) return status;
    struct exec_buffer *made = &run->buffers[index];
    made->fixed = true;
    if (bytes) status = nd_upload(run->ctx, data, bytes, "uploading a constant", &made->mem);
    if (status) return status;
    run->info.constants += bytes;
    *buffer = index;
    return TESS_OK;
}

static size_t bytes_of(const struct onnx_known *known) {
    return (size_t)known->count * onnx_dtype_size(known->dtype);
}

/* A constant's buffer, put into the layout on the host. */
static tess_status upload(struct onnx_run *run, int value, enum exec_layout layout, int *buffer) {
    const struct onnx_known *known = &run->folded->values[value];
    const void *data = known->constant->data;
    if (same_place(known, EXEC_ROWS, layout))
        return exec_buffer_constant(run, data, bytes_of(known), buffer);
    void *moved = malloc(bytes_of(known));
    if (!moved) return no_memory(run);
    tess_tensor_desc from = exec_image(known, EXEC_ROWS), to = exec_image(known, layout);
    layout_copy(&from, from.layout, data, to.layout, moved);
    tess_status status = exec_buffer_constant(run, moved, bytes_of(known), buffer);
    free(moved);
    return status;
}

tess_status exec_make(struct exec_build *b, int value, enum exec_layout layout, int *buffer) {
    struct onnx_run *run = b->run;
    tess_status status = exec_buffer_add(run, bytes_of(&run->folded->values[value]), buffer);
    if (!status) run->values[value].buffer[layout] = *buffer;
    return status;
}

/* ---------------------------------------------------------------- conversion */

static tess_status enqueue_convert(struct onnx_run *run, const struct exec_step *step) {
    struct tess_tensor from = exec_tensor(run, step, 0), to = exec_tensor(run, step, 1);
    return tess_layout_convert(run->layouts, &from, &to);
}

/* One of the layouts is ROWS. */
static tess_status convert(struct exec_build *b, int value, enum exec_layout from,
                           enum exec_layout to) {
    struct onnx_run *run = b->run;
    const struct onnx_known *known = &run->folded->values[value];
    int made;
    tess_status status = TESS_OK;
    if (known->dtype != ONNX_FLOAT)
        return infer_fail(&b->in, TESS_UNSUPPORTED, "images of %s are not supported; use float32",
                          onnx_dtype_name(known->dtype));
    if (!run->layouts) status = tess_eltwise_create(run->ctx, &run->layouts);
    int have = run->values[value].buffer[from];
    if (!status) status = exec_make(b, value, to, &made);
    if (status) return status;
    const struct exec_operand operands[] = {{have, exec_image(known, from)},
                                            {made, exec_image(known, to)}};
    const struct exec_step step = {.enqueue = enqueue_convert};
    run->info.conversions++;
    return exec_add(b, &step, operands, 2);
}

tess_status exec_need(struct exec_build *b, int value, enum exec_layout layout, int *buffer) {
    struct onnx_run *run = b->run;
    int *have = run->values[value].buffer;
    const struct onnx_known *known = &run->folded->values[value];
    tess_status status = TESS_OK;
    for (int other = 0; have[layout] < 0 && other < EXEC_LAYOUTS; other++)
        if (have[other] >= 0 && same_place(known, (enum exec_layout)other, layout))
            have[layout] = have[other];
    if (have[layout] < 0 && known->constant) {
        status = upload(run, value, layout, &have[layout]);
    } else if (have[layout] < 0) {
        for (int other = 1; have[EXEC_ROWS] < 0 && other < EXEC_LAYOUTS && !status; other++)
            if (have[other] >= 0) status = convert(b, value, (enum exec_layout)other, EXEC_ROWS);
        if (!status && layout != EXEC_ROWS) status = convert(b, value, EXEC_ROWS, layout);
    }
    if (!status) *buffer = have[layout];
    return status;
}

tess_status exec_alias(struct exec_build *b, int from, int to) {
    const struct onnx_known *values = b->run->folded->values;
    struct nd_shape x = exec_shape(&values[from], EXEC_ROWS, values[from].rank);
    struct nd_shape y = exec_shape(&values[to], EXEC_ROWS, values[to].rank);
    if (exec_in_pixels(b, from) && nd_shape_equal(&x, &y)) {
        b->run->values[to] = b->run->values[from];
        return TESS_OK;
    }
    return exec_need(b, from, EXEC_ROWS, &b->run->values[to].buffer[EXEC_ROWS]);
}

/* ---------------------------------------------------------------- steps */

static struct exec_step *step_room(struct onnx_run *run) {
    if (run->step_count < run->step_room) return &run->steps[run->step_count];
    int room = run->step_room ? 2 * run->step_room : 64;
    struct exec_step *more = realloc(run->steps, (size_t)room * sizeof *more);
    if (!more) return NULL;
    run->steps = more;
    run->step_room = room;
    return &run->steps[run->step_count];
}

tess_status exec_add(struct exec_build *b, const struct exec_step *step,
                     const struct exec_operand *operands, int count) {
    struct onnx_run *run = b->run;
    struct exec_operand *copy = calloc((size_t)count + 1, sizeof *copy);
    struct exec_step *to = step_room(run);
    if (!copy || !to) {
        free(copy);
        if (step->destroy) step->destroy(step->op);
        return no_memory(run);
    }
    memcpy(copy, operands, (size_t)count * sizeof *copy);
    *to = *step;
    to->node = b->in.node;
    to->operands = copy;
    to->operand_count = count;
    for (int i = 0; i < count; i++) {
        if (copy[i].buffer < 0) continue;
        struct exec_buffer *buffer = &run->buffers[copy[i].buffer];
        if (buffer->first < 0) buffer->first = run->step_count;
        buffer->last = run->step_count;
    }
    if (step->workspace > run->info.workspace) run->info.workspace = step->workspace;
    run->info.steps = ++run->step_count;
    return TESS_OK;
}

cl_mem exec_mem(const struct onnx_run *run, const struct exec_step *step, int operand) {
    int buffer = step->operands[operand].buffer;
    return buffer < 0 ? NULL : run->buffers[buffer].mem;
}

struct tess_tensor exec_tensor(const struct onnx_run *run, const struct exec_step *step,
                               int operand) {
    return (struct tess_tensor){
        .ctx = run->ctx, .desc = step->operands[operand].desc, .mem = exec_mem(run, step, operand)};
}

struct tess_tensor exec_workspace(const struct onnx_run *run, const struct exec_step *step) {
    return (struct tess_tensor){.ctx = run->ctx,
                                .desc = exec_vector((int64_t)((step->workspace + 3) / 4)),
                                .mem = run->workspace};
}
