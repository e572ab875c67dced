/* What the tuner's verification finds: faults planted in the kernels' sources, each in a process of its own, all of them rejected.

   A change of a kernel's text counts as a fault only if it is one: if the kernel compiles, and what it leaves in memory is wrong by
   a check that shares no code with the tuner's (tests/support/fault_case.h), in two runs over different old contents and in one whose
   work-items count from the end. A change that passes all that, or does not compile, is dropped. */
#include "support/check.h"
#include "support/fault_case.h"
#include "support/folder.h"
#include "support/planted_fault.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/context.h"
#include "core/program.h"
#include "tuner/verify.h"

/* check-full sets TESSERA_TEST_FULL=1. */
static bool full(void) {
    const char *text = getenv("TESSERA_TEST_FULL");
    return text && strcmp(text, "1") == 0;
}

/* A context of its own over the OpenCL objects of another one: the compiler's library of functions is loaded already. */
static tess_context *open_context(const tess_context *base, const char *kernels) {
    tess_error error = {0};
    tess_context *ctx = NULL;
    const tess_context_options options = {.cache_dir = "", /* nothing of this is wanted again */
                                          .kernel_dir = kernels};
    if (tess_context_adopt(base->cl, base->device.device, base->queue, &options, &error, &ctx))
        fail_msg("%s", error.text);
    return ctx;
}

/* ---------------------------------------------------------------- one fault in one process */

/* How the trial of a change ended, and its process: the exit status is the number. */
enum outcome {
    BY_TRIAL = 10, /* rejected as every candidate is verified */
    BY_WINNER,     /* rejected only as the winner of a search is: in both orders */
    BY_CRASH,
    BY_HANG,
    ACCEPTED,
    NO_EFFECT,
    NO_BUILD,
    OUTCOMES
};
static const char *const outcome_names[OUTCOMES] = {
    [BY_TRIAL] = "rejected in one order",
    [BY_WINNER] = "rejected in both orders only",
    [BY_CRASH] = "crashed",
    [BY_HANG] = "did not end",
    [ACCEPTED] = "accepted",
    [NO_EFFECT] = "dropped: right all the same",
    [NO_BUILD] = "dropped: does not compile",
};

static bool is_fault(enum outcome outcome) {
    return outcome != NO_EFFECT && outcome != NO_BUILD;
}

/* Ragged for every tile; n p q is more than the smallest chunk of backward-weights. */
static const char *const problem_keys[] = {
    "n3c5h14w17k19r3s2u1v2pt1pb2pl2pr1d2e1", "n2c22h8w9k6r3s3u2v1pt2pb1pl1pr2g2",
    "n2c18h11w13k20r3s3pt1pb1pl1pr1",        "n2c18h9w7k20r1s1",
    "n2c19h9w11k19r3s2u2v1pt1pb1pr1g19",     "n2c3h11w13k21r5s3u2v1pt2pb1pl1"};
enum { PROBLEMS = sizeof problem_keys / sizeof *problem_keys };

/* One change on one problem. */
struct attempt {
    tess_context *ctx;
    const struct conv_algo *algo;
    const struct fault_case *data;
    struct conv_problem problem;
    char printed[CONV_CONFIG_SIZE];
};

/* false: the algorithm has nothing for the problem. Nothing compiled in: two programs a fault at most. */
static bool choose_config(struct attempt *a) {
    tess_conv_options options = {.pass = a->problem.pass, .algo = a->algo->name};
    struct conv_choice choice;
    if (conv_choose(a->ctx, &a->problem, &options, &choice)) return false;
    conv_config_print(a->algo, a->problem.pass, &choice.config, a->printed);
    return true;
}

