/* tessera-tune: the autotuner, apart from the library and the command. Reached as `tessera tune`. It starts itself again with --worker as
   first argument: see worker.h. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/std_streams.h"
#include "tuner/tune_options.h"
#include "tuner/worker.h"

static int run_worker(int argc, char **argv) {
    struct worker_setup setup = {0};
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--device") == 0) setup.device = argv[i + 1];
        if (strcmp(argv[i], "--db") == 0) setup.db = argv[i + 1];
        if (strcmp(argv[i], "--kernel-dir") == 0) setup.kernel_dir = argv[i + 1];
        if (strcmp(argv[i], "--share") == 0) setup.share = atoi(argv[i + 1]);
    }
    return worker_main(&setup);
}

/* Signals stay pending until a step is over, see message_receive: nothing needs a handler. */
static void block_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv) {
    std_streams_hold();
    if (argc > 1 && strcmp(argv[1], "--worker") == 0) return run_worker(argc, argv);
    struct tune_options options;
    tess_error error = {0};
    int status = tune_options_parse(&options, argc, argv);
    if (status < 0) {
        block_signals();
        status = tune_session_run(&options, &error) ? 1 : 0;
        if (status) fprintf(stderr, "tessera: %s\n", error.text);
    }
    problem_list_free(&options.problems);
    return std_streams_end(status);
}
