/* The process that compiles from the other end: the same bits and the same errors with it, and it sleeps when nothing is to be
   compiled. Each run is a process of its own: the helper has to be there before OpenCL is. */
#include "core/embedded.h"
#include "core/program_cache.h"
#include "net/kernel_helper.h"
#include "net/net.h"
#include "support/folder.h"
#include "support/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CLASSES = 3 };

struct run {
    const char *caches;  /* folder */
    const char *kernels; /* NULL: those of the library */
    bool helped;
};

static tess_graph *small_graph(void) {
    tess_graph *graph = NULL;
    assert_int_equal(tess_graph_create("small", NULL, &graph), TESS_OK);
    tess_node x = tess_graph_input(graph, 3, 8, 8);
    x = tess_graph_conv(graph, x, &(tess_conv_layer){.filters = 8, .kernel_h = 3, .pad = 1});
    x = tess_graph_conv(graph, x, &(tess_conv_layer){.filters = 20, .kernel_h = 1});
    tess_graph_softmax(graph, tess_graph_fc(graph, x, &(tess_fc_layer){.outputs = CLASSES}));
    return graph;
}

static tess_status context_of(const struct run *run, tess_context **out) {
    const tess_context_options options = {.kernel_dir = run->kernels};
    tess_error error;
    return tess_context_create(&options, &error, out);
}

/* In the helper: leaves a note that it was woken. */
static tess_status context_noted(void *user, tess_context **out) {
    const struct run *run = user;
    folder_write_text(run->caches, "woken", "");
    return context_of(run, out);
}

/* The output, or the error. */
static void run_network(tess_context *ctx, const tess_graph *graph, const char *path) {
    float data[CLASSES], image[3 * 8 * 8];
    tess_net *net = NULL;
    if (tess_net_create(ctx, graph, NULL, &net)) {
        const char *text = tess_context_last_error(ctx);
        bytes_write(path, text, strlen(text));
        return;
    }
    check_random(image, sizeof image / sizeof *image, -1, 1, 3);
    assert_ok(ctx, tess_net_init(net, 1));
    assert_ok(ctx, tess_tensor_write(tess_net_input(net), image, TESS_NCHW));
    assert_ok(ctx, tess_net_forward(net));
    assert_ok(ctx, tess_tensor_read(tess_net_output(net), data, TESS_NCHW));
    bytes_write(path, data, sizeof data);
    tess_net_destroy(net);
}

/* The whole of a process; 77: no PoCL. */
static int run_once(const struct run *run, const char *path) {
    char pocl[FOLDER_PATH_SIZE], own[FOLDER_PATH_SIZE];
    setenv("POCL_CACHE_DIR", folder_path(run->caches, "pocl", pocl), 1);
    setenv("XDG_CACHE_HOME", folder_path(run->caches, "own", own), 1);
    mkdir(pocl, 0777);
    tess_graph *graph = small_graph();
    struct run copy = *run;
    const struct kernel_helper_job job = {.graph = graph, .context = context_noted, .user = &copy};
    struct kernel_helper *helper = run->helped ? kernel_helper_start(&job) : NULL;
    tess_context *ctx = NULL;
    if (run->helped && !helper) return 77;
    assert_int_equal(context_of(run, &ctx), TESS_OK);
    if (strcmp(tess_context_device(ctx)->platform_name, POCL_PLATFORM) != 0) return 77;
    kernel_helper_attach(helper, ctx);
    if (helper && run->kernels) ctx->slow_build(ctx->slow_build_user);
    run_network(ctx, graph, path);
    kernel_helper_end(helper);
    tess_context_destroy(ctx);
    tess_graph_destroy(graph);
    return 0;
}

/* What a process with these settings wrote, freed by the caller; skips the test without PoCL. */
static unsigned char *result(const char *folder, const char *caches, bool helped,
                             const char *kernels, size_t *size) {
    char path[FOLDER_PATH_SIZE], place[FOLDER_PATH_SIZE];
    mkdir(folder_path(folder, caches, place), 0777);
    folder_path(folder, "result", path);
    const char *const arguments[] = {"once",  place, path, helped ? "helped" : "alone",
                                     kernels, NULL};
    int status = process_wait(process_start(arguments, NULL));
    if (status == 77) skip();
    assert_int_equal(status, 0);
    return bytes_read(path, size);
}

static bool was_woken(const char *folder, const char *caches) {
    char place[FOLDER_PATH_SIZE];
    return folder_find(folder_path(folder, caches, place), "woken", NULL) == 1;
}

static void same_bits(void **state) {
    const char *folder = *state;
    char note[FOLDER_PATH_SIZE];
    size_t sizes[3];
    unsigned char *alone = result(folder, "a", false, NULL, &sizes[0]);
    unsigned char *helped = result(folder, "b", true, NULL, &sizes[1]);
    assert_int_equal(sizes[0], CLASSES * sizeof(float));
    assert_int_equal(sizes[1], sizes[0]);
    assert_memory_equal(alone, helped, sizes[0]);
    assert_true(was_woken(folder, "b"));
    /* With what is in the caches now it sleeps. */
    folder_remove(folder_path(folder, "b/woken", note));
    unsigned char *warm = result(folder, "b", true, NULL, &sizes[2]);
    assert_int_equal(sizes[2], sizes[0]);
    assert_memory_equal(alone, warm, sizes[0]);
    assert_false(was_woken(folder, "b"));
    free(alone);
    free(helped);
    free(warm);
}

/* The folder's own kernels, of which those of convolutions cannot be compiled. */
static void write_broken_kernels(const char *kernels) {
    for (const struct embedded_source *s = embedded_sources; s->name; s++) {
        bool conv = strncmp(s->name, "conv_", 5) == 0;
        folder_write_text(kernels, s->name, conv ? "#error planted\n" : s->text);
    }
}

/* With the caches of the test before. */
static void same_error(void **state) {
    const char *folder = *state;
    char kernels[FOLDER_PATH_SIZE];
    size_t sizes[2];
    mkdir(folder_path(folder, "kernels", kernels), 0777);
    write_broken_kernels(kernels);
    unsigned char *alone = result(folder, "b", false, kernels, &sizes[0]);
    unsigned char *helped = result(folder, "b", true, kernels, &sizes[1]);
    assert_true(was_woken(folder, "b"));
    assert_non_null(strstr((const char *)alone, "planted"));
    assert_non_null(strstr((const char *)alone, "conv_generic"));
    assert_int_equal(sizes[1], sizes[0]);
    assert_memory_equal(alone, helped, sizes[0]);
    free(alone);
    free(helped);
}

int main(int argc, char **argv) {
    if (argc >= 5 && strcmp(argv[1], "once") == 0)
        return run_once(&(struct run){.caches = argv[2],
                                      .kernels = argc > 5 ? argv[5] : NULL,
                                      .helped = strcmp(argv[4], "helped") == 0},
                        argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits),
        cmocka_unit_test(same_error),
    };
    return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
