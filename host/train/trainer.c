#include "train/trainer.h"

#include "core/status.h"
#include "train/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* One epoch under way. */
struct epoch {
    const struct trainer *trainer;
    const int *order;
    int index; /* from 0 */
    int steps; /* in a whole epoch */
    double started;
    double loss; /* sum over images */
    int images;
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Running means and variances: what a training pass moves without a step. */
static size_t running_elements(tess_net *net) {
    size_t elements = 0;
    for (int i = 0; i < tess_net_param_count(net); i++) {
        tess_param param = tess_net_param(net, i);
        if (!param.grad) elements += tess_tensor_desc_elements(tess_tensor_get_desc(param.value));
    }
    return elements;
}

/* Reads them all into values, or writes them back. */
static tess_status copy_running(const struct trainer *t, bool write, float *values,
                                tess_error *error) {
    for (int i = 0; i < tess_net_param_count(t->net); i++) {
        tess_param param = tess_net_param(t->net, i);
        if (param.grad) continue;
        const tess_tensor_desc *desc = tess_tensor_get_desc(param.value);
        tess_status status = write ? tess_tensor_write(param.value, values, desc->layout)
                                   : tess_tensor_read(param.value, values, desc->layout);
        if (status) return error_set(error, status, "%s", tess_context_last_error(t->ctx));
        values += tess_tensor_desc_elements(desc);
    }
    return TESS_OK;
}

static tess_status first_pass(const struct trainer *t, int rows, tess_error *error) {
    tess_status status = tess_net_gradients(t->net, rows, 0);
    if (!status) status = tess_context_finish(t->ctx);
    return status ? error_set(error, status, "%s", tess_context_last_error(t->ctx)) : TESS_OK;
}

/* OpenCL implementations compile kernels for good when they first run: that is to happen before any clock does. The gradients
   are overwritten by the first step; weights and velocities stay, and running statistics are put back: a training that
   goes on must not see them moved once more. */
static tess_status warm_up(const struct trainer *t, const int *order, tess_error *error) {
    int count = t->train->count, batch = t->settings->batch;
    struct batch_rows rows = {t->train, order, 0, count < batch ? count : batch};
    tess_status status = batch_load(t->ctx, t->net, &rows, error);
    if (status) return status;
    size_t elements = running_elements(t->net);
    float *running = malloc((elements + 1) * sizeof *running);
    if (!running)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                         "training: no memory for %zu running statistics; free some", elements);
    status = copy_running(t, false, running, error);
    if (!status) {
        status = first_pass(t, rows.rows, error);
        tess_status restored = copy_running(t, true, running, status ? NULL : error);
        if (!status) status = restored;
    }
    free(running);
    return status;
}

/* --resume would take the same steps again. what: "the loss became infinite at epoch 2"; epoch: how many are good. */
static tess_status diverged(const struct trainer *t, int epoch, const char *what,
                            tess_error *error) {
    double lr = schedule_lr(&t->settings->schedule, epoch);
    if (!epoch)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "training: %s; start again with a smaller --lr (it was %g)", what, lr);
    return error_set(error, TESS_INVALID_ARGUMENT,
                     "training: %s; start a new one with a smaller --lr (it was %g) from the last "
                     "good epoch, %d: --weights %s --out DIR",
                     what, lr, epoch, t->dir->last);
}

static tess_status check_loss(const struct epoch *e, int step, float loss, tess_error *error) {
    if (isfinite(loss)) return TESS_OK;
    char what[128];
    snprintf(what, sizeof what, "the loss became %s at epoch %d, step %d of %d",
             isnan(loss) ? "not a number" : "infinite", e->index + 1, step + 1, e->steps);
    return diverged(e->trainer, e->index, what, error);
}

static tess_status run_step(struct epoch *e, int step, uint64_t number, const tess_sgd_desc *sgd,
                            tess_error *error) {
    const struct trainer *t = e->trainer;
    int batch = t->settings->batch;
    int left = t->train->count - step * batch;
    struct batch_rows rows = {t->train, e->order, step * batch, left < batch ? left : batch};
    tess_status status = batch_load(t->ctx, t->net, &rows, error);
    if (status) return status;
    float loss = 0;
    int correct = 0;
    status = tess_net_train_step(t->net, sgd, rows.rows, number);
    if (!status) status = tess_net_result(t->net, &loss, &correct);
    if (status) return error_set(error, status, "%s", tess_context_last_error(t->ctx));
    e->loss += (double)loss;
    e->images += rows.rows;
    return check_loss(e, step, loss, error);
}

static void tell_progress(const struct epoch *e, int step, double lr) {
    const struct trainer *t = e->trainer;
    if (!t->events.step) return;
    double seconds = now() - e->started;
    int epochs_left = t->settings->epochs - e->index - 1;
    double steps_left = (double)e->steps * epochs_left + (e->steps - step);
    struct train_progress progress = {
        .epoch = e->index + 1,
        .epochs = t->settings->epochs,
        .step = step,
        .steps = e->steps,
        .loss = e->loss / e->images,
        .lr = lr,
        .images_per_s = seconds > 0 ? e->images / seconds : 0,
        .seconds_left = seconds / step * steps_left,
    };
    t->events.step(t->events.user, &progress);
}

