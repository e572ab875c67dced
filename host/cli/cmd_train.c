/* tessera train: trains a network, shows how it goes, and leaves checkpoints to use or to continue from. */
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/gallery.h"
#include "cli/progress.h"
#include "cli/train_setup.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* The one thing that a signal handler can tell the rest of the program. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

/* The first Ctrl-C ends the training after the step under way; a second one ends the process at once, which is safe
   as well: checkpoints are replaced atomically. */
static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static const char preparing[] = "preparing kernels for the device (the first time takes a while)";

struct view {
    struct progress progress;
    struct metrics last; /* epoch 0: none finished in this run */
    int epochs;
};

static void on_step(void *user, const struct train_progress *progress) {
    struct view *view = user;
    progress_step(&view->progress, progress);
}

static void on_epoch(void *user, const struct metrics *metrics, bool best) {
    struct view *view = user;
    view->last = *metrics;
    progress_epoch(&view->progress, metrics, view->epochs, best);
}

static bool on_stop(void *user) {
    (void)user;
    return interrupted;
}

static void print_header(const struct train_session *s) {
    char count[CLI_COUNT_SIZE], val[CLI_COUNT_SIZE];
    const tess_device_info *device = tess_context_device(s->ctx);
    printf("%s on %s: %s training images", s->settings.model, s->train->name,
           cli_count((uint64_t)s->train->count, count));
    if (s->val)
        printf(", %s for validation (%s)\n", cli_count((uint64_t)s->val->count, val), s->val_note);
    else
        printf(", none for validation\n");
    printf("device %u:%u %s; output in %s\n", device->platform_index, device->device_index,
           device->name, s->folder);
    if (s->moved[0]) printf("the earlier training that was there is now in %s\n", s->moved);
    if (s->recompute)
        printf("less memory: %d instructions make outputs of cheap layers again\n",
               tess_net_memory_info(s->net).recomputed);
    if (s->stored) printf("continuing after epoch %d\n", s->state.epoch);
    fflush(stdout);
}

static void print_result(const struct train_session *s, const struct view *view) {
    char count[CLI_COUNT_SIZE], time[32];
    if (!view->last.epoch) {
        printf("all %d epochs are done already; --epochs N asks for more\n", s->settings.epochs);
        return;
    }
    if (s->val)
        printf("validation accuracy %.2f %% on %s images of %s; best %.2f %% after epoch %d\n",
               view->last.val_acc, cli_count((uint64_t)s->val->count, count), s->val->name,
               s->state.best, s->state.best_epoch);
    else
        printf("training loss %.4f on %s images of %s; no accuracy: there was no --val or "
               "--val-last\n",
               view->last.train_loss, cli_count((uint64_t)s->train->count, count), s->train->name);
    printf("%s; weights in %s\n",
           progress_duration(progress_seconds() - view->progress.started, time), s->dir.last);
}

static int run(struct train_session *s, struct view *view, bool show) {
    tess_error error = {0};
    bool stopped = false;
    struct trainer trainer = {
        .ctx = s->ctx,
        .net = s->net,
        .settings = &s->settings,
        .train = s->train,
        .val = s->val,
        .data_hash = s->data_hash,
        .dir = &s->dir,
        .events = {view, on_step, on_epoch, on_stop},
    };
    progress_clear(&view->progress);
    progress_start(&view->progress);
    print_header(s);
    progress_note(&view->progress, preparing);
    catch_signals();
    view->epochs = s->settings.epochs;
    tess_status status = trainer_run(&trainer, &s->state, &stopped, &error);
    progress_clear(&view->progress);
    if (status) return cli_fail("%s", error.text);
    if (stopped)
        return cli_fail("train: interrupted in epoch %d of %d; continue with 'tessera train "
                        "--resume %s'",
                        s->state.epoch + 1, s->settings.epochs, s->folder);
    if (show && gallery_show(s->ctx, s->net, s->val ? s->val : s->train, &error))
        return cli_fail("%s", error.text);
    print_result(s, view);
    return EXIT_DONE;
}

