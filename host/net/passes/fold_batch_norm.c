/* Batch normalisation, in inference, in the weights of the convolution before it, if nobody else reads that.
     (conv(x, w) + b - mean) invstd scale + bias = conv(x, w') + b',   w'[r,s,c,k] = w[r,s,c,k] invstd[k] scale[k],
                                                                     b'[k] = (b[k] - mean[k]) invstd[k] scale[k] + bias[k]
   Both are the normalisation itself, of R S C rows with mean and bias 0, and of one row. Saves reading and writing the
   convolution's output once. */
#include <stdlib.h>

#include "net/passes/passes.h"

struct folded_norm {
    tess_batch_norm *weight_op, *bias_op;
    tess_tensor *weight, *bias; /* weight: NULL where the plan packs what staged_weights.c folds */
    int weight_slot;
    tess_tensor *zeros; /* K */
    /* weight, and the convolution's own, as R x S x C/g pixels of K channels; NULL: that is staged. */
    tess_tensor *rows, *source_rows;
    tess_tensor *workspace;          /* NULL: none needed */
    const struct param *conv, *norm; /* the layers' first parameters; borrowed */
    uint64_t version;                /* of the parameters in weight and bias; 0: none yet */
};

void fold_batch_norm(struct lowering *lo, int index) {
    const tess_graph *graph = lo->net->graph;
    if (graph->layers[index].kind != LAYER_BATCH_NORM || lo->net->options.training) return;
    int conv = graph->layers[index].inputs[0];
    const struct layer *layer = &graph->layers[conv];
    if (layer->kind != LAYER_CONV || layer->consumers != 1 || layer->act.kind != TESS_ACT_NONE)
        return;
    lo->layers[conv].norm = index;
    lo->layers[conv].act = lo->layers[index].act;
    lo->layers[conv].act_apart = lo->layers[index].act_apart;
    fold(lo, PASS_BATCH_NORM, index, conv);
}

void folded_norm_destroy(struct folded_norm *folded) {
    if (!folded) return;
    tess_batch_norm_destroy(folded->weight_op);
    tess_batch_norm_destroy(folded->bias_op);
    tess_tensor_destroy(folded->rows);
    tess_tensor_destroy(folded->source_rows);
    tess_tensor_destroy(folded->weight);
    tess_tensor_destroy(folded->bias);
    tess_tensor_destroy(folded->zeros);
    tess_tensor_destroy(folded->workspace);
    free(folded);
}

static bool has_bias(const tess_net *net, const struct folded_norm *folded) {
    return net->graph->layers[folded->conv->layer].bias;
}

/* Every write to a parameter makes its version grow, and the sum with it. */
static uint64_t version_of(const tess_net *net, const struct folded_norm *folded) {
    uint64_t version = 1 + net->values->version + folded->conv[0].value->version;
    if (has_bias(net, folded)) version += folded->conv[1].value->version;
    for (int i = 0; i < 4; i++)
        version += folded->norm[i].value->version;
    return version;
}

/* from, to: as pixels. */
static tess_status fold_rows(const tess_net *net, struct folded_norm *f, tess_tensor *from,
                             tess_tensor *to) {
    const struct param *scale = f->norm, *bias = f->norm + 1, *mean = f->norm + 2, *var = mean + 1;
    tess_status status = tess_batch_norm_forward_inference(
        f->weight_op, &(tess_batch_norm_args){.x = from,
                                              .y = to,
                                              .scale = scale->value,
                                              .running_mean = f->zeros,
                                              .running_var = var->value,
                                              .workspace = f->workspace});
    if (!status)
        status = tess_batch_norm_forward_inference(
            f->bias_op, &(tess_batch_norm_args){.x = has_bias(net, f) ? f->conv[1].value : f->zeros,
                                                .y = f->bias,
                                                .scale = scale->value,
                                                .bias = bias->value,
                                                .running_mean = mean->value,
                                                .running_var = var->value,
                                                .workspace = f->workspace});
    return status;
}

static tess_status run_folded_norm(const tess_net *net, const struct instruction *in) {
    struct folded_norm *f = in->as.folded;
    if (!f->source_rows) return TESS_OK;
    uint64_t version = version_of(net, f);
    if (version == f->version) return TESS_OK;
    tess_status status = fold_rows(net, f, f->source_rows, f->rows);
    if (status) return status;
    f->weight->version++;
    f->version = version;
    return TESS_OK;
}

