/* A network's parameters in a file, and back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/net.h"
#include "net/onnx/onnx_write.h"
#include "net/safetensors.h"
#include "net/staged_weights.h"

#define VELOCITY_PREFIX "optimizer.velocity."

struct stored {
    const struct param *param;
    int index;             /* of param */
    tess_tensor *velocity; /* NULL: it is its value that is stored */
    char name[sizeof VELOCITY_PREFIX + sizeof((struct param *)0)->name];
};

static tess_status no_memory(tess_net *net, const char *path) {
    return context_fail(net->ctx, TESS_OUT_OF_HOST_MEMORY,
                        "%s: no host memory; free some and try again", path);
}

static int stored_count(const tess_net *net, bool optimizer) {
    int count = net->param_count;
    for (int i = 0; optimizer && i < net->param_count; i++)
        count += net->params[i].velocity != NULL;
    return count;
}

/* What a file of this network holds: all values, then all velocities. Owned by the caller; NULL: no memory. */
static struct stored *stored_list(const tess_net *net, int count) {
    struct stored *list = calloc((size_t)count + 1, sizeof *list);
    int at = 0;
    for (int i = 0; list && at < count; i++) {
        bool velocity = i >= net->param_count;
        const struct param *param = &net->params[i % net->param_count];
        if (velocity && !param->velocity) continue;
        list[at].param = param;
        list[at].index = i % net->param_count;
        list[at].velocity = velocity ? param->velocity : NULL;
        snprintf(list[at++].name, sizeof list[0].name, "%s%s", velocity ? VELOCITY_PREFIX : "",
                 param->name);
    }
    return list;
}

static void stored_shape(const struct param *param, struct safetensor *entry) {
    const tess_tensor_desc *d = &param->spec.desc;
    const int64_t shapes[5][4] = {
        [1] = {d->c}, [2] = {d->n, (int64_t)d->c * d->h * d->w}, [4] = {d->n, d->c, d->h, d->w}};
    entry->rank = param->spec.rank;
    memcpy(entry->shape, shapes[entry->rank], sizeof shapes[0]);
}

static tess_status arguments_check(tess_net *net, const char *path, bool optimizer) {
    if (!path)
        return context_fail(net->ctx, TESS_INVALID_ARGUMENT, "network %s: no path; pass one",
                            net->graph->name);
    if (optimizer && !net->options.training)
        return context_fail(net->ctx, TESS_INVALID_ARGUMENT,
                            "%s: network %s is made for inference and has no velocities; create it "
                            "with training",
                            path, net->graph->name);
    return TESS_OK;
}

/* ---------------------------------------------------------------- saving */

/* Ours, then the caller's; strings are borrowed. *out is owned by the caller. */
static tess_status metadata_list(tess_net *net, const char *path, const char *const *extra,
                                 char ***out) {
    size_t count = 0;
    while (extra && extra[count])
        count++;
    if (count % 2)
        return context_fail(net->ctx, TESS_INVALID_ARGUMENT,
                            "%s: metadata key %s has no value; pass keys and values in turn", path,
                            extra[count - 1]);
    const char **list = calloc(count + 5, sizeof *list);
    if (!list) return no_memory(net, path);
    list[0] = "format";
    list[1] = "pt";
    list[2] = "tessera.model";
    list[3] = net->graph->name;
    if (count) memcpy(list + 4, extra, count * sizeof *list);
    *out = (char **)list;
    return TESS_OK;
}

static tess_status read_tensors(tess_net *net, const char *path, struct stored *list,
                                struct safetensors *file) {
    for (int i = 0; i < file->count; i++) {
        struct safetensor *entry = &file->tensors[i];
        entry->name = list[i].name;
        stored_shape(list[i].param, entry);
        entry->data = malloc(tess_tensor_desc_bytes(&list[i].param->spec.desc));
        if (!entry->data) return no_memory(net, path);
        tess_status status = list[i].velocity
                                 ? tess_tensor_read(list[i].velocity, entry->data, TESS_NCHW)
                                 : param_read(net, list[i].index, entry->data);
        if (status) return status;
    }
    return TESS_OK;
}

static tess_status write_safetensors(const tess_net *net, const char *path,
                                     const struct safetensors *file) {
    return safetensors_write(path, file, &net->ctx->error);
}

static tess_status write_onnx(const tess_net *net, const char *path,
                              const struct safetensors *file) {
    return onnx_write(path, net->graph, file, &net->ctx->error);
}

static tess_status
save(tess_net *net, const char *path, bool optimizer, const char *const *metadata,
     tess_status (*write)(const tess_net *, const char *, const struct safetensors *)) {
    if (!net) return TESS_INVALID_ARGUMENT;
    struct safetensors file = {0};
    struct stored *list = NULL;
    int count = stored_count(net, optimizer);
    tess_status status = arguments_check(net, path, optimizer);
    if (!status) status = metadata_list(net, path, metadata, &file.metadata);
    if (status) goto fail;
    list = stored_list(net, count);
    file.tensors = calloc((size_t)count + 1, sizeof *file.tensors);
    if (!list || !file.tensors) {
        status = no_memory(net, path);
        goto fail;
    }
    file.count = count;
    status = read_tensors(net, path, list, &file);
    if (!status) status = write(net, path, &file);
fail:
    for (int i = 0; file.tensors && i < count; i++)
        free(file.tensors[i].data);
    free(file.tensors);
    free((void *)file.metadata);
    free(list);
    return status;
}

tess_status tess_net_save(tess_net *net, const char *path, bool optimizer,
                          const char *const *metadata) {
    return save(net, path, optimizer, metadata, write_safetensors);
}

