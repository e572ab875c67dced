/* `tessera tune`, run as a user would: wrong usage, a rapid tune that the planner then answers from, interruption and resumption. */
#include "support/folder.h"
#include "support/program.h"

#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db/db.h"
#include "ops/conv/conv_algo.h"
#include "tuner/trial_log.h"

static void check_usage(const char *const *args, const char *text) {
    struct program_result result = program_run(args);
    assert_string_equal(result.out, "");
    assert_program(result, 2, text);
}

#define USAGE(text, ...) check_usage((const char *const[]){"tune", __VA_ARGS__, NULL}, text)

static void test_usage(void **state) {
    (void)state;
    check_usage((const char *const[]){"tune", NULL}, "nothing to tune");
    USAGE("n c h w k r s", "--problem", "n1c3");
    USAGE("larger than", "--problem", "n1c3h2w2k4r5s5");
    USAGE("not in the zoo", "--net", "resnet51");
    USAGE("--input: '64x64' is not CxHxW", "--net", "resnet18", "--input", "64x64");
    USAGE("--classes: '0' is not a whole number", "--net", "resnet18", "--classes", "0");
    USAGE("--width: '65' is not a number", "--net", "resnet18", "--width", "65");
    USAGE("has its own sizes", "--problem", "n1c3h8w8k4r3s3", "--input", "3x64x64");
    USAGE("--mode", "--problem", "n1c3h8w8k4r3s3", "--mode", "thorough");
    USAGE("fwd,bwd_data", "--problem", "n1c3h8w8k4r3s3", "--pass", "fwd,back");
    USAGE("fwd,bwd_data", "--problem", "n1c3h8w8k4r3s3", "--pass", "fwd,");
    USAGE("--budget", "--problem", "n1c3h8w8k4r3s3", "--budget", "0");
    USAGE("--budget", "--problem", "n1c3h8w8k4r3s3", "--budget", "nan");
    USAGE("--batch", "--problem", "n1c3h8w8k4r3s3", "--batch", "1.5");
    USAGE("--batch", "--problem", "n1c3h8w8k4r3s3", "--batch", "0");
    USAGE("--seed", "--problem", "n1c3h8w8k4r3s3", "--seed", "x");
    USAGE("--fast: unknown or ambiguous option of tune", "--problem", "n1c3h8w8k4r3s3", "--fast");
    USAGE("'resnet50' is one argument too many", "--problem", "n1c3h8w8k4r3s3", "resnet50");
    USAGE("--problem: a value is missing", "--problem");
    USAGE("n64c4096k4096", "--fc", "n64");
    USAGE("n64c4096k4096", "--fc", "n64c0k3");
    USAGE("--fc", "--problem", "n1c3h8w8k4r3s3", "--clblast", "5");
    assert_program(RUN("tune", "--help"), 0, "exhaustive");
    assert_program(RUN("tune", "--problems", "/nonexistent/list"), 1, "/nonexistent/list");
    assert_program(RUN("tune", "--problem", "n1c3h8w8k4r3s3", "--device", "no such device"), 1,
                   "no such device");
    assert_program(RUN("tune", "--problem", "n1c3h8w8k4r3s3", "--json", "/nonexistent/x.json"), 1,
                   "/nonexistent/x.json");
}

/* Lines of JSON text whose event is event; the last of them in *last (a new reference), which may be NULL. */
static int count_events(const char *text, const char *event, json_t **last) {
    int count = 0;
    for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
        json_t *line = json_loadb(text, (size_t)(end - text), 0, NULL);
        assert_non_null(line);
        const char *name = json_string_value(json_object_get(line, "event"));
        assert_non_null(name);
        bool wanted = strcmp(name, event) == 0;
        count += wanted;
        if (wanted && last) {
            json_decref(*last);
            *last = json_incref(line);
        }
        json_decref(line);
    }
    return count;
}

/* Ended well; progress may stand on standard error. */
static void end_done(struct program_result *result) {
    if (result->status != 0) fail_msg("status %d: %s", result->status, result->err);
    program_free(result);
}

static const char key[] = "n1c8h9w10k16r3s3u1v1pt1pb1pl1pr1d1e1g1";