/* NO_EFFECT, NO_BUILD, or ACCEPTED for a fault that nobody has rejected yet. */
static enum outcome judge_runs(const struct attempt *a, bool reversed) {
    const char *part = strstr(a->printed, "__");
    tess_conv_options options = {.pass = a->problem.pass, .algo = a->algo->name};
    tess_conv_plan *plan = NULL;
    options.config = part ? part + 2 : "";
    a->ctx->reversed_ids = reversed;
    tess_status status = tess_conv_plan_create(a->ctx, &a->data->d, &options, &plan);
    a->ctx->reversed_ids = false;
    if (status) return NO_BUILD;
    bool right = fault_run_is_right(a->ctx, a->data, plan, a->problem.pass, 3, NAN) &&
                 (reversed || fault_run_is_right(a->ctx, a->data, plan, a->problem.pass, -4, 5));
    tess_conv_plan_destroy(plan);
    return right ? NO_EFFECT : ACCEPTED;
}

static enum outcome judge_verification(const struct attempt *a) {
    struct workbench *bench = NULL;
    struct instance *instance = NULL;
    struct verdict verdict = {.right = true};
    enum outcome outcome = BY_TRIAL;
    assert_ok(a->ctx, workbench_create(a->ctx, &a->problem, 2e7, false, &bench));
    assert_ok(a->ctx, instance_create(bench, a->printed, &instance));
    assert_ok(a->ctx, verify_instance(instance, &verdict));
    instance_destroy(instance);
    if (verdict.right) {
        assert_ok(a->ctx, verify_both_orders(bench, a->printed, &verdict));
        outcome = verdict.right ? ACCEPTED : BY_WINNER;
    }
    workbench_destroy(bench);
    return outcome;
}

/* Of its own time: on a busy machine everything takes long. A build takes 0.3 s. */
static void allow_seconds(unsigned seconds) {
    struct rusage used;
    struct rlimit limit;
    if (getrusage(RUSAGE_SELF, &used) || getrlimit(RLIMIT_CPU, &limit)) _exit(1);
    limit.rlim_cur = (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + seconds;
    (void)setrlimit(RLIMIT_CPU, &limit);
    alarm(1200); /* what waits for ever is ended too */
}

/* The fault, on a problem and pass that are known to show it. */
static enum outcome verified(const struct attempt *a) {
    allow_seconds(10);
    return judge_verification(a);
}

/* In the ordinary order on the first two problems that the algorithm can do, then with ids from the end on the first. */
static enum outcome try_pass(struct attempt *a, const struct fault_case *cases) {
    struct attempt on[2] = {*a, *a};
    int count = 0;
    for (int i = 0; i < PROBLEMS && count < 2; i++) {
        const tess_conv_options options = {.pass = a->problem.pass};
        on[count].data = &cases[i];
        assert_ok(a->ctx,
                  conv_problem_init(&cases[i].d, &options, &a->ctx->error, &on[count].problem));
        count += choose_config(&on[count]);
    }
    for (int i = 0; i < count + (count > 0); i++) {
        const struct attempt *now = &on[i % count];
        allow_seconds(5);
        enum outcome outcome = judge_runs(now, i == count);
        if (outcome == ACCEPTED) return verified(now);
        if (outcome != NO_EFFECT) return outcome;
    }
    return NO_EFFECT;
}

/* In the child: the first problem and pass on which it is a fault decides. */
static enum outcome try_fault(const tess_context *base, const char *folder,
                              const struct fault *fault, const struct fault_case *cases) {
    struct attempt a = {.ctx = open_context(base, folder)};
    for (int i = 0; i < conv_algo_count; i++) {
        if (!fault_concerns(fault, conv_algos[i])) continue;
        for (int pass = 0; pass < 3; pass++) {
            a.algo = conv_algos[i];
            a.problem.pass = (tess_conv_pass)pass;
            enum outcome outcome = try_pass(&a, cases);
            if (outcome != NO_EFFECT) return outcome;
        }
    }
    return NO_EFFECT;
}

static void silence(void) {
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS};
    /* cmocka's handler would go on with the next test, from whatever thread ran the kernel. */
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        (void)signal(crashes[i], SIG_DFL);
    int null = open("/dev/null", O_WRONLY);
    if (null >= 0) dup2(null, STDERR_FILENO), dup2(null, STDOUT_FILENO);
}

