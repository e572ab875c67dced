/* Whole networks of the zoo: a training step, or an inference, on random images. */
#include "bench/bench_net.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/net_choice.h"
#include "bench/net_layers.h"
#include "bench/options.h"
#include "bench/report/run_info.h"
#include "bench/report/stats.h"
#include "bench/timing.h"
#include "core/byte_size.h"
#include "core/context.h"
#include "net/kernel_helper.h"

static const char usage[] =
    "usage: tessera bench net --net NAME --batch N --mode train|infer [--json FILE]\n"
    "                         [--input CxHxW] [--classes N] [--width X] [--samples N]\n"
    "                         [--memory SIZE] [--recompute] [--without LIST] [--layers]\n"
    "                         [--paced]\n"
    "  --net NAME        a network of the zoo\n"
    "  --batch N         images a step\n"
    "  --mode MODE       train: forward, backward and update; infer: forward, as planned for it\n"
    "  --input, --classes, --width\n"
    "                    instead of the network's own; width is a factor on its filters\n"
    "  --memory SIZE     most device memory of the network, such as 2G or 800M\n"
    "  --recompute       training: make outputs of cheap layers again instead of keeping them\n"
    "  --without LIST    leave out passes that merge layers, as 'tessera plan' names them\n"
    "  --json FILE       append one JSON object a line; - for standard output\n"
    "  --samples N       timed samples (15)\n"
    "  --layers          also the time of every operation and of every layer, by the device's "
    "clock\n"
    "  --paced           takes a sample for each line of standard input, after a line that says\n"
    "                    \"ready\", and prints it as a JSON object: for scripts that alternate\n";

struct request {
    const char *name, *without;
    size_t memory;            /* limit in bytes; 0: none */
    struct net_choice choice; /* its sizes only */
    int batch, samples;
    bool training, has_mode, layers, paced, recompute;
    FILE *json;
    char command[RUN_COMMAND_SIZE];
};

struct net_work {
    tess_net *net;
    int batch;
    bool training;
    uint64_t step;
};

/* A small learning rate: the same labels again and again must not let the weights grow. */
static tess_status net_work_run(void *user) {
    struct net_work *work = user;
    static const tess_sgd_desc sgd = {.lr = 1e-4f, .momentum = 0.9f};
    if (!work->training) return tess_net_forward(work->net);
    return tess_net_train_step(work->net, &sgd, work->batch, work->step++);
}

/* Random images in [-1, 1), labels in turn. */
static tess_status fill(tess_context *ctx, struct net_work *work) {
    tess_tensor *input = tess_net_input(work->net), *labels = tess_net_labels(work->net);
    size_t count = tess_tensor_desc_elements(tess_tensor_get_desc(input));
    int classes = tess_tensor_get_desc(tess_net_output(work->net))->c;
    void *data = malloc((count + (size_t)work->batch) * sizeof(float));
    if (!data)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY,
                            "bench net: no host memory; give a smaller --batch");
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        ((float *)data)[i] = (float)(state >> 8) / 8388608.0f - 1;
    }
    tess_status status = tess_tensor_write(input, data, TESS_NHWC);
    for (int i = 0; i < work->batch; i++)
        ((int32_t *)data)[i] = i % classes;
    if (!status && labels) status = tess_tensor_write(labels, data, TESS_NHWC);
    free(data);
    return status;
}

static bool write_row(const json_t *row, FILE *out) {
    return json_dumpf(row, out, JSON_COMPACT | JSON_REAL_PRECISION(6)) == 0 &&
           fputc('\n', out) != EOF;
}

