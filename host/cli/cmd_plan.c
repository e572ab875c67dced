/* tessera plan: what the planner chooses for each convolution and pass, and why. */
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/model.h"

#include <stdio.h>
#include <string.h>

enum { PASS_COUNT = 3 };
static const char *const pass_names[PASS_COUNT] = {"fwd", "bwd_data", "bwd_weights"};

/* Comma-separated names -> a flag for each pass; false on an unknown or empty name. */
static bool parse_passes(const char *text, bool wanted[PASS_COUNT]) {
    memset(wanted, 0, PASS_COUNT * sizeof *wanted);
    while (true) {
        size_t length = strcspn(text, ",");
        int found = -1;
        for (int i = 0; i < PASS_COUNT; i++)
            if (strlen(pass_names[i]) == length && !strncmp(text, pass_names[i], length)) found = i;
        if (found < 0) return false;
        wanted[found] = true;
        if (!text[length]) return true;
        text += length + 1;
    }
}

struct request {
    const char *model, *problem; /* one of them is NULL */
    const char *without;         /* passes of the network to leave out, or NULL */
    size_t memory;               /* limit in bytes; 0: none */
    int batch;                   /* 0: the default */
    tess_zoo_options options;
    bool wanted[PASS_COUNT];
    bool infer, json;
};

static int print_plan(const char *layer, const tess_conv_desc *desc, tess_conv_pass pass,
                      const tess_conv_info *info, bool json) {
    char key[TESS_CONV_KEY_SIZE], workspace[CLI_COUNT_SIZE];
    tess_conv_desc_key(desc, key);
    if (json)
        return cli_print_json(
            json_pack("{s:s?, s:s, s:s, s:s, s:s, s:s, s:I, s:s}", "layer", layer, "problem", key,
                      "pass", pass_names[pass], "algo", info->algo, "config", info->config, "tier",
                      info->tier, "workspace", (json_int_t)info->workspace, "why", info->why));
    printf("%s%s%s  %s\n", layer ? layer : "", layer ? "  " : "", key, pass_names[pass]);
    printf("    %s, workspace %s, chosen by: %s\n", info->config,
           cli_bytes((double)info->workspace, workspace), info->tier);
    printf("    %s\n", info->why);
    return EXIT_DONE;
}

static int plan_problem(tess_context *ctx, const tess_conv_desc *desc,
                        const bool wanted[PASS_COUNT], bool json) {
    int status = EXIT_DONE;
    for (int pass = 0; !status && pass < PASS_COUNT; pass++) {
        if (!wanted[pass]) continue;
        tess_conv_options options = {.pass = (tess_conv_pass)pass};
        tess_conv_plan *plan = NULL;
        if (tess_conv_plan_create(ctx, desc, &options, &plan))
            return cli_fail("%s", tess_context_last_error(ctx));
        tess_conv_info info = tess_conv_plan_info(plan);
        status = print_plan(NULL, desc, (tess_conv_pass)pass, &info, json);
        tess_conv_plan_destroy(plan);
    }
    return status;
}

/* Where a batch cannot be trained, what can be planned is inference. */
static tess_status create_network(tess_context *ctx, const tess_graph *graph,
                                  tess_net_options *options, tess_net **out) {
    tess_status status = tess_net_create(ctx, graph, options, out);
    if (status != TESS_INVALID_SHAPE || !options->training) return status;
    char why[1024];
    snprintf(why, sizeof why, "%s", tess_context_last_error(ctx));
    options->training = false;
    status = tess_net_create(ctx, graph, options, out);
    if (!status) fprintf(stderr, "note: %s. Planned for inference: forward passes only.\n", why);
    return status;
}

/* What the network's own passes did: which layer needs no instruction or memory of its own. */
static int print_fused(const tess_net *net, bool json) {
    int status = EXIT_DONE;
    for (int i = 0; !status; i++) {
        tess_net_fusion fused = tess_net_fused(net, i);
        if (!fused.pass) break;
        if (json)
            status = cli_print_json(json_pack("{s:s, s:s, s:s}", "layer", fused.layer, "into",
                                              fused.into, "fused", fused.pass));
        else
            printf("%s  into %s (%s)\n", fused.layer, fused.into, fused.pass);
    }
    return status;
}

/* Device memory by kind. */
static int print_memory(const tess_net *net, bool json) {
    const tess_net_memory m = tess_net_memory_info(net);
    const size_t total = m.parameters + m.activations + m.workspace + m.operators;
    char text[8][CLI_COUNT_SIZE];
    if (json)
        return cli_print_json(json_pack(
            "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "bytes", (json_int_t)total,
            "parameters", (json_int_t)m.parameters, "activations", (json_int_t)m.activations,
            "workspace", (json_int_t)m.workspace, "operators", (json_int_t)m.operators,
            "activations_unshared", (json_int_t)m.activations_unshared, "packed",
            (json_int_t)m.packed, "folded", (json_int_t)m.folded, "staged", (json_int_t)m.staged,
            "activations_kept", (json_int_t)m.activations_kept, "recomputed", m.recomputed));
    printf("device memory %s: parameters %s, activations %s, workspaces %s, operators %s",
           cli_bytes((double)total, text[0]), cli_bytes((double)m.parameters, text[1]),
           cli_bytes((double)m.activations, text[2]), cli_bytes((double)m.workspace, text[3]),
           cli_bytes((double)m.operators, text[4]));
    printf(" (packed weights %s, folded %s)", cli_bytes((double)m.packed, text[5]),
           cli_bytes((double)m.folded, text[6]));
    if (m.staged)
        printf("; weights that need no memory beside their packed or folded form %s",
               cli_bytes((double)m.staged, text[7]));
    printf("; activations without sharing %s", cli_bytes((double)m.activations_unshared, text[5]));
    if (m.recomputed)
        printf(", without recomputation (%d instructions) %s", m.recomputed,
               cli_bytes((double)m.activations_kept, text[5]));
    putchar('\n');
    return EXIT_DONE;
}