static tess_tensor_desc pixels_desc(const struct folded_norm *f) {
    const tess_tensor_desc *weight = &f->conv->spec.desc;
    return (tess_tensor_desc){TESS_F32, TESS_NHWC, weight->h, weight->n, weight->w, weight->c};
}

tess_status folded_norm_run(const tess_net *net, struct folded_norm *f, tess_tensor *from,
                            tess_tensor *to) {
    const tess_tensor_desc pixels = pixels_desc(f);
    tess_tensor *x = NULL, *y = NULL;
    tess_status status = tess_tensor_view(from, &pixels, 0, &x);
    if (!status) status = tess_tensor_view(to ? to : f->weight, &pixels, 0, &y);
    if (!status) status = fold_rows(net, f, x, y);
    if (!status && !to) f->weight->version++;
    tess_tensor_destroy(x);
    tess_tensor_destroy(y);
    return status;
}

tess_status folded_norm_keep(tess_net *net, struct folded_norm *f) {
    if (f->weight) return TESS_OK;
    tess_status status = tess_tensor_create(net->ctx, &f->conv->spec.desc, &f->weight);
    net->slots[f->weight_slot].tensor = f->weight;
    if (status) return status;
    net->memory.folded += f->weight->bytes;
    net->memory.operators += f->weight->bytes;
    return TESS_OK;
}

tess_status folded_norm_follow(tess_net *net, struct folded_norm *f) {
    const tess_tensor_desc pixels = pixels_desc(f);
    tess_tensor *rows = NULL, *source_rows = NULL;
    tess_status status = folded_norm_keep(net, f);
    if (!status) status = tess_tensor_view(f->weight, &pixels, 0, &rows);
    if (!status) status = tess_tensor_view(f->conv->value, &pixels, 0, &source_rows);
    if (status) {
        tess_tensor_destroy(rows);
        return status;
    }
    f->rows = rows;
    f->source_rows = source_rows;
    f->version = 0;
    return TESS_OK;
}

/* Needed by either operator. */
static tess_status workspace_create(tess_net *net, struct folded_norm *f) {
    size_t bytes = tess_batch_norm_workspace(f->weight_op);
    size_t other = tess_batch_norm_workspace(f->bias_op);
    if (other > bytes) bytes = other;
    if (bytes == 0) return TESS_OK;
    tess_tensor_desc desc = {TESS_F32, TESS_NHWC, 1, (int)((bytes + 3) / 4), 1, 1};
    return tess_tensor_create(net->ctx, &desc, &f->workspace);
}

static tess_status folded_norm_create(tess_net *net, struct folded_norm *f, float eps) {
    const tess_tensor_desc *weight = &f->conv->spec.desc;
    const tess_tensor_desc vector = {TESS_F32, TESS_NHWC, 1, weight->n, 1, 1};
    const tess_batch_norm_desc rows = {
        .n = weight->h, .h = weight->w, .w = weight->c, .c = weight->n, .eps = eps};
    const tess_batch_norm_desc row = {.n = 1, .h = 1, .w = 1, .c = weight->n, .eps = eps};
    tess_status status = tess_batch_norm_create(net->ctx, &rows, &f->weight_op);
    if (!status) status = tess_batch_norm_create(net->ctx, &row, &f->bias_op);
    if (!status) status = tess_tensor_create(net->ctx, &vector, &f->bias);
    if (!status) status = tess_tensor_create(net->ctx, &vector, &f->zeros);
    if (!status) status = tess_tensor_fill(f->zeros, 0);
    return status ? status : workspace_create(net, f);
}

tess_status lower_folded_norm(struct lowering *lo, int conv, int *weight, int *bias) {
    tess_net *net = lo->net;
    int norm = lo->layers[conv].norm;
    struct folded_norm *folded = calloc(1, sizeof *folded);
    if (!folded)
        return context_fail(net->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "no host memory; free some and try again");
    net->ops[conv].folded = folded;
    folded->conv = &net->params[net->first_param[conv]];
    folded->norm = &net->params[net->first_param[norm]];
    tess_status status = folded_norm_create(net, folded, net->graph->layers[norm].as.norm.eps);
    if (!status) status = slot_add_later(net, &folded->conv->spec.desc, &folded->weight_slot);
    *weight = folded->weight_slot;
    if (!status) status = slot_add_fixed(net, folded->bias, bias);
    if (status) return status;
    return emit(net, &(struct instruction){.run = run_folded_norm,
                                           .layer = norm,
                                           .phases = PHASE_INFER,
                                           .as.folded = folded,
                                           .slots = {[OP_W] = *weight, [OP_BIAS] = *bias}});
}
