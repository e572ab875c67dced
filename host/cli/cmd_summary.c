/* tessera summary: a network's layers and what they cost, by shape arithmetic alone. */
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/model.h"

#include <stdio.h>
#include <string.h>

struct totals {
    uint64_t parameters, neurons; /* neurons: all layers, the input included */
    double flops;
};

/* Bytes of fp32 data for one batch, no buffer shared. */
struct memory {
    double parameters, activations, training;
};

static struct totals add_up(const tess_graph *graph) {
    struct totals totals = {0};
    for (int i = 0; i < tess_graph_layer_count(graph); i++) {
        tess_layer_info layer = tess_graph_layer_info(graph, i);
        totals.parameters += layer.parameters;
        totals.neurons += layer.neurons;
        totals.flops += layer.flops;
    }
    return totals;
}

/* Training keeps a gradient and a velocity beside each parameter, and a gradient beside each activation. */
static struct memory estimate(const struct totals *totals, int batch) {
    double parameters = 4 * (double)totals->parameters;
    double activations = 4 * (double)totals->neurons * batch;
    return (struct memory){parameters, activations, 3 * parameters + 2 * activations};
}

static void print_layers(const tess_graph *graph) {
    int wide = 5;
    for (int i = 0; i < tess_graph_layer_count(graph); i++) {
        int length = (int)strlen(tess_graph_layer_info(graph, i).name);
        if (length > wide) wide = length;
    }
    printf("%-*s %-10s %-30s %-14s %12s %12s %11s %10s\n", wide, "layer", "kind", "what",
           "output (HxWxC)", "weights", "parameters", "neurons", "MFLOP");
    for (int i = 0; i < tess_graph_layer_count(graph); i++) {
        tess_layer_info layer = tess_graph_layer_info(graph, i);
        char shape[48], parameters[CLI_COUNT_SIZE], weights[CLI_COUNT_SIZE],
            neurons[CLI_COUNT_SIZE];
        snprintf(shape, sizeof shape, "%dx%dx%d", layer.h, layer.w, layer.c);
        printf("%-*s %-10s %-30s %-14s %12s %12s %11s %10.3f\n", wide, layer.name, layer.kind,
               layer.detail, shape, cli_count(layer.weights, weights),
               cli_count(layer.parameters, parameters), cli_count(layer.neurons, neurons),
               layer.flops / 1e6);
    }
}

static void print_totals(const tess_graph *graph, int batch) {
    char count[CLI_COUNT_SIZE], parameters[CLI_COUNT_SIZE], activations[CLI_COUNT_SIZE],
        training[CLI_COUNT_SIZE];
    struct totals totals = add_up(graph);
    struct memory memory = estimate(&totals, batch);
    printf("\n%s: %s parameters, %.3f MFLOP forward for one image (a multiply-add counts as two)\n",
           tess_graph_name(graph), cli_count(totals.parameters, count), totals.flops / 1e6);
    printf("memory at batch %d, fp32: parameters %s, activations %s; training at most %s; what a "
           "device takes, by kind: tessera plan\n",
           batch, cli_bytes(memory.parameters, parameters),
           cli_bytes(memory.activations, activations), cli_bytes(memory.training, training));
}

static json_t *layer_json(const tess_layer_info *layer) {
    return json_pack("{s:s, s:s, s:s, s:[i,i,i], s:I, s:I, s:I, s:f}", "layer", layer->name, "kind",
                     layer->kind, "detail", layer->detail, "output_chw", layer->c, layer->h,
                     layer->w, "weights", (json_int_t)layer->weights, "parameters",
                     (json_int_t)layer->parameters, "neurons", (json_int_t)layer->neurons, "flops",
                     layer->flops);
}

static int print_json(const tess_graph *graph, int batch) {
    int status = EXIT_DONE;
    for (int i = 0; !status && i < tess_graph_layer_count(graph); i++) {
        tess_layer_info layer = tess_graph_layer_info(graph, i);
        status = cli_print_json(layer_json(&layer));
    }
    if (status) return status;
    struct totals totals = add_up(graph);
    struct memory memory = estimate(&totals, batch);
    return cli_print_json(json_pack(
        "{s:s, s:i, s:I, s:I, s:f, s:I, s:I, s:I}", "model", tess_graph_name(graph), "batch", batch,
        "parameters", (json_int_t)totals.parameters, "neurons", (json_int_t)totals.neurons, "flops",
        totals.flops, "bytes_parameters", (json_int_t)memory.parameters, "bytes_activations",
        (json_int_t)memory.activations, "bytes_training", (json_int_t)memory.training));
}

int cmd_summary(const struct cli *cli, int argc, char **argv) {
    (void)cli;
    const char *input = NULL;
    int batch = 0, classes = 0;
    double width = 0;
    bool json = false;
    struct arg list[] = {
        {"input", ARG_TEXT, &input, "CxHxW", INPUT_HELP, 0, 0, false},
        {"classes", ARG_INT, &classes, "N", CLASSES_HELP, 1, 1 << 20, false},
        {"width", ARG_REAL, &width, "X", WIDTH_HELP, 0.001, 64, false},
        {"batch", ARG_INT, &batch, "N", "images a batch, for memory (1, or n of the key)", 1,
         1 << 20, false},
        {"json", ARG_FLAG, &json, NULL, "JSON Lines: one layer a line, then the totals", 0, 0,
         false},
        {0},
    };
    struct arg_table table = {
        .command = "summary",
        .usage = "MODEL [--input CxHxW] [--classes N] [--width X] [--batch N] [--json]",
        .about =
            "Layers, shapes, parameters, memory and FLOPs. Needs no device. MODEL is a name of "
            "the zoo, a .onnx\nfile or a convolution problem key such as "
            "n1c3h227w227k96r11s11u4v4.",
        .list = list,
        .min_words = 1,
        .max_words = 1,
    };
    int words;
    int status = args_parse(&table, argc, argv, &words);
    if (status != ARGS_CONTINUE) return status;
    struct image_shape shape = {0};
    if (input && !parse_shape(input, &shape))
        return cli_usage("--input: '%s' is not CxHxW; write e.g. 3x32x32", input);
    if ((input || classes || width > 0) && model_is_key(argv[words]))
        return cli_usage(
            "--input, --classes, --width: a problem key has its own sizes; change them there");
    tess_zoo_options options = {
        .c = shape.c, .h = shape.h, .w = shape.w, .classes = classes, .width = (float)width};
    tess_error error = {0};
    tess_graph *graph = NULL;
    int own_batch = 1;
    if (model_build(argv[words], &options, &own_batch, &error, &graph))
        return cli_fail("%s", error.text);
    if (!batch) batch = own_batch;
    if (json) {
        status = print_json(graph, batch);
    } else {
        print_layers(graph);
        print_totals(graph, batch);
        status = EXIT_DONE;
    }
    tess_graph_destroy(graph);
    return status;
}