/* What a layer's line must hold, whatever the device. */
static void check_layer_line(json_t *line) {
    static const char *const numbers[] = {"ms", "default_ms", "gain", "gflops"};
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "problem")), key);
    assert_string_equal(json_string_value(json_object_get(line, "pass")), "fwd");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_true(json_real_value(json_object_get(line, numbers[i])) > 0);
    /* The default is tried first: what wins is at least as fast. */
    assert_true(json_real_value(json_object_get(line, "gain")) >= 1);
    assert_true(json_is_true(json_object_get(line, "verified")));
}

/* The last trial says where its time went. */
static void check_trial_times(const char *text) {
    static const char *const parts[] = {"build_s", "verify_s", "run_s", "search_s"};
    json_t *line = NULL;
    count_events(text, "trial", &line);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        double seconds = json_real_value(json_object_get(line, parts[i]));
        if (!(seconds > 0 && seconds < 30)) fail_msg("%s: %g", parts[i], seconds);
    }
    /* Its own clock, where it has one, runs within the host's. */
    const json_t *clock = json_object_get(line, "device_clock");
    assert_true(json_is_null(clock) ||
                (json_real_value(clock) > 0 && json_real_value(clock) < 1.1));
    json_decref(line);
}

/* What the planner answers for a forward pass, with the database in the default place or as if there were none. */
struct planned {
    char tier[32], config[128];
};
static struct planned plan(const char *problem, bool strict, bool tuned) {
    tess_context *ctx;
    tess_conv_desc desc;
    tess_conv_plan *plan = NULL;
    struct db_aside aside;
    struct planned planned;
    tess_error error = {0};
    const tess_conv_options options = {.strict = strict};
    assert_int_equal(check_setup((void **)&ctx), 0);
    assert_ok(ctx, db_advise(ctx, NULL));
    if (!tuned) assert_ok(ctx, db_step_aside(ctx, &aside));
    assert_int_equal(tess_conv_desc_parse(problem, &error, &desc), TESS_OK);
    assert_ok(ctx, tess_conv_plan_create(ctx, &desc, &options, &plan));
    tess_conv_info info = tess_conv_plan_info(plan);
    snprintf(planned.tier, sizeof planned.tier, "%s", info.tier);
    snprintf(planned.config, sizeof planned.config, "%s", info.config);
    tess_conv_plan_destroy(plan);
    if (!tuned) db_step_back(ctx, &aside);
    tess_context_destroy(ctx);
    return planned;
}

static void test_tune_then_plan(void **state) {
    char folder[FOLDER_PATH_SIZE], json[FOLDER_PATH_SIZE];
    (void)state;
    folder_create(folder);
    folder_path(folder, "log.json", json);
    setenv("XDG_DATA_HOME", folder, 1);
    struct program_result result = RUN("tune", "--problem", key, "--pass", "fwd", "--mode", "rapid",
                                       "--budget", "5", "--json", json);
    assert_non_null(strstr(result.out, "configuration"));
    end_done(&result);
    json_t *line = NULL;
    char *text = folder_read(folder, "log.json", NULL);
    int trials = count_events(text, "trial", NULL);
    assert_true(trials >= 1);
    check_trial_times(text);
    assert_int_equal(count_events(text, "layer", &line), 1);
    check_layer_line(line);
    assert_int_equal(json_integer_value(json_object_get(line, "evaluations")), trials);
    assert_int_equal(json_integer_value(json_object_get(line, "resumed")), 0);

    const struct planned planned = plan(key, false, true);
    assert_string_equal(planned.tier, "exact");
    assert_string_equal(planned.config, json_string_value(json_object_get(line, "config")));
    json_decref(line);
    free(text);

    /* Again: what was measured counts, and is not measured again. */
    result = RUN("tune", "--problem", key, "--pass", "fwd", "--mode", "rapid", "--budget", "0.1",
                 "--json", "-");
    line = NULL;
    assert_int_equal(count_events(result.out, "layer", &line), 1);
    assert_true(json_integer_value(json_object_get(line, "resumed")) >= 1);
    assert_true(json_integer_value(json_object_get(line, "evaluations")) < trials + 6);
    json_decref(line);
    end_done(&result);
    folder_remove(folder);
}