int cmd_train(const struct cli *cli, int argc, char **argv) {
    struct train_request r = {
        .settings =
            {.epochs = 10, .batch = 64, .schedule = {0.05, 0, 1}, .momentum = 0.9, .seed = 1},
    };
    struct train_settings *s = &r.settings;
    struct arg list[] = {
        {"data", ARG_TEXT, &s->data, "SPEC",
         "mnist:DIR, cifar10:DIR or synthetic:digits[,count=N][,seed=N][,classes=N]; scaled with "
         ",size=CxHxW at its end",
         0, 0, false},
        {"val", ARG_TEXT, &s->val, "SPEC", "validation images (generated data: another seed)", 0, 0,
         false},
        {"val-last", ARG_INT, &s->val_last, "N", "hold back the last N images of --data instead", 1,
         1e9, false},
        {"epochs", ARG_INT, &s->epochs, "N", "passes over the data (10)", 1, 1e6, false},
        {"batch", ARG_INT, &s->batch, "N", "images a step (64)", 1, 65536, false},
        {"lr", ARG_REAL, &s->schedule.lr, "X", "learning rate (0.05)", 0, 1e6, false},
        {"lr-step", ARG_TEXT, &r.lr_step, "N:FACTOR", "multiply it by FACTOR every N epochs", 0, 0,
         false},
        {"momentum", ARG_REAL, &s->momentum, "X", "of the gradient descent (0.9)", 0, 0.9999,
         false},
        {"nesterov", ARG_FLAG, &s->nesterov, NULL, "Nesterov's momentum", 0, 0, false},
        {"weight-decay", ARG_REAL, &s->weight_decay, "X", "L2 penalty (0)", 0, 1, false},
        {"seed", ARG_U64, &s->seed, "N", "of weights, order and dropout (1)", 0, 0, false},
        {"init", ARG_TEXT, &r.init, "RULE",
         "initial weights: he, xavier, lecun, fan-in or gaussian, instead of the network's own", 0,
         0, false},
        {"input", ARG_TEXT, &r.input, "CxHxW",
         "the network's input, in which images are centred, instead of its own", 0, 0, false},
        {"width", ARG_REAL, &s->width, "X", WIDTH_HELP, 0.001, 64, false},
        {"weights", ARG_TEXT, &r.weights, "FILE", "start from these, of an earlier training", 0, 0,
         false},
        {"classes", ARG_INT, &s->classes, "N",
         "replace the model's last layer with weights by a new one, of N classes", 1, 1 << 20,
         false},
        {"freeze-until", ARG_TEXT, &s->freeze_until, "NAME",
         "do not train the layers that 'summary' lists up to this one, included", 0, 0, false},
        {"out", ARG_TEXT, &r.out, "DIR", "metrics and checkpoints (tessera-out/MODEL)", 0, 0,
         false},
        {"resume", ARG_TEXT, &r.resume, "DIR", "continue the training in DIR, with its settings", 0,
         0, false},
        {"without", ARG_TEXT, &r.without, "LIST", WITHOUT_HELP, 0, 0, false},
        {"memory", ARG_BYTES, &r.memory, "SIZE", MEMORY_HELP, 0, 0, false},
        {"recompute", ARG_FLAG, &r.recompute, NULL,
         "make outputs of cheap layers again instead of keeping them: less memory, same results", 0,
         0, false},
        {"show", ARG_FLAG, &r.show, NULL, "end with pictures of filters and answers", 0, 0, false},
        {0},
    };
    struct arg_table table = {
        .command = "train",
        .usage = "MODEL --data SPEC [options] | --resume DIR [--epochs N]",
        .about =
            "Trains MODEL, a name of the zoo or a .onnx file, whose weights it starts from, with "
            "stochastic gradient\ndescent. DIR receives metrics.jsonl (one line "
            "an "
            "epoch), last.safetensors\n(to continue from) and best.safetensors (highest validation "
            "accuracy, else lowest loss). Files of an earlier\ntraining there are moved to "
            "DIR/previous-N. The same command gives the same bytes on the same device.",
        .list = list,
        .max_words = 1,
    };
    int words;
    int status = args_parse(&table, argc, argv, &words);
    if (status != ARGS_CONTINUE) return status;
    if (words < argc) s->model = argv[words];
    struct train_session session = {.dir.lock = -1};
    struct view view = {0};
    status = train_settle(&r, list, &session);
    if (status == ARGS_CONTINUE) {
        progress_start(&view.progress);
        progress_note(&view.progress, preparing);
        status = train_prepare(cli, r.resume != NULL, r.resume ? s->data : NULL, &session);
    }
    if (status == EXIT_DONE) status = run(&session, &view, r.show);
    train_session_end(&session);
    return status;
}
