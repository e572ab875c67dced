#include "db/db_line.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/file_error.h"

enum kind { TEXT, COUNT, REAL, FLAG, STATUS, SAMPLES };

/* The fields, in the order of DB_EXPORT's columns. */
static const struct field {
    const char *group; /* the object that it is in; NULL: the line itself */
    const char *name;
    enum kind kind;
    bool needed;
} fields[] = {
    {"device", "fingerprint", TEXT, true},
    {"device", "class", TEXT, true},
    {"device", "type", TEXT, true},
    {"device", "vendor", TEXT, true},
    {"device", "name", TEXT, true},
    {"device", "compute_units", COUNT, false},
    {"device", "clock_mhz", COUNT, false},
    {"device", "global_memory", COUNT, false},
    {"device", "local_memory", COUNT, false},
    {"device", "max_work_group", COUNT, false},
    {"device", "native_float_vector", COUNT, false},
    {"env", "platform", TEXT, true},
    {"env", "driver", TEXT, true},
    {"env", "opencl", TEXT, true},
    {"env", "opencl_c", TEXT, true},
    {"env", "compiler", TEXT, true},
    {"kernel", "algo", TEXT, true},
    {"kernel", "hash", TEXT, true},
    {"problem", "operation", TEXT, true},
    {"problem", "key", TEXT, true},
    {"problem", "dtype", TEXT, true},
    {NULL, "config", TEXT, true},
    {NULL, "begun", COUNT, true},
    {NULL, "status", STATUS, true},
    {NULL, "strict", FLAG, true},
    {NULL, "seconds", REAL, false},
    {NULL, "mad", REAL, false},
    {NULL, "max_err", REAL, false},
    {NULL, "bytes", COUNT, false},
    {NULL, "build_seconds", REAL, false},
    {NULL, "cause", TEXT, false},
    {NULL, "verify_seconds", REAL, false},
    {NULL, "run_seconds", REAL, false},
    {NULL, "search_seconds", REAL, false},
    {NULL, "samples", SAMPLES, false},
};
enum { FIELDS = sizeof fields / sizeof *fields };

/* ---------------------------------------------------------------- printing */

/* Names of devices and messages of compilers need not be UTF-8. */
static json_t *print_text(const char *text) {
    json_t *value = json_string(text);
    if (value) return value;
    char clean[1024];
    return json_string(printable(text, clean, sizeof clean));
}