/* Puts a good trial into the database in the default place. kernel_hash NULL: that of the algorithm's kernel. */
static void record(const struct db_subject *wanted, double seconds) {
    tess_context *ctx;
    struct db *db;
    char hash[65];
    int64_t id;
    struct db_subject subject = *wanted;
    const struct db_result result = {.status = DB_OK, .seconds = seconds};
    assert_int_equal(check_setup((void **)&ctx), 0);
    if (!subject.kernel_hash) {
        assert_ok(ctx, db_algo_hash(ctx, conv_algo_find(subject.algo), hash));
        subject.kernel_hash = hash;
    }
    assert_int_equal(db_open(NULL, NULL, NULL, NULL, &db), TESS_OK);
    assert_int_equal(db_set_device(db, tess_context_device(ctx), NULL), TESS_OK);
    assert_int_equal(db_trial_begin(db, &subject, NULL, &id), TESS_OK);
    assert_int_equal(db_trial_end(db, id, &result, NULL), TESS_OK);
    db_close(db);
    tess_context_destroy(ctx);
}

/* Milliseconds of a configuration's last good trial in lines of JSON; 0: there is none. */
static double last_time(const char *text, const char *config) {
    double ms = 0;
    for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
        json_t *line = json_loadb(text, (size_t)(end - text), 0, NULL);
        const char *event = json_string_value(json_object_get(line, "event"));
        const char *own = json_string_value(json_object_get(line, "config"));
        const char *status = json_string_value(json_object_get(line, "status"));
        if (strcmp(event, "trial") == 0 && strcmp(own, config) == 0 && strcmp(status, "ok") == 0)
            ms = json_number_value(json_object_get(line, "ms"));
        json_decref(line);
    }
    return ms;
}

/* On CPUs Winograd wins here. Such a tuning leaves nobody worse off who demands strict math: the planner takes what it takes untuned, or,
   where strict configurations were met, the fastest of them, and what it takes untuned is one. */
static void check_strict(bool met) {
    static const char problem[] = "n1c64h28w28k64r3s3u1v1pt1pb1pl1pr1d1e1g1";
    char folder[FOLDER_PATH_SIZE];
    folder_create(folder);
    setenv("XDG_DATA_HOME", folder, 1);
    if (met)
        record(&(struct db_subject){.operation = "conv_fwd",
                                    .problem = problem,
                                    .dtype = "f32",
                                    .algo = "direct",
                                    .config = "conv_direct_fwd__wt2_kv2_nt1_order0_cb0",
                                    .strict = true},
               1);
    const struct planned before = plan(problem, true, false);
    assert_null(strstr(before.config, "winograd"));
    struct program_result result = RUN("tune", "--problem", problem, "--pass", "fwd", "--mode",
                                       "rapid", "--budget", "0.1", "--json", "-");
    const struct planned after = plan(problem, true, true), fastest = plan(problem, false, true);
    double untuned = last_time(result.out, before.config);
    assert_string_equal(fastest.tier, "exact");
    if (met) assert_string_equal(after.tier, "exact");
    if (strcmp(after.tier, "exact") == 0) {
        double strict = last_time(result.out, after.config);
        double least = last_time(result.out, fastest.config);
        assert_true(0 < least && least <= strict && strict <= untuned);
    } else {
        assert_string_equal(after.config, before.config);
    }
    print_message("%s; strict: %s (%s)\n", fastest.config, after.config, after.tier);
    end_done(&result);
    folder_remove(folder);
}

static void test_strict_after_tuning(void **state) {
    (void)state;
    check_strict(false);
    check_strict(true);
}

/* Several problems in rapid: what is taken untuned, also under --strict, is verified whole before the first trial, and said to be. */
static void check_ahead(const char *strict) {
    static const char *const problems[] = {"n1c16h14w14k32r3s3u1v1pt1pb1pl1pr1d1e1g1",
                                           "n1c32h14w14k48r1s1u1v1pt0pb0pl0pr0d1e1g1"};
    char folder[FOLDER_PATH_SIZE];
    folder_create(folder);
    setenv("XDG_DATA_HOME", folder, 1);
    struct program_result result =
        RUN("tune", "--problem", problems[0], "--problem", problems[1], "--pass", "fwd", "--mode",
            "rapid", "--budget", "0.1", "--json", "-", strict);
    assert_int_equal(strstr(result.err, "2/2 untuned choices verified") != NULL,
                     sysconf(_SC_NPROCESSORS_ONLN) > 1);
    int layers = 0;
    for (const char *text = result.out, *end; (end = strchr(text, '\n')); text = end + 1) {
        json_t *line = json_loadb(text, (size_t)(end - text), 0, NULL);
        const char *ahead = json_string_value(json_object_get(line, "ahead"));
        if (ahead && sysconf(_SC_NPROCESSORS_ONLN) > 1) {
            struct planned untuned = plan(problems[layers], strict != NULL, false);
            assert_string_equal(ahead, untuned.config);
            assert_true(json_is_true(json_object_get(line, "verified")));
        }
        layers += ahead != NULL;
        json_decref(line);
    }
    assert_int_equal(layers, 2);
    end_done(&result);
    folder_remove(folder);
}

