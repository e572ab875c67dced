/* A database condensed into a portfolio: few entries that serve all that was measured. */
#include "db/db_internal.h"
#include "db/nearness.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/atomic_file.h"

/* A problem is served if its nearest entry's configuration was measured on it at no more than so many times its best. */
#define SERVED 1.05

/* One configuration's time on one problem. */
struct time {
    char operation[32], key[TESS_CONV_KEY_SIZE], config[160];
    double seconds;
    bool strict;
};

/* A measured problem: times[first .. first + count - 1], the best first. */
struct problem {
    int first, count;
    tess_conv_desc desc;
    char class_text[NEARNESS_CLASS_SIZE];
    bool kept; /* its best is an entry of the portfolio */
};

struct condensed {
    const char *device_class;
    struct time *times;
    struct problem *problems;
    int time_count, time_room, problem_count;
};

static int read_times(struct db *db, void *user) {
    struct condensed *c = user;
    c->time_count = 0;
    sqlite3_stmt *rows = db_bind(db, DB_CLASS_TIMES, "t", c->device_class);
    if (!rows) return db_step(db, NULL);
    int code = SQLITE_DONE;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        if (c->time_count == c->time_room) {
            int room = 2 * c->time_room + 256;
            struct time *grown = realloc(c->times, (size_t)room * sizeof *grown);
            if (!grown) return db_done(rows, SQLITE_NOMEM);
            c->times = grown;
            c->time_room = room;
        }
        struct time *time = &c->times[c->time_count++];
        DB_COPY(time->operation, (const char *)sqlite3_column_text(rows, 0));
        DB_COPY(time->key, (const char *)sqlite3_column_text(rows, 1));
        DB_COPY(time->config, (const char *)sqlite3_column_text(rows, 2));
        time->seconds = sqlite3_column_double(rows, 3);
        time->strict = sqlite3_column_int(rows, 4) != 0;
    }
    return db_done(rows, code);
}

/* Times come problem after problem. */
static tess_status find_problems(struct condensed *c, tess_error *error) {
    c->problems = calloc((size_t)c->time_count + 1, sizeof *c->problems);
    if (!c->problems)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY, "making a portfolio: no host memory");
    for (int i = 0; i < c->time_count; i++) {
        const struct time *time = &c->times[i];
        if (i && strcmp(time[-1].key, time->key) == 0 &&
            strcmp(time[-1].operation, time->operation) == 0) {
            c->problems[c->problem_count - 1].count++;
            continue;
        }
        struct problem *problem = &c->problems[c->problem_count++];
        *problem = (struct problem){.first = i, .count = 1, .kept = true};
        tess_status status = tess_conv_desc_parse(time->key, error, &problem->desc);
        if (status) return status;
        nearness_class(&problem->desc, problem->class_text);
    }
    return TESS_OK;
}

/* The kept problem that the portfolio answers with, the first in order of those equally near; NULL: none of this class. */
static const struct problem *nearest(const struct condensed *c, const struct problem *to) {
    const struct problem *best = NULL;
    double least = INFINITY;
    for (int i = 0; i < c->problem_count; i++) {
        const struct problem *p = &c->problems[i];
        if (!p->kept || strcmp(p->class_text, to->class_text) != 0 ||
            strcmp(c->times[p->first].operation, c->times[to->first].operation) != 0)
            continue;
        double distance = nearness_distance(&p->desc, &to->desc);
        if (distance >= least) continue;
        least = distance;
        best = p;
    }
    return best;
}

static bool served(const struct condensed *c, const struct problem *problem) {
    const struct problem *entry = nearest(c, problem);
    if (!entry) return false;
    const struct time *best = &c->times[problem->first];
    for (int i = 0; i < problem->count; i++)
        if (strcmp(best[i].config, c->times[entry->first].config) == 0)
            return best[i].seconds <= SERVED * best->seconds;
    return false;
}

/* Takes entries out, one after the other, wherever all problems stay served. */
static void thin(struct condensed *c) {
    for (int i = c->problem_count - 1; i >= 0; i--) {
        c->problems[i].kept = false;
        bool all = true;
        for (int j = 0; j < c->problem_count && all; j++)
            all = served(c, &c->problems[j]);
        c->problems[i].kept = !all;
    }
}

static tess_status write_entry(struct atomic_file *file, const struct time *time,
                               tess_error *error) {
    json_t *line =
        json_pack("{s:s, s:s, s:s, s:s, s:f}", "operation", time->operation, "problem", time->key,
                  "config", time->config, "basis", "measured", "ms", 1e3 * time->seconds);
    char *text = line ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(4)) : NULL;
    json_decref(line);
    if (!text)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY, "making a portfolio: no host memory");
    tess_status status = atomic_file_write(file, text, strlen(text), error);
    if (!status) status = atomic_file_write(file, "\n", 1, error);
    free(text);
    return status;
}

/* The problem's best; then its best strict one, for callers who demand that. */
static tess_status write_problem(const struct condensed *c, const struct problem *problem,
                                 struct atomic_file *file, tess_error *error, long *count) {
    const struct time *best = &c->times[problem->first];
    int strict = 0;
    while (strict < problem->count && !best[strict].strict)
        strict++;
    tess_status status = write_entry(file, best, error);
    *count += 1;
    if (status || strict == 0 || strict == problem->count) return status;
    *count += 1;
    return write_entry(file, &best[strict], error);
}

static tess_status write_file(const struct condensed *c, const char *path, tess_error *error,
                              long *rows) {
    struct atomic_file file;
    tess_status status = atomic_file_open(path, error, &file);
    if (status) return status;
    long count = 0;
    for (int i = 0; i < c->problem_count && !status; i++) {
        if (c->problems[i].kept) status = write_problem(c, &c->problems[i], &file, error, &count);
    }
    if (!status) status = atomic_file_commit(&file, error);
    atomic_file_abort(&file);
    if (!status && rows) *rows = count;
    return status;
}

tess_status db_portfolio(struct db *db, const char *device_class, const char *path,
                         tess_error *error, long *rows) {
    struct condensed c = {.device_class = device_class};
    tess_status status = db_read(db, read_times, &c, "making a portfolio", error);
    if (!status && !c.time_count)
        status =
            error_set(error, TESS_NOT_FOUND,
                      "tuning database %s: nothing was measured on devices of class '%s'; tune "
                      "on one first",
                      db->path, device_class);
    if (!status) status = find_problems(&c, error);
    if (!status) {
        thin(&c);
        status = write_file(&c, path, error, rows);
    }
    free(c.times);
    free(c.problems);
    return status;
}