static json_t *print_samples(const void *blob, int bytes) {
    json_t *list = json_array();
    for (int i = 0; list && i < bytes / (int)sizeof(double); i++) {
        double sample;
        memcpy(&sample, (const char *)blob + (size_t)i * sizeof sample, sizeof sample);
        if (json_array_append_new(list, json_real(isfinite(sample) ? sample : 0))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *print_value(enum kind kind, sqlite3_stmt *from, int column) {
    switch (kind) {
    case TEXT:
        return print_text((const char *)sqlite3_column_text(from, column));
    case COUNT:
        return json_integer(sqlite3_column_int64(from, column));
    case REAL:
        return json_real(sqlite3_column_double(from, column));
    case FLAG:
        return json_boolean(sqlite3_column_int(from, column) != 0);
    case STATUS:
        return json_string(db_status_name((enum db_status)sqlite3_column_int(from, column)));
    case SAMPLES:
        return print_samples(sqlite3_column_blob(from, column), sqlite3_column_bytes(from, column));
    }
    return NULL;
}

json_t *db_line_print(sqlite3_stmt *from) {
    json_t *line = json_object();
    bool good = line != NULL;
    for (int i = 0; good && i < FIELDS; i++) {
        if (sqlite3_column_type(from, i) == SQLITE_NULL) continue;
        json_t *into = line;
        if (fields[i].group) {
            into = json_object_get(line, fields[i].group);
            if (!into && !json_object_set_new(line, fields[i].group, json_object()))
                into = json_object_get(line, fields[i].group);
        }
        json_t *value = print_value(fields[i].kind, from, i);
        good = into && !json_object_set_new(into, fields[i].name, value);
    }
    if (good) return line;
    json_decref(line);
    return NULL;
}

/* ---------------------------------------------------------------- parsing */

static bool status_named(const char *name, enum db_status *out) {
    for (int i = DB_RUNNING; i <= DB_REFUSED; i++)
        if (name && strcmp(name, db_status_name((enum db_status)i)) == 0) {
            *out = (enum db_status)i;
            return true;
        }
    return false;
}

static bool is_samples(const json_t *value) {
    size_t i;
    const json_t *sample;
    if (!json_is_array(value) || json_array_size(value) > 1 << 20) return false;
    json_array_foreach(value, i, sample) {
        if (!json_is_number(sample)) return false;
    }
    return true;
}

static bool fits(enum kind kind, const json_t *value) {
    enum db_status status;
    switch (kind) {
    case TEXT:
        return json_is_string(value);
    case COUNT:
        return json_is_integer(value) && json_integer_value(value) >= 0;
    case REAL:
        return json_is_number(value);
    case FLAG:
        return json_is_boolean(value);
    case STATUS:
        return json_is_string(value) && status_named(json_string_value(value), &status);
    case SAMPLES:
        return is_samples(value);
    }
    return false;
}

static const json_t *value_of(const json_t *line, int i) {
    const json_t *from = fields[i].group ? json_object_get(line, fields[i].group) : line;
    return json_object_get(from, fields[i].name);
}

static tess_status check(const json_t *line, tess_error *error) {
    if (!json_is_object(line))
        return error_set(error, TESS_BAD_FORMAT, "not a JSON object; give a file of db export");
    for (int i = 0; i < FIELDS; i++) {
        const json_t *value = value_of(line, i);
        if (value ? !fits(fields[i].kind, value) : fields[i].needed)
            return error_set(error, TESS_BAD_FORMAT,
                             "%s%s%s is missing or of a wrong kind; give a file of db export",
                             fields[i].group ? fields[i].group : "", fields[i].group ? "." : "",
                             fields[i].name);
    }
    return TESS_OK;
}

/* Numbers of fields first .. in a row. */
static const char *text_at(const json_t *line, int i) {
    return json_string_value(value_of(line, i));
}
static int64_t count_at(const json_t *line, int i) {
    return json_integer_value(value_of(line, i));
}
static double real_at(const json_t *line, int i) {
    const json_t *value = value_of(line, i);
    return value ? json_number_value(value) : NAN;
}

static void read_identity(const json_t *line, struct db_identity *out) {
    DB_COPY(out->fingerprint, text_at(line, 0));
    out->device_class = text_at(line, 1);
    out->type = text_at(line, 2);
    DB_COPY(out->vendor, text_at(line, 3));
    DB_COPY(out->name, text_at(line, 4));
    int64_t *const counts[] = {&out->compute_units,  &out->clock_mhz,
                               &out->global_memory,  &out->local_memory,
                               &out->max_work_group, &out->native_float_vector};
    for (int i = 0; i < 6; i++)
        *counts[i] = count_at(line, 5 + i);
    DB_COPY(out->platform, text_at(line, 11));
    DB_COPY(out->driver, text_at(line, 12));
    DB_COPY(out->opencl, text_at(line, 13));
    DB_COPY(out->opencl_c, text_at(line, 14));
    DB_COPY(out->compiler, text_at(line, 15));
}

static tess_status read_samples(const json_t *list, tess_error *error, struct db_line *out) {
    size_t count = json_array_size(list);
    if (!count) return TESS_OK;
    out->samples = malloc(count * sizeof *out->samples);
    if (!out->samples) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "no host memory");
    for (size_t i = 0; i < count; i++)
        out->samples[i] = json_number_value(json_array_get(list, i));
    out->result.samples = out->samples;
    out->result.sample_count = (int)count;
    return TESS_OK;
}

tess_status db_line_parse(const char *text, size_t length, tess_error *error, struct db_line *out) {
    json_error_t why;
    *out = (struct db_line){.json = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why)};
    if (!out->json)
        return error_set(error, TESS_BAD_FORMAT, "no JSON: %s; give a file of db export", why.text);
    const json_t *line = out->json;
    tess_status status = check(line, error);
    if (!status) status = read_samples(value_of(line, FIELDS - 1), error, out);
    if (status) {
        db_line_free(out);
        return status;
    }
    read_identity(line, &out->identity);
    const char **const texts[] = {&out->algo,    &out->hash,  &out->operation,
                                  &out->problem, &out->dtype, &out->config};
    for (int i = 0; i < 6; i++)
        *texts[i] = text_at(line, 16 + i);
    out->begun = count_at(line, 22);
    (void)status_named(text_at(line, 23), &out->result.status);
    out->strict = json_is_true(value_of(line, 24));
    out->result.seconds = real_at(line, 25);
    out->result.mad = real_at(line, 26);
    out->result.max_err = real_at(line, 27);
    out->result.bytes = (size_t)count_at(line, 28);
    out->result.build_seconds = real_at(line, 29);
    out->result.cause = text_at(line, 30);
    out->result.verify_seconds = real_at(line, 31);
    out->result.run_seconds = real_at(line, 32);
    out->result.search_seconds = real_at(line, 33);
    if (out->result.status == DB_OK && !(out->result.seconds > 0)) {
        db_line_free(out);
        return error_set(error, TESS_BAD_FORMAT, "a good trial has no time; mend or remove it");
    }
    return TESS_OK;
}

void db_line_free(struct db_line *line) {
    json_decref(line->json);
    free(line->samples);
    *line = (struct db_line){0};
}
