#include "cli/train_setup.h"

#include "cli/weights.h"
#include "core/file_error.h"
#include "train/data_spec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool parse_lr_step(const char *text, struct schedule *schedule) {
    char steps[16];
    const char *colon = strchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : 0;
    if (length == 0 || length >= sizeof steps) return false;
    memcpy(steps, text, length);
    steps[length] = '\0';
    return parse_int(steps, 1, 1000000, &schedule->step) &&
           parse_real(colon + 1, 1e-9, 1e9, &schedule->factor);
}

static bool same_text(const char *a, const char *b) {
    return a && b && !strcmp(a, b);
}

/* Without --width nothing is stored, which means 1. */
static double width_of(const struct train_settings *settings) {
    return settings->width > 0 ? settings->width : 1;
}

/* The first option that was given and differs from the checkpoint; NULL if none. */
static const char *contradiction(const struct arg *list, const struct train_settings *given,
                                 const struct train_settings *stored) {
    const struct {
        const char *name;
        bool differs;
    } checks[] = {
        {"val", !same_text(given->val, stored->val)},
        {"val-last", given->val_last != stored->val_last},
        {"batch", given->batch != stored->batch},
        {"lr", given->schedule.lr != stored->schedule.lr},
        {"lr-step", given->schedule.step != stored->schedule.step ||
                        given->schedule.factor != stored->schedule.factor},
        {"momentum", given->momentum != stored->momentum},
        {"weight-decay", given->weight_decay != stored->weight_decay},
        {"nesterov", given->nesterov != stored->nesterov},
        {"seed", given->seed != stored->seed},
        {"width", width_of(given) != width_of(stored)},
        {"classes", given->classes != stored->classes},
        {"freeze-until", !same_text(given->freeze_until, stored->freeze_until)},
    };
    for (const struct arg *arg = list; arg->name; arg++)
        for (size_t i = 0; arg->given && i < sizeof checks / sizeof *checks; i++)
            if (!strcmp(arg->name, checks[i].name) && checks[i].differs) return arg->name;
    return NULL;
}

static bool is_given(const struct arg *list, const char *name) {
    while (list->name && strcmp(list->name, name) != 0)
        list++;
    return list->name && list->given;
}

static int settle_resume(const struct train_request *request, const struct arg *list,
                         struct train_session *session) {
    const struct train_settings *given = &request->settings;
    struct train_settings *settings = &session->settings;
    tess_error error = {0};
    char path[4200];
    snprintf(session->folder, sizeof session->folder, "%s", request->resume);
    snprintf(path, sizeof path, "%s/last.safetensors", session->folder);
    if (request->out && strcmp(request->out, request->resume) != 0)
        return cli_usage("--out: --resume continues in %s; leave --out away", request->resume);
    if (access(path, F_OK)) {
        error_file(&error, errno, path, "read");
        return cli_fail("%s", error.text);
    }
    /* The lock comes first, so that no other training moves on after this one has read. */
    if (run_dir_open(session->folder, &error, &session->dir) ||
        safetensors_read(path, &error, &session->stored) ||
        checkpoint_read_run(session->stored, path, &error, settings, &session->state,
                            &session->data_hash))
        return cli_fail("%s", error.text);
    if (given->model && strcmp(given->model, settings->model) != 0)
        return cli_usage("%s: the training in %s is of %s; leave the model away", given->model,
                         request->resume, settings->model);
    const char *name = contradiction(list, given, settings);
    if (same_text(name, "lr"))
        return cli_usage("--lr: contradicts the training in %s, which goes on with what it was "
                         "started with; leave --lr away, or start a new training from its weights: "
                         "--weights %s --out DIR",
                         request->resume, path);
    if (name)
        return cli_usage("--%s: contradicts the training in %s, which goes on with what it was "
                         "started with; leave --%s away",
                         name, request->resume, name);
    const char *stored = safetensors_metadata(session->stored, "input");
    struct image_shape input = session->input;
    if (stored && parse_shape(stored, &session->input) && input.c &&
        (input.c != session->input.c || input.h != session->input.h || input.w != session->input.w))
        return cli_usage("--input: contradicts the training in %s, whose input is %s; leave "
                         "--input away",
                         request->resume, stored);
    if (is_given(list, "epochs")) settings->epochs = given->epochs;
    if (settings->epochs < session->state.epoch)
        return cli_usage("--epochs: %d epochs are done already; give more than that",
                         session->state.epoch);
    return ARGS_CONTINUE;
}