/* A change that a process of its own is trying. */
struct trial {
    pid_t child; /* 0: none */
    const struct fault *fault;
    char folder[FOLDER_PATH_SIZE];
};

static void start_trial(const tess_context *base, struct trial *trial, const struct fault *fault,
                        const struct fault_case *cases) {
    trial->fault = fault;
    fault_write(trial->folder, fault);
    fflush(NULL);
    trial->child = fork();
    assert_true(trial->child >= 0);
    if (trial->child) return;
    silence();
    _exit((int)try_fault(base, trial->folder, fault, cases));
}

/* A child that crashes or does not end has a fault that the tuner's worker process would end with. */
static enum outcome outcome_of(const struct fault *fault, int status) {
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGALRM ? BY_HANG : BY_CRASH;
    if (WEXITSTATUS(status) < BY_TRIAL || WEXITSTATUS(status) >= OUTCOMES) {
        fault_print(fault, "not decided");
        fail_msg("the process that tried it ended with status %d", WEXITSTATUS(status));
    }
    return (enum outcome)WEXITSTATUS(status);
}

/* ---------------------------------------------------------------- many faults */

struct tally {
    int faults, tried, of_kind[FAULT_KINDS], of_outcome[OUTCOMES];
    time_t start;
};

static void print_tally(const struct tally *tally) {
    print_message("%d faults of %d changes, after %d s:", tally->faults, tally->tried,
                  (int)(time(NULL) - tally->start));
    for (int i = 0; i < FAULT_KINDS; i++)
        print_message(" %d %s,", tally->of_kind[i], fault_kind_names[i]);
    for (int i = BY_TRIAL; i < OUTCOMES; i++)
        print_message(" %d %s%s", tally->of_outcome[i], outcome_names[i],
                      i + 1 < OUTCOMES ? "," : "\n");
}

static void count_outcome(struct tally *tally, const struct fault *fault, enum outcome outcome) {
    tally->tried++;
    tally->of_outcome[outcome]++;
    if (full() && tally->tried % 50 == 0) print_tally(tally);
    if (full()) fault_print(fault, outcome_names[outcome]);
    if (!is_fault(outcome)) return;
    tally->faults++;
    tally->of_kind[fault->change->kind]++;
    if (outcome == ACCEPTED && !full()) fault_print(fault, outcome_names[outcome]);
}

/* The sample of check leaves the others out. */
static bool builds_fast(const char *name) {
    return strcmp(name, "conv_generic.cl") == 0 || strcmp(name, "conv_direct.cl") == 0;
}

enum { TRIALS = 3 }; /* at a time: one may be waiting for the disk */

/* Waits for one of the children to end, and counts what it was trying. That one, free again. */
static struct trial *end_trial(struct trial trials[TRIALS], struct tally *tally) {
    int status;
    pid_t child = waitpid(-1, &status, 0);
    for (int i = 0; i < TRIALS; i++) {
        if (child <= 0 || trials[i].child != child) continue;
        trials[i].child = 0;
        count_outcome(tally, trials[i].fault, outcome_of(trials[i].fault, status));
        return &trials[i];
    }
    fail_msg("waiting for process %d, which is not ours", (int)child);
    return NULL;
}

/* Tries the list's changes until there are enough faults: wanted of each kind, as far as there are so many. */
static void try_all(const tess_context *base, const struct fault *list, int count, int wanted,
                    struct tally *tally) {
    struct trial trials[TRIALS] = {{0}};
    struct fault_case cases[PROBLEMS];
    int running = 0;
    for (int i = 0; i < PROBLEMS; i++)
        cases[i] = fault_case_make(problem_keys[i]);
    for (int i = 0; i < TRIALS; i++)
        folder_create(trials[i].folder);
    for (int i = 0; i < count && tally->faults < FAULT_KINDS * wanted; i++) {
        bool enough = tally->of_kind[list[i].change->kind] >= wanted;
        if (enough && !(full() && i > count / 2)) continue;
        struct trial *free_one = running < TRIALS ? &trials[running++] : end_trial(trials, tally);
        start_trial(base, free_one, &list[i], cases);
    }
    while (running-- > 0)
        end_trial(trials, tally);
    for (int i = 0; i < TRIALS; i++)
        folder_remove(trials[i].folder);
    for (int i = 0; i < PROBLEMS; i++)
        fault_case_free(&cases[i]);
}

