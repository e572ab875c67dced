#include "net/onnx/onnx_fold.h"

#include "core/file_error.h"
#include "net/onnx/onnx_infer.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN      64                  /* size of a name in a message */
#define FREE_BYTES ((int64_t)64 << 20) /* of folded constants, whatever the model's size */

struct folding {
    const struct onnx_model *model;
    const struct onnx_fold_options *options;
    tess_error *error;
    struct onnx_folded *folded;
};

/* ---------------------------------------------------------------- inputs */

static const struct onnx_bind *find_bind(const struct folding *work, const char *name) {
    for (int i = 0; i < work->options->input_count; i++)
        if (strcmp(work->options->inputs[i].name, name) == 0) return &work->options->inputs[i];
    return NULL;
}

static int bind_rank(const struct onnx_bind *bind) {
    return bind->value ? bind->value->rank : bind->rank;
}

static tess_status input_fail(const struct folding *work, const struct onnx_value *value,
                              int dimension, const char *why) {
    char shown[SHOWN];
    return error_set(work->error, TESS_INVALID_SHAPE, "%s: input '%s': dimension %d %s",
                     work->model->path, printable(value->name, shown, sizeof shown), dimension,
                     why);
}

/* A symbol stands for one size in all inputs. known holds those done so far. */
static tess_status check_symbols(const struct folding *work, const struct onnx_value *value,
                                 const struct onnx_known *known) {
    for (int d = 0; d < value->type.rank; d++) {
        const char *symbol = value->type.dims[d].symbol;
        for (int i = 0; symbol && i < work->model->input_count; i++) {
            const struct onnx_value *other = &work->model->values[work->model->inputs[i]];
            const struct onnx_known *done = &work->folded->values[work->model->inputs[i]];
            for (int e = 0; done->rank >= 0 && e < other->type.rank; e++)
                if (other->type.dims[e].symbol && strcmp(other->type.dims[e].symbol, symbol) == 0 &&
                    done->dims[e] != known->dims[d])
                    return input_fail(work, value, d,
                                      "has another size than where its name stands elsewhere; "
                                      "give matching shapes");
        }
    }
    return TESS_OK;
}

/* The shape from the caller's, the file's, and the batch size. */
static tess_status merge_shape(const struct folding *work, const struct onnx_value *value,
                               const struct onnx_bind *bind, struct onnx_known *known) {
    char shown[SHOWN];
    const struct onnx_type *type = &value->type;
    int rank = bind ? bind_rank(bind) : type->rank;
    if (bind && (rank < 0 || rank > ONNX_MAX_RANK || (type->rank >= 0 && rank != type->rank)))
        return error_set(work->error, TESS_INVALID_SHAPE,
                         "%s: input '%s': %d dimensions are given, and the model wants %d; give it "
                         "as many",
                         work->model->path, printable(value->name, shown, sizeof shown), rank,
                         type->rank >= 0 ? type->rank : ONNX_MAX_RANK);
    if (!bind && type->rank < 0)
        return error_set(work->error, TESS_INVALID_SHAPE,
                         "%s: input '%s': the file does not say its shape; give it",
                         work->model->path, printable(value->name, shown, sizeof shown));
    known->rank = rank;
    for (int d = 0; d < known->rank; d++) {
        int64_t fixed = type->rank >= 0 ? type->dims[d].size : -1;
        int64_t size = !bind ? fixed : bind->value ? bind->value->dims[d] : bind->dims[d];
        if (size < 0 && d == 0 && work->options->batch > 0) size = work->options->batch;
        if (bind && fixed >= 0 && fixed != size)
            return input_fail(work, value, d, "has another size in the model; give it that");
        if (size < 0)
            return input_fail(work, value, d, "has no fixed size; give the input's shape");
        known->dims[d] = size;
    }
    return TESS_OK;
}

