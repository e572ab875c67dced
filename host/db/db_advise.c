/* The database as the planner's advisor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/program.h"
#include "core/program_source.h"
#include "db/db_internal.h"
#include "db/portfolio.h"
#include "ops/conv/conv_advice.h"

enum { MAX_ALGOS = 64, MAX_ROWS = 16, MAX_EXACT = 4 };

struct advisor {
    tess_context *ctx;
    struct db *db;               /* NULL: there is none yet */
    struct portfolio *portfolio; /* NULL: none for this device */
    char hash[MAX_ALGOS][65];    /* of conv_algos[i]; "": not computed yet, "-": it cannot be */
    struct db_row rows[MAX_ROWS];
};

tess_status db_algo_hash(tess_context *ctx, const struct conv_algo *algo, char hex[65]) {
    char source[65], table[2048] = "";
    tess_status status = program_source_hash(ctx, algo->kernel_file, source);
    if (status) return status;
    size_t used = 0;
    for (int i = 0; i < algo->param_count && used < sizeof table; i++) {
        const struct conv_param *p = &algo->params[i];
        used += (size_t)snprintf(table + used, sizeof table - used, "%s %u", p->name, p->passes);
        for (int j = 0; j < p->count && used < sizeof table; j++)
            used += (size_t)snprintf(table + used, sizeof table - used, " %d", p->values[j]);
    }
    unsigned char hash[32];
    status = hash_strings(ctx, (const char *const[]){source, table}, 2, hash);
    if (!status) hash_hex(hash, hex);
    return status;
}

static const char *current_hash(void *user, const char *name) {
    struct advisor *advisor = user;
    for (int i = 0; i < conv_algo_count && i < MAX_ALGOS; i++) {
        if (strcmp(conv_algos[i]->name, name) != 0) continue;
        char *hash = advisor->hash[i];
        if (!*hash && db_algo_hash(advisor->ctx, conv_algos[i], hash))
            snprintf(hash, sizeof advisor->hash[i], "-");
        return hash;
    }
    return NULL;
}

static struct conv_advice advice_of(const struct db_row *row, enum conv_nearness nearness) {
    struct conv_advice advice = {.nearness = nearness, .seconds = row->seconds};
    snprintf(advice.config, sizeof advice.config, "%s", row->config);
    snprintf(advice.problem, sizeof advice.problem, "%s", row->problem);
    const char *note = row->this_device ? row->current ? "" : ", older" : "";
    snprintf(advice.origin, sizeof advice.origin, "%.36s %.16s%s", row->device, row->driver, note);
    return advice;
}

/* What the portfolio says: same: what was measured on this very problem; else all the rest. */
static int ask_portfolio(const struct advisor *advisor, const struct db_question *question,
                         const tess_conv_desc *desc, bool same, struct conv_advice *out, int max) {
    struct conv_advice found[MAX_ROWS];
    int count = 0;
    if (!advisor->portfolio) return 0;
    int near = portfolio_advise(advisor->portfolio, question->operation, desc, found, MAX_ROWS);
    for (int i = 0; i < near && count < max; i++) {
        bool is = found[i].seconds > 0 && strcmp(found[i].problem, question->problem) == 0;
        if (is == same) out[count++] = found[i];
    }
    return count;
}

/* Several exact rows only where all are asked for: the first call, for one, must be fast. */
static int advise(void *user, const struct conv_problem *problem, bool strict, size_t limit,
                  struct conv_advice *out, int max) {
    struct advisor *advisor = user;
    char key[TESS_CONV_KEY_SIZE], operation[32];
    tess_conv_desc_key(&problem->d, key);
    snprintf(operation, sizeof operation, "conv_%s", conv_pass_name(problem->pass));
    const struct db_question question = {operation, key, current_hash, advisor, strict, limit};
    struct db_row *rows = advisor->rows;
    int count = db_answers(advisor->db, &question, rows, max < MAX_EXACT ? max : MAX_EXACT);
    int trials = count ? db_trial_count(advisor->db, operation, key) : 0;
    for (int i = 0; i < count; i++) {
        out[i] = advice_of(&rows[i], CONV_EXACT);
        out[i].trials = trials;
    }
    if (count == max || max == 1) return count;
    count += ask_portfolio(advisor, &question, &problem->d, true, out + count, max - count);
    int near =
        db_near(advisor->db, &question, rows, max - count < MAX_ROWS ? max - count : MAX_ROWS);
    for (int i = 0; i < near; i++, count++)
        out[count] =
            advice_of(&rows[i], rows[i].this_device && rows[i].current ? CONV_NEAR : CONV_OTHER);
    count += ask_portfolio(advisor, &question, &problem->d, false, out + count, max - count);
    return count;
}

/* Rows of other operations name a convolution's algorithm, or kernels that are none of ours (CLBlast's) and have no hash. */
static const char *hash_if_ours(void *user, const char *name) {
    const char *hash = current_hash(user, name);
    return hash ? hash : "";
}

static bool lookup(void *user, const char *operation, const char *problem, char *config,
                   size_t size) {
    struct advisor *advisor = user;
    const struct db_question question = {operation, problem, hash_if_ours, user, false, SIZE_MAX};
    if (db_answers(advisor->db, &question, advisor->rows, 1) != 1) return false;
    snprintf(config, size, "%s", advisor->rows[0].config);
    return true;
}

static void destroy(void *user) {
    struct advisor *advisor = user;
    db_close(advisor->db);
    portfolio_free(advisor->portfolio);
    free(advisor);
}

/* The context's own level counts. */
static void log_to(void *user, tess_log_level level, const char *line) {
    context_log(user, level, "%s", line);
}

tess_status tess_context_use_tuning(tess_context *ctx, const char *path) {
    return db_advise(ctx, path);
}

tess_status db_advise(tess_context *ctx, const char *path) {
    if (!ctx) return TESS_INVALID_ARGUMENT;
    if (ctx->bundle) return TESS_OK;
    struct advisor *advisor = calloc(1, sizeof *advisor);
    if (!advisor)
        return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "tuning database: no host memory");
    advisor->ctx = ctx;
    tess_status status = TESS_OK;
    if (db_exists(path)) status = db_open(path, log_to, ctx, &ctx->error, &advisor->db);
    if (!status && advisor->db) status = db_set_device(advisor->db, &ctx->device, &ctx->error);
    if (!status) status = portfolio_for_device(&ctx->device, &ctx->error, &advisor->portfolio);
    const struct conv_advisor table = {advisor, advise, lookup, destroy};
    if (!status) status = conv_advisor_set(ctx, &table);
    if (status) destroy(advisor);
    return status;
}

/* Nothing can lie below a file. */
tess_status db_step_aside(tess_context *ctx, struct db_aside *aside) {
    *aside = (struct db_aside){ctx->advisor, ctx->advisor_destroy};
    ctx->advisor = NULL;
    tess_status status = db_advise(ctx, "/dev/null/no database");
    if (status) db_step_back(ctx, aside);
    return status;
}

void db_step_back(tess_context *ctx, const struct db_aside *aside) {
    conv_advisor_set(ctx, NULL); /* removing cannot fail */
    ctx->advisor = aside->advisor;
    ctx->advisor_destroy = aside->destroy;
}