static void test_faults_are_rejected(void **state) {
    struct fault *list = check_alloc(FAULTS_MAX * sizeof *list);
    struct tally tally = {.start = time(NULL)};
    int count = fault_list(full() ? NULL : builds_fast, 1, list);
    int wanted = full() ? 40 : 2;
    try_all(*state, list, count, wanted, &tally);
    print_tally(&tally);
    for (int i = 0; i < FAULT_KINDS; i++)
        assert_true(tally.of_kind[i] > 0);
    assert_int_equal(tally.of_outcome[ACCEPTED], 0);
    assert_true(tally.faults >= FAULT_KINDS * wanted);
    free(list);
}

/* ---------------------------------------------------------------- a write that another work-group covers */

/* Each work-item of igemm writes a row too many, which is the next work-item's first: in the order of their ids, that overwrites it.
   The row comes from beyond an array, or is zeros. */
static void test_covered_writes(void **state) {
    static const struct fault_change changes[] = {
        {FAULT_RACE, "i < MWI", "i <= MWI"},
        {FAULT_RACE, "out[at] = value;",
         "{ out[at] = value; if (i == MWI - 1 && m + 1 < m_end) out[at + row] = 0.0f; }"}};
    static const char place[] = "for (int i = 0; i < MWI; i++)\n#pragma unroll\n"
                                "        for (int j = 0; j < NWI; j++) {\n"
                                "            const int m = m0";
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        const struct fault fault =
            fault_at("conv_igemm.cl", &changes[i], i == 0 ? place : changes[i].from);
        char folder[FOLDER_PATH_SIZE];
        struct attempt a = {.algo = conv_algo_find("igemm")};
        struct fault_case data = fault_case_make("n2c18h9w7k20r1s1");
        struct workbench *bench = NULL;
        struct verdict verdict = {.right = true};
        folder_create(folder);
        fault_write(folder, &fault);
        a.ctx = open_context(*state, folder);
        assert_ok(a.ctx, conv_problem_init(&data.d, NULL, &a.ctx->error, &a.problem));
        assert_true(choose_config(&a));
        assert_ok(a.ctx, workbench_create(a.ctx, &a.problem, 2e7, false, &bench));
        assert_ok(a.ctx, verify_both_orders(bench, a.printed, &verdict));
        print_message("%s: %s\n", a.printed, verdict.cause);
        assert_false(verdict.right);
        assert_true(verdict.cause[0]);
        workbench_destroy(bench);
        tess_context_destroy(a.ctx);
        fault_case_free(&data);
        folder_remove(folder);
    }
}

/* ---------------------------------------------------------------- the device */

/* PoCL's device without threads: a process that has opened it can fork, and no child loads the compiler's library of functions
   again, which takes 0.7 s. It runs work-groups in the order of their ids: nothing is found by luck. Without optimisation a build
   takes 0.2 s in place of 2. */
static int set_up(void **state) {
    setenv("POCL_DEVICES", "basic", 1);
    setenv("POCL_EXTRA_BUILD_FLAGS", "-cl-opt-disable", 1);
    tess_error error = {0};
    tess_context *ctx = NULL;
    const tess_context_options options = {.device = "basic", .cache_dir = ""};
    struct program *program;
    if (tess_context_create(&options, &error, &ctx)) {
        print_error("%s\n", error.text);
        return -1;
    }
    *state = ctx;
    return program_get(ctx, "conv_generic.cl", "-DPASS=0", "warm-up", &program) ? -1 : 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults_are_rejected),
        cmocka_unit_test(test_covered_writes),
    };
    return cmocka_run_group_tests(tests, set_up, check_teardown);
}
