#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/net.h"
#include "net/staged_weights.h"
#include "ops/random.h"

static tess_status no_memory(tess_net *net) {
    return context_fail(net->ctx, TESS_OUT_OF_HOST_MEMORY,
                        "parameters: no host memory; free some and try again");
}

static size_t padded_bytes(const tess_net *net, const struct param *param) {
    size_t align = tess_context_device(net->ctx)->base_align;
    if (align == 0) align = 128;
    return (tess_tensor_desc_bytes(&param->spec.desc) + align - 1) / align * align;
}

/* What a buffer holds. */
enum group { VALUES, FROZEN_VALUES, TRAINED_VALUES, STATES };

static bool is_in(const tess_net *net, const struct param *param, enum group group) {
    bool frozen = param->layer < net->frozen;
    if (param->staged) return false;
    if (param->spec.state) return group == STATES;
    return group == VALUES || group == (frozen ? FROZEN_VALUES : TRAINED_VALUES);
}

static size_t total_bytes(const tess_net *net, enum group group) {
    size_t bytes = 0;
    for (int i = 0; i < net->param_count; i++)
        if (is_in(net, &net->params[i], group)) bytes += padded_bytes(net, &net->params[i]);
    return bytes;
}

tess_status net_params_list(tess_net *net) {
    const tess_graph *graph = net->graph;
    net->params = calloc((size_t)graph->count * LAYER_PARAMS, sizeof *net->params);
    net->first_param = calloc((size_t)graph->count, sizeof *net->first_param);
    if (!net->params || !net->first_param) return no_memory(net);
    for (int i = 0; i < graph->count; i++) {
        struct param_spec specs[LAYER_PARAMS];
        int count = layer_params(&graph->layers[i], specs);
        net->first_param[i] = net->param_count;
        for (int k = 0; k < count; k++) {
            struct param *param = &net->params[net->param_count++];
            param->spec = specs[k];
            param->layer = i;
            snprintf(param->name, sizeof param->name, "%s.%s", graph->layers[i].name,
                     specs[k].suffix);
        }
    }
    size_t bytes = total_bytes(net, VALUES);
    if (bytes / sizeof(float) <= 2147483647) return TESS_OK;
    return context_fail(net->ctx, TESS_OUT_OF_DEVICE_MEMORY,
                        "parameters: %zu bytes, more than 2^31 - 1 numbers; make layers smaller",
                        bytes);
}

bool net_trains(const tess_net *net, const struct param *param) {
    return net->options.training && is_in(net, param, TRAINED_VALUES);
}

size_t net_weight_bytes(const tess_net *net, int layer) {
    return padded_bytes(net, &net->params[net->first_param[layer]]);
}

size_t net_params_bytes(const tess_net *net) {
    size_t bytes = total_bytes(net, VALUES) + total_bytes(net, STATES);
    if (net->options.training) return bytes + 2 * total_bytes(net, TRAINED_VALUES);
    for (int i = 0; i < net->graph->count; i++)
        if (net->ops[i].requests[TESS_CONV_FWD].wanted) bytes -= net_weight_bytes(net, i);
    for (int i = 0; i < net->param_count; i++)
        if (staged_unread(net, net->params[i].layer)) bytes -= padded_bytes(net, &net->params[i]);
    return bytes;
}

static tess_tensor_desc floats_desc(size_t bytes) {
    return (tess_tensor_desc){.dtype = TESS_F32,
                              .layout = TESS_NHWC,
                              .n = 1,
                              .c = (int)(bytes / sizeof(float)),
                              .h = 1,
                              .w = 1};
}

/* One buffer of zeros, and a view of it for each of the group, at the place that view gives. */
static tess_status buffer_create(tess_net *net, enum group group, tess_tensor **buffer,
                                 tess_tensor **(*view)(struct param *)) {
    size_t bytes = total_bytes(net, group);
    if (bytes == 0) return TESS_OK;
    tess_tensor_desc desc = floats_desc(bytes);
    tess_status status = tess_tensor_create(net->ctx, &desc, buffer);
    if (!status) status = tess_tensor_fill(*buffer, 0);
    size_t offset = 0;
    for (int i = 0; i < net->param_count && !status; i++) {
        struct param *param = &net->params[i];
        if (!is_in(net, param, group)) continue;
        status = tess_tensor_view(*buffer, &param->spec.desc, offset, view(param));
        offset += padded_bytes(net, param);
    }
    net->memory.parameters += bytes;
    return status;
}

