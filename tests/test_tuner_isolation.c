/* The tuner's worker processes: they fail on purpose (tuner/faults.h), and nothing but one trial each is lost. */
#include "support/check.h"
#include "support/folder.h"

#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/embedded.h"
#include "tuner/ahead.h"
#include "tuner/runner_internal.h"
#include "tuner/tune_layer.h"

enum { CANDIDATES = 4, LAYERS_MAX = 60, TRIALS_MAX = 2000 };

/* One is clearly the fastest: it has 14 accumulators, the others 4 or one. Few programs for all layers. */
static const char *const configs[CANDIDATES] = {
    "conv_generic_fwd",
    "conv_direct_fwd__wt4_kv1_nt1_order0_cb0",
    "conv_direct_fwd__wt7_kv2_nt1_order0_cb0",
    "conv_direct_fwd__wt2_kv2_nt1_order0_cb0",
};

/* check-full sets TESSERA_TEST_FULL=1. */
static int faults_wanted(void) {
    const char *full = getenv("TESSERA_TEST_FULL");
    return full && strcmp(full, "1") == 0 ? 200 : 12;
}

struct session {
    struct db *db;
    struct runner *runner;
    struct tune_layer layers[LAYERS_MAX];
    int layer_count;
    char path[FOLDER_PATH_SIZE];
    enum db_status status[TRIALS_MAX]; /* of each trial, by number from 1 on */
    long trials;
    double build_seconds, run_seconds; /* the longest since they were set to 0 */
};

static void watch(void *user, const struct tune_layer *layer, const char *config,
                  const struct trial *trial) {
    struct session *session = user;
    (void)layer, (void)config;
    session->trials = runner_trials(session->runner);
    assert_true(session->trials < TRIALS_MAX);
    session->status[session->trials] = trial->status;
    session->build_seconds = fmax(session->build_seconds, trial->build_seconds);
    session->run_seconds =
        fmax(session->run_seconds, fmax(trial->verify_seconds, trial->run_seconds));
}

static void program_beside(char path[4096]) {
    ssize_t length = readlink("/proc/self/exe", path, 4000);
    assert_true(length > 0);
    path[length] = '\0';
    strcpy(strrchr(path, '/') + 1, "tessera-tune");
}

static struct runner_options quick_options(const char *program) {
    const char *device = getenv("TESSERA_DEVICE");
    return (struct runner_options){
        .worker = {.program = program, .device = device && *device ? NULL : "cpu"},
        .sample_seconds = 4e-3,
        .samples = 16,
        .macs = 2e5};
}

static struct conv_problem problem_of(int i) {
    char key[64];
    tess_conv_desc desc;
    tess_error error = {0};
    struct conv_problem problem;
    snprintf(key, sizeof key, "n1c%dh%dw32k32r3s3pt1pb1pl1pr1", 64 + 2 * (i / 4), 6 + i % 4);
    assert_int_equal(tess_conv_desc_parse(key, &error, &desc), TESS_OK);
    assert_int_equal(conv_problem_init(&desc, NULL, &error, &problem), TESS_OK);
    return problem;
}

/* Problem number, whose space is configs, as far as the device takes them. */
static void add_layer_of(struct session *session, int number) {
    tess_error error = {0};
    struct tune_layer *layer = &session->layers[session->layer_count];
    *layer = (struct tune_layer){.problem = problem_of(number), .count = 1, .best = -1};
    session->layer_count++;
    tess_conv_desc_key(&layer->problem.d, layer->key);
    struct space *all;
    struct candidate list[CANDIDATES];
    int count = 0;
    const struct space_options everything = {.hopeless = INFINITY};
    if (space_create(&layer->problem, runner_device(session->runner), &everything, &error, &all))
        fail_msg("%s", error.text);
    for (int pick = 0; pick < all->count; pick++)
        for (int i = 0; i < CANDIDATES; i++)
            if (space_find_printed(all, configs[i]) == pick) list[count++] = all->list[pick];
    assert_int_equal(count, CANDIDATES);
    if (space_from_list(&layer->problem, list, count, &error, &layer->space))
        fail_msg("%s", error.text);
    space_destroy(all);
}

static void add_layer(struct session *session) {
    add_layer_of(session, session->layer_count);
}

static const struct layer_settings settings = {
    .exhaustive = true, .seed = 3, .share = 1, .at_least = 1, .finalists = 4, .winner_macs = 1e6};

