/* What a driver's author needs: written as it becomes known. A file that cannot be written is missing from the capsule, no more. */
#include "core/program.h"
#include "net/npy.h"
#include "selftest/trial.h"

#include <stdio.h>
#include <string.h>

/* folder/KIND_NAME.npy; element: ONNX_FLOAT, ONNX_INT32 or ONNX_DOUBLE. */
static void write_array(const struct trial *trial, const char *kind, const struct array *array,
                        const void *data, enum onnx_dtype element) {
    char path[4096];
    const tess_tensor_desc *d = &array->desc;
    struct onnx_tensor tensor = {.name = "",
                                 .dtype = (int)element,
                                 .rank = 4,
                                 .dims = {d->n, d->h, d->w, d->c},
                                 .count = (int64_t)array->count,
                                 .data = data};
    if (d->layout == TESS_RSCK)
        memcpy(tensor.dims, (int64_t[]){d->h, d->w, d->c, d->n}, 4 * sizeof(int64_t));
    if (d->layout == TESS_NCHW)
        memcpy(tensor.dims, (int64_t[]){d->n, d->c, d->h, d->w}, 4 * sizeof(int64_t));
    snprintf(path, sizeof path, "%s/%s_%s.npy", trial->folder, kind, array->name);
    (void)npy_write(path, &tensor, NULL);
}

static enum onnx_dtype element_of(const struct array *array) {
    return array->desc.dtype == TESS_F32 ? ONNX_FLOAT : ONNX_INT32;
}

void record_inputs(struct trial *trial) {
    if (!trial->folder) return;
    for (int i = 0; i < trial->count; i++) {
        const struct array *array = &trial->arrays[i];
        if (!array->name) continue;
        if (array->want)
            write_array(trial, "expected", array, array->want, ONNX_DOUBLE);
        else
            write_array(trial, "input", array, array->host.data, element_of(array));
    }
}

void record_outputs(struct trial *trial) {
    if (!trial->folder) return;
    for (int i = 0; i < trial->count; i++) {
        const struct array *array = &trial->arrays[i];
        if (array->want) write_array(trial, "actual", array, array->host.data, element_of(array));
    }
}

static void write_text(const struct trial *trial, const char *suffix, const char *text) {
    char path[4096];
    snprintf(path, sizeof path, "%s/program_%d.%s", trial->folder, trial->programs, suffix);
    FILE *file = fopen(path, "w");
    if (!file) return;
    fputs(text, file);
    fclose(file);
}

void record_program(void *user, const struct program_event *event) {
    struct trial *trial = user;
    if (event->log) {
        write_text(trial, "log", event->log);
        return;
    }
    trial->programs++;
    write_text(trial, "cl", event->source);
    write_text(trial, "options", event->options);
}
