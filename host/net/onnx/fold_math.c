/* Arithmetic on constants. Integers are computed in int64, where they wrap around; reals are computed in float64, which rounds the four basic
   operations on float32 correctly. Types that are neither are left for the model's run. */
#include "net/onnx/onnx_infer.h"

#include <math.h>
#include <string.h>

/* Work that a small result does not bound stays small: a file may ask for it a million times. */
#define MAX_REDUCED  4096
#define MAX_OPERANDS 16

static bool folds(int dtype) {
    return onnx_is_integer(dtype) || onnx_is_real(dtype);
}

/* ---------------------------------------------------------------- two operands */

struct binary {
    const char *op;
    double (*real)(double a, double b);
    int64_t (*integer)(int64_t a, int64_t b);
};

static double add_real(double a, double b) {
    return a + b;
}
static double sub_real(double a, double b) {
    return a - b;
}
static double mul_real(double a, double b) {
    return a * b;
}
static double div_real(double a, double b) {
    return a / b;
}
static double max_real(double a, double b) {
    return isnan(a) || a > b ? a : b;
}
static double min_real(double a, double b) {
    return isnan(a) || a < b ? a : b;
}
static double equal_real(double a, double b) {
    return a == b;
}
static double greater_real(double a, double b) {
    return a > b;
}
static double less_real(double a, double b) {
    return a < b;
}
static int64_t add_integer(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a + (uint64_t)b);
}
static int64_t sub_integer(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a - (uint64_t)b);
}
static int64_t mul_integer(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a * (uint64_t)b);
}
/* b is not 0. */
static int64_t div_integer(int64_t a, int64_t b) {
    return b == -1 ? sub_integer(0, a) : a / b;
}
static int64_t max_integer(int64_t a, int64_t b) {
    return a > b ? a : b;
}
static int64_t min_integer(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t equal_integer(int64_t a, int64_t b) {
    return a == b;
}
static int64_t greater_integer(int64_t a, int64_t b) {
    return a > b;
}
static int64_t less_integer(int64_t a, int64_t b) {
    return a < b;
}

static const struct binary binaries[] = {
    {"Add", add_real, add_integer},       {"Sub", sub_real, sub_integer},
    {"Mul", mul_real, mul_integer},       {"Div", div_real, div_integer},
    {"Max", max_real, max_integer},       {"Min", min_real, min_integer},
    {"Equal", equal_real, equal_integer}, {"Greater", greater_real, greater_integer},
    {"Less", less_real, less_integer},
};

static const struct binary *find_binary(const char *op) {
    for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++)
        if (strcmp(binaries[i].op, op) == 0) return &binaries[i];
    return NULL;
}

/* The first operand, broadcast into the output: what the others are then combined with. */
static void spread_first(const struct onnx_known *x, const struct onnx_known *out, void *data) {
    struct onnx_walk walk;
    size_t size = onnx_dtype_size(out->dtype);
    onnx_walk_start(&walk, out->rank, out->dims, x);
    for (int64_t i = 0; i < out->count; i++, onnx_walk_next(&walk))
        memcpy((char *)data + (size_t)i * size,
               (const char *)x->constant->data + (size_t)walk.offset * size, size);
}

/* data = data op y, element by element. */
static tess_status combine(const struct onnx_infer *in, const struct binary *op,
                           const struct onnx_known *y, void *data) {
    const struct onnx_known *out = infer_out(in, 0);
    const struct onnx_tensor so_far = {.dtype = out->dtype, .data = data};
    struct onnx_walk walk;
    onnx_walk_start(&walk, out->rank, out->dims, y);
    for (int64_t i = 0; i < out->count; i++, onnx_walk_next(&walk)) {
        if (onnx_is_real(out->dtype)) {
            double b = onnx_real_at(y->constant, walk.offset);
            onnx_put_real(out->dtype, data, i, op->real(onnx_real_at(&so_far, i), b));
            continue;
        }
        int64_t b = onnx_integer_at(y->constant, walk.offset);
        if (!b && op->integer == div_integer)
            return infer_fail(in, TESS_BAD_FORMAT, "divides by zero; check the input's shape");
        onnx_put_integer(out->dtype, data, i, op->integer(onnx_integer_at(&so_far, i), b));
    }
    return TESS_OK;
}

tess_status fold_arithmetic(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0), *out = infer_out(in, 0);
    const struct binary *op = find_binary(in->node->op);
    void *data = NULL;
    if (!op || !folds(out->dtype) || in->node->input_count > MAX_OPERANDS) return TESS_OK;
    tess_status status = infer_constant(in, &data);
    if (status) return status;
    spread_first(x, out, data);
    for (int i = 1; i < in->node->input_count && !status; i++)
        status = combine(in, op, infer_in(in, i), data);
    return status;
}