/* The last layer; seconds: for its search. */
static void tune_layer_for(struct session *session, double seconds, bool strict) {
    tess_error error = {0};
    struct layer_settings own = settings;
    struct layer_turn turn = {session->runner, session->db, &own, watch, session};
    own.strict = strict;
    struct tune_layer *layer = &session->layers[session->layer_count - 1];
    tess_status status = layer_open(layer, &turn, &error);
    if (!status) status = layer_search(layer, &turn, seconds, INFINITY, &error);
    if (!status) status = layer_finish(layer, &turn, &error);
    if (status) fail_msg("%s", error.text);
    assert_true(layer->best >= 0);
    assert_true(layer->verified);
}

static void tune_layer_whole(struct session *session) {
    tune_layer_for(session, INFINITY, false);
}

static void open_session(struct session *session, const char *folder, const char *name,
                         const struct runner_options *options) {
    tess_error error = {0};
    *session = (struct session){.layer_count = 0};
    folder_path(folder, name, session->path);
    if (db_open(session->path, NULL, NULL, &error, &session->db)) fail_msg("%s", error.text);
    if (runner_create(options, session->db, &error, &session->runner)) fail_msg("%s", error.text);
}

static void close_session(struct session *session) {
    runner_destroy(session->runner);
    db_close(session->db);
    for (int i = 0; i < session->layer_count; i++)
        layer_close(&session->layers[i]);
}

static void best_config(const struct session *session, int layer, char printed[CONV_CONFIG_SIZE]) {
    layer_config(&session->layers[layer], session->layers[layer].best, printed);
}