static tess_tensor **value_of(struct param *param) {
    return &param->value;
}

static tess_tensor **grad_of(struct param *param) {
    return &param->grad;
}

static tess_tensor **velocity_of(struct param *param) {
    return &param->velocity;
}

/* Parameters lie in graph order, so that the frozen ones come first. */
static tess_status trained_create(tess_net *net) {
    size_t frozen = total_bytes(net, FROZEN_VALUES);
    net->trained = net->values;
    if (!frozen) return TESS_OK;
    tess_tensor_desc desc = floats_desc(total_bytes(net, TRAINED_VALUES));
    net->trained = NULL;
    return tess_tensor_view(net->values, &desc, frozen, &net->trained);
}

tess_status net_params_create(tess_net *net) {
    net->memory.parameters = 0;
    tess_status status = buffer_create(net, VALUES, &net->values, value_of);
    if (!status) status = trained_create(net);
    if (!status) status = buffer_create(net, STATES, &net->states, value_of);
    if (!status && net->options.training) {
        status = buffer_create(net, TRAINED_VALUES, &net->grads, grad_of);
        if (!status) status = buffer_create(net, TRAINED_VALUES, &net->velocities, velocity_of);
    }
    for (int i = 0; i < net->param_count && !status; i++) {
        const struct param *param = &net->params[i];
        net->slots[param->value_slot].tensor = param->value;
        if (param->grad) net->slots[param->grad_slot].tensor = param->grad;
    }
    for (int i = 0; i < net->graph->count && !status; i++)
        if (net->ops[i].folded && !net->params[net->first_param[i]].staged)
            status = folded_norm_follow(net, net->ops[i].folded);
    return status ? error_prefix(&net->ctx->error, status, "parameters") : TESS_OK;
}

void net_params_destroy(tess_net *net) {
    for (int i = 0; i < net->param_count; i++) {
        tess_tensor_destroy(net->params[i].value);
        tess_tensor_destroy(net->params[i].grad);
        tess_tensor_destroy(net->params[i].velocity);
        free(net->params[i].source.own);
    }
    if (net->trained != net->values) tess_tensor_destroy(net->trained);
    tess_tensor_destroy(net->values);
    tess_tensor_destroy(net->states);
    tess_tensor_destroy(net->grads);
    tess_tensor_destroy(net->velocities);
    free(net->params);
    free(net->first_param);
}

/* ---------------------------------------------------------------- initial weights */

tess_status tess_init_parse(const char *name, tess_error *error, tess_init *out) {
    static const char *const names[] = {[TESS_INIT_HE] = "he",
                                        [TESS_INIT_XAVIER] = "xavier",
                                        [TESS_INIT_LECUN] = "lecun",
                                        [TESS_INIT_FAN_IN] = "fan-in",
                                        [TESS_INIT_GAUSSIAN] = "gaussian"};
    if (!name || !out)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "init: name and out must be given; pass both");
    for (int i = TESS_INIT_HE; i <= TESS_INIT_GAUSSIAN; i++) {
        if (strcmp(names[i], name) != 0) continue;
        *out = (tess_init)i;
        return TESS_OK;
    }
    return error_set(error, TESS_NOT_FOUND,
                     "init %s: unknown; there are: he, xavier, lecun, fan-in, gaussian", name);
}

static tess_init init_of(const tess_net *net, const struct param *param) {
    const struct layer *layer = &net->graph->layers[param->layer];
    if (layer->init != TESS_INIT_DEFAULT) return layer->init;
    int folded;
    tess_activation kind = layer_act(net->graph, param->layer, &folded).kind;
    bool rectifier = kind == TESS_ACT_RELU || kind == TESS_ACT_LEAKY_RELU ||
                     kind == TESS_ACT_CLIPPED_RELU || kind == TESS_ACT_ELU;
    return rectifier ? TESS_INIT_HE : TESS_INIT_XAVIER;
}

