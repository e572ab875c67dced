#include "tuner/trial_log.h"

#include "core/file_error.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { LINE_SIZE = 2048, TRIALS_MAX = 1000000 };

struct reader {
    gzFile gz;
    const char *path;
    int line; /* the one that was read last */
    char text[LINE_SIZE];
    tess_error *error;
    struct trial_log *log;
    int announced, room;
};

static tess_status bad(const struct reader *in, const char *why) {
    return error_set(in->error, TESS_BAD_FORMAT,
                     "%s: line %d: %s; record it again with "
                     "tessera tune --mode exhaustive --record",
                     in->path, in->line, why);
}

static tess_status no_memory(const struct reader *in) {
    return error_set(in->error, TESS_OUT_OF_HOST_MEMORY, "%s: no memory to read it; free some",
                     in->path);
}

static tess_status stream_error(const struct reader *in, int code) {
    if (code == Z_ERRNO) return error_file(in->error, errno, in->path, "read");
    if (code == Z_MEM_ERROR) return no_memory(in);
    return bad(in,
               code == Z_BUF_ERROR ? "the file is truncated" : "the compressed data is damaged");
}

/* *there: false at the end of the file. */
static tess_status read_line(struct reader *in, bool *there) {
    in->line++;
    errno = 0;
    *there = gzgets(in->gz, in->text, LINE_SIZE) != NULL;
    int code = Z_OK;
    gzerror(in->gz, &code);
    if (code != Z_OK && code != Z_STREAM_END) return stream_error(in, code);
    if (!*there) return TESS_OK;
    size_t length = strlen(in->text);
    if (length == 0 || in->text[length - 1] != '\n')
        return bad(in, length + 1 == LINE_SIZE ? "it is too long: this is no trial log"
                                               : "it has no end: the file is truncated");
    return TESS_OK;
}

/* NULL where the last line is no JSON object; the caller ends it with json_decref. */
static json_t *parse_line(const struct reader *in) {
    json_t *object = json_loads(in->text, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(object)) return object;
    json_decref(object);
    return NULL;
}

/* Copies the string called name; false if there is none that fits. */
static bool get_text(const json_t *object, const char *name, char *out, size_t size) {
    const char *text = json_string_value(json_object_get(object, name));
    if (!text || strlen(text) >= size) return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool get_count(const json_t *object, const char *name, int *out) {
    const json_t *value = json_object_get(object, name);
    json_int_t count = json_is_integer(value) ? json_integer_value(value) : -1;
    if (count < 1 || count > TRIALS_MAX) return false;
    *out = (int)count;
    return true;
}

static bool get_pass(const json_t *object, tess_conv_pass *out) {
    char name[16];
    if (!get_text(object, "pass", name, sizeof name)) return false;
    for (int pass = TESS_CONV_FWD; pass <= TESS_CONV_BWD_WEIGHTS; pass++)
        if (strcmp(name, conv_pass_name((tess_conv_pass)pass)) == 0) {
            *out = (tess_conv_pass)pass;
            return true;
        }
    return false;
}

static tess_status read_header(struct reader *in) {
    bool there = false;
    tess_status status = read_line(in, &there);
    if (status) return status;
    struct trial_log *log = in->log;
    json_t *object = there ? parse_line(in) : NULL;
    const json_t *version = json_object_get(object, "trial_log");
    const char *why = NULL;
    tess_conv_desc desc;
    if (!json_is_integer(version))
        why = "no header of a trial log: this is something else";
    else if (json_integer_value(version) != 1)
        why = "written by a newer version of Tessera";
    else if (!get_text(object, "device", log->device, sizeof log->device) ||
             !get_text(object, "driver", log->driver, sizeof log->driver) ||
             !get_text(object, "date", log->date, sizeof log->date) ||
             !get_text(object, "problem", log->problem, sizeof log->problem) ||
             !get_pass(object, &log->pass) || !get_count(object, "space", &log->space) ||
             !get_count(object, "trials", &in->announced) || in->announced > log->space)
        why = "the header lacks a field, or one is out of range";
    else if (tess_conv_desc_parse(log->problem, NULL, &desc))
        why = "the header's problem is no problem key";
    json_decref(object);
    return why ? bad(in, why) : TESS_OK;
}

/* A positive number, which may be zero where zero says so. */
static bool get_time(const json_t *object, const char *name, bool zero, double *out) {
    const json_t *value = json_object_get(object, name);
    double number = json_number_value(value);
    if (!json_is_number(value) || !(number > 0 || (zero && number == 0)) || number > 1e30)
        return false;
    *out = number;
    return true;
}

static const char *parse_trial(const json_t *object, struct logged_trial *trial) {
    *trial = (struct logged_trial){.predicted = INFINITY, .seconds = INFINITY};
    if (!get_text(object, "config", trial->config, sizeof trial->config) ||
        !get_text(object, "status", trial->status, sizeof trial->status) || !trial->status[0])
        return "no configuration with a status";
    if (json_object_get(object, "predicted") &&
        !get_time(object, "predicted", false, &trial->predicted))
        return "the prediction is no number above 0";
    if (strcmp(trial->status, "ok") != 0) return NULL;
    if (!get_time(object, "seconds", false, &trial->seconds) ||
        !get_time(object, "mad", true, &trial->mad))
        return "ok, but seconds or mad are no times";
    return NULL;
}

static tess_status append(struct reader *in, const struct logged_trial *trial) {
    struct trial_log *log = in->log;
    if (log->count == in->announced) return bad(in, "more trials than the header announces");
    if (log->count == in->room) {
        int room = in->room ? 2 * in->room : 256;
        struct logged_trial *grown = realloc(log->trials, (size_t)room * sizeof *grown);
        if (!grown) return no_memory(in);
        log->trials = grown;
        in->room = room;
    }
    log->trials[log->count++] = *trial;
    return TESS_OK;
}

static tess_status read_trials(struct reader *in) {
    for (;;) {
        bool there = false;
        tess_status status = read_line(in, &there);
        if (status) return status;
        if (!there) break;
        json_t *object = parse_line(in);
        struct logged_trial trial;
        const char *why = object ? parse_trial(object, &trial) : "no JSON object";
        json_decref(object);
        status = why ? bad(in, why) : append(in, &trial);
        if (status) return status;
    }
    if (in->log->count < in->announced)
        return bad(in, "the file is truncated: the header announces more trials");
    return TESS_OK;
}

tess_status trial_log_read(const char *path, tess_error *error, struct trial_log **out) {
    struct reader in = {.path = path, .error = error};
    in.log = calloc(1, sizeof *in.log);
    if (!in.log) return no_memory(&in);
    errno = 0;
    in.gz = gzopen(path, "rbe");
    if (!in.gz) {
        trial_log_destroy(in.log);
        return error_file(error, errno ? errno : ENOMEM, path, "opened");
    }
    tess_status status = read_header(&in);
    if (!status) status = read_trials(&in);
    gzclose_r(in.gz);
    if (status) {
        trial_log_destroy(in.log);
        return status;
    }
    *out = in.log;
    return TESS_OK;
}
