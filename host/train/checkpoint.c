#include "train/checkpoint.h"

#include "core/status.h"
#include "train/text_fields.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_normalisation(struct text_fields *fields, const struct dataset *data) {
    char mean[128] = "", std[128] = "";
    for (int i = 0; i < data->c && i < 4; i++) {
        char number[FIELD_NUMBER_SIZE];
        size_t end = strlen(mean);
        snprintf(mean + end, sizeof mean - end, "%s%s", i ? " " : "",
                 field_number(data->mean[i], number));
        end = strlen(std);
        snprintf(std + end, sizeof std - end, "%s%s", i ? " " : "",
                 field_number(data->std[i], number));
    }
    fields_add(fields, "mean", "%s", mean);
    fields_add(fields, "std", "%s", std);
}

static void add_class_names(struct text_fields *fields, const struct dataset *data) {
    char names[64 * 32] = "";
    if (!data->class_names) return;
    for (int i = 0; i < data->classes && i < 64; i++) {
        size_t end = strlen(names);
        snprintf(names + end, sizeof names - end, "%s%.31s", i ? "\n" : "", data->class_names[i]);
    }
    fields_add(fields, "class_names", "%s", names);
}

static void add_settings(struct text_fields *fields, const struct train_settings *s) {
    char number[FIELD_NUMBER_SIZE];
    fields_add(fields, "model", "%s", s->model);
    fields_add(fields, "data", "%s", s->data);
    if (s->val) fields_add(fields, "val", "%s", s->val);
    fields_add(fields, "val_last", "%d", s->val_last);
    fields_add(fields, "epochs", "%d", s->epochs);
    fields_add(fields, "batch", "%d", s->batch);
    fields_add(fields, "lr", "%s", field_number(s->schedule.lr, number));
    fields_add(fields, "lr_step", "%d", s->schedule.step);
    fields_add(fields, "lr_factor", "%s", field_number(s->schedule.factor, number));
    fields_add(fields, "momentum", "%s", field_number(s->momentum, number));
    fields_add(fields, "weight_decay", "%s", field_number(s->weight_decay, number));
    fields_add(fields, "nesterov", "%d", s->nesterov);
    fields_add(fields, "seed", "%" PRIu64, s->seed);
    if (s->width > 0) fields_add(fields, "width", "%s", field_number(s->width, number));
    if (s->classes) fields_add(fields, "new_classes", "%d", s->classes);
    if (s->freeze_until) fields_add(fields, "freeze_until", "%s", s->freeze_until);
}

static void add_state(struct text_fields *fields, const struct checkpoint_save *save) {
    const struct train_state *state = save->state;
    char number[FIELD_NUMBER_SIZE];
    fields_add(fields, "epoch", "%d", state->epoch);
    fields_add(fields, "step", "%" PRIu64, state->step);
    fields_add(fields, "best_epoch", "%d", state->best_epoch);
    if (!state->best_epoch) return;
    fields_add(fields, save->validated ? "best_val_acc" : "best_train_loss", "%s",
               field_number(state->best, number));
}

static void add_input(struct text_fields *fields, const struct checkpoint_save *save) {
    const struct dataset *data = save->data;
    const tess_tensor_desc *input = tess_tensor_get_desc(tess_net_input(save->net));
    fields_add(fields, "input", "%dx%dx%d", input->c, input->h, input->w);
    fields_add(fields, "classes", "%d", tess_tensor_get_desc(tess_net_output(save->net))->c);
    fields_add(fields, "image", "%dx%dx%d", data->c, data->h, data->w);
    fields_add(fields, "data_name", "%s", data->name);
    fields_add(fields, "data_hash", "%016" PRIx64, save->data_hash);
    fields_add(fields, "synthetic", "%d", data->synthetic);
    add_normalisation(fields, data);
    add_class_names(fields, data);
}

tess_status checkpoint_write(const struct checkpoint_save *save, const char *path, bool optimizer,
                             tess_error *error) {
    struct text_fields fields = {0};
    add_settings(&fields, save->settings);
    add_state(&fields, save);
    add_input(&fields, save);
    tess_status status;
    if (fields.failed) {
        status = error_set(error, TESS_OUT_OF_HOST_MEMORY,
                           "%s: no memory for the metadata; free some", path);
    } else {
        status = tess_net_save(save->net, path, optimizer, (const char *const *)fields.list);
        if (status) error_set(error, status, "%s", tess_context_last_error(save->ctx));
    }
    fields_free(&fields);
    return status;
}

