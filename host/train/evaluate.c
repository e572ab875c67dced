#include "train/evaluate.h"

#include "core/status.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A failed call on ctx, as an error. */
static tess_status context_error(tess_context *ctx, tess_status status, tess_error *error) {
    return error_set(error, status, "%s", tess_context_last_error(ctx));
}

/* Memory for a batch of labels: the tensor's, or, in a network that has none, the host's. */
static tess_status map_labels(tess_context *ctx, tess_tensor *labels, int batch, void **out,
                              tess_error *error) {
    if (labels) {
        tess_status status = tess_tensor_map(labels, true, out);
        return status ? context_error(ctx, status, error) : TESS_OK;
    }
    *out = malloc((size_t)batch * sizeof(int32_t));
    if (*out) return TESS_OK;
    return error_set(error, TESS_OUT_OF_HOST_MEMORY, "batch: no memory for labels; free some");
}

static tess_status unmap_labels(tess_tensor *labels, void *mapped) {
    if (labels) return tess_tensor_unmap(labels, mapped);
    free(mapped);
    return TESS_OK;
}

tess_status batch_load(tess_context *ctx, tess_net *net, const struct batch_rows *rows,
                       tess_error *error) {
    tess_tensor *input = tess_net_input(net);
    tess_tensor *labels = tess_net_labels(net);
    const tess_tensor_desc *desc = tess_tensor_get_desc(input);
    struct batch_shape shape = {desc->n, desc->c, desc->h, desc->w};
    void *images = NULL, *classes = NULL;
    tess_status status = tess_tensor_map(input, true, &images);
    if (status) return context_error(ctx, status, error);
    status = map_labels(ctx, labels, shape.batch, &classes, error);
    if (!status) {
        status = dataset_batch(rows->data, rows->order, rows->first, rows->rows, &shape, error,
                               images, classes);
        tess_status unmapped = unmap_labels(labels, classes);
        if (!status && unmapped) status = context_error(ctx, unmapped, error);
    }
    tess_status unmapped = tess_tensor_unmap(input, images);
    if (!status && unmapped) status = context_error(ctx, unmapped, error);
    return status;
}

/* NaN is neither right nor wrong, and would be counted as one of them. */
static tess_status check_answers(const float *probabilities, size_t count, tess_error *error) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(probabilities[i]))
            return error_set(error, TESS_INVALID_ARGUMENT,
                             "network: its probabilities are not numbers; its weights are damaged "
                             "or too large: take an earlier checkpoint, or train with a smaller "
                             "--lr");
    return TESS_OK;
}

tess_status classify(tess_context *ctx, tess_net *net, const struct batch_rows *rows,
                     tess_error *error, float *probabilities) {
    tess_status status = batch_load(ctx, net, rows, error);
    if (status) return status;
    tess_tensor *output = tess_net_output(net);
    const tess_tensor_desc *desc = tess_tensor_get_desc(output);
    void *mapped;
    status = tess_net_forward(net);
    if (!status) status = tess_tensor_map(output, false, &mapped);
    if (status) return context_error(ctx, status, error);
    size_t count = (size_t)rows->rows * (size_t)desc->c;
    memcpy(probabilities, mapped, count * sizeof *probabilities);
    status = tess_tensor_unmap(output, mapped);
    return status ? context_error(ctx, status, error) : check_answers(probabilities, count, error);
}

int largest(const float *values, int count) {
    int best = 0;
    for (int i = 1; i < count; i++)
        if (values[i] > values[best]) best = i;
    return best;
}

struct tally {
    int correct;
    double loss;
};

static void count_rows(const struct batch_rows *rows, const float *probabilities, int classes,
                       struct tally *tally) {
    for (int i = 0; i < rows->rows; i++) {
        const float *row = probabilities + (size_t)i * (size_t)classes;
        int32_t label = rows->data->labels[rows->order[rows->first + i]];
        double p = label < classes ? row[label] : 0;
        tally->correct += largest(row, classes) == label;
        tally->loss -= log(p < 1e-30 ? 1e-30 : p); /* NaN stays NaN */
    }
}

tess_status evaluate(tess_context *ctx, tess_net *net, const struct dataset *data,
                     tess_error *error, struct evaluation *out) {
    const tess_tensor_desc *output = tess_tensor_get_desc(tess_net_output(net));
    int batch = output->n, classes = output->c;
    tess_status status = TESS_OK;
    struct tally tally = {0};
    int *order = malloc((size_t)data->count * sizeof *order);
    float *probabilities = calloc((size_t)batch * (size_t)classes, sizeof *probabilities);
    if (!order || !probabilities) {
        status = error_set(error, TESS_OUT_OF_HOST_MEMORY,
                           "evaluation: no memory for %d labels; free some or use fewer images",
                           data->count);
        goto fail;
    }
    for (int i = 0; i < data->count; i++)
        order[i] = i;
    for (int first = 0; first < data->count; first += batch) {
        int left = data->count - first;
        struct batch_rows rows = {data, order, first, left < batch ? left : batch};
        status = classify(ctx, net, &rows, error, probabilities);
        if (status) goto fail;
        count_rows(&rows, probabilities, classes, &tally);
    }
    *out = (struct evaluation){
        .count = data->count,
        .correct = tally.correct,
        .accuracy = 100.0 * tally.correct / data->count,
        .mean_loss = tally.loss / data->count,
    };
fail:
    free(order);
    free(probabilities);
    return status;
}
