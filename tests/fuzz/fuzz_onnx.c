/* libFuzzer over the importer of ONNX models: reading, unknown operators, shapes, folding, layers of a graph, files of one tensor.

       cmake -B build-fuzz -DCMAKE_C_COMPILER=clang -DTESSERA_FUZZ=ON -DTESSERA_WERROR=OFF
       cmake --build build-fuzz --target fuzz_onnx onnx_corpus
       build-fuzz/bin/onnx_corpus CORPUS && build-fuzz/bin/fuzz_onnx -rss_limit_mb=2048 CORPUS                              */
#include "net/onnx/graph_import.h"
#include "net/onnx/onnx_wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal without a reason is a finding, too. */
static void check_reason(tess_status status, const tess_error *error) {
    if (status && (error->status != status || !strchr(error->text, ';'))) abort();
}

static void fold(const struct onnx_model *model) {
    struct onnx_folded *folded = NULL;
    struct onnx_fold_options options = {.batch = 2};
    tess_error error = {0};
    bool *needed = calloc((size_t)model->input_count + 1, sizeof *needed);
    if (needed) check_reason(onnx_value_inputs(model, &error, needed), &error);
    check_reason(onnx_fold(model, &options, &error, &folded), &error);
    onnx_folded_destroy(folded);
    free(needed);
}

static void convert(const struct onnx_model *model) {
    const tess_zoo_options options = {.c = 3, .h = 8, .w = 8, .classes = 2};
    tess_error error = {0};
    tess_graph *graph = NULL;
    char *list = NULL;
    check_reason(onnx_to_graph(model, &(tess_zoo_options){0}, &error, &list, &graph), &error);
    free(list);
    tess_graph_destroy(graph);
    graph = NULL;
    check_reason(onnx_to_graph(model, &options, &error, NULL, &graph), &error);
    tess_graph_destroy(graph);
}

static void read_tensor(const uint8_t *data, size_t size) {
    ProtobufCMessage *message = NULL;
    struct onnx_tensor tensor = {0};
    tess_error error = {0};
    struct onnx_source source = {.path = "tensor", .error = &error};
    if (onnx_unpack(&onnx__tensor_proto__descriptor, data, size, "tensor", &error, &message))
        return;
    check_reason(onnx_tensor_from(&source, (Onnx__TensorProto *)message, &tensor), &error);
    onnx_tensor_clear(&tensor);
    protobuf_c_message_free_unpacked(message, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct onnx_model *model = NULL;
    tess_error error = {0};
    if (!data) return 0;
    tess_status status = onnx_model_parse(data, size, "model", &error, &model);
    check_reason(status, &error);
    if (!status) fold(model);
    if (!status) convert(model);
    onnx_model_destroy(model);
    read_tensor(data, size);
    return 0;
}