tess_status checkpoint_read_run(const struct safetensors *file, const char *path, tess_error *error,
                                struct train_settings *settings, struct train_state *state,
                                uint64_t *data_hash) {
    struct train_settings s = {
        .model = safetensors_metadata(file, "model"),
        .data = safetensors_metadata(file, "data"),
        .val = safetensors_metadata(file, "val"),
        .freeze_until = safetensors_metadata(file, "freeze_until"),
    };
    struct train_state t = {0};
    const char *hash = safetensors_metadata(file, "data_hash");
    struct field_reader r = {file, s.model && s.data && hash};
    s.val_last = (int)fields_number(&r, "val_last", 0, 1e9);
    s.epochs = (int)fields_number(&r, "epochs", 1, 1e9);
    s.batch = (int)fields_number(&r, "batch", 1, 1e9);
    s.schedule.lr = fields_number(&r, "lr", 0, 1e30);
    s.schedule.step = (int)fields_number(&r, "lr_step", 0, 1e9);
    s.schedule.factor = fields_number(&r, "lr_factor", 0, 1e30);
    s.momentum = fields_number(&r, "momentum", 0, 1);
    s.weight_decay = fields_number(&r, "weight_decay", 0, 1e30);
    s.nesterov = fields_number(&r, "nesterov", 0, 1) == 1;
    s.seed = fields_u64(&r, "seed");
    if (safetensors_metadata(file, "width")) s.width = fields_number(&r, "width", 0, 64);
    if (safetensors_metadata(file, "new_classes"))
        s.classes = (int)fields_number(&r, "new_classes", 1, 1e6);
    t.epoch = (int)fields_number(&r, "epoch", 0, 1e9);
    t.step = fields_u64(&r, "step");
    t.best_epoch = (int)fields_number(&r, "best_epoch", 0, t.epoch);
    bool validated = safetensors_metadata(file, "best_val_acc") != NULL;
    if (t.best_epoch)
        t.best = fields_number(&r, validated ? "best_val_acc" : "best_train_loss", 0, 1e300);
    if (!r.good)
        return error_set(error, TESS_BAD_FORMAT,
                         "%s: has no complete record of its training; only a checkpoint of "
                         "'tessera train' can be continued",
                         path);
    *settings = s;
    *state = t;
    *data_hash = strtoull(hash, NULL, 16);
    return TESS_OK;
}

static bool read_shape(const char *text, int *c, int *h, int *w) {
    char junk;
    return sscanf(text, "%6dx%6dx%6d%c", c, h, w, &junk) == 3 && *c > 0 && *h > 0 && *w > 0;
}

/* Up to 4 numbers separated by spaces. */
static bool read_floats(const char *text, float low, float out[4]) {
    for (int i = 0; i < 4 && *text; i++) {
        char *end;
        float value = strtof(text, &end);
        if (end == text || !isfinite(value) || !(value >= low)) return false;
        out[i] = value;
        text = end;
    }
    return !*text;
}

static void read_class_names(const char *text, char names[64][32]) {
    for (int i = 0; text && i < 64; i++) {
        size_t length = strcspn(text, "\n");
        snprintf(names[i], sizeof names[i], "%.*s", (int)(length < 31 ? length : 31), text);
        text = text[length] ? text + length + 1 : NULL;
    }
}

tess_status checkpoint_read_format(const struct safetensors *file, const char *path,
                                   tess_error *error, struct input_format *out) {
    struct input_format f = {.std = {1, 1, 1, 1}};
    const char *mean = safetensors_metadata(file, "mean");
    const char *std = safetensors_metadata(file, "std");
    const char *input = safetensors_metadata(file, "input");
    const char *image = safetensors_metadata(file, "image");
    const char *classes = safetensors_metadata(file, "classes");
    const char *model = safetensors_metadata(file, "model");
    const char *name = safetensors_metadata(file, "data_name");
    const char *hash = safetensors_metadata(file, "data_hash");
    const char *synthetic = safetensors_metadata(file, "synthetic");
    struct field_reader r = {file, true};
    bool good = true;
    if (mean && std) {
        good &= read_floats(mean, -1e6f, f.mean) && read_floats(std, 1e-6f, f.std);
        f.has_normalisation = true;
    }
    if (input) good &= read_shape(input, &f.c, &f.h, &f.w);
    if (image) good &= read_shape(image, &f.image_c, &f.image_h, &f.image_w);
    if (classes) f.classes = (int)fields_number(&r, "classes", 1, 1e6);
    if (safetensors_metadata(file, "width")) f.width = (float)fields_number(&r, "width", 0, 64);
    if (safetensors_metadata(file, "new_classes"))
        f.new_classes = (int)fields_number(&r, "new_classes", 1, 1e6);
    if (!good || !r.good)
        return error_set(
            error, TESS_BAD_FORMAT,
            "%s: its metadata (mean, std, input, image, classes or width) makes no sense; "
            "save it again with 'tessera train'",
            path);
    snprintf(f.model, sizeof f.model, "%s", model ? model : "");
    snprintf(f.data_name, sizeof f.data_name, "%s", name ? name : "");
    if (hash) f.data_hash = strtoull(hash, NULL, 16);
    f.synthetic = synthetic && !strcmp(synthetic, "1");
    read_class_names(safetensors_metadata(file, "class_names"), f.class_names);
    *out = f;
    return TESS_OK;
}