/* timed has its samples. */
static bool print_result(tess_context *ctx, const struct request *request,
                         const struct timed *timed, int samples, const tess_net_memory *memory) {
    const char *mode = request->training ? "train" : "infer";
    double ms = timed->median * 1e3, images = request->batch / timed->median;
    uint64_t peak = tess_context_counters(ctx).device_bytes_peak;
    if (request->json != stdout) {
        printf("%s, driver %s\n", tess_context_device(ctx)->name,
               tess_context_device(ctx)->driver_version);
        printf(
            "%s, batch %d, %s: %.2f ms +- %.2f, %.1f images/s; device memory %.1f MiB: parameters "
            "%.1f, activations %.1f, workspace %.1f, operators %.1f (packed weights %.1f, folded "
            "%.1f)\n",
            request->name, request->batch, mode, ms, timed->mad * 1e3, images,
            (double)peak / 1048576, (double)memory->parameters / 1048576,
            (double)memory->activations / 1048576, (double)memory->workspace / 1048576,
            (double)memory->operators / 1048576, (double)memory->packed / 1048576,
            (double)memory->folded / 1048576);
    }
    struct stats_summary s;
    stats_summarise(timed->samples, samples, 1e3, &s);
    json_t *bytes =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "parameters", (json_int_t)memory->parameters,
                  "activations", (json_int_t)memory->activations, "workspace",
                  (json_int_t)memory->workspace, "operators", (json_int_t)memory->operators,
                  "packed", (json_int_t)memory->packed, "folded", (json_int_t)memory->folded);
    json_t *row = json_pack("{s:s, s:i, s:s, s:f, s:f, s:f, s:I, s:o, s:i, s:o, s:[f, f], s:o}",
                            "net", request->name, "batch", request->batch, "mode", mode, "ms", ms,
                            "ms_mad", timed->mad * 1e3, "images_per_s", images, "device_bytes_peak",
                            (json_int_t)peak, "device_bytes", bytes, "recomputed",
                            memory->recomputed, "device", run_text(tess_context_device(ctx)->name),
                            "ms_ci", s.ci[0], s.ci[1], "run", run_info(ctx, request->command));
    FILE *saved = saved_runs_open();
    if (row && saved)
        write_row(row, saved); /* for later reports; a full disk there stops nothing */
    if (saved) fclose(saved);
    bool written = !request->json || (row && write_row(row, request->json));
    json_decref(row);
    return written;
}

/* Three steps to warm up, then one for each line of standard input. */
static tess_status measure_paced(tess_context *ctx, struct net_work *work) {
    tess_status status = TESS_OK;
    for (int i = 0; i < 3 && !status; i++)
        status = net_work_run(work);
    if (!status) status = tess_context_finish(ctx);
    if (!status) puts("{\"ready\":true}");
    int c;
    while (!status && fflush(stdout) == 0 && (c = getchar()) != EOF) {
        if (c != '\n') continue;
        double start = timing_now();
        status = net_work_run(work);
        if (!status) status = tess_context_finish(ctx);
        if (!status)
            printf("{\"ms\":%.4f,\"device_bytes_peak\":%llu}\n", 1e3 * (timing_now() - start),
                   (unsigned long long)tess_context_counters(ctx).device_bytes_peak);
    }
    return status;
}

static tess_status measure_samples(tess_context *ctx, const struct request *request,
                                   struct net_work *work) {
    const int samples = request->samples ? request->samples : 15;
    struct timed timed = {.run = net_work_run, .user = work};
    timed.samples = malloc((size_t)samples * sizeof *timed.samples);
    if (!timed.samples)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "bench net: no memory for samples");
    tess_status status =
        timing_interleaved(ctx, &timed, 1, &(struct timing_options){.samples = samples});
    tess_net_memory memory = tess_net_memory_info(work->net);
    if (!status && !print_result(ctx, request, &timed, samples, &memory))
        status = context_fail(ctx, TESS_IO,
                              "bench net: the JSON file cannot be written; is the disk full?");
    free(timed.samples);
    if (status || !request->layers) return status;
    return net_layers_print(
        &(struct net_layers_request){.net = work->net,
                                     .step = net_work_run,
                                     .user = work,
                                     .samples = samples,
                                     .text = request->json == stdout ? NULL : stdout,
                                     .json = request->json,
                                     .name = request->name,
                                     .mode = request->training ? "train" : "infer",
                                     .batch = request->batch});
}

/* The first step, after which there is nothing to compile: the helper must not run beside what is timed. */
static tess_status settle(tess_context *ctx, struct net_work *work, struct kernel_helper **helper) {
    if (!*helper) return TESS_OK;
    tess_status status = net_work_run(work);
    if (!status) status = tess_context_finish(ctx);
    kernel_helper_end(*helper);
    *helper = NULL;
    return status;
}

static tess_status measure(tess_context *ctx, const tess_graph *graph,
                           const tess_net_options *options, const struct request *request,
                           struct kernel_helper **helper) {
    struct net_work work = {.batch = request->batch, .training = request->training};
    tess_status status = tess_net_create(ctx, graph, options, &work.net);
    if (!status) status = tess_net_init(work.net, 1);
    if (!status) status = fill(ctx, &work);
    if (!status) status = settle(ctx, &work, helper);
    if (!status)
        status = request->paced ? measure_paced(ctx, &work) : measure_samples(ctx, request, &work);
    tess_net_destroy(work.net);
    return status;
}

struct helper_context {
    const tess_context_options *options;
    tess_error *error;
};