/* A file's name without folder and ".onnx". */
static void default_folder(struct train_session *session, const char *model) {
    const char *slash = strrchr(model, '/'), *name = model;
    size_t length = strlen(model);
    if (model_is_file(model)) {
        if (slash) name = slash + 1;
        length = strlen(name) - strlen(".onnx");
    }
    snprintf(session->folder, sizeof session->folder, "tessera-out/%.*s", (int)length, name);
}

int train_settle(const struct train_request *request, const struct arg *list,
                 struct train_session *session) {
    struct train_request r = *request;
    session->without = r.without;
    session->weights = r.weights;
    session->memory = r.memory;
    session->recompute = r.recompute;
    if (r.lr_step && !parse_lr_step(r.lr_step, &r.settings.schedule))
        return cli_usage("--lr-step: '%s' is not N:FACTOR; write e.g. 3:0.5 (every 3 epochs, "
                         "times 0.5)",
                         r.lr_step);
    if (r.input && !parse_shape(r.input, &session->input))
        return cli_usage("--input: '%s' is not CxHxW; write e.g. 3x32x32", r.input);
    if (r.settings.val && r.settings.val_last)
        return cli_usage("--val-last: excludes --val; give one of them");
    tess_error error = {0};
    if (r.init && tess_init_parse(r.init, &error, &session->init))
        return cli_usage("--init: %s", error.text);
    if (r.init && r.resume)
        return cli_usage("--init: --resume goes on with the weights that it finds; leave it away");
    if (r.resume && r.weights)
        return cli_usage("--weights: --resume goes on with the weights in %s; give one of them",
                         r.resume);
    if (r.resume) return settle_resume(&r, list, session);
    if (!r.settings.model) return cli_usage("train: no MODEL; name one, e.g. lenet5-relu");
    if (!r.settings.data)
        return cli_usage("train: no --data; give one, e.g. --data mnist:DIR or --data "
                         "synthetic:digits");
    session->settings = r.settings;
    if (r.out)
        snprintf(session->folder, sizeof session->folder, "%s", r.out);
    else
        default_folder(session, r.settings.model);
    return ARGS_CONTINUE;
}

static tess_status check_validation(const struct train_session *s, tess_error *error) {
    const struct dataset *train = s->train, *val = s->val;
    if (val->c != train->c || val->h != train->h || val->w != train->w ||
        val->classes != train->classes)
        return error_set(error, TESS_INVALID_SHAPE,
                         "--val: images of %dx%dx%d in %d classes, but --data has %dx%dx%d in %d; "
                         "give data of the same kind",
                         val->c, val->h, val->w, val->classes, train->c, train->h, train->w,
                         train->classes);
    size_t bytes = (size_t)train->count * (size_t)(train->c * train->h * train->w);
    if (val->count == train->count && !memcmp(val->pixels, train->pixels, bytes))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "--val: these are the same images as --data; hold some back with "
                         "--val-last N");
    return TESS_OK;
}

static tess_status open_validation(struct train_session *s, tess_error *error) {
    const char *spec = s->settings.val;
    if (s->settings.val_last) {
        s->val_note = "the last ones of the same files";
        return dataset_split_last(s->train, s->settings.val_last, error, &s->val);
    }
    s->val_note = "--val";
    if (!spec && data_spec_is_synthetic(s->settings.data)) {
        spec = s->settings.data;
        s->val_note = "generated from another seed";
    }
    if (!spec) return TESS_OK;
    tess_status status = data_open(spec, DATA_TEST, error, &s->val);
    if (!status) status = check_validation(s, error);
    if (status) return status;
    memcpy(s->val->mean, s->train->mean, sizeof s->val->mean);
    memcpy(s->val->std, s->train->std, sizeof s->val->std);
    return TESS_OK;
}