/* Each step of an epoch; *metrics receives what is known without validation. */
static tess_status run_epoch(const struct trainer *t, const struct train_state *state,
                             const int *order, bool *stopped, struct metrics *metrics,
                             tess_error *error) {
    const struct train_settings *s = t->settings;
    struct epoch e = {
        .trainer = t,
        .order = order,
        .index = state->epoch,
        .steps = (t->train->count + s->batch - 1) / s->batch,
        .started = now(),
    };
    double lr = schedule_lr(&s->schedule, e.index);
    tess_sgd_desc sgd = {
        .lr = (float)lr,
        .momentum = (float)s->momentum,
        .weight_decay = (float)s->weight_decay,
        .nesterov = s->nesterov,
    };
    for (int step = 0; step < e.steps; step++) {
        *stopped = t->events.stop && t->events.stop(t->events.user);
        if (*stopped) return TESS_OK;
        tess_status status = run_step(&e, step, state->step + (uint64_t)step, &sgd, error);
        if (status) return status;
        tell_progress(&e, step + 1, lr);
    }
    double seconds = now() - e.started;
    *metrics = (struct metrics){
        .epoch = e.index + 1,
        .train_loss = e.loss / e.images,
        .seconds = seconds,
        .lr = lr,
        .images_per_s = seconds > 0 ? e.images / seconds : 0,
        .synthetic = t->train->synthetic,
    };
    return TESS_OK;
}

static tess_status check_param(const struct trainer *t, tess_tensor *value, bool *finite,
                               tess_error *error) {
    size_t count = tess_tensor_desc_elements(tess_tensor_get_desc(value));
    void *mapped = NULL;
    tess_status status = tess_tensor_map(value, false, &mapped);
    if (!status) {
        const float *values = mapped;
        for (size_t i = 0; i < count && *finite; i++)
            *finite = isfinite(values[i]);
        status = tess_tensor_unmap(value, mapped);
    }
    return status ? error_set(error, status, "%s", tess_context_last_error(t->ctx)) : TESS_OK;
}

/* The loss of a step says nothing of the weights that it leaves: after an epoch's last one nothing else would look at them before
   they replace the last good checkpoint. */
static tess_status check_weights(const struct trainer *t, int epoch, tess_error *error) {
    bool finite = true;
    for (int i = 0; i < tess_net_param_count(t->net) && finite; i++) {
        tess_param param = tess_net_param(t->net, i);
        tess_status status = check_param(t, param.value, &finite, error);
        if (status) return status;
        if (finite) continue;
        char what[256];
        snprintf(what, sizeof what, "%.200s is no longer finite after epoch %d", param.name,
                 epoch + 1);
        return diverged(t, epoch, what, error);
    }
    return TESS_OK;
}

static tess_status validate(const struct trainer *t, struct metrics *metrics, tess_error *error) {
    if (!t->val) return TESS_OK;
    struct evaluation result;
    tess_status status = evaluate(t->ctx, t->net, t->val, error, &result);
    if (status) return status;
    metrics->has_val = true;
    metrics->val_acc = result.accuracy;
    metrics->val_loss = result.mean_loss;
    return TESS_OK;
}

static bool is_best(const struct train_state *state, const struct metrics *metrics) {
    if (!state->best_epoch) return true;
    return metrics->has_val ? metrics->val_acc > state->best : metrics->train_loss < state->best;
}

static tess_status save(const struct trainer *t, const struct train_state *state, const char *path,
                        bool optimizer, tess_error *error) {
    struct checkpoint_save checkpoint = {
        .ctx = t->ctx,
        .net = t->net,
        .settings = t->settings,
        .state = state,
        .data = t->train,
        .data_hash = t->data_hash,
        .validated = t->val != NULL,
    };
    return checkpoint_write(&checkpoint, path, optimizer, error);
}

/* Metrics, best, last, in this order: see trainer.h. */
static tess_status finish_epoch(const struct trainer *t, struct train_state *state,
                                const struct metrics *metrics, tess_error *error) {
    int batch = t->settings->batch;
    struct train_state next = *state;
    bool best = is_best(state, metrics);
    next.epoch++;
    next.step += (uint64_t)((t->train->count + batch - 1) / batch);
    if (best) {
        next.best_epoch = next.epoch;
        next.best = metrics->has_val ? metrics->val_acc : metrics->train_loss;
    }
    tess_status status = metrics_append(t->dir->metrics, metrics, error);
    if (!status && best) status = save(t, &next, t->dir->best, false, error);
    if (!status) status = save(t, &next, t->dir->last, true, error);
    if (status) return status;
    *state = next;
    if (t->events.epoch) t->events.epoch(t->events.user, metrics, best);
    return TESS_OK;
}

tess_status trainer_run(const struct trainer *trainer, struct train_state *state, bool *stopped,
                        tess_error *error) {
    const struct train_settings *s = trainer->settings;
    tess_status status = TESS_OK;
    int *order = malloc((size_t)trainer->train->count * sizeof *order);
    *stopped = false;
    if (!order)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                         "training: no memory for the order of %d images; free some",
                         trainer->train->count);
    for (int i = 0; i < trainer->train->count; i++)
        order[i] = i;
    if (state->epoch < s->epochs) status = warm_up(trainer, order, error);
    if (!status && state->epoch == 0)
        status = save(trainer, state, trainer->dir->last, true, error);
    while (!status && !*stopped && state->epoch < s->epochs) {
        struct metrics metrics;
        dataset_shuffle(trainer->train->count, s->seed, (uint64_t)state->epoch, order);
        status = run_epoch(trainer, state, order, stopped, &metrics, error);
        if (status || *stopped) break;
        status = check_weights(trainer, state->epoch, error);
        if (!status) status = validate(trainer, &metrics, error);
        if (!status) status = finish_epoch(trainer, state, &metrics, error);
    }
    free(order);
    return status;
}
