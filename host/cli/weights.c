#include "cli/weights.h"

#include "net/kernel_helper.h"

#include <string.h>

/* The path of a model's file may have changed; shapes tell whether the weights are its. */
tess_status weights_check_model(const struct input_format *format, const char *path,
                                const char *model, tess_error *error) {
    if (!format->model[0] || strcmp(format->model, model) == 0 || model_is_file(model))
        return TESS_OK;
    return error_set(error, TESS_INVALID_ARGUMENT,
                     "%s: holds weights of %s, not of %s; name %s as the model", path,
                     format->model, model, format->model);
}

static tess_status build_graph(const struct weights_request *request, struct weights *w,
                               tess_error *error) {
    const struct input_format *f = &w->format;
    bool file = model_is_file(request->model);
    tess_status status = weights_check_model(f, request->path, request->model, error);
    if (status) return status;
    if (!f->c && request->data)
        return model_for_data(request->model, &(tess_zoo_options){.width = file ? 0 : f->width},
                              request->data, error, &w->graph);
    tess_zoo_options options = {.c = f->c,
                                .h = f->h,
                                .w = f->w,
                                .classes = file ? f->new_classes : f->classes,
                                .width = file ? 0 : f->width};
    return model_build(request->model, &options, NULL, error, &w->graph);
}

struct helper_context {
    const struct cli *cli;
    tess_error *error;
};

static tess_status context_for_helper(void *user, tess_context **out) {
    const struct helper_context *h = user;
    return cli_context(h->cli, h->error, out);
}

tess_status weights_open(const struct cli *cli, const struct weights_request *request,
                         tess_error *error, struct weights *out) {
    struct weights w = {0};
    tess_status status = TESS_OK;
    for (int i = 0; i < 4; i++)
        w.format.std[i] = 1;
    if (request->path) status = safetensors_read(request->path, error, &w.file);
    if (!status && request->path)
        status = checkpoint_read_format(w.file, request->path, error, &w.format);
    if (!status) status = build_graph(request, &w, error);
    if (status) goto fail;
    tess_net_options options = {.batch = request->batch, .memory_limit = request->memory};
    w.helper = kernel_helper_start(
        &(struct kernel_helper_job){.graph = w.graph,
                                    .options = &options,
                                    .context = context_for_helper,
                                    .user = &(struct helper_context){cli, error}});
    status = cli_context(cli, error, &w.ctx);
    if (status) goto fail;
    kernel_helper_attach(w.helper, w.ctx);
    status = tess_net_create(w.ctx, w.graph, &options, &w.net);
    if (!status)
        status =
            request->path ? tess_net_load(w.net, request->path, false) : tess_net_init(w.net, 1);
    if (status) {
        error_set(error, status, "%s", tess_context_last_error(w.ctx));
        goto fail;
    }
    w.input = model_input(w.graph);
    w.classes = tess_tensor_get_desc(tess_net_output(w.net))->c;
    *out = w;
    return TESS_OK;
fail:
    weights_close(&w);
    return status;
}

void weights_close(struct weights *weights) {
    kernel_helper_end(weights->helper);
    tess_net_destroy(weights->net);
    tess_context_destroy(weights->ctx);
    tess_graph_destroy(weights->graph);
    safetensors_destroy(weights->file);
    *weights = (struct weights){0};
}