static tess_status open_data(const char *spec, bool resume, struct train_session *s,
                             tess_error *error) {
    tess_status status = data_open(spec, DATA_TRAIN, error, &s->train);
    if (status) return status;
    uint64_t hash = data_hash(s->train);
    if (resume && hash != s->data_hash)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "%s: these are not the images that the training was started with; give "
                         "the same ones",
                         spec);
    s->data_hash = hash;
    return open_validation(s, error);
}

/* Another network's weights are refused before the device is busy. */
static tess_status check_start(const struct train_session *s, tess_error *error) {
    struct safetensors *file = NULL;
    struct input_format format;
    if (!s->weights) return TESS_OK;
    tess_status status = safetensors_read(s->weights, error, &file);
    if (!status) status = checkpoint_read_format(file, s->weights, error, &format);
    if (!status) status = weights_check_model(&format, s->weights, s->settings.model, error);
    if (!status && !s->settings.classes && format.classes && format.classes != s->train->classes)
        status = error_set(error, TESS_INVALID_SHAPE,
                           "%s: holds weights for %d classes, %s has %d; --classes %d replaces the "
                           "layer that makes them by a new one",
                           s->weights, format.classes, s->train->name, s->train->classes,
                           s->train->classes);
    safetensors_destroy(file);
    return status;
}

static tess_status start_weights(struct train_session *s, bool resume) {
    char path[4200];
    snprintf(path, sizeof path, "%s/last.safetensors", s->folder);
    if (resume) return tess_net_load(s->net, path, true);
    tess_status status = tess_net_init(s->net, s->settings.seed);
    if (status || !s->weights) return status;
    return tess_net_load_start(s->net, s->weights, s->settings.classes > 0);
}

static tess_status open_network(const struct cli *cli, bool resume, struct train_session *s,
                                tess_error *error) {
    tess_zoo_options wish = {.c = s->input.c,
                             .h = s->input.h,
                             .w = s->input.w,
                             .classes = s->settings.classes,
                             .init = s->init,
                             .width = (float)s->settings.width};
    if (check_start(s, error)) return error->status;
    tess_status status = model_for_data(s->settings.model, &wish, s->train, error, &s->graph);
    /* Before kernels are compiled for a folder that cannot be written. */
    if (!status && !resume) status = run_dir_open(s->folder, error, &s->dir);
    if (!status) status = cli_context(cli, error, &s->ctx);
    if (status) return status;
    tess_net_options options = {.batch = s->settings.batch,
                                .training = true,
                                .seed = s->settings.seed,
                                .without = s->without,
                                .memory_limit = s->memory,
                                .recompute =
                                    s->recompute ? TESS_RECOMPUTE_ALWAYS : TESS_RECOMPUTE_NEEDED,
                                .freeze_until = s->settings.freeze_until};
    status = tess_net_create(s->ctx, s->graph, &options, &s->net);
    if (!status) status = start_weights(s, resume);
    if (status) return error_set(error, status, "%s", tess_context_last_error(s->ctx));
    return TESS_OK;
}

/* run_dir_open has been there. What an earlier training left is moved only when nothing else can fail. */
static tess_status settle_folder(bool resume, struct train_session *s, tess_error *error) {
    if (resume) return metrics_keep(s->dir.metrics, s->state.epoch, error);
    return run_dir_clear(&s->dir, s->folder, error, s->moved);
}

int train_prepare(const struct cli *cli, bool resume, const char *data,
                  struct train_session *session) {
    tess_error error = {0};
    if (open_data(data ? data : session->settings.data, resume, session, &error) ||
        open_network(cli, resume, session, &error) || settle_folder(resume, session, &error))
        return cli_fail("%s", error.text);
    return EXIT_DONE;
}

void train_session_end(struct train_session *session) {
    run_dir_close(&session->dir);
    tess_net_destroy(session->net);
    tess_graph_destroy(session->graph);
    tess_context_destroy(session->ctx);
    dataset_destroy(session->val);
    dataset_destroy(session->train);
    safetensors_destroy(session->stored);
}