static tess_status bind_input(const struct folding *work, int index) {
    const struct onnx_value *value = &work->model->values[index];
    const struct onnx_bind *bind = find_bind(work, value->name);
    char shown[SHOWN];
    struct onnx_known known = {.dtype = value->type.dtype};
    if (!onnx_dtype_size(known.dtype))
        return error_set(work->error, TESS_UNSUPPORTED,
                         "%s: input '%s': has elements of %s, which are not supported; use float32 "
                         "or integers",
                         work->model->path, printable(value->name, shown, sizeof shown),
                         onnx_dtype_name(known.dtype));
    tess_status status = merge_shape(work, value, bind, &known);
    if (!status)
        status = onnx_count(known.dims, known.rank, work->model->path, value->name, work->error,
                            &known.count);
    if (status) return status;
    if (bind && bind->value && bind->value->dtype != known.dtype)
        return error_set(work->error, TESS_INVALID_ARGUMENT,
                         "%s: input '%s': is given as %s, and the model wants %s; convert it",
                         work->model->path, printable(value->name, shown, sizeof shown),
                         onnx_dtype_name(bind->value->dtype), onnx_dtype_name(known.dtype));
    if (bind) known.constant = bind->value;
    work->folded->values[index] = known;
    return check_symbols(work, value, &known);
}

/* Initialisers are constants unless they are the default of an input that the caller gives. */
static tess_status bind_values(const struct folding *work) {
    const struct onnx_model *model = work->model;
    for (int i = 0; i < model->value_count; i++)
        work->folded->values[i].rank = -1;
    for (int i = 0; i < model->value_count; i++) {
        const struct onnx_value *value = &model->values[i];
        const struct onnx_tensor *tensor =
            value->tensor < 0 ? NULL : &model->tensors[value->tensor];
        struct onnx_known *known = &work->folded->values[i];
        if (!tensor) continue;
        known->dtype = tensor->dtype;
        known->rank = tensor->rank;
        known->count = tensor->count;
        memcpy(known->dims, tensor->dims, sizeof known->dims);
        known->constant = tensor;
        if (!value->input || !find_bind(work, value->name)) continue;
        known->constant = NULL;
        tess_status status = bind_input(work, i);
        if (status) return status;
    }
    for (int i = 0; i < model->input_count; i++) {
        tess_status status = bind_input(work, model->inputs[i]);
        if (status) return status;
    }
    return TESS_OK;
}

static tess_status check_binds(const struct folding *work) {
    for (int i = 0; i < work->options->input_count; i++) {
        const char *name = work->options->inputs[i].name;
        int value = onnx_model_find(work->model, name);
        char shown[SHOWN];
        if (value < 0 || !work->model->values[value].input)
            return error_set(work->error, TESS_NOT_FOUND,
                             "%s: has no input '%s'; use one of its inputs' names",
                             work->model->path, printable(name, shown, sizeof shown));
    }
    return TESS_OK;
}

/* ---------------------------------------------------------------- nodes */

static tess_status check_arguments(const struct onnx_infer *in, const struct onnx_op *op) {
    const struct onnx_node *node = in->node;
    if (node->input_count > op->max_inputs || node->output_count > op->max_outputs)
        return infer_fail(in, TESS_BAD_FORMAT,
                          "has %d inputs and %d outputs, and takes at most %d and %d; export it "
                          "again",
                          node->input_count, node->output_count, op->max_inputs, op->max_outputs);
    for (int i = 0; i < node->input_count || i < op->min_inputs; i++) {
        const struct onnx_known *input = infer_in(in, i);
        if (!input && i < op->min_inputs)
            return infer_fail(in, TESS_BAD_FORMAT, "its input %d is missing; export it again", i);
        if (input && input->rank < 0)
            return infer_fail(in, TESS_UNSUPPORTED,
                              "reads an optional output that its maker does not give here; export "
                              "it without");
    }
    return TESS_OK;
}

static bool all_constant(const struct onnx_infer *in) {
    for (int i = 0; i < in->node->input_count; i++) {
        const struct onnx_known *input = infer_in(in, i);
        if (input && !input->constant) return false;
    }
    return true;
}

static tess_status fold_node(const struct folding *work, int index) {
    const struct onnx_node *node = &work->model->nodes[index];
    struct onnx_infer in = {work->model, node, work->folded, work->error};
    const struct onnx_op *op = onnx_op_find(node);
    tess_status status = check_arguments(&in, op);
    if (!status) status = op->infer(&in);
    const struct onnx_known *out = status ? NULL : infer_out(&in, 0);
    if (!out || out->constant || !op->fold || node->output_count > 1 || !all_constant(&in))
        return status;
    return op->fold(&in);
}