static int plan_network(tess_context *ctx, const tess_graph *graph, const struct request *request) {
    tess_net_options options = {.batch = request->batch ? request->batch : 64,
                                .training = !request->infer,
                                .without = request->without,
                                .memory_limit = request->memory};
    tess_net *net = NULL;
    if (create_network(ctx, graph, &options, &net))
        return cli_fail("%s", tess_context_last_error(ctx));
    if (!options.training && !request->wanted[TESS_CONV_FWD]) {
        tess_net_destroy(net);
        return cli_fail("plan: inference has forward passes only; leave --pass away, or plan for "
                        "training with a larger --batch");
    }
    int status = EXIT_DONE;
    for (int i = 0; !status; i++) {
        tess_net_plan_info plan = tess_net_plan(net, i);
        if (!plan.layer) break;
        if (request->wanted[plan.pass])
            status = print_plan(plan.layer, &plan.desc, plan.pass, &plan.info, request->json);
    }
    if (!status) status = print_fused(net, request->json);
    if (!status) status = print_memory(net, request->json);
    tess_net_destroy(net);
    return status;
}

static int plan(const struct cli *cli, const struct request *request) {
    tess_error error = {0};
    tess_context *ctx = NULL;
    tess_graph *graph = NULL;
    tess_conv_desc desc = {0};
    int status = EXIT_FAILED;
    if (request->problem) {
        if (tess_conv_desc_parse(request->problem, &error, &desc))
            return cli_fail("%s", error.text);
        if (request->batch) desc.n = request->batch;
    } else if (model_build(request->model, &request->options, NULL, &error, &graph)) {
        return cli_fail("%s", error.text);
    }
    if (cli_context(cli, &error, &ctx))
        cli_fail("%s", error.text);
    else if (request->problem)
        status = plan_problem(ctx, &desc, request->wanted, request->json);
    else
        status = plan_network(ctx, graph, request);
    tess_context_destroy(ctx);
    tess_graph_destroy(graph);
    return status;
}

int cmd_plan(const struct cli *cli, int argc, char **argv) {
    struct request request = {0};
    const char *passes = "fwd,bwd_data,bwd_weights", *input = NULL;
    struct image_shape shape = {0};
    double width = 0;
    struct arg list[] = {
        {"problem", ARG_TEXT, &request.problem, "KEY", "plan this convolution instead of a network",
         0, 0, false},
        {"batch", ARG_INT, &request.batch, "N", "images a batch (64, or n of the key)", 1, 1 << 20,
         false},
        {"input", ARG_TEXT, &input, "CxHxW", INPUT_HELP, 0, 0, false},
        {"classes", ARG_INT, &request.options.classes, "N", CLASSES_HELP, 1, 1 << 20, false},
        {"width", ARG_REAL, &width, "X", WIDTH_HELP, 0.001, 64, false},
        {"pass", ARG_TEXT, &passes, "LIST", "any of fwd,bwd_data,bwd_weights (all)", 0, 0, false},
        {"infer", ARG_FLAG, &request.infer, NULL, "as planned for inference, not training", 0, 0,
         false},
        {"without", ARG_TEXT, &request.without, "LIST", WITHOUT_HELP, 0, 0, false},
        {"memory", ARG_BYTES, &request.memory, "SIZE", MEMORY_HELP, 0, 0, false},
        {"json", ARG_FLAG, &request.json, NULL, "JSON Lines, one plan a line", 0, 0, false},
        {0},
    };
    struct arg_table table = {
        .command = "plan",
        .usage = "MODEL|--problem KEY [--batch N] [--input CxHxW] [--classes N] [--width X] "
                 "[--pass LIST] [--infer]\n"
                 "       [--without LIST] [--memory SIZE] [--json]",
        .about = "Which algorithm and configuration each convolution and pass gets on this device, "
                 "with its workspace,\nwho chose it, and why; then which layers of the network "
                 "were merged.",
        .list = list,
        .max_words = 1,
    };
    int words;
    int status = args_parse(&table, argc, argv, &words);
    if (status != ARGS_CONTINUE) return status;
    if (words < argc) request.model = argv[words];
    request.options.width = (float)width;
    if (input && !parse_shape(input, &shape))
        return cli_usage("--input: '%s' is not CxHxW; write e.g. 3x32x32", input);
    request.options.c = shape.c;
    request.options.h = shape.h;
    request.options.w = shape.w;
    if (!request.model == !request.problem)
        return cli_usage("plan: %s; give a MODEL or --problem KEY",
                         request.model ? "MODEL and --problem exclude each other"
                                       : "nothing to plan");
    if (!parse_passes(passes, request.wanted))
        return cli_usage("--pass: '%s' is not a list of passes; give any of "
                         "fwd,bwd_data,bwd_weights",
                         passes);
    if (request.model && model_is_key(request.model)) {
        request.problem = request.model;
        request.model = NULL;
    }
    if (request.problem && (input || request.options.classes || width > 0))
        return cli_usage(
            "--input, --classes, --width: a problem key has its own sizes; change them there");
    if (request.problem && (request.infer || request.without || request.memory))
        return cli_usage("--infer, --without, --memory: a problem key is no network; give a MODEL");
    return plan(cli, &request);
}
