#include "tuner/trial_log.h"

#include "core/atomic_file.h"
#include "core/file_error.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

static const char ok[] = "ok";

static tess_status no_memory(tess_error *error) {
    return error_set(error, TESS_OUT_OF_HOST_MEMORY, "trial log: no memory; free some");
}

/* ---------------------------------------------------------------- in memory */

tess_status trial_log_create(const struct space *space, const tess_device_info *device,
                             tess_error *error, struct trial_log **out) {
    struct trial_log *log = calloc(1, sizeof *log);
    if (log) log->trials = calloc((size_t)space->count, sizeof *log->trials);
    if (!log || !log->trials) {
        trial_log_destroy(log);
        return no_memory(error);
    }
    snprintf(log->device, sizeof log->device, "%s", device->name);
    snprintf(log->driver, sizeof log->driver, "%s", device->driver_version);
    time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc)) strftime(log->date, sizeof log->date, "%Y-%m-%d", &utc);
    tess_conv_desc_key(&space->problem.d, log->problem);
    log->pass = space->problem.pass;
    log->space = log->count = space->count;
    for (int i = 0; i < space->count; i++) {
        const struct candidate *candidate = &space->list[i];
        struct logged_trial *trial = &log->trials[i];
        conv_config_print(candidate->algo, log->pass, &candidate->config, trial->config);
        trial->predicted = candidate->predicted;
        trial->seconds = INFINITY;
    }
    *out = log;
    return TESS_OK;
}

void trial_log_destroy(struct trial_log *log) {
    if (!log) return;
    free(log->trials);
    free(log);
}

void trial_log_set(struct trial_log *log, int candidate, const char *status, double seconds,
                   double mad) {
    struct logged_trial *trial = &log->trials[candidate];
    bool good = status && strcmp(status, ok) == 0 && seconds > 0 && seconds < INFINITY;
    if (!good && (!status || !*status || strcmp(status, ok) == 0)) status = "failed";
    snprintf(trial->status, sizeof trial->status, "%s", status);
    trial->seconds = good ? seconds : INFINITY;
    trial->mad = good && mad > 0 && mad < INFINITY ? mad : 0;
}

/* ---------------------------------------------------------------- writing */

struct writer {
    z_stream zip;
    struct atomic_file file;
    tess_error *error;
};

/* Compresses length bytes; with finish all that is left comes out. */
static tess_status put(struct writer *out, const char *text, size_t length, bool finish) {
    unsigned char buffer[16384];
    /* zlib reads through this pointer only. */
    union {
        const char *in;
        Bytef *zlib;
    } bytes = {text};
    out->zip.next_in = bytes.zlib;
    out->zip.avail_in = (uInt)length;
    do {
        out->zip.next_out = buffer;
        out->zip.avail_out = sizeof buffer;
        int code = deflate(&out->zip, finish ? Z_FINISH : Z_NO_FLUSH);
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return error_set(out->error, TESS_INTERNAL, "trial log: compression failed (%d)", code);
        tess_status status =
            atomic_file_write(&out->file, buffer, sizeof buffer - out->zip.avail_out, out->error);
        if (status) return status;
    } while (out->zip.avail_out == 0);
    return TESS_OK;
}

/* Takes object, which may be NULL for want of memory. */
static tess_status put_line(struct writer *out, json_t *object) {
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(object);
    if (!text) return no_memory(out->error);
    tess_status status = put(out, text, strlen(text), false);
    free(text);
    return status ? status : put(out, "\n", 1, false);
}

static json_t *header_line(const struct trial_log *log, int tried) {
    return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:i, s:i}", "trial_log", 1, "device",
                     log->device, "driver", log->driver, "date", log->date, "problem", log->problem,
                     "pass", conv_pass_name(log->pass), "space", log->space, "trials", tried);
}

/* Takes object, which may be NULL. */
static json_t *with_real(json_t *object, const char *name, double value) {
    if (object && json_object_set_new(object, name, json_real(value)) == 0) return object;
    json_decref(object);
    return NULL;
}

static json_t *trial_line(const struct logged_trial *trial) {
    json_t *line = json_pack("{s:s, s:s}", "config", trial->config, "status", trial->status);
    if (trial->predicted < INFINITY) line = with_real(line, "predicted", trial->predicted);
    if (strcmp(trial->status, ok) != 0) return line;
    return with_real(with_real(line, "seconds", trial->seconds), "mad", trial->mad);
}

tess_status trial_log_write(const char *path, const struct trial_log *log, tess_error *error) {
    struct writer out = {.error = error};
    /* 15 + 16: the largest window, with gzip's header, whose time stays 0. */
    if (deflateInit2(&out.zip, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        return no_memory(error);
    tess_status status = atomic_file_open(path, error, &out.file);
    if (status) goto done;
    int tried = 0;
    for (int i = 0; i < log->count; i++)
        tried += log->trials[i].status[0] != '\0';
    status = put_line(&out, header_line(log, tried));
    for (int i = 0; i < log->count && !status; i++)
        if (log->trials[i].status[0]) status = put_line(&out, trial_line(&log->trials[i]));
    if (!status) status = put(&out, "", 0, true);
    if (!status)
        status = atomic_file_commit(&out.file, error);
    else
        atomic_file_abort(&out.file);
done:
    deflateEnd(&out.zip);
    return status;
}

tess_status trial_log_try_folder(const char *folder, tess_error *error) {
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/trial-log", folder);
    if (length >= (int)sizeof path)
        return error_file(error, ENAMETOOLONG, folder, "used for trial logs");
    return atomic_file_try(path, error);
}