static tess_status fold_nodes(const struct folding *work, bool *live) {
    struct onnx_folded *folded = work->folded;
    onnx_live_nodes(work->model, NULL, live);
    for (int i = 0; i < work->model->node_count; i++) {
        tess_status status = live[i] ? fold_node(work, i) : TESS_OK;
        if (status) return status;
    }
    onnx_live_nodes(work->model, folded, live);
    for (int i = 0; i < work->model->node_count; i++)
        if (live[i]) folded->nodes[folded->node_count++] = i;
    return TESS_OK;
}

tess_status onnx_value_inputs(const struct onnx_model *model, tess_error *error, bool *needed) {
    bool *deciding = calloc((size_t)model->value_count + 1, sizeof *deciding);
    if (!deciding)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                         "%s: no memory to look at its inputs; free some memory", model->path);
    for (int i = model->node_count - 1; i >= 0; i--) {
        const struct onnx_node *node = &model->nodes[i];
        const struct onnx_op *op = onnx_op_find(node);
        unsigned inputs = onnx_op_deciding(node);
        bool made = false;
        for (int j = 0; j < node->output_count; j++)
            made = made || (node->outputs[j] >= 0 && deciding[node->outputs[j]]);
        /* Shapes are known without the contents. */
        if (made && op && op->infer != infer_shape && op->infer != infer_size) inputs = ~0u;
        for (int j = 0; j < node->input_count; j++)
            if (node->inputs[j] >= 0 && (inputs >> (j < 31 ? j : 31) & 1))
                deciding[node->inputs[j]] = true;
    }
    for (int i = 0; i < model->input_count; i++)
        needed[i] = deciding[model->inputs[i]];
    free(deciding);
    return TESS_OK;
}

/* ---------------------------------------------------------------- the whole */

static tess_status allocate(const struct folding *work, bool **live) {
    const struct onnx_model *model = work->model;
    struct onnx_folded *folded = work->folded;
    folded->values = calloc((size_t)model->value_count + 1, sizeof *folded->values);
    folded->nodes = calloc((size_t)model->node_count + 1, sizeof *folded->nodes);
    folded->constants = calloc((size_t)model->node_count + 1, sizeof *folded->constants);
    folded->constant_capacity = model->node_count;
    folded->constant_limit = FREE_BYTES;
    for (int i = 0; i < model->tensor_count; i++)
        folded->constant_limit +=
            4 * model->tensors[i].count * (int64_t)onnx_dtype_size(model->tensors[i].dtype);
    *live = calloc((size_t)model->node_count + 1, sizeof **live);
    if (folded->values && folded->nodes && folded->constants && *live) return TESS_OK;
    return error_set(work->error, TESS_OUT_OF_HOST_MEMORY,
                     "%s: no memory to work out its shapes; free some memory", model->path);
}

tess_status onnx_fold(const struct onnx_model *model, const struct onnx_fold_options *options,
                      tess_error *error, struct onnx_folded **out) {
    static const struct onnx_fold_options none;
    bool *live = NULL;
    if (!model || !out)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "ONNX: no model or nowhere to put the result; give both");
    struct folding work = {model, options ? options : &none, error, calloc(1, sizeof *work.folded)};
    if (!work.folded)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                         "%s: no memory to work out its shapes; free some memory", model->path);
    tess_status status = onnx_check_operators(model, onnx_fold_supports, error, NULL);
    if (!status) status = check_binds(&work);
    if (!status) status = allocate(&work, &live);
    if (!status) status = bind_values(&work);
    if (!status) status = fold_nodes(&work, live);
    free(live);
    if (status) {
        onnx_folded_destroy(work.folded);
        return status;
    }
    *out = work.folded;
    return TESS_OK;
}

void onnx_folded_destroy(struct onnx_folded *folded) {
    if (!folded) return;
    for (int i = 0; i < folded->constant_count; i++)
        onnx_tensor_clear(&folded->constants[i]);
    free(folded->constants);
    free(folded->values);
    free(folded->nodes);
    free(folded);
}
