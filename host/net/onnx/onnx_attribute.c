/* Attributes of nodes, for those who know what an operator takes. */
#include "net/onnx/onnx_model.h"

#include "core/file_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SHOWN 64 /* size of a name in a message */

tess_status(onnx_node_fail)(const struct onnx_model *model, const struct onnx_node *node,
                            tess_error *error, tess_status status, const char *format, ...) {
    char text[512], name[SHOWN], op[SHOWN];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *from = node->name;
    if (!*from && node->output_count && node->outputs[0] >= 0)
        from = model->values[node->outputs[0]].name;
    return error_set(error, status, "%s: node '%s' (%s): %s", model->path,
                     printable(from, name, sizeof name), printable(node->op, op, sizeof op), text);
}

const struct onnx_attribute *onnx_attribute_find(const struct onnx_node *node, const char *name) {
    for (int i = 0; i < node->attribute_count; i++)
        if (strcmp(node->attributes[i].name, name) == 0) return &node->attributes[i];
    return NULL;
}

static tess_status wrong_kind(const struct onnx_model *model, const struct onnx_node *node,
                              const char *name, tess_error *error, const char *want) {
    return onnx_node_fail(model, node, error, TESS_BAD_FORMAT,
                          "attribute %s is not %s; export the model again", name, want);
}

tess_status onnx_get_int(const struct onnx_model *model, const struct onnx_node *node,
                         const char *name, tess_error *error, int64_t *value) {
    const struct onnx_attribute *attribute = onnx_attribute_find(node, name);
    if (!attribute) return TESS_OK;
    if (attribute->kind != ONNX_ATTR_INT) return wrong_kind(model, node, name, error, "an integer");
    *value = attribute->as.i;
    return TESS_OK;
}

tess_status onnx_get_float(const struct onnx_model *model, const struct onnx_node *node,
                           const char *name, tess_error *error, float *value) {
    const struct onnx_attribute *attribute = onnx_attribute_find(node, name);
    if (!attribute) return TESS_OK;
    if (attribute->kind != ONNX_ATTR_FLOAT)
        return wrong_kind(model, node, name, error, "a floating-point number");
    *value = attribute->as.f;
    return TESS_OK;
}

tess_status onnx_get_ints(const struct onnx_model *model, const struct onnx_node *node,
                          const char *name, tess_error *error, int room, int64_t *values,
                          int *count) {
    const struct onnx_attribute *attribute = onnx_attribute_find(node, name);
    *count = -1;
    if (!attribute) return TESS_OK;
    if (attribute->kind != ONNX_ATTR_INTS)
        return wrong_kind(model, node, name, error, "a list of integers");
    if (attribute->count > (size_t)room)
        return onnx_node_fail(model, node, error, TESS_UNSUPPORTED,
                              "attribute %s has %zu numbers, and at most %d are expected; export "
                              "the model again",
                              name, attribute->count, room);
    *count = (int)attribute->count;
    for (int i = 0; i < *count; i++)
        values[i] = attribute->as.ints[i];
    return TESS_OK;
}

tess_status onnx_get_string(const struct onnx_model *model, const struct onnx_node *node,
                            const char *name, tess_error *error, size_t size, char *out) {
    const struct onnx_attribute *attribute = onnx_attribute_find(node, name);
    if (!attribute) return TESS_OK;
    if (attribute->kind != ONNX_ATTR_STRING)
        return wrong_kind(model, node, name, error, "a string");
    struct onnx_string s = attribute->as.s;
    if (s.size >= size || (s.size && memchr(s.data, 0, s.size)))
        return wrong_kind(model, node, name, error, "one of the words that it may be");
    if (s.size) memcpy(out, s.data, s.size);
    out[s.size] = '\0';
    return TESS_OK;
}
