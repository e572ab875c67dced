/* Element-wise operators. They work in whatever layout their inputs have. */
#include "net/onnx/exec_build.h"

#include <string.h>

/* ---------------------------------------------------------------- one input */

static tess_status enqueue_unary(struct onnx_run *run, const struct exec_step *step) {
    return nd_unary_forward(step->op, exec_mem(run, step, 0), exec_mem(run, step, 1));
}

static void destroy_unary(void *op) {
    nd_unary_destroy(op);
}

static tess_status add_unary(struct exec_build *b, enum nd_unary_kind kind, float alpha,
                             float beta) {
    int x = exec_input(b, 0), y = exec_output(b, 0), from, to;
    const struct onnx_known *known = &b->run->folded->values[x];
    enum exec_layout layout = exec_in_pixels(b, x) ? EXEC_PIXELS : EXEC_ROWS;
    struct nd_unary *op = NULL;
    const struct nd_unary_desc desc = {
        .kind = kind, .x = exec_shape(known, EXEC_ROWS, known->rank), .alpha = alpha, .beta = beta};
    tess_status status = exec_need(b, x, layout, &from);
    if (!status) status = exec_make(b, y, layout, &to);
    if (!status) status = nd_unary_create(b->run->ctx, &desc, &op);
    if (status) return status;
    const struct exec_operand operands[] = {{.buffer = from}, {.buffer = to}};
    const struct exec_step step = {.op = op, .enqueue = enqueue_unary, .destroy = destroy_unary};
    return exec_add(b, &step, operands, 2);
}

struct unary {
    const char *op;
    enum nd_unary_kind kind;
    const char *first, *second; /* attributes */
    float alpha, beta;          /* their defaults */
};

static const struct unary unaries[] = {
    {"Abs", ND_ABS, NULL, NULL, 0, 0},
    {"Ceil", ND_CEIL, NULL, NULL, 0, 0},
    {"Elu", ND_ELU, "alpha", NULL, 1, 0},
    {"Erf", ND_ERF, NULL, NULL, 0, 0},
    {"Exp", ND_EXP, NULL, NULL, 0, 0},
    {"Floor", ND_FLOOR, NULL, NULL, 0, 0},
    {"HardSigmoid", ND_HARD_SIGMOID, "alpha", "beta", 0.2f, 0.5f},
    {"HardSwish", ND_HARD_SWISH, NULL, NULL, 0, 0},
    {"LeakyRelu", ND_LEAKY_RELU, "alpha", NULL, 0.01f, 0},
    {"Log", ND_LOG, NULL, NULL, 0, 0},
    {"Neg", ND_NEG, NULL, NULL, 0, 0},
    {"Reciprocal", ND_RECIPROCAL, NULL, NULL, 0, 0},
    {"Relu", ND_RELU, NULL, NULL, 0, 0},
    {"Selu", ND_SELU, "alpha", "gamma", 1.67326319217681884765625f, 1.05070102214813232421875f},
    {"Sigmoid", ND_SIGMOID, NULL, NULL, 0, 0},
    {"Softplus", ND_SOFTPLUS, NULL, NULL, 0, 0},
    {"Softsign", ND_SOFTSIGN, NULL, NULL, 0, 0},
    {"Sqrt", ND_SQRT, NULL, NULL, 0, 0},
    {"Tanh", ND_TANH, NULL, NULL, 0, 0},
};

static tess_status read_float(struct exec_build *b, const char *name, float *value) {
    return name ? onnx_get_float(b->in.model, b->in.node, name, b->in.error, value) : TESS_OK;
}

tess_status exec_unary(struct exec_build *b) {
    size_t i = 0;
    while (strcmp(unaries[i].op, b->in.node->op) != 0)
        i++;
    float alpha = unaries[i].alpha, beta = unaries[i].beta;
    tess_status status = read_float(b, unaries[i].first, &alpha);
    if (!status) status = read_float(b, unaries[i].second, &beta);
    return status ? status : add_unary(b, unaries[i].kind, alpha, beta);
}

tess_status exec_clip(struct exec_build *b) {
    struct onnx_at at = exec_at(b);
    double least, most;
    tess_status status = onnx_clip_of(&at, &least, &most);
    return status ? status : add_unary(b, ND_CLIP, (float)least, (float)most);
}

/* ---------------------------------------------------------------- two inputs */

static tess_status enqueue_binary(struct onnx_run *run, const struct exec_step *step) {
    return nd_binary_forward(step->op, exec_mem(run, step, 0), exec_mem(run, step, 1),
                             exec_mem(run, step, 2));
}

static void destroy_binary(void *op) {
    nd_binary_destroy(op);
}

/* Adds y = kind(a, b) on buffers. */
static tess_status add_binary(struct exec_build *b, enum nd_binary_kind kind,
                              const struct nd_shape shapes[2], const int buffers[3]) {
    struct nd_binary *op = NULL;
    tess_status status = nd_binary_create(b->run->ctx, kind, &shapes[0], &shapes[1], false, &op);
    if (status) return status;
    const struct exec_operand operands[] = {
        {.buffer = buffers[0]}, {.buffer = buffers[1]}, {.buffer = buffers[2]}};
    const struct exec_step step = {.op = op, .enqueue = enqueue_binary, .destroy = destroy_binary};
    return exec_add(b, &step, operands, 3);
}

