/* The search of problems like one that was not measured here. */
#include "db/db_internal.h"
#include "db/nearness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    NEAREST = 64,    /* problems and places that are looked at */
    PER_PROBLEM = 2, /* configurations of each */
    MAX_ENVS = 64
};

/* Where a measurement may come from. A step from one rank to the next counts like so many doublings of size. */
#define RANK_DISTANCE 2.0
enum rank { SAME_DEVICE, SAME_NAME, SAME_CLASS, SAME_TYPE, NO_RANK };

struct env {
    int64_t id;
    enum rank rank;
    bool own; /* this device and this driver */
    char device[256], driver[128];
};

struct candidate {
    double cost;
    const struct env *env;
    char key[TESS_CONV_KEY_SIZE];
};

struct near {
    const struct db_question *question;
    tess_conv_desc desc;
    char class_text[NEARNESS_CLASS_SIZE];
    struct env envs[MAX_ENVS];
    int env_count;
    bool others; /* second round: not what is current and of this device, but all the rest */
    struct candidate list[NEAREST];
    int list_count;
    struct db_row *out;
    int max, count;
};

static const char *text(sqlite3_stmt *from, int column) {
    const char *value = (const char *)sqlite3_column_text(from, column);
    return value ? value : "";
}

static enum rank rank_of(const struct db *db, sqlite3_stmt *from) {
    const struct db_identity *own = &db->identity;
    if (strcmp(text(from, 1), own->fingerprint) == 0) return SAME_DEVICE;
    if (strcmp(text(from, 2), own->name) == 0) return SAME_NAME;
    if (*own->device_class && strcmp(text(from, 3), own->device_class) == 0) return SAME_CLASS;
    return strcmp(text(from, 4), own->type) == 0 ? SAME_TYPE : NO_RANK;
}

static int read_envs(struct db *db, struct near *near) {
    near->env_count = 0;
    sqlite3_stmt *rows = db_bind(db, DB_ENVS, "");
    if (!rows) return db_step(db, NULL);
    int code = SQLITE_DONE;
    while (near->env_count < MAX_ENVS && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        struct env *env = &near->envs[near->env_count];
        env->rank = rank_of(db, rows);
        if (env->rank == NO_RANK) continue;
        env->id = sqlite3_column_int64(rows, 0);
        env->own = env->id == db->env;
        DB_COPY(env->device, text(rows, 2));
        DB_COPY(env->driver, text(rows, 5));
        near->env_count++;
    }
    return db_done(rows, code);
}

/* Whether the row that from is at belongs to this round. */
static bool in_round(const struct near *near, const struct env *env, sqlite3_stmt *from) {
    bool current = env->own && db_is_current(near->question, from);
    return current != near->others && db_is_allowed(near->question, from);
}

static void insert(struct near *near, double cost, const struct env *env, const char *key) {
    int at = near->list_count < NEAREST ? near->list_count++ : NEAREST - 1;
    for (; at > 0 && near->list[at - 1].cost > cost; at--)
        near->list[at] = near->list[at - 1];
    near->list[at].cost = cost;
    near->list[at].env = env;
    DB_COPY(near->list[at].key, key);
}

static bool full(const struct near *near, double cost) {
    return near->list_count == NEAREST && near->list[NEAREST - 1].cost <= cost;
}

/* A problem of the class, for every place where it may have been measured. */
static void consider(struct near *near, const char *key) {
    tess_conv_desc desc;
    if (tess_conv_desc_parse(key, NULL, &desc)) return;
    double distance = nearness_distance(&near->desc, &desc);
    for (int i = 0; i < near->env_count; i++) {
        const struct env *env = &near->envs[i];
        double cost = distance + RANK_DISTANCE * env->rank;
        if ((!near->others && !env->own) || full(near, cost)) continue;
        /* What was measured on this very problem is db_answers' to tell. */
        if (!near->others && distance == 0 && strcmp(key, near->question->problem) == 0) continue;
        insert(near, cost, env, key);
    }
}

/* Sizes differ by no more than the distance: so what lies outside a window of sizes is farther away than its width. */
static int scan(struct db *db, struct near *near, double inner, double outer) {
    double size = nearness_size(&near->desc);
    sqlite3_stmt *rows = db_bind(db, DB_CLASS, "ttdd", near->question->operation, near->class_text,
                                 size - outer, size + outer);
    if (!rows) return db_step(db, NULL);
    int code = SQLITE_DONE;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        const char *key = text(rows, 0);
        tess_conv_desc desc;
        if (tess_conv_desc_parse(key, NULL, &desc) ||
            (inner > 0 && fabs(nearness_size(&desc) - size) <= inner))
            continue;
        consider(near, key);
    }
    return db_done(rows, code);
}

static int emit(struct db *db, struct near *near, const struct candidate *candidate) {
    const struct env *env = candidate->env;
    int64_t lookup = db_lookup(env->id, near->question->operation, candidate->key, "f32");
    sqlite3_stmt *rows = db_bind(db, DB_BEST, "i", lookup);
    if (!rows) return db_step(db, NULL);
    int code = SQLITE_DONE;
    for (int given = 0; given < PER_PROBLEM && near->count < near->max &&
                        (code = sqlite3_step(rows)) == SQLITE_ROW;) {
        if (!in_round(near, env, rows) || db_has_config(near->out, near->count, text(rows, 2)))
            continue;
        struct db_row *row = &near->out[near->count++];
        db_read_best(near->question, candidate->key, rows, row);
        row->this_device = env->rank == SAME_DEVICE;
        row->current = env->own && db_is_current(near->question, rows);
        DB_COPY(row->device, env->device);
        DB_COPY(row->driver, env->driver);
        given++;
    }
    return db_done(rows, code);
}

static int near_body(struct db *db, void *user) {
    static const double window[] = {0, 1, 4, 16};
    struct near *near = user;
    near->count = 0;
    int code = db_find_env(db);
    if (code == SQLITE_OK) code = read_envs(db, near);
    for (int round = 0; round < 2; round++) {
        near->others = round == 1;
        near->list_count = 0;
        for (int i = 0; i < 3 && code == SQLITE_OK && !full(near, window[i]); i++)
            code = scan(db, near, window[i], window[i + 1]);
        for (int i = 0; i < near->list_count && code == SQLITE_OK; i++)
            code = emit(db, near, &near->list[i]);
    }
    return code;
}

int db_near(struct db *db, const struct db_question *question, struct db_row *out, int max) {
    if (!db || !db->has_device || !question || !question->operation || !question->problem ||
        !question->hash || !out)
        return 0;
    struct near *near = calloc(1, sizeof *near);
    if (!near) return 0;
    int count = 0;
    if (tess_conv_desc_parse(question->problem, NULL, &near->desc) == TESS_OK) {
        near->question = question;
        near->out = out;
        near->max = max;
        nearness_class(&near->desc, near->class_text);
        tess_error error;
        if (db_read(db, near_body, near, "looking for near problems", &error))
            db_log(db, TESS_LOG_WARN, "%s", error.text);
        else
            count = near->count;
    }
    free(near);
    return count;
}