/* One integer of one row. */
static int query(const char *path, const char *sql) {
    sqlite3 *handle;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(path, &handle), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(handle, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int result = sqlite3_column_type(statement, 0) == SQLITE_TEXT
                     ? strcmp((const char *)sqlite3_column_text(statement, 0), "ok") == 0
                     : sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(handle);
    return result;
}

/* Every second trial was struck and is recorded as failed; every other one is as good as without faults. */
static int check_trials(const struct session *session) {
    int struck = 0;
    for (long t = 1; t <= session->trials; t++) {
        bool hit = (t + 1) % 2 == 0;
        struck += hit;
        if (hit != (session->status[t] != DB_OK))
            fail_msg("trial %ld %s, but is recorded as '%s'", t,
                     hit ? "was struck" : "was not struck", db_status_name(session->status[t]));
    }
    assert_int_equal(query(session->path, "PRAGMA integrity_check"), 1);
    assert_int_equal(query(session->path, "SELECT count(*) FROM trial"), session->trials);
    assert_int_equal(query(session->path, "SELECT count(*) FROM trial WHERE status = 0"), 0);
    assert_int_equal(query(session->path, "SELECT count(*) FROM trial WHERE status <> 1"), struck);
    assert_int_equal(query(session->path, "SELECT count(*) FROM trial WHERE status <> 1 AND"
                                          " (cause IS NULL OR cause = '')"),
                     0);
    return struck;
}

/* b's time as a share of a's, the least of three: other programs disturb more often than they help. */
static double ratio_of(struct session *session, int layer, const char *a, const char *b) {
    tess_error error = {0};
    struct runner_guesses guesses;
    bool good;
    double least = INFINITY;
    for (int i = 0; i < 3; i++) {
        struct trial trial;
        if (runner_open(session->runner, &session->layers[layer].problem, false, &error,
                        &guesses) ||
            runner_set_anchor(session->runner, a, 1, &error, &good) ||
            runner_final(session->runner, b, &(struct runner_rival){0}, &error, &trial))
            fail_msg("%s", error.text);
        assert_true(good);
        assert_int_equal(trial.status, DB_OK);
        least = fmin(least, trial.seconds); /* of the anchor's one second */
    }
    return least;
}

/* The winner of layer i of a session of its own, with faults. */
static void tune_again(const char *folder, const struct runner_options *options, int i, int number,
                       char winner[CONV_CONFIG_SIZE]) {
    struct session *session = check_alloc(sizeof *session);
    char name[32], faults[32];
    snprintf(name, sizeof name, "again%d.db", number);
    snprintf(faults, sizeof faults, "%d:skmskmskmh:2", number + 2);
    setenv("TESSERA_TUNE_FAULTS", faults, 1);
    open_session(session, folder, name, options);
    add_layer_of(session, i);
    tune_layer_whole(session);
    unsetenv("TESSERA_TUNE_FAULTS");
    best_config(session, 0, winner);
    close_session(session);
    free(session);
}

/* The next problem, without faults and then with them. Deadlines are a multiple of what the machine takes at this moment, which may be busy:
   what times out hangs. */
static void tune_both(struct session *calm, struct session *struck) {
    calm->build_seconds = calm->run_seconds = 0;
    add_layer(calm);
    tune_layer_whole(calm); /* all programs are in the cache now */
    struck->runner->options.build_seconds = 3 + 10 * calm->build_seconds;
    struck->runner->options.run_seconds = 2 + 10 * calm->run_seconds;
    setenv("TESSERA_TUNE_FAULTS", "1:skmskmskmh:2", 1);
    add_layer(struck);
    tune_layer_whole(struck);
    unsetenv("TESSERA_TUNE_FAULTS");
}

/* Layer i: the same winner in both sessions, or one as fast. Whether it was the same. */
static bool check_winner(struct session *calm, struct session *struck, const char *folder,
                         const struct runner_options *options, int i) {
    char a[CONV_CONFIG_SIZE], b[CONV_CONFIG_SIZE];
    best_config(calm, i, a);
    best_config(struck, i, b);
    if (strcmp(a, b) == 0) return true;
    double ratio = ratio_of(calm, i, a, b);
    for (int j = 0; ratio > 1.02 && j < 2; j++) {
        /* Was it the faults or the machine? Faults at other places would have to do it again. */
        tune_again(folder, options, i, 10 * i + j, b);
        ratio = strcmp(a, b) == 0 ? 1 : ratio_of(calm, i, a, b);
    }
    if (ratio > 1.02)
        fail_msg("%s: with faults %s won, %.3f times as slow as %s", calm->layers[i].key, b, ratio,
                 a);
    return false;
}

static void test_faults_cost_one_trial_each(void **state) {
    char folder[FOLDER_PATH_SIZE], program[4096];
    (void)state;
    folder_create(folder);
    program_beside(program);
    struct session *calm = check_alloc(sizeof *calm), *struck = check_alloc(sizeof *struck);
    struct runner_options options = quick_options(program);
    unsetenv("TESSERA_TUNE_FAULTS");
    open_session(calm, folder, "calm.db", &options);
    setenv("TESSERA_TUNE_FAULTS", "1:skmskmskmh:2", 1);
    open_session(struck, folder, "struck.db", &options);
    unsetenv("TESSERA_TUNE_FAULTS");
    while (struck->trials < 2 * faults_wanted() && struck->layer_count < LAYERS_MAX)
        tune_both(calm, struck);
    int faults = check_trials(struck), same = 0;
    print_message("%d faults in %ld trials of %d problems, %d workers\n", faults, struck->trials,
                  struck->layer_count, runner_workers(struck->runner));
    assert_true(faults >= faults_wanted());
    options.build_seconds = struck->runner->options.build_seconds;
    options.run_seconds = struck->runner->options.run_seconds;
    for (int i = 0; i < struck->layer_count; i++)
        same += check_winner(calm, struck, folder, &options, i);
    print_message("the same winner in %d problems, one as fast in %d\n", same,
                  struck->layer_count - same);
    close_session(calm), close_session(struck);
    free(calm), free(struck);
    folder_remove(folder);
}

/* A layer, opened in the session's worker for single trials. */
static void open_layer(struct session *session) {
    tess_error error = {0};
    struct runner_guesses guesses;
    add_layer(session);
    if (runner_open(session->runner, &session->layers[0].problem, false, &error, &guesses))
        fail_msg("%s", error.text);
}

/* The second failure puts a configuration into quarantine; others go on. */
static void test_quarantine(void **state) {
    char folder[FOLDER_PATH_SIZE], program[4096];
    (void)state;
    folder_create(folder);
    program_beside(program);
    struct session *session = check_alloc(sizeof *session);
    struct runner_options options = quick_options(program);
    setenv("TESSERA_TUNE_FAULTS", "1:k:1", 1); /* every trial */
    open_session(session, folder, "q.db", &options);
    unsetenv("TESSERA_TUNE_FAULTS");
    tess_error error = {0};
    open_layer(session);
    for (int i = 0; i < 3; i++) {
        bool quarantined;
        struct trial trial;
        assert_int_equal(runner_quarantined(session->runner, configs[0], &error, &quarantined),
                         TESS_OK);
        assert_int_equal(quarantined, i == 2);
        /* The environment of the first worker is what counts until it dies; after that nothing is struck. */
        if (i < 2) {
            setenv("TESSERA_TUNE_FAULTS", "1:k:1", 1);
            assert_int_equal(runner_try(session->runner, configs[0], 0, &error, &trial), TESS_OK);
            assert_int_equal(trial.status, DB_CRASHED);
            assert_non_null(strstr(trial.cause, "signal 9"));
            unsetenv("TESSERA_TUNE_FAULTS");
        }
    }
    bool quarantined = true;
    assert_int_equal(runner_quarantined(session->runner, configs[1], &error, &quarantined),
                     TESS_OK);
    assert_false(quarantined);
    close_session(session);
    free(session);
    folder_remove(folder);
}

/* All times of a problem are ratios to one and the same configuration: a lucky one does not become the scale of the next. */
static void test_anchor_stays(void **state) {
    char folder[FOLDER_PATH_SIZE], program[4096];
    (void)state;
    folder_create(folder);
    program_beside(program);
    struct session *session = check_alloc(sizeof *session);
    struct runner_options options = quick_options(program);
    options.sample_seconds = 1e-4; /* noisy on purpose */
    options.samples = 4;
    open_session(session, folder, "anchor.db", &options);
    tess_error error = {0};
    double first = 0, least = INFINITY, seconds;
    open_layer(session);
    for (int i = 0; i < 24; i++) {
        struct trial trial;
        assert_int_equal(runner_try(session->runner, configs[0], 0, &error, &trial), TESS_OK);
        assert_int_equal(trial.status, DB_OK);
        const char *anchor = runner_anchor(session->runner, &seconds);
        assert_string_equal(anchor, configs[0]);
        if (i == 0) first = trial.seconds;
        least = fmin(least, trial.seconds);
        /* Only who is half as fast again becomes the anchor. */
        assert_true(seconds == first || first / seconds > 1.5);
    }
    assert_true(least <= first);
    close_session(session);
    free(session);
    folder_remove(folder);
}

/* One row of an earlier tuning, slow: 4 accumulators. No time for a search; strict, so that no more than this and the untuned choice are met.
   ahead: as in the layer. */
static void meet_untuned(const char *ahead, char first[CONV_CONFIG_SIZE], int *builds) {
    char folder[FOLDER_PATH_SIZE], program[4096], winner[CONV_CONFIG_SIZE];
    folder_create(folder);
    program_beside(program);
    struct session *session = check_alloc(sizeof *session);
    struct runner_options options = quick_options(program);
    open_session(session, folder, "first.db", &options);
    struct tune_layer *layer = &session->layers[session->layer_count++];
    *layer = (struct tune_layer){.problem = problem_of(0), .count = 1, .best = -1};
    snprintf(layer->ahead, sizeof layer->ahead, "%s", ahead);
    tess_conv_desc_key(&layer->problem.d, layer->key);
    const struct db_subject subject = {.operation = "conv_fwd",
                                       .problem = layer->key,
                                       .dtype = "f32",
                                       .algo = "direct",
                                       .config = configs[3],
                                       .kernel_hash = runner_hash(session->runner, "direct"),
                                       .strict = true};
    const struct db_result result = {.status = DB_OK, .seconds = 10};
    tess_error error = {0};
    int64_t id;
    assert_int_equal(db_trial_begin(session->db, &subject, &error, &id), TESS_OK);
    assert_int_equal(db_trial_end(session->db, id, &result, &error), TESS_OK);
    tune_layer_for(session, 0, true);
    assert_int_equal(layer->resumed, 1);
    best_config(session, 0, winner);
    print_message("known: %s; untuned: %s; taken: %s; %d builds\n", configs[3], layer->first,
                  winner, session->runner->builds);
    assert_string_not_equal(layer->first, configs[3]);
    assert_true(layer->first_seconds > 0 && layer->best_seconds <= layer->first_seconds);
    assert_string_equal(winner, layer->first);
    snprintf(first, CONV_CONFIG_SIZE, "%s", layer->first);
    *builds = session->runner->builds;
    close_session(session);
    free(session);
    folder_remove(folder);
}

/* Rows of an earlier tuning may all be slower than what is taken untuned. It is measured even if there is no time for a search; and verified
   whole (six builds are counted for that), unless it was that already. */
static void test_untuned_choice_is_met(void **state) {
    char first[CONV_CONFIG_SIZE];
    int without, with;
    (void)state;
    meet_untuned("", first, &without);
    meet_untuned(first, first, &with);
    assert_true(without - with > 3); /* a new anchor is no finalist: one build less */
}

/* ---------------------------------------------------------------- ahead */

enum { JOBS = 5 };

struct seen {
    int done, right;
};

static void count_jobs(void *user, int done, int right, int count) {
    struct seen *seen = user;
    assert_int_equal(count, JOBS);
    assert_int_equal(done, ++seen->done);
    seen->right = right;
}

/* Whether it came to its end. */
static bool run_ahead(struct ahead_job jobs[JOBS], const char *kernels, const char *faults,
                      double seconds) {
    char program[4096];
    static struct conv_problem problems[JOBS];
    struct seen seen = {0};
    int right = 0;
    program_beside(program);
    struct worker_options worker = quick_options(program).worker;
    worker.kernel_dir = kernels;
    const struct ahead_options options = {
        .worker = worker, .workers = 2, .macs = 1e6, .seconds = seconds, count_jobs, &seen};
    for (int i = 0; i < JOBS; i++) {
        problems[i] = problem_of(i);
        jobs[i].problem = &problems[i];
    }
    if (faults) setenv("TESSERA_TUNE_FAULTS", faults, 1);
    bool whole = verify_ahead(&options, jobs, JOBS);
    unsetenv("TESSERA_TUNE_FAULTS");
    for (int i = 0; i < JOBS; i++)
        right += jobs[i].config[0] != 0;
    if (whole) assert_int_equal(seen.done, JOBS);
    assert_int_equal(seen.right, right);
    return whole;
}

/* Kernels whose products are so many times what they should be. */
static void write_kernels(const char *folder, const char *factor) {
    char text[100];
    snprintf(text, sizeof text, "#define FMA(a, b, c) ((a) * (b) * %s + (c))\n", factor);
    for (const struct embedded_source *s = embedded_sources; s->name; s++)
        folder_write_text(folder, s->name, strcmp(s->name, "common.clh") == 0 ? text : s->text);
}

static void check_verified(const struct ahead_job jobs[JOBS], bool (*wanted)(int number)) {
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(jobs[i].config[0] != 0, wanted(i + 1));
}
static bool all(int number) {
    return number > 0;
}
static bool none(int number) {
    return number < 0;
}
static bool even(int number) {
    return number % 2 == 0;
}
static bool not_third(int number) {
    return number != 3;
}

/* What is verified ahead is what the planner takes untuned; a wrong one is not; a job whose worker dies, runs out of memory or takes too long is left for later,
   and its neighbours are verified all the same. */
static void test_ahead(void **state) {
    char folder[FOLDER_PATH_SIZE], program[4096];
    struct ahead_job jobs[JOBS];
    (void)state;
    folder_create(folder);
    program_beside(program);
    struct session *session = check_alloc(sizeof *session);
    struct runner_options options = quick_options(program);
    open_session(session, folder, "ahead.db", &options);
    assert_true(run_ahead(jobs, NULL, NULL, 300));
    for (int i = 0; i < JOBS; i++) {
        struct runner_guesses guesses;
        tess_error error = {0};
        assert_int_equal(runner_open(session->runner, jobs[i].problem, false, &error, &guesses),
                         TESS_OK);
        assert_true(jobs[i].config[0]);
        assert_string_equal(jobs[i].config, guesses.first);
    }
    /* Numbers count from 1, and an odd one is struck. */
    assert_true(run_ahead(jobs, NULL, "1:skm:2", 300));
    check_verified(jobs, even);
    assert_true(run_ahead(jobs, NULL, "1:h:4", 10));
    check_verified(jobs, not_third);
    write_kernels(folder, "1.0f");
    assert_true(run_ahead(jobs, folder, NULL, 300));
    check_verified(jobs, all);
    write_kernels(folder, "0.999f");
    assert_true(run_ahead(jobs, folder, NULL, 300));
    check_verified(jobs, none);
    raise(SIGINT); /* blocked: it stays */
    assert_false(run_ahead(jobs, NULL, NULL, 300));
    sigset_t set;
    int number;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    assert_int_equal(sigwait(&set, &number), 0);
    close_session(session);
    free(session);
    folder_remove(folder);
}

/* A device that is not there is an error at once, not a row of restarts. */
static void test_no_device(void **state) {
    char folder[FOLDER_PATH_SIZE], program[4096], path[FOLDER_PATH_SIZE];
    (void)state;
    folder_create(folder);
    program_beside(program);
    folder_path(folder, "n.db", path);
    struct db *db;
    struct runner *runner = NULL;
    tess_error error = {0};
    struct runner_options options = {.worker = {.program = program, .device = "no such device"}};
    assert_int_equal(db_open(path, NULL, NULL, &error, &db), TESS_OK);
    assert_int_not_equal(runner_create(&options, db, &error, &runner), TESS_OK);
    assert_null(runner);
    assert_non_null(strstr(error.text, "no such device"));
    options.worker.program = "/nonexistent/tessera-tune";
    assert_int_not_equal(runner_create(&options, db, &error, &runner), TESS_OK);
    db_close(db);
    folder_remove(folder);
}

int main(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_device),    cmocka_unit_test(test_quarantine),
        cmocka_unit_test(test_anchor_stays), cmocka_unit_test(test_untuned_choice_is_met),
        cmocka_unit_test(test_ahead),        cmocka_unit_test(test_faults_cost_one_trial_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