/* Element by element in the order of K C R S, so that a weight does not depend on the device layout. */
static void draw_weights(const tess_net *net, const struct param *param,
                         struct random_stream *random, float *data, size_t count) {
    const struct param_spec *spec = &param->spec;
    float gain = net->graph->layers[param->layer].gain;
    double scale = gain != 0 ? (double)gain : 1;
    const double scales[] = {[TESS_INIT_HE] = sqrt(2 / spec->fan_in),
                             [TESS_INIT_XAVIER] = sqrt(6 / (spec->fan_in + spec->fan_out)),
                             [TESS_INIT_LECUN] = 2.4 / spec->fan_in,
                             [TESS_INIT_FAN_IN] = 1 / sqrt(spec->fan_in),
                             [TESS_INIT_GAUSSIAN] = 0.01};
    tess_init init = init_of(net, param);
    scale *= scales[init];
    if (init == TESS_INIT_HE || init == TESS_INIT_GAUSSIAN) {
        random_normals(random, scale, data, count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        data[i] = (float)(scale * (2 * (double)random_uniform(random) - 1));
}

const float *net_param_start(const tess_net *net, int index, uint64_t seed, float *data) {
    const struct param *param = &net->params[index];
    size_t count = tess_tensor_desc_elements(&param->spec.desc);
    /* The upper half of the streams: dropout uses the lower. */
    struct random_stream random = {.seed = seed, .stream = UINT64_C(1) << 63 | (uint64_t)index};
    const float *given =
        net->graph->layers[param->layer].values[index - net->first_param[param->layer]];
    if (given) return given;
    if (param->spec.start == START_WEIGHTS) {
        draw_weights(net, param, &random, data, count);
        return data;
    }
    for (size_t i = 0; i < count; i++)
        data[i] = param->spec.value;
    return data;
}

static tess_status param_init(tess_net *net, int index, uint64_t seed, float *data) {
    struct param *param = &net->params[index];
    if (param->staged) {
        free(param->source.own);
        param->source = (struct param_source){.started = true, .seed = seed};
        if (staged_unread(net, param->layer)) return TESS_OK;
    }
    const float *values = net_param_start(net, index, seed, data);
    return param->staged ? staged_pack(net, index, values)
                         : tess_tensor_write(param->value, values, TESS_NCHW);
}

tess_status tess_net_init(tess_net *net, uint64_t seed) {
    if (!net) return TESS_INVALID_ARGUMENT;
    size_t most = sizeof(float);
    for (int i = 0; i < net->param_count; i++) {
        size_t bytes = tess_tensor_desc_bytes(&net->params[i].spec.desc);
        if (bytes > most) most = bytes;
    }
    float *data = malloc(most);
    if (!data) return no_memory(net);
    tess_status status = TESS_OK;
    net->packs_due = true;
    /* Staged weights last: what is folded into them must be there. */
    for (int i = 0; i < 2 * net->param_count && !status; i++)
        if (net->params[i % net->param_count].staged == (i >= net->param_count))
            status = param_init(net, i % net->param_count, seed, data);
    free(data);
    net->packs_due = status != TESS_OK;
    if (!status && net->velocities) status = tess_tensor_fill(net->velocities, 0);
    return status ? status : tess_context_finish(net->ctx);
}

/* ---------------------------------------------------------------- questions */

int tess_net_param_count(const tess_net *net) {
    return net ? net->param_count : 0;
}

tess_param tess_net_param(tess_net *net, int index) {
    if (!net || index < 0 || index >= net->param_count) return (tess_param){0};
    const struct param *param = &net->params[index];
    staged_keep(net, index);
    return (tess_param){.name = param->name,
                        .value = param->value,
                        .grad = param->grad,
                        .velocity = param->velocity};
}