static void test_verified_ahead(void **state) {
    (void)state;
    check_ahead(NULL);
    check_ahead("--strict");
}

/* The fastest backend of an operation in lines of JSON, as many lines as there are, and the backends in *seen: a bit each. */
static const char *fastest_backend(const char *text, const char *operation, char name[16],
                                   unsigned *seen) {
    static const char *const backends[] = {"conv", "clblast", "stream"};
    double last[3] = {0}; /* a later one takes an earlier one's place */
    *seen = 0;
    for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
        json_t *line = json_loadb(text, (size_t)(end - text), 0, NULL);
        const char *own = json_string_value(json_object_get(line, "operation"));
        const char *backend = json_string_value(json_object_get(line, "backend"));
        double ms = json_number_value(json_object_get(line, "ms"));
        for (unsigned i = 0; own && strcmp(own, operation) == 0 && i < 3; i++) {
            if (strcmp(backend, backends[i]) != 0) continue;
            *seen |= 1u << i;
            if (ms > 0) last[i] = ms;
        }
        json_decref(line);
    }
    double least = INFINITY;
    for (int i = 0; i < 3; i++) {
        if (!(last[i] > 0 && last[i] < least)) continue;
        least = last[i];
        snprintf(name, 16, "%s", backends[i]);
    }
    return name;
}

/* What a plan in the default database's light takes for n1c24k8's forward pass. */
static void check_backend(bool repack, const char *backend) {
    tess_context *ctx;
    tess_fc *fc = NULL;
    assert_int_equal(check_setup((void **)&ctx), 0);
    assert_ok(ctx, db_advise(ctx, NULL));
    const tess_fc_desc desc = {.n = 1, .c = 24, .k = 8, .forward_only = true, .repack = repack};
    assert_ok(ctx, tess_fc_create(ctx, &desc, &fc));
    tess_fc_info info = tess_fc_pass_info(fc, TESS_CONV_FWD);
    assert_string_equal(info.tier, "exact");
    assert_string_equal(info.backend, backend);
    tess_fc_destroy(fc);
    tess_context_destroy(ctx);
}

/* A measurement of the streaming backend that nobody can beat. */
static void record_stream(const char *operation) {
    record(&(struct db_subject){.operation = operation,
                                .problem = "n1c24k8",
                                .dtype = "f32",
                                .algo = "stream",
                                .config = "stream",
                                .kernel_hash = "",
                                .strict = true},
           1e-12);
}

/* A fully connected layer: all backends measured, with weights that stay and that are packed in each call, the fastest taken by the next
   plan, parameters of CLBlast found and taken up. */
static void test_fully_connected(void **state) {
    char folder[FOLDER_PATH_SIZE], json[FOLDER_PATH_SIZE], fixed[16], repacked[16];
    unsigned seen;
    (void)state;
    folder_create(folder);
    setenv("XDG_DATA_HOME", folder, 1);
    folder_path(folder, "log.json", json);
    struct program_result result =
        RUN("tune", "--fc", "n1c24k8", "--pass", "fwd", "--clblast", "0.1", "--json", json);
    assert_non_null(strstr(result.out, " taken, "));
    assert_non_null(strstr(result.out, "times as fast as "));
    end_done(&result);
    char *text = folder_read(folder, "log.json", NULL);
    check_backend(false, fastest_backend(text, "fc_fwd", fixed, &seen));
    assert_int_equal(seen, 7);
    check_backend(true, fastest_backend(text, "fc_fwd_repack", repacked, &seen));
    assert_int_equal(seen, 7);
    free(text);

    record_stream("fc_fwd_repack");
    check_backend(true, "stream");
    check_backend(false, fixed);

    result = RUN("bench", "fc", "--problem", "n1c24k8", "--repack", "--json", "-");
    json_t *row = json_loadb(result.out, strcspn(result.out, "\n"), 0, NULL);
    assert_int_equal(json_object_size(json_object_get(row, "backends")), 3);
    assert_string_equal(json_string_value(json_object_get(row, "taken")), "stream");
    assert_true(json_number_value(json_object_get(row, "times")) > 0);
    json_decref(row);
    end_done(&result);
    folder_remove(folder);
}

