/* The search of problems like one that was not measured here. */
#include "db/db_internal.h"
#include "db/nearness.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    NEAREST = 64,    /* problems and places that are looked at */
    PER_PROBLEM = 2, /* configurations of each */
    MAX_ENVS = 64,
    /* Problems whose distance is computed, about a microsecond each. Where more than this are of nearly the same size (200,000
       problems in one class), those that are left out are nearly as far away as what is found, or farther. */
    MOST_PROBLEMS = 8192
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

/* others false: what is current and of this device; true: all the rest. */
struct shortlist {
    bool others;
    struct candidate list[NEAREST]; /* by cost */
    int count;
};

struct near {
    const struct db_question *question;
    tess_conv_desc desc;
    char class_text[NEARNESS_CLASS_SIZE];
    struct env envs[MAX_ENVS];
    int env_count;
    bool known; /* the own one is among them */
    struct shortlist own, rest;
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
    near->known = false;
    sqlite3_stmt *rows = db_bind(db, DB_ENVS, "");
    if (!rows) return db_step(db, NULL);
    int code = SQLITE_DONE;
    while (near->env_count < MAX_ENVS && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        struct env *env = &near->envs[near->env_count];
        env->rank = rank_of(db, rows);
        if (env->rank == NO_RANK) continue;
        env->id = sqlite3_column_int64(rows, 0);
        env->own = env->id == db->env;
        near->known |= env->own;
        DB_COPY(env->device, text(rows, 2));
        DB_COPY(env->driver, text(rows, 5));
        near->env_count++;
    }
    return db_done(rows, code);
}

static void insert(struct shortlist *to, double cost, const struct env *env, const char *key) {
    int at = to->count < NEAREST ? to->count++ : NEAREST - 1;
    for (; at > 0 && to->list[at - 1].cost > cost; at--)
        to->list[at] = to->list[at - 1];
    to->list[at].cost = cost;
    to->list[at].env = env;
    DB_COPY(to->list[at].key, key);
}

static bool full(const struct shortlist *list, double cost) {
    return list->count == NEAREST && list->list[NEAREST - 1].cost <= cost;
}

/* A problem of the class, for every place where it may have been measured. */
static void consider(struct near *near, const char *key) {
    tess_conv_desc desc;
    if (tess_conv_desc_parse(key, NULL, &desc)) return;
    double distance = nearness_distance(&near->desc, &desc);
    /* What was measured on this very problem is db_answers' to tell. */
    bool same = distance == 0 && strcmp(key, near->question->problem) == 0;
    for (int i = 0; i < near->env_count; i++) {
        const struct env *env = &near->envs[i];
        double cost = distance + RANK_DISTANCE * (double)env->rank;
        if (env->own && !same && !full(&near->own, cost)) insert(&near->own, cost, env, key);
        if (!full(&near->rest, cost)) insert(&near->rest, cost, env, key);
    }
}

/* The problems of the class on one side of the size that was asked for, nearest first. */
struct side {
    sqlite3_stmt *rows;
    int code;   /* SQLITE_ROW: rows is at a problem */
    double gap; /* between its size and the one that was asked for */
};

static void advance(struct side *side, double size) {
    side->code = sqlite3_step(side->rows);
    side->gap =
        side->code == SQLITE_ROW ? fabs(sqlite3_column_double(side->rows, 1) - size) : INFINITY;
}

/* Nothing that is so far away or farther belongs in a shortlist. */
static bool complete(const struct near *near, double gap) {
    return (!near->known || full(&near->own, gap)) && full(&near->rest, gap);
}

static void scan_sides(struct near *near, struct side side[2], double size) {
    advance(&side[0], size);
    advance(&side[1], size);
    for (int i = 0; i < MOST_PROBLEMS; i++) {
        struct side *next = &side[side[1].gap < side[0].gap];
        if (next->code != SQLITE_ROW || complete(near, next->gap)) return;
        consider(near, text(next->rows, 0));
        advance(next, size);
    }
}

/* Outward from the problem's own size. Sizes differ by no more than the distance: so once a shortlist is full, and all of it nearer
   than the next size, nothing can come that belongs in it. */
static int scan(struct db *db, struct near *near) {
    double size = nearness_size(&near->desc);
    const char *operation = near->question->operation;
    struct side side[2] = {{0}};
    side[0].rows = db_bind(db, DB_CLASS_DOWN, "ttd", operation, near->class_text, size);
    if (!side[0].rows) return db_step(db, NULL);
    side[1].rows = db_bind(db, DB_CLASS_UP, "ttd", operation, near->class_text, size);
    if (!side[1].rows) return db_step(db, NULL);
    scan_sides(near, side, size);
    int codes[2];
    for (int i = 0; i < 2; i++)
        codes[i] = db_done(side[i].rows, side[i].code);
    return codes[0] != SQLITE_OK ? codes[0] : codes[1];
}

/* Whether the row that from is at belongs in this list. */
static bool belongs(const struct near *near, const struct shortlist *list, const struct env *env,
                    sqlite3_stmt *from) {
    bool current = env->own && db_is_current(near->question, from);
    return current != list->others && db_is_allowed(near->question, from);
}

static int emit(struct db *db, struct near *near, const struct shortlist *list,
                const struct candidate *candidate) {
    const struct env *env = candidate->env;
    int64_t lookup = db_lookup(env->id, near->question->operation, candidate->key, "f32");
    sqlite3_stmt *rows = db_bind(db, DB_BEST, "i", lookup);
    if (!rows) return db_step(db, NULL);
    int code = SQLITE_DONE;
    for (int given = 0; given < PER_PROBLEM && near->count < near->max &&
                        (code = sqlite3_step(rows)) == SQLITE_ROW;) {
        if (!belongs(near, list, env, rows) || db_has_config(near->out, near->count, text(rows, 2)))
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
    struct near *near = user;
    struct shortlist *const lists[] = {&near->own, &near->rest};
    near->count = near->own.count = near->rest.count = 0;
    near->rest.others = true;
    int code = db_find_env(db);
    if (code == SQLITE_OK) code = read_envs(db, near);
    if (code == SQLITE_OK && near->env_count) code = scan(db, near);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < lists[i]->count && code == SQLITE_OK; j++)
            code = emit(db, near, lists[i], &lists[i]->list[j]);
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