static tess_status context_for_helper(void *user, tess_context **out) {
    const struct helper_context *h = user;
    tess_status status = tess_context_create(h->options, h->error, out);
    return status ? status : tess_context_use_tuning(*out, NULL);
}

static int bench(const char *device, const struct request *request) {
    tess_error error = {0};
    tess_context *ctx = NULL;
    tess_graph *graph = NULL;
    const tess_context_options context = {.device = device, .profiling = request->layers};
    const tess_net_options options = {.batch = request->batch,
                                      .training = request->training,
                                      .without = request->without,
                                      .memory_limit = request->memory,
                                      .recompute = request->recompute ? TESS_RECOMPUTE_ALWAYS
                                                                      : TESS_RECOMPUTE_NEEDED};
    if (tess_model_build(request->name, &request->choice.size, &error, &graph))
        return option_fail(1, "%s", error.text);
    int status = 1;
    struct kernel_helper *helper = kernel_helper_start(
        &(struct kernel_helper_job){.graph = graph,
                                    .options = &options,
                                    .context = context_for_helper,
                                    .user = &(struct helper_context){&context, &error}});
    if (tess_context_create(&context, &error, &ctx)) {
        option_fail(1, "%s", error.text);
    } else {
        kernel_helper_attach(helper, ctx);
        if (tess_context_use_tuning(ctx, NULL) || measure(ctx, graph, &options, request, &helper))
            option_fail(1, "%s", tess_context_last_error(ctx));
        else
            status = 0;
    }
    kernel_helper_end(helper);
    tess_context_destroy(ctx);
    tess_graph_destroy(graph);
    return status;
}

static int set_mode(struct request *request, const char *mode) {
    request->training = strcmp(mode, "train") == 0;
    request->has_mode = request->training || strcmp(mode, "infer") == 0;
    return request->has_mode ? 0 : option_fail(2, "bench net: --mode is 'train' or 'infer'");
}

static int set_memory(struct request *request, const char *value) {
    if (byte_size_parse(value, &request->memory)) return 0;
    return option_fail(2,
                       "--memory: '%s' is not an amount of memory; give one such as 2G, 800M or "
                       "64K, or a number of bytes",
                       value);
}

static int set_option(void *user, int option, char *value) {
    struct request *request = user;
    switch (option) {
    case 'n':
        request->name = value;
        return 0;
    case 'o':
        request->without = value;
        return 0;
    case 'b':
        return option_number("batch", value, 1, 65536, &request->batch);
    case 's':
        return option_number("samples", value, 1, 10000, &request->samples);
    case 'y':
        return set_memory(request, value);
    case 'm':
        return set_mode(request, value);
    case 'j':
        return option_json(value, &request->json);
    case 'l':
        request->layers = true;
        return 0;
    case 'r':
        request->recompute = true;
        return 0;
    case 'P':
        request->paced = true;
        return 0;
    default:
        return option_net(option, value, &request->choice);
    }
}

int bench_net(const char *device, int argc, char **argv) {
    static const struct option list[] = {{"net", required_argument, NULL, 'n'},
                                         {"batch", required_argument, NULL, 'b'},
                                         {"mode", required_argument, NULL, 'm'},
                                         {"input", required_argument, NULL, 'I'},
                                         {"classes", required_argument, NULL, 'K'},
                                         {"width", required_argument, NULL, 'W'},
                                         {"samples", required_argument, NULL, 's'},
                                         {"json", required_argument, NULL, 'j'},
                                         {"without", required_argument, NULL, 'o'},
                                         {"memory", required_argument, NULL, 'y'},
                                         {"layers", no_argument, NULL, 'l'},
                                         {"paced", no_argument, NULL, 'P'},
                                         {"recompute", no_argument, NULL, 'r'},
                                         {"help", no_argument, NULL, 'h'},
                                         {NULL, 0, NULL, 0}};
    struct request request = {0};
    run_command("bench", argc, argv, request.command);
    int status = options_read(
        &(struct options){.command = "bench net", .usage = usage, .list = list, .set = set_option},
        argc, argv, &request);
    if (!status && (!request.name || !request.batch || !request.has_mode))
        status = option_fail(2, "bench net: give --net, --batch and --mode; see --help");
    if (!status && request.recompute && !request.training)
        status =
            option_fail(2, "bench net: --recompute: inference keeps no outputs for gradients; give "
                           "--mode train");
    if (!status) status = bench(device, &request);
    status = option_json_close(request.json, status);
    return status < 0 ? 0 : status;
}
