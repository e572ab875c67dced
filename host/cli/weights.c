#include "cli/weights.h"

#include <string.h>

static tess_status build_graph(const struct weights_request *request, struct weights *w,
                               tess_error *error) {
    const struct input_format *f = &w->format;
    if (f->model[0] && strcmp(f->model, request->model) != 0)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "%s: holds weights of %s, not of %s; name %s as the model", request->path,
                         f->model, request->model, f->model);
    if (!f->c && request->data)
        return model_for_data(request->model, &(tess_zoo_options){.width = f->width}, request->data,
                              error, &w->graph);
    tess_zoo_options options = {
        .c = f->c, .h = f->h, .w = f->w, .classes = f->classes, .width = f->width};
    return tess_zoo_build(request->model, &options, error, &w->graph);
}

tess_status weights_open(const struct cli *cli, const struct weights_request *request,
                         tess_error *error, struct weights *out) {
    struct weights w = {0};
    tess_status status = safetensors_read(request->path, error, &w.file);
    if (!status) status = checkpoint_read_format(w.file, request->path, error, &w.format);
    if (!status) status = build_graph(request, &w, error);
    if (!status) status = cli_context(cli, error, &w.ctx);
    if (status) goto fail;
    tess_net_options options = {.batch = request->batch};
    status = tess_net_create(w.ctx, w.graph, &options, &w.net);
    if (!status) status = tess_net_load(w.net, request->path, false);
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
    tess_net_destroy(weights->net);
    tess_context_destroy(weights->ctx);
    tess_graph_destroy(weights->graph);
    safetensors_destroy(weights->file);
    *weights = (struct weights){0};
}
