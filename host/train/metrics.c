#include "train/metrics.h"

#include "core/atomic_file.h"
#include "core/file_error.h"
#include "core/status.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *line_json(const struct metrics *m) {
    json_t *object = json_pack("{s:i, s:f}", "epoch", m->epoch, "train_loss", m->train_loss);
    if (!object) return NULL;
    int failed = 0;
    if (m->has_val) {
        failed |= json_object_set_new(object, "val_acc", json_real(m->val_acc));
        failed |= json_object_set_new(object, "val_loss", json_real(m->val_loss));
    }
    failed |= json_object_set_new(object, "seconds", json_real(m->seconds));
    failed |= json_object_set_new(object, "lr", json_real(m->lr));
    failed |= json_object_set_new(object, "images_per_s", json_real(m->images_per_s));
    if (m->synthetic) failed |= json_object_set_new(object, "synthetic", json_true());
    if (!failed) return object;
    json_decref(object);
    return NULL;
}

static tess_status write_all(int file, const char *text, size_t size, const char *path,
                             tess_error *error) {
    while (size > 0) {
        ssize_t written = write(file, text, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return error_file(error, errno, path, "written");
        text += written;
        size -= (size_t)written;
    }
    if (fsync(file) && errno != EINVAL) return error_file(error, errno, path, "written");
    return TESS_OK;
}

tess_status metrics_append(const char *path, const struct metrics *line, tess_error *error) {
    json_t *object = line_json(line);
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (!text)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY, "%s: no memory for a line; free some",
                         path);
    size_t length = strlen(text);
    text[length] = '\n'; /* in place of the terminating zero */
    tess_status status;
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0) {
        status = error_file(error, errno, path, "written");
    } else {
        status = write_all(file, text, length + 1, path, error);
        if (close(file) && !status) status = error_file(error, errno, path, "written");
    }
    free(text);
    return status;
}

/* The file's text, with a terminating zero; *out stays NULL if there is no file. */
static tess_status read_text(const char *path, tess_error *error, char **out, size_t *size) {
    FILE *file = fopen(path, "rbe");
    if (!file && errno == ENOENT) return TESS_OK;
    char *text = NULL;
    long length = -1;
    if (file && !fseek(file, 0, SEEK_END)) length = ftell(file);
    if (length >= 0 && !fseek(file, 0, SEEK_SET)) text = malloc((size_t)length + 1);
    if (text && fread(text, 1, (size_t)length, file) == (size_t)length) {
        fclose(file);
        text[length] = '\0';
        *out = text;
        *size = (size_t)length;
        return TESS_OK;
    }
    int code = errno;
    free(text);
    if (file) fclose(file);
    return error_file(error, code, path, "read");
}

static bool line_stays(const char *line, size_t length, int last_epoch) {
    json_t *object = json_loadb(line, length, 0, NULL);
    json_t *epoch = json_object_get(object, "epoch");
    bool stays = json_is_integer(epoch) && json_integer_value(epoch) <= last_epoch;
    json_decref(object);
    return stays;
}

/* Moves the lines that stay to the front; gives their total length. */
static size_t keep_lines(char *text, int last_epoch) {
    size_t kept = 0;
    char *end;
    for (char *line = text; (end = strchr(line, '\n')); line = end + 1) {
        size_t length = (size_t)(end - line) + 1;
        if (!line_stays(line, length, last_epoch)) continue;
        memmove(text + kept, line, length);
        kept += length;
    }
    return kept;
}

static tess_status replace_file(const char *path, const char *text, size_t size,
                                tess_error *error) {
    struct atomic_file file;
    tess_status status = atomic_file_open(path, error, &file);
    if (status) return status;
    status = atomic_file_write(&file, text, size, error);
    if (!status) return atomic_file_commit(&file, error);
    atomic_file_abort(&file);
    return status;
}

tess_status metrics_keep(const char *path, int last_epoch, tess_error *error) {
    char *text = NULL;
    size_t size = 0;
    tess_status status = read_text(path, error, &text, &size);
    if (status || !text) return status;
    size_t kept = keep_lines(text, last_epoch);
    if (kept != size) status = replace_file(path, text, kept, error);
    free(text);
    return status;
}