tess_status fold_compare(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0), *y = infer_in(in, 1), *out = infer_out(in, 0);
    const struct binary *op = find_binary(in->node->op);
    struct onnx_walk xs, ys;
    void *data = NULL;
    if (!op || !folds(x->dtype)) return TESS_OK;
    tess_status status = infer_constant(in, &data);
    if (status) return status;
    onnx_walk_start(&xs, out->rank, out->dims, x);
    onnx_walk_start(&ys, out->rank, out->dims, y);
    for (int64_t i = 0; i < out->count; i++, onnx_walk_next(&xs), onnx_walk_next(&ys)) {
        bool real = onnx_is_real(x->dtype);
        ((uint8_t *)data)[i] = real ? op->real(onnx_real_at(x->constant, xs.offset),
                                               onnx_real_at(y->constant, ys.offset)) != 0
                                    : op->integer(onnx_integer_at(x->constant, xs.offset),
                                                  onnx_integer_at(y->constant, ys.offset)) != 0;
    }
    return TESS_OK;
}

tess_status fold_where(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 1), *y = infer_in(in, 2), *out = infer_out(in, 0);
    const struct onnx_known *condition = infer_in(in, 0);
    size_t size = onnx_dtype_size(out->dtype);
    struct onnx_walk conditions, xs, ys;
    void *data = NULL;
    tess_status status = infer_constant(in, &data);
    if (status) return status;
    onnx_walk_start(&conditions, out->rank, out->dims, condition);
    onnx_walk_start(&xs, out->rank, out->dims, x);
    onnx_walk_start(&ys, out->rank, out->dims, y);
    for (int64_t i = 0; i < out->count; i++) {
        bool first = onnx_integer_at(condition->constant, conditions.offset) != 0;
        const char *from = (first ? x : y)->constant->data;
        memcpy((char *)data + (size_t)i * size,
               from + (size_t)(first ? xs.offset : ys.offset) * size, size);
        onnx_walk_next(&conditions);
        onnx_walk_next(&xs);
        onnx_walk_next(&ys);
    }
    return TESS_OK;
}

/* ---------------------------------------------------------------- one operand */

tess_status fold_cast(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0), *out = infer_out(in, 0);
    void *data = NULL;
    if (!folds(x->dtype) || !folds(out->dtype)) return TESS_OK;
    tess_status status = infer_constant(in, &data);
    for (int64_t i = 0; i < out->count && !status; i++) {
        if (onnx_is_integer(x->dtype))
            onnx_put_integer(out->dtype, data, i, onnx_integer_at(x->constant, i));
        else
            onnx_put_real(out->dtype, data, i, onnx_real_at(x->constant, i));
    }
    return status;
}

static double negative(double x) {
    return -x;
}

tess_status fold_unary(const struct onnx_infer *in) {
    static const struct {
        const char *op;
        double (*real)(double x);
    } functions[] = {
        {"Abs", fabs}, {"Ceil", ceil}, {"Floor", floor}, {"Neg", negative}, {"Sqrt", sqrt}};
    const struct onnx_known *x = infer_in(in, 0), *out = infer_out(in, 0);
    void *data = NULL;
    if (!folds(x->dtype)) return TESS_OK;
    tess_status status = infer_constant(in, &data);
    bool negate = strcmp(in->node->op, "Neg") == 0;
    for (int64_t i = 0; i < out->count && !status; i++) {
        if (onnx_is_integer(x->dtype)) { /* Abs or Neg */
            int64_t value = onnx_integer_at(x->constant, i);
            onnx_put_integer(out->dtype, data, i,
                             negate || value < 0 ? sub_integer(0, value) : value);
            continue;
        }
        for (size_t f = 0; f < sizeof functions / sizeof *functions; f++)
            if (strcmp(functions[f].op, in->node->op) == 0)
                onnx_put_real(out->dtype, data, i, functions[f].real(onnx_real_at(x->constant, i)));
    }
    return status;
}

/* Sums and products of integers over all dimensions that shrank to 1; others are left for the run. */
tess_status fold_reduce(const struct onnx_infer *in) {
    const struct onnx_known *x = infer_in(in, 0), *out = infer_out(in, 0);
    bool product = strcmp(in->node->op, "ReduceProd") == 0;
    void *data = NULL;
    if (!onnx_is_integer(x->dtype) || out->count != 1 || x->count > MAX_REDUCED) return TESS_OK;
    tess_status status = infer_constant(in, &data);
    if (status) return status;
    int64_t result = product;
    for (int64_t i = 0; i < x->count; i++) {
        int64_t value = onnx_integer_at(x->constant, i);
        result = product ? mul_integer(result, value) : add_integer(result, value);
    }
    onnx_put_integer(out->dtype, data, 0, result);
    return TESS_OK;
}
