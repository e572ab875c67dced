#include "net/onnx/onnx_model.h"

#include "core/file_error.h"
#include "net/onnx/onnx_reading.h"
#include "net/onnx/onnx_wire.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN     64 /* size of a name in a message */
#define OLDEST_IR 3  /* earlier ones have no operator sets */

tess_status(onnx_no_memory)(const struct onnx_reading *in) {
    return error_set(in->source.error, TESS_OUT_OF_HOST_MEMORY,
                     "%s: no memory to read it; free some memory", in->model->path);
}

tess_status(onnx_refuse)(const struct onnx_reading *in, tess_status status, const char *what,
                         const char *name, const char *why) {
    char shown[SHOWN];
    return error_set(in->source.error, status, "%s: %s '%s': %s", in->model->path, what,
                     printable(name, shown, sizeof shown), why);
}

/* ---------------------------------------------------------------- versions */

static bool is_onnx_domain(const char *domain) {
    return !*domain || strcmp(domain, "ai.onnx") == 0;
}

/* Operator sets of other domains are passed over: their operators are refused by name. */
static tess_status read_opset(const struct onnx_reading *in, const Onnx__ModelProto *message,
                              int *opset) {
    int64_t version = 0;
    for (size_t i = 0; i < message->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *set = message->opset_import[i];
        if (!is_onnx_domain(onnx_text(set->domain))) continue;
        if (version)
            return error_set(in->source.error, TESS_BAD_FORMAT,
                             "%s: imports ONNX's operator set twice; export the model again",
                             in->model->path);
        version = set->version;
        if (version < ONNX_OLDEST_OPSET || version > ONNX_NEWEST_OPSET)
            return error_set(in->source.error, TESS_UNSUPPORTED,
                             "%s: uses operator set %lld, and %d to %d are known here; export it "
                             "for one of these",
                             in->model->path, (long long)version, ONNX_OLDEST_OPSET,
                             ONNX_NEWEST_OPSET);
    }
    if (!version)
        return error_set(
            in->source.error, TESS_UNSUPPORTED,
            "%s: does not import ONNX's operator set; only its operators are supported",
            in->model->path);
    *opset = (int)version;
    return TESS_OK;
}

static tess_status read_versions(const struct onnx_reading *in, const Onnx__ModelProto *message) {
    struct onnx_model *model = in->model;
    model->ir_version = message->ir_version;
    if (!message->graph)
        return error_set(in->source.error, TESS_BAD_FORMAT,
                         "%s: holds no graph; it is no ONNX model, or cut short: export it again",
                         model->path);
    if (message->ir_version < OLDEST_IR)
        return error_set(in->source.error, TESS_UNSUPPORTED,
                         "%s: has ONNX format version %lld, and %d is the oldest supported; export "
                         "it with a newer ONNX",
                         model->path, (long long)message->ir_version, OLDEST_IR);
    return read_opset(in, message, &model->opset);
}

/* ---------------------------------------------------------------- the whole */

tess_status onnx_read_tensors(struct onnx_reading *in) {
    struct onnx_model *model = in->model;
    if (in->graph->n_sparse_initializer)
        return error_set(in->source.error, TESS_UNSUPPORTED,
                         "%s: has sparse initialisers; store the weights densely", model->path);
    model->tensors = calloc(in->graph->n_initializer + 1, sizeof *model->tensors);
    if (!model->tensors) return onnx_no_memory(in);
    for (size_t i = 0; i < in->graph->n_initializer; i++) {
        tess_status status = onnx_tensor_from(&in->source, in->graph->initializer[i],
                                              &model->tensors[model->tensor_count]);
        if (status) return status;
        model->tensor_count++;
    }
    return TESS_OK;
}

/* Takes message over, also when it fails. */
static tess_status read_message(struct onnx_reading *in, const Onnx__ModelProto *message) {
    tess_status status = read_versions(in, message);
    in->graph = message->graph;
    if (!status) status = onnx_read_tensors(in);
    if (!status) status = onnx_read_values(in);
    if (!status) status = onnx_read_nodes(in);
    return status;
}

static tess_status read_bytes(const uint8_t *data, size_t size, const char *path,
                              const char *folder, tess_error *error, struct onnx_model **out) {
    struct onnx_model *model = calloc(1, sizeof *model);
    struct onnx_reading in = {.model = model,
                              .source = {.path = path, .folder = folder, .error = error}};
    tess_status status = TESS_OK;
    if (!model || !(model->path = strdup(path)))
        status = error_set(error, TESS_OUT_OF_HOST_MEMORY,
                           "%s: no memory to read it; free some memory", path);
    if (!status)
        status =
            onnx_unpack(&onnx__model_proto__descriptor, data, size, path, error, &model->message);
    if (!status) status = read_message(&in, (const Onnx__ModelProto *)model->message);
    onnx_source_close(&in.source);
    if (status) {
        onnx_model_destroy(model);
        return status;
    }
    *out = model;
    return TESS_OK;
}

tess_status onnx_model_parse(const void *data, size_t size, const char *name, tess_error *error,
                             struct onnx_model **out) {
    if (!data || !name || !out)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "ONNX: no data, no name or nowhere to put the model; give all");
    return read_bytes(data, size, name, NULL, error, out);
}

/* The folder of path, to free; NULL: no memory. */
static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

tess_status onnx_model_read(const char *path, tess_error *error, struct onnx_model **out) {
    if (!path || !out)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "ONNX: no path or nowhere to put the model; give both");
    uint8_t *data = NULL;
    size_t size = 0;
    char *folder = folder_of(path);
    tess_status status = folder ? TESS_OK
                                : error_set(error, TESS_OUT_OF_HOST_MEMORY,
                                            "%s: no memory to read it; free some memory", path);
    if (!status) status = onnx_file_read(path, error, &data, &size);
    if (!status) status = read_bytes(data, size, path, folder, error, out);
    free(data);
    free(folder);
    return status;
}

static void node_clear(struct onnx_node *node) {
    for (int i = 0; i < node->attribute_count; i++) {
        struct onnx_attribute *attribute = &node->attributes[i];
        if (attribute->kind == ONNX_ATTR_TENSOR && attribute->as.t) {
            onnx_tensor_clear(attribute->as.t);
            free(attribute->as.t);
        }
        if (attribute->kind == ONNX_ATTR_STRINGS) free(attribute->as.strings);
    }
    free(node->attributes);
    free(node->inputs);
    free(node->outputs);
}

void onnx_model_destroy(struct onnx_model *model) {
    if (!model) return;
    for (int i = 0; i < model->node_count; i++)
        node_clear(&model->nodes[i]);
    for (int i = 0; i < model->tensor_count; i++)
        onnx_tensor_clear(&model->tensors[i]);
    free(model->nodes);
    free(model->tensors);
    free(model->values);
    free(model->inputs);
    free(model->outputs);
    free(model->path);
    if (model->message) protobuf_c_message_free_unpacked(model->message, NULL);
    free(model);
}

static int compare_name(const void *key, const void *element) {
    return strcmp(key, ((const struct onnx_value *)element)->name);
}

int onnx_model_find(const struct onnx_model *model, const char *name) {
    if (!model->value_count) return -1;
    const struct onnx_value *value = bsearch(name, model->values, (size_t)model->value_count,
                                             sizeof *model->values, compare_name);
    return value ? (int)(value - model->values) : -1;
}