tess_status tess_net_save_onnx(tess_net *net, const char *path) {
    return save(net, path, false, NULL, write_onnx);
}

/* ---------------------------------------------------------------- loading */

static void shape_print(const struct safetensor *tensor, char text[160]) {
    size_t length = (size_t)snprintf(text, 160, "[");
    for (int i = 0; i < tensor->rank && i < SAFETENSORS_MAX_RANK; i++)
        length += (size_t)snprintf(text + length, 160 - length, "%s%lld", i ? ", " : "",
                                   (long long)tensor->shape[i]);
    snprintf(text + length, 160 - length, "]");
}

/* The file's tensor for one of ours, borrowed; NULL: an error that says what is wrong with it. */
static const struct safetensor *match(tess_net *net, const char *path,
                                      const struct safetensors *file, const struct stored *wanted) {
    struct safetensor shape = {0};
    const struct safetensor *found = safetensors_find(file, wanted->name);
    if (!found) {
        context_fail(net->ctx, TESS_BAD_FORMAT,
                     "%s: has no %s; use a file that network %s was saved to", path, wanted->name,
                     net->graph->name);
        return NULL;
    }
    stored_shape(wanted->param, &shape);
    if (found->rank != shape.rank ||
        memcmp(found->shape, shape.shape, (size_t)shape.rank * sizeof shape.shape[0]) != 0) {
        char has[160], needs[160];
        shape_print(found, has);
        shape_print(&shape, needs);
        context_fail(net->ctx, TESS_INVALID_SHAPE,
                     "%s: %s is %s, but network %s needs %s; use a file that it was saved to", path,
                     wanted->name, has, net->graph->name, needs);
        return NULL;
    }
    return found;
}

/* A tensor that is no parameter tells that the file is another network's. */
static tess_status check_strangers(tess_net *net, const char *path,
                                   const struct safetensors *file) {
    for (int i = 0; i < file->count; i++) {
        const char *name = file->tensors[i].name;
        bool known = strncmp(name, VELOCITY_PREFIX, strlen(VELOCITY_PREFIX)) == 0;
        for (int k = 0; k < net->param_count && !known; k++)
            known = strcmp(name, net->params[k].name) == 0;
        if (!known)
            return context_fail(net->ctx, TESS_BAD_FORMAT,
                                "%s: holds %s, which network %s does not have; use a file that it "
                                "was saved to",
                                path, name, net->graph->name);
    }
    return TESS_OK;
}

/* found: NULL where a tensor keeps what it has. Staged weights last: what is folded into them must be there. */
static tess_status write_tensors(tess_net *net, const struct stored *list, int count,
                                 const struct safetensor *const *found) {
    tess_status status = TESS_OK;
    bool due = net->packs_due, all = true;
    net->packs_due = true;
    for (int i = 0; i < 2 * count && !status; i++) {
        const struct stored *to = &list[i % count];
        const struct safetensor *from = found[i % count];
        all = all && from;
        if (!from || to->param->staged != (i >= count)) continue;
        status = to->velocity ? tess_tensor_write(to->velocity, from->data, TESS_NCHW)
                              : param_write(net, to->index, from->data);
    }
    if (!status && (all || !due)) net->packs_due = false;
    return status;
}

/* skip: layers whose parameters keep what they have; NULL: none. */
static tess_status load(tess_net *net, const char *path, bool optimizer, const bool *skip) {
    struct safetensors *file = NULL;
    struct stored *list = NULL;
    const struct safetensor **found = NULL;
    int count = stored_count(net, optimizer);
    tess_status status = arguments_check(net, path, optimizer);
    if (!status) status = safetensors_read(path, &net->ctx->error, &file);
    if (status) goto fail;
    list = stored_list(net, count);
    found = calloc((size_t)count + 1, sizeof(const struct safetensor *));
    if (!list || !found) {
        status = no_memory(net, path);
        goto fail;
    }
    for (int i = 0; i < count; i++) {
        if (skip && skip[list[i].param->layer]) continue;
        found[i] = match(net, path, file, &list[i]);
        if (found[i]) continue;
        status = net->ctx->error.status;
        goto fail;
    }
    status = check_strangers(net, path, file);
    if (!status) status = write_tensors(net, list, count, found);
fail:
    free((void *)found);
    free(list);
    safetensors_destroy(file);
    return status;
}

tess_status tess_net_load(tess_net *net, const char *path, bool optimizer) {
    return net ? load(net, path, optimizer, NULL) : TESS_INVALID_ARGUMENT;
}

/* The layer with parameters that a classifier's input comes from. */
static void mark_classifier(const tess_graph *graph, int head, bool *skip) {
    struct param_spec specs[LAYER_PARAMS];
    int at = head;
    while (graph->layers[at].input_count > 0 && !layer_params(&graph->layers[at], specs))
        at = graph->layers[at].inputs[0];
    skip[at] = true;
}

tess_status tess_net_load_start(tess_net *net, const char *path, bool new_classifier) {
    if (!net) return TESS_INVALID_ARGUMENT;
    const tess_graph *graph = net->graph;
    bool *skip = calloc((size_t)graph->count, sizeof *skip);
    if (!skip) return no_memory(net, path ? path : "");
    for (int i = 0; i < graph->count && new_classifier; i++)
        if (graph->layers[i].kind == LAYER_SOFTMAX || graph->layers[i].kind == LAYER_AUXILIARY)
            mark_classifier(graph, i, skip);
    tess_status status = load(net, path, false, skip);
    free(skip);
    if (!status && net->velocities) status = tess_tensor_fill(net->velocities, 0);
    return status;
}