/* Every trial of a session, as the replay of searches reads it. */
static void test_record(void **state) {
    char folder[FOLDER_PATH_SIZE], path[FOLDER_PATH_SIZE], name[400];
    (void)state;
    folder_create(folder);
    setenv("XDG_DATA_HOME", folder, 1);
    struct program_result result = RUN("tune", "--problem", key, "--pass", "fwd", "--mode", "rapid",
                                       "--budget", "1", "--record", folder);
    end_done(&result);
    snprintf(name, sizeof name, "fwd_%s.jsonl.gz", key);
    folder_path(folder, name, path);
    struct trial_log *log = NULL;
    tess_error error = {0};
    if (trial_log_read(path, &error, &log)) fail_msg("%s", error.text);
    assert_string_equal(log->problem, key);
    assert_true(log->count >= 1 && log->space >= log->count);
    bool any = false;
    for (int i = 0; i < log->count; i++)
        any |= strcmp(log->trials[i].status, "ok") == 0 && log->trials[i].seconds > 0;
    assert_true(any);
    trial_log_destroy(log);
    folder_remove(folder);
}

/* A folder that cannot be written is found before anything is tuned: one line, no trial. */
static void test_record_nowhere(void **state) {
    char folder[FOLDER_PATH_SIZE], file[FOLDER_PATH_SIZE], json[FOLDER_PATH_SIZE];
    (void)state;
    folder_create(folder);
    folder_write_text(folder, "file", "");
    folder_path(folder, "file", file);
    folder_path(folder, "log.json", json);
    setenv("XDG_DATA_HOME", folder, 1);
    const char *const nowhere[] = {"/nonexistent/folder", file};
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++)
        assert_program(RUN("tune", "--problem", key, "--pass", "fwd", "--mode", "rapid", "--budget",
                           "0.1", "--json", json, "--record", nowhere[i]),
                       1, nowhere[i]);
    /* Not even the report was begun; and a folder that is good is left as it was. */
    assert_int_equal(folder_count(folder), 1);
    tess_error error = {0};
    assert_int_equal(trial_log_try_folder(folder, &error), TESS_OK);
    assert_int_equal(folder_count(folder), 1);
    folder_remove(folder);
}

/* A signal at any moment: one line that says so, a database that is whole, and the same command goes on. */
static void test_interrupt_and_resume(void **state) {
    static const int signals[] = {SIGINT, SIGTERM, SIGINT, SIGINT};
    static const int after_ms[] = {150, 700, 1500, 4000};
    char folder[FOLDER_PATH_SIZE], db[FOLDER_PATH_SIZE];
    const char *const args[] = {"tune", "--problem", key, "--mode", "patient", "--budget",
                                "600",  "--db",      db,  "--json", "-",       NULL};
    int resumed = 0;
    (void)state;
    folder_create(folder);
    folder_path(folder, "t.db", db);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct program_result result = program_run_signal(
            args, &(struct program_signal){.signal = signals[i], .after_ms = after_ms[i]});
        /* Before it blocks them, a signal ends it at once. */
        if (result.status == -signals[i] && i == 0) {
            program_free(&result);
            continue;
        }
        resumed = count_events(result.out, "trial", NULL);
        assert_non_null(strstr(result.err, "interrupted"));
        assert_int_equal(result.status, 1);
        program_free(&result);
    }
    json_t *line = NULL;
    struct program_result result = RUN("tune", "--problem", key, "--pass", "fwd", "--budget", "0.1",
                                       "--mode", "rapid", "--db", db, "--json", "-");
    assert_int_equal(count_events(result.out, "layer", &line), 1);
    check_layer_line(line);
    if (resumed > 0) assert_true(json_integer_value(json_object_get(line, "resumed")) > 0);
    json_decref(line);
    end_done(&result);
    folder_remove(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_tune_then_plan),
        cmocka_unit_test(test_fully_connected),
        cmocka_unit_test(test_record),
        cmocka_unit_test(test_record_nowhere),
        cmocka_unit_test(test_interrupt_and_resume),
        cmocka_unit_test(test_strict_after_tuning),
        cmocka_unit_test(test_verified_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