/* Which layout of a value serves in a calculation on pixels of rank dimensions; false: none without a conversion. */
static bool pixel_layout(const struct exec_build *b, int value, int rank,
                         enum exec_layout *layout) {
    const struct onnx_known *known = &b->run->folded->values[value];
    struct nd_shape rows = exec_shape(known, EXEC_ROWS, rank);
    int64_t channels = rows.dims[1], area = 1;
    for (int d = 2; d < rank; d++)
        area *= rows.dims[d];
    *layout = known->rank == rank && b->run->values[value].buffer[EXEC_PIXELS] >= 0 ? EXEC_PIXELS
                                                                                    : EXEC_ROWS;
    return *layout == EXEC_PIXELS || channels == 1 || area == 1;
}

/* The layout to compute in, and those of the operands. */
static enum exec_layout choose_layout(const struct exec_build *b, const int values[2],
                                      enum exec_layout layouts[2]) {
    int rank = infer_out(&b->in, 0)->rank;
    bool pixels = exec_in_pixels(b, values[0]) || exec_in_pixels(b, values[1]);
    if (pixels && rank >= 3 && pixel_layout(b, values[0], rank, &layouts[0]) &&
        pixel_layout(b, values[1], rank, &layouts[1]))
        return EXEC_PIXELS;
    layouts[0] = layouts[1] = EXEC_ROWS;
    return EXEC_ROWS;
}

static const char *const binaries[ND_BINARY_KINDS] = {
    [ND_ADD] = "Add", [ND_SUB] = "Sub", [ND_MUL] = "Mul",     [ND_DIV] = "Div",
    [ND_MAX] = "Max", [ND_MIN] = "Min", [ND_PRELU] = "PRelu", [ND_POW] = "Pow"};

static enum nd_binary_kind binary_kind(const char *op) {
    if (strcmp(op, "Sum") == 0 || strcmp(op, "Mean") == 0) return ND_ADD;
    int kind = 0;
    while (strcmp(binaries[kind], op) != 0)
        kind++;
    return (enum nd_binary_kind)kind;
}

/* Pow's exponent may be a constant of another type. */
static tess_status need_float(struct exec_build *b, int value, enum exec_layout layout,
                              int *buffer) {
    const struct onnx_known *known = &b->run->folded->values[value];
    if (known->dtype == ONNX_FLOAT) return exec_need(b, value, layout, buffer);
    float small[64];
    if (!known->constant || known->count > 64)
        return infer_fail(&b->in, TESS_UNSUPPORTED,
                          "reads %s; export it with a Cast to float32 before",
                          onnx_dtype_name(known->dtype));
    for (int64_t i = 0; i < known->count; i++)
        small[i] = onnx_is_integer(known->dtype) ? (float)onnx_integer_at(known->constant, i)
                                                 : (float)onnx_real_at(known->constant, i);
    return exec_buffer_constant(b->run, small, (size_t)known->count * sizeof *small, buffer);
}

tess_status exec_binary(struct exec_build *b) {
    const int values[2] = {exec_input(b, 0), exec_input(b, 1)};
    const struct onnx_known *out = infer_out(&b->in, 0);
    enum exec_layout layouts[2], layout = choose_layout(b, values, layouts);
    struct nd_shape shapes[2];
    int buffers[3];
    tess_status status = TESS_OK;
    for (int i = 0; i < 2 && !status; i++) {
        const struct onnx_known *known = infer_in(&b->in, i);
        int rank = layout == EXEC_PIXELS ? out->rank : known->rank;
        shapes[i] = exec_shape(known, layout, rank);
        status = need_float(b, values[i], layouts[i], &buffers[i]);
    }
    if (!status) status = exec_make(b, exec_output(b, 0), layout, &buffers[2]);
    return status ? status : add_binary(b, binary_kind(b->in.node->op), shapes, buffers);
}

/* ---------------------------------------------------------------- many inputs */

/* buffers[0] / count -> the node's output. */
static tess_status divide(struct exec_build *b, const struct nd_shape *shape, int buffer) {
    const struct nd_shape shapes[2] = {*shape, {.rank = 0}};
    float count = (float)b->in.node->input_count;
    int buffers[3] = {buffer, 0, 0};
    tess_status status = exec_buffer_constant(b->run, &count, sizeof count, &buffers[1]);
    if (!status) status = exec_make(b, exec_output(b, 0), EXEC_ROWS, &buffers[2]);
    return status ? status : add_binary(b, ND_DIV, shapes, buffers);
}

/* Sum, Mean, Max, Min: one input after the other. */
tess_status exec_many(struct exec_build *b) {
    int count = b->in.node->input_count;
    bool mean = strcmp(b->in.node->op, "Mean") == 0;
    if (count == 1) return exec_same(b);
    if (count == 2 && !mean) return exec_binary(b);
    struct nd_shape so_far = exec_shape(infer_in(&b->in, 0), EXEC_ROWS, infer_in(&b->in, 0)->rank);
    int buffers[3];
    tess_status status = exec_need(b, exec_input(b, 0), EXEC_ROWS, &buffers[0]);
    for (int i = 1; i < count && !status; i++) {
        const struct onnx_known *known = infer_in(&b->in, i);
        const struct nd_shape shapes[2] = {so_far, exec_shape(known, EXEC_ROWS, known->rank)};
        status = nd_broadcast(b->run->ctx, &shapes[0], &shapes[1], b->in.node->op, &so_far);
        if (!status) status = exec_need(b, exec_input(b, i), EXEC_ROWS, &buffers[1]);
        if (!status && i + 1 == count && !mean)
            status = exec_make(b, exec_output(b, 0), EXEC_ROWS, &buffers[2]);
        else if (!status)
            status =
                exec_buffer_add(b->run, (size_t)nd_elements(&so_far) * sizeof(float), &buffers[2]);
        if (!status) status = add_binary(b, binary_kind(b->in.node->op), shapes, buffers);
        buffers[0] = buffers[2];
    }
    return status || !mean ? status : divide(b, &so_far, buffers[0]);
}
