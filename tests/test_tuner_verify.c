/* What the tuner's verification finds: faults planted in the kernels' sources, each in a process of its own, all of them rejected; valid
   configurations, none of them rejected.

   A fault is one textual change at one place of a kernel file. It counts only if it is one: if the kernel compiles, and what it leaves in
   memory is wrong by a check that shares no code with the tuner's: every element against tests/support/ref_conv.h, the memory around
   every operand, two runs over different old contents. A change that passes all that (or does not compile) is dropped. */
#include "support/check.h"
#include "support/folder.h"
#include "support/ref_conv.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/embedded.h"
#include "tuner/float64.h"
#include "tuner/measure.h"
#include "tuner/verify.h"

/* check-full sets TESSERA_TEST_FULL=1. */
static bool full(void) {
    const char *text = getenv("TESSERA_TEST_FULL");
    return text && strcmp(text, "1") == 0;
}

/* ---------------------------------------------------------------- kinds of faults */

enum kind { RAGGED, INDEX, OVERRUN, STALE, RACE, KINDS };
static const char *const kind_names[KINDS] = {"ragged edge", "swapped index", "overrun",
                                              "stale output", "race or incomplete sum"};

/* from -> to at one of the places where from stands. file NULL: in every kernel of a convolution. */
struct change {
    enum kind kind;
    const char *file, *from, *to;
};

static const struct change changes[] = {
    {RAGGED, NULL, " < ", " <= "},
    {RAGGED, NULL, " <= ", " < "},
    {RAGGED, NULL, " >= ", " > "},
    {RAGGED, NULL, " > 0", " >= 0"},
    {RAGGED, NULL, " - 1)", ")"},
    {RAGGED, NULL, " - 1)", " - 2)"},
    {RAGGED, NULL, " + 1)", ")"},
    {RAGGED, NULL, "min(", "max("},
    {RAGGED, NULL, "max(", "min("},
    {RAGGED, NULL, " + KB - 1) / KB", ") / KB"},
    {RAGGED, NULL, " != 0", " == 0"},
    {INDEX, NULL, " % P", " % Q"},
    {INDEX, NULL, " / P", " / Q"},
    {INDEX, NULL, " / Q", " / P"},
    {INDEX, NULL, " % Q", " % P"},
    {INDEX, NULL, " * W", " * H"},
    {INDEX, NULL, " * H", " * W"},
    {INDEX, NULL, " * K ", " * C "},
    {INDEX, NULL, " * C ", " * K "},
    {INDEX, NULL, "W * C", "W * K"},
    {INDEX, NULL, "DIM(U)", "DIM(V)"},
    {INDEX, NULL, "DIM(V)", "DIM(U)"},
    {INDEX, NULL, "DIM(PT)", "DIM(PL)"},
    {INDEX, NULL, "DIM(PL)", "DIM(PT)"},
    {INDEX, NULL, "DIM(D)", "DIM(E)"},
    {INDEX, NULL, "DIM(E)", "DIM(D)"},
    {INDEX, NULL, "x_h", "x_w"},
    {INDEX, NULL, "y_p", "y_q"},
    {INDEX, NULL, "y_q", "y_p"},
    {INDEX, NULL, "w_r", "w_s"},
    {INDEX, NULL, "w_s", "w_r"},
    {INDEX, NULL, " PT", " PL"},
    {INDEX, NULL, " PL", " PT"},
    {INDEX, NULL, "* D", "* E"},
    {INDEX, NULL, "* E", "* D"},
    {INDEX, NULL, "get_global_id(0)", "get_global_id(1)"},
    {INDEX, NULL, "get_global_id(1)", "get_global_id(0)"},
    {INDEX, NULL, "Cg", "Kg"},
    {INDEX, NULL, "Kg", "Cg"},
    {INDEX, NULL, "s0123", "s4567"},
    {INDEX, NULL, ".lo", ".hi"},
    {OVERRUN, NULL, "vstore16(v, 0, p)", "vstore16(v, 0, p + 1)"},
    {OVERRUN, NULL, "count >= 16) vstore", "count >= 1) vstore"},
    {OVERRUN, NULL, "count & 8", "count & 24"},
    {OVERRUN, NULL, "count & 1)", "count & 3)"},
    {OVERRUN, NULL, "p += 8", "p += 9"},
    {OVERRUN, NULL, "p += 4", "p += 3"},
    {OVERRUN, NULL, "Q - WT", "Q - WT + 1"},
    {OVERRUN, NULL, "count - WT", "count - WT + 1"},
    {OVERRUN, NULL, "kg - k", "kg"},
    {OVERRUN, NULL, "Kg - k0", "KB"},
    {OVERRUN, NULL, "Cg - c0", "KB"},
    {OVERRUN, NULL, "k >= K", "k > K"},
    {OVERRUN, NULL, "c >= C", "c > C"},
    {OVERRUN, NULL, ">= P * Q", "> P * Q"},
    {OVERRUN, NULL, ">= H * W", "> H * W"},
    {OVERRUN, NULL, ">= R * S", "> R * S"},
    {OVERRUN, NULL, "y[at]", "y[at + K]"},
    {OVERRUN, NULL, "out + at", "out + at + 1"},
    {OVERRUN, NULL, "dx[n", "dx[1 + n"},
    {OVERRUN, NULL, "dw[r", "dw[1 + r"},
    {OVERRUN, NULL, "dw[i]", "dw[i + 1]"},
    {OVERRUN, NULL, "i >= count", "i > count + 3"},
    {OVERRUN, NULL, "vectors) return", "vectors - 1) return"},
    {STALE, NULL, "y[at] =", "if (at % 7 != 3) y[at] ="},
    {STALE, NULL, "y[at] =", "if (at) y[at] ="},
    {STALE, NULL, "y[at] =", "if (n * 31 + pq != P * Q - 1) y[at] ="},
    {STALE, NULL, "y[at] =", "y[at] = y[at] * 1e-30f +"},
    {STALE, NULL, "dx[n", "if (hw != H * W - 1) dx[n"},
    {STALE, NULL, "dx[n", "if (c != 1) dx[n"},
    {STALE, NULL, "dx[n", "if (sum > -2.0f) dx[n"},
    {STALE, NULL, "dw[r", "if (rs != R * S - 1) dw[r"},
    {STALE, NULL, "dw[r", "if (sum < 1.5f) dw[r"},
    {STALE, NULL, "dw[i] =", "if (i != count - 1) dw[i] ="},
    {STALE, NULL, "dw[i] =", "if (i != 5) dw[i] ="},
    {STALE, NULL, "dw[i] =", "if (total > -1.0f) dw[i] ="},
    {STALE, NULL, "dw[i] =", "dw[i] +="},
    {STALE, NULL, "store_lanes(activate16", "if (j != WT - 1) store_lanes(activate16"},
    {STALE, NULL, "store_lanes(activate16", "if (v != KV - 1 || j) store_lanes(activate16"},
    {STALE, NULL, "store_lanes(activate16",
     "if (get_global_id(0) + get_global_id(1)) store_lanes(activate16"},
    {STALE, NULL, "tile += WT", "tile += WT + 1"},
    {STALE, NULL, "if (count & 4) {", "if (count & 64) {"},
    {STALE, NULL, "if (count & 2) {", "if (count & 64) {"},
    {STALE, NULL, "if (count & 1) *p", "if (count & 64) *p"},
    {STALE, NULL, "finish_tile(acc, y", "if (p) finish_tile(acc, y"},
    {STALE, NULL, "finish_tile(acc, out", "if (h != H - 1) finish_tile(acc, out"},
    {STALE, NULL, "vstore16(acc", "if (r) vstore16(acc"},
    {STALE, NULL, "vstore16(load_lanes", "if (i != 1) vstore16(load_lanes"},
    {STALE, NULL, "vstore16(vload16(0, value)", "if (i != vectors - 1) vstore16(vload16(0, value)"},
    {STALE, NULL, "fill_zeros(scratch,", "if (0) fill_zeros(scratch,"},
    {STALE, NULL, "fill_zeros(scratch +", "if (0) fill_zeros(scratch +"},
    {STALE, NULL, "bool known = fresh", "bool known = !fresh"},
    {STALE, NULL, "!fresh && ", ""},
    {RACE, NULL, "barrier(CLK_LOCAL_MEM_FENCE);", ";"},
    {RACE, NULL, "barrier(CLK_GLOBAL_MEM_FENCE);", ";"},
    {RACE, NULL, "(size_t)chunk *", "(size_t)(chunk / 2) *"},
    {RACE, NULL, "(size_t)chunk *", "(size_t)0 *"},
    {RACE, NULL, "* G * blocks + block)", "* G * blocks)"},
    {RACE, NULL, "chunk < chunks", "chunk + 1 < chunks"},
    {RACE, NULL, "chunk = 1;", "chunk = 2;"},
    {RACE, NULL, "total +=", "total ="},
    {RACE, NULL, "sum[chunk *", "sum[(chunk - 1) *"},
    {RACE, NULL, "sum += row;", "sum = row;"},
    {RACE, NULL, "float row = 0.0f", "float row = sum"},
    {RACE, NULL, "float sum = 0.0f", "float sum = 1e-3f"},
    {RACE, NULL, "sum = FMA(", "sum = FMA(0.999f * "},
    {RACE, NULL, "row = FMA(", "row = FMA(0.999f * "},
    {RACE, NULL, "acc[j][v] = FMA(x, w[v], acc[j][v])",
     "acc[j][v] = FMA(x, w[v], c == 1 ? (float16)(0.0f) : acc[j][v])"},
    {RACE, NULL, "acc[s][c][v] = FMA(a, g[v], acc[s][c][v])",
     "acc[s][c][v] = FMA(a, g[v], q == 1 ? (float16)(0.0f) : acc[s][c][v])"},
    {RACE, NULL, "r < R; r++", "r < R - 1; r++"},
    {RACE, NULL, "s < S; s++", "s < S - 1; s++"},
    {RACE, NULL, "c < Cg; c++", "c < Cg - 1; c++"},
    {RACE, NULL, "k < Kg; k++", "k < Kg - 1; k++"},
    {RACE, NULL, "c < channels; c++", "c < channels - 1; c++"},
    {RACE, NULL, "n < N; n++", "n < N - 1; n++"},
    {RACE, NULL, "p < P; p++", "p < P - 1; p++"},
    {RACE, NULL, "q < Q; q++", "q < Q - 1; q++"},
    {RACE, NULL, "row < row_last; row++", "row < row_last - 1; row++"},
    {RACE, NULL, "band += band_rows", "band += band_rows + 1"},
    {RACE, NULL, "band == row_first", "true"},
    {RACE, NULL, "int s = 0; s < taps", "int s = 1; s < taps"},
    {RACE, NULL, "n++;", ";"},
};
enum { CHANGES = sizeof changes / sizeof *changes };

/* ---------------------------------------------------------------- faults */

struct fault {
    const struct change *change;
    const struct embedded_source *source;
    size_t at; /* of change->from in the text */
};

enum { FAULTS_MAX = 4000 };

static bool is_conv_kernel(const char *name) {
    for (int i = 0; i < conv_algo_count; i++)
        if (strcmp(conv_algos[i]->kernel_file, name) == 0) return true;
    return false;
}

/* The sample of check leaves the others out. */
static bool builds_fast(const char *name) {
    return strcmp(name, "conv_generic.cl") == 0 || strcmp(name, "conv_direct.cl") == 0;
}

/* Behind the head comment and the parameters' defaults, where code begins. */
static size_t code_start(const char *text) {
    const char *last = text;
    for (const char *at = text; (at = strstr(at, "\n#include ")); at++)
        last = at;
    return (size_t)(last - text);
}

static int list_faults(struct fault *out) {
    int count = 0;
    for (const struct embedded_source *s = embedded_sources; s->name; s++) {
        if (!is_conv_kernel(s->name) || (!full() && !builds_fast(s->name))) continue;
        for (int i = 0; i < CHANGES; i++) {
            if (changes[i].file && strcmp(changes[i].file, s->name) != 0) continue;
            const char *at = s->text + code_start(s->text);
            while ((at = strstr(at, changes[i].from))) {
                assert_true(count < FAULTS_MAX);
                out[count++] = (struct fault){&changes[i], s, (size_t)(at - s->text)};
                at++;
            }
        }
    }
    return count;
}

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void shuffle(struct fault *list, int count, uint64_t seed) {
    for (int i = count - 1; i > 0; i--) {
        int j = (int)(next_random(&seed) % (uint64_t)(i + 1));
        struct fault kept = list[i];
        list[i] = list[j];
        list[j] = kept;
    }
}

/* A folder of all kernels, one of them changed. */
static void write_kernels(const char *folder, const struct fault *fault) {
    for (const struct embedded_source *s = embedded_sources; s->name; s++) {
        if (s != fault->source) {
            folder_write_text(folder, s->name, s->text);
            continue;
        }
        size_t from = strlen(fault->change->from), to = strlen(fault->change->to);
        char *text = check_alloc(s->size + to + 1);
        memcpy(text, s->text, fault->at);
        memcpy(text + fault->at, fault->change->to, to);
        strcpy(text + fault->at + to, s->text + fault->at + from);
        folder_write_text(folder, s->name, text);
        free(text);
    }
}

/* ---------------------------------------------------------------- is it a fault? */

enum { MARGIN = 16384 }; /* floats around each operand */

struct arena {
    tess_tensor *whole, *part;
    float *before; /* all of it */
    size_t count;  /* of part */
};

static struct arena make_arena(tess_context *ctx, tess_tensor_desc desc, const float *data,
                               float filling, float old) {
    struct arena a = {.count = tess_tensor_desc_elements(&desc)};
    size_t total = a.count + 2 * MARGIN;
    a.before = check_alloc(total * sizeof(float));
    for (size_t i = 0; i < total; i++)
        a.before[i] = filling;
    for (size_t i = 0; i < a.count; i++)
        a.before[MARGIN + i] = data ? data[i] : old;
    a.whole = check_tensor(ctx, desc_vector((int)total), a.before);
    assert_ok(ctx, tess_tensor_view(a.whole, &desc, MARGIN * sizeof(float), &a.part));
    return a;
}

/* Whether the margins, and with all also the operand, are as they were. Ends the arena; *result, if wanted, is the operand. */
static bool end_arena(struct arena *a, bool all, float **result) {
    float *after = check_read(a->whole);
    size_t total = a->count + 2 * MARGIN;
    /* NOLINTBEGIN(bugprone-suspicious-memory-comparison): bytes, poison included */
    bool same =
        memcmp(a->before, after, MARGIN * sizeof(float)) == 0 &&
        memcmp(a->before + total - MARGIN, after + total - MARGIN, MARGIN * sizeof(float)) == 0;
    if (all) same = same && memcmp(a->before, after, total * sizeof(float)) == 0;
    /* NOLINTEND(bugprone-suspicious-memory-comparison) */
    if (result) {
        *result = check_alloc(a->count * sizeof(float));
        memcpy(*result, after + MARGIN, a->count * sizeof(float));
    }
    free(after);
    free(a->before);
    tess_tensor_destroy(a->part), tess_tensor_destroy(a->whole);
    return same;
}

struct data {
    tess_conv_desc d;
    float *operand[3]; /* x, w, dy */
    tess_tensor_desc desc[3];
    double *want[3]; /* y, dx, dw */
};

static struct data make_data(const char *key) {
    struct data t = {0};
    tess_error error = {0};
    int p, q;
    if (tess_conv_desc_parse(key, &error, &t.d)) fail_msg("%s", error.text);
    assert_int_equal(tess_conv_out_size(&t.d, &error, &p, &q), TESS_OK);
    t.desc[0] = (tess_tensor_desc){TESS_F32, TESS_NHWC, t.d.n, t.d.c, t.d.h, t.d.w};
    t.desc[1] = (tess_tensor_desc){TESS_F32, TESS_RSCK, t.d.k, t.d.c / t.d.groups, t.d.r, t.d.s};
    t.desc[2] = (tess_tensor_desc){TESS_F32, TESS_NHWC, t.d.n, t.d.k, p, q};
    for (int i = 0; i < 3; i++) {
        size_t count = tess_tensor_desc_elements(&t.desc[i]);
        t.operand[i] = check_alloc(count * sizeof(float));
        check_random(t.operand[i], count, -1, 1, 40 + (uint64_t)i);
    }
    t.want[0] = ref_conv_fwd(&t.d, t.operand[0], t.operand[1], NULL, NULL, (tess_act){0});
    t.want[1] = ref_conv_bwd_data(&t.d, t.operand[2], t.operand[1]);
    t.want[2] = ref_conv_bwd_weights(&t.d, t.operand[0], t.operand[2]);
    return t;
}

static void free_data(struct data *t) {
    for (int i = 0; i < 3; i++)
        free(t->operand[i]), free(t->want[i]);
}

/* One run with margins of filling and old contents of old; false if anything about it is wrong. */
static bool run_is_right(tess_context *ctx, const struct data *t, tess_conv_plan *plan,
                         tess_conv_pass pass, float filling, float old) {
    static const int made[] = {2, 0, 1};
    int result = made[pass];
    struct arena a[4] = {{0}};
    for (int i = 0; i < 3; i++)
        a[i] = make_arena(ctx, t->desc[i], i == result ? NULL : t->operand[i], filling, old);
    size_t bytes = tess_conv_plan_info(plan).workspace;
    if (bytes) a[3] = make_arena(ctx, desc_vector((int)((bytes + 3) / 4)), NULL, filling, old);
    const tess_conv_args args = {
        .x = a[0].part, .w = a[1].part, .y = a[2].part, .workspace = a[3].part};
    assert_ok(ctx, tess_conv_plan_enqueue(plan, &args));
    assert_ok(ctx, tess_context_finish(ctx));
    float *got = NULL;
    bool right = true;
    for (int i = 0; i < 3; i++)
        right = end_arena(&a[i], i != result, i == result ? &got : NULL) && right;
    if (bytes) right = end_arena(&a[3], false, NULL) && right;
    size_t count = tess_tensor_desc_elements(&t->desc[result]);
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - t->want[pass][i]) <= 1e-4)) right = false;
    free(got);
    return right;
}

/* ---------------------------------------------------------------- one fault in one process */

enum outcome { ACCEPTED = 10, REJECTED, NO_FAULT, NO_BUILD };

static tess_context *open_context(const char *kernels) {
    tess_error error = {0};
    tess_context *ctx = NULL;
    const char *device = getenv("TESSERA_DEVICE");
    tess_context_options options = {.device = device && *device ? device : "cpu",
                                    .kernel_dir = kernels};
    return tess_context_create(&options, &error, &ctx) ? NULL : ctx;
}

/* Ragged for every tile; n p q is more than the smallest chunk of backward-weights. */
static const char *const fault_problems[] = {"n3c5h14w17k19r3s2u1v2pt1pb2pl2pr1d2e1",
                                             "n2c22h8w9k6r3s3u2v1pt2pb1pl1pr2g2",
                                             "n2c18h11w13k20r3s3pt1pb1pl1pr1", "n2c18h9w7k20r1s1"};
enum { FAULT_PROBLEMS = 4 };

/* NULL: the algorithm has nothing for the problem. Nothing compiled in: two programs a fault at most. */
static const char *config_of(tess_context *ctx, const struct conv_algo *algo,
                             const struct conv_problem *problem, char printed[CONV_CONFIG_SIZE]) {
    tess_conv_options options = {.pass = problem->pass, .algo = algo->name};
    struct conv_choice choice;
    if (conv_choose(ctx, problem, &options, &choice)) return NULL;
    conv_config_print(algo, problem->pass, &choice.config, printed);
    const char *part = strstr(printed, "__");
    return part ? part + 2 : "";
}

static enum outcome try_fault_on(tess_context *ctx, const struct conv_algo *algo, const char *key,
                                 tess_conv_pass pass) {
    struct data t = make_data(key);
    struct conv_problem problem;
    char printed[CONV_CONFIG_SIZE];
    tess_conv_options options = {.pass = pass, .algo = algo->name};
    enum outcome outcome = NO_FAULT;
    assert_ok(ctx, conv_problem_init(&t.d, &options, &ctx->error, &problem));
    options.config = config_of(ctx, algo, &problem, printed);
    if (!options.config) goto done;
    tess_conv_plan *plan = NULL;
    outcome = NO_BUILD;
    if (tess_conv_plan_create(ctx, &t.d, &options, &plan)) goto done;
    bool right =
        run_is_right(ctx, &t, plan, pass, 3, NAN) && run_is_right(ctx, &t, plan, pass, -4, 5);
    tess_conv_plan_destroy(plan);
    outcome = NO_FAULT;
    if (right) goto done;
    struct workbench *bench = NULL;
    struct instance *instance = NULL;
    struct verdict verdict = {.right = true};
    assert_ok(ctx, workbench_create(ctx, &problem, 2e7, false, &bench));
    assert_ok(ctx, instance_create(bench, printed, &instance));
    assert_ok(ctx, verify_instance(instance, &verdict));
    outcome = verdict.right ? ACCEPTED : REJECTED;
    instance_destroy(instance);
    workbench_destroy(bench);
done:
    free_data(&t);
    return outcome;
}

/* In the child: the first problem and pass on which it is a fault decides. */
static enum outcome try_fault(const char *folder, const struct fault *fault) {
    tess_context *ctx = open_context(folder);
    enum outcome outcome = NO_FAULT;
    if (!ctx) _exit(1);
    for (int i = 0; i < conv_algo_count && outcome == NO_FAULT; i++) {
        if (strcmp(conv_algos[i]->kernel_file, fault->source->name) != 0) continue;
        for (int j = 0; j < 3 * FAULT_PROBLEMS && outcome == NO_FAULT; j++)
            outcome = try_fault_on(ctx, conv_algos[i], fault_problems[j % FAULT_PROBLEMS],
                                   (tess_conv_pass)(j / FAULT_PROBLEMS));
    }
    return outcome;
}

static void print_fault(const struct fault *fault, const char *what) {
    int line = 1;
    for (size_t i = 0; i < fault->at; i++)
        line += fault->source->text[i] == '\n';
    print_message("%s: %s: %s:%d: '%s' -> '%s'\n", what, kind_names[fault->change->kind],
                  fault->source->name, line, fault->change->from, fault->change->to);
}

/* A child that crashes or does not end has a fault that the tuner's worker process would end with. */
static enum outcome fork_fault(const char *folder, const struct fault *fault) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* Of its own time: on a busy machine everything takes long. What waits for ever is ended too. */
        const struct rlimit cpu_seconds = {120, 130};
        static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS};
        (void)setrlimit(RLIMIT_CPU, &cpu_seconds);
        alarm(3600);
        /* cmocka's handler would go on with the next test, from whatever thread ran the kernel. */
        for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
            (void)signal(crashes[i], SIG_DFL);
        int null = open("/dev/null", O_WRONLY);
        if (null >= 0) dup2(null, STDERR_FILENO), dup2(null, STDOUT_FILENO);
        _exit((int)try_fault(folder, fault));
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status)) return REJECTED;
    if (WEXITSTATUS(status) < ACCEPTED || WEXITSTATUS(status) > NO_BUILD) {
        print_fault(fault, "not decided");
        fail_msg("the process that tried it ended with status %d", WEXITSTATUS(status));
    }
    return (enum outcome)WEXITSTATUS(status);
}

static void test_faults_are_rejected(void **state) {
    char folder[FOLDER_PATH_SIZE];
    struct fault *list = check_alloc(FAULTS_MAX * sizeof *list);
    int count = list_faults(list), of_kind[KINDS] = {0}, accepted = 0, total = 0, tried = 0;
    int wanted = full() ? 40 : 2; /* of each kind, as far as there are so many */
    (void)state;
    shuffle(list, count, 1);
    folder_create(folder);
    for (int i = 0; i < count; i++) {
        enum kind kind = list[i].change->kind;
        if (of_kind[kind] >= wanted && !(full() && total < 5 * wanted && i > count / 2)) continue;
        write_kernels(folder, &list[i]);
        enum outcome outcome = fork_fault(folder, &list[i]);
        tried++;
        if (outcome != ACCEPTED && outcome != REJECTED) continue;
        total++;
        if (total % 20 == 0) print_message("%d faults of %d changes so far\n", total, tried);
        of_kind[kind]++;
        if (outcome == REJECTED) continue;
        accepted++;
        print_fault(&list[i], "accepted");
    }
    print_message("%d faults of %d changes that were tried, %d of them accepted:", total, tried,
                  accepted);
    for (int i = 0; i < KINDS; i++) {
        print_message(" %d %s%s", of_kind[i], kind_names[i], i + 1 < KINDS ? "," : "\n");
        assert_true(of_kind[i] > 0);
    }
    assert_int_equal(accepted, 0);
    assert_true(total >= 5 * (full() ? wanted : 2));
    folder_remove(folder);
    free(list);
}

/* ---------------------------------------------------------------- valid configurations */

enum { PROGRAMS_MAX = 64 };

struct sweep {
    tess_context *ctx;
    struct workbench *bench;
    const struct conv_algo *algo;
    uint32_t programs[PROGRAMS_MAX]; /* hashes of those that are used: building is what costs */
    int program_count, program_limit;
    int checked, rejected;
};

/* Parameters that are arguments of the kernel, not part of its program, may take any value. */
static bool is_argument(const struct conv_param *param) {
    return strcmp(param->name, "chunk") == 0 || strcmp(param->name, "band") == 0;
}

static uint32_t program_hash(const struct conv_algo *algo, const struct conv_config *config,
                             tess_conv_pass pass) {
    uint32_t h = 2166136261u + (uint32_t)pass;
    for (const char *c = algo->name; *c; c++)
        h = (h ^ (unsigned char)*c) * 16777619u;
    for (int i = 0; i < algo->param_count; i++)
        if (!is_argument(&algo->params[i])) h = (h ^ (uint32_t)config->value[i]) * 16777619u;
    return h ^ h >> 15;
}

static bool is_fixed(const struct conv_algo *algo, const struct conv_config *config) {
    for (int i = 0; i < algo->param_count; i++)
        if (strcmp(algo->params[i].name, "fix") == 0 && config->value[i]) return true;
    return false;
}

/* Whether the configuration's program is one of those that are used; as long as there is room, every seventh new one becomes one. */
static bool use_program(struct sweep *sweep, const struct conv_config *config) {
    uint32_t hash = program_hash(sweep->algo, config, sweep->bench->problem.pass);
    for (int i = 0; i < sweep->program_count; i++)
        if (sweep->programs[i] == hash) return true;
    if (sweep->program_count == sweep->program_limit || hash % 7) return false;
    sweep->programs[sweep->program_count++] = hash;
    return true;
}

static int verify_config(void *user, const struct conv_config *config) {
    struct sweep *sweep = user;
    struct instance *instance = NULL;
    struct verdict verdict;
    char printed[CONV_CONFIG_SIZE];
    if (is_fixed(sweep->algo, config)) return 0;
    if (sweep->algo->param_count && !use_program(sweep, config)) return 0;
    conv_config_print(sweep->algo, sweep->bench->problem.pass, config, printed);
    assert_ok(sweep->ctx, instance_create(sweep->bench, printed, &instance));
    assert_ok(sweep->ctx, verify_instance(instance, &verdict));
    sweep->checked++;
    if (!verdict.right) {
        char key[TESS_CONV_KEY_SIZE];
        tess_conv_desc_key(&sweep->bench->problem.d, key);
        print_message("rejected: %s %s: %s\n", key, printed, verdict.cause);
        sweep->rejected++;
    }
    instance_destroy(instance);
    return 0;
}

/* A problem drawn at random, small and ragged. */
static bool draw_problem(uint64_t *state, tess_conv_desc *d) {
#define DRAW(low, high) ((low) + (int)(next_random(state) % (uint64_t)((high) - (low) + 1)))
    int groups = DRAW(0, 5) == 0 ? DRAW(2, 4) : 1;
    *d = (tess_conv_desc){.n = DRAW(1, 3),
                          .c = groups * DRAW(1, 20),
                          .h = DRAW(3, 15),
                          .w = DRAW(3, 19),
                          .k = groups * DRAW(1, 36),
                          .r = DRAW(1, 4),
                          .s = DRAW(1, 4),
                          .stride_h = DRAW(0, 2) == 0 ? 2 : 1,
                          .stride_w = DRAW(0, 2) == 0 ? 2 : 1,
                          .pad_top = DRAW(0, 2),
                          .pad_bottom = DRAW(0, 2),
                          .pad_left = DRAW(0, 2),
                          .pad_right = DRAW(0, 2),
                          .dilation_h = DRAW(0, 4) == 0 ? 2 : 1,
                          .dilation_w = DRAW(0, 4) == 0 ? 2 : 1,
                          .groups = groups,
                          .pad_mode = DRAW(0, 7) == 0 ? TESS_PAD_MIRROR : TESS_PAD_ZERO};
#undef DRAW
    tess_error error;
    struct conv_problem problem;
    return conv_problem_init(d, NULL, &error, &problem) == TESS_OK;
}

static void sweep_problem(struct sweep *sweep, const tess_conv_desc *d) {
    for (int pass = 0; pass < 3; pass++) {
        struct conv_problem problem;
        tess_context *ctx = sweep->ctx;
        tess_conv_options options = {.pass = (tess_conv_pass)pass};
        assert_ok(ctx, conv_problem_init(d, &options, &ctx->error, &problem));
        assert_ok(ctx, workbench_create(ctx, &problem, 1e6, false, &sweep->bench));
        for (int i = 0; i < conv_algo_count; i++) {
            sweep->algo = conv_algos[i];
            if (conv_algo_applicable(sweep->algo, &problem, &ctx->device))
                conv_config_each(sweep->algo, &problem, &ctx->device, verify_config, sweep);
        }
        workbench_destroy(sweep->bench);
    }
}

static void test_valid_configurations_pass(void **state) {
    struct sweep sweep = {.ctx = open_context(NULL), .program_limit = full() ? PROGRAMS_MAX : 16};
    uint64_t random = 5;
    int problems = 0, wanted = full() ? 4000 : 2000;
    (void)state;
    assert_non_null(sweep.ctx);
    while (sweep.checked < wanted) {
        tess_conv_desc d;
        if (!draw_problem(&random, &d)) continue;
        sweep_problem(&sweep, &d);
        problems++;
    }
    print_message("%d configurations on %d problems, %d programs: %d rejected\n", sweep.checked,
                  problems,
                  (int)(tess_context_counters(sweep.ctx).programs_compiled +
                        tess_context_counters(sweep.ctx).programs_loaded),
                  sweep.rejected);
    assert_int_equal(sweep.rejected, 0);
    tess_context_destroy(sweep.ctx);
}

/* Winners: whole, and on ragged problems. */
static void test_winners_pass(void **state) {
    static const char *const keys[] = {"n2c16h9w11k20r3s3pt1pb1pl1pr1", "n2c7h8w8k9r1s1",
                                       "n1c6h10w9k6r3s3pt1pb1pl1pr1g6"};
    tess_context *ctx = open_context(NULL);
    (void)state;
    assert_non_null(ctx);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (int pass = 0; pass < 3; pass++) {
            tess_conv_desc d;
            struct conv_problem problem;
            struct conv_choice choice;
            struct workbench *bench;
            struct verdict verdict = {.right = false};
            char printed[CONV_CONFIG_SIZE];
            tess_conv_options options = {.pass = (tess_conv_pass)pass};
            assert_ok(ctx, tess_conv_desc_parse(keys[i], &ctx->error, &d));
            assert_ok(ctx, conv_problem_init(&d, &options, &ctx->error, &problem));
            assert_ok(ctx, conv_choose(ctx, &problem, &options, &choice));
            conv_config_print(choice.algo, problem.pass, &choice.config, printed);
            assert_ok(ctx, workbench_create(ctx, &problem, 1e4, false, &bench));
            assert_ok(ctx, verify_winner(bench, printed, 1e5, &verdict));
            if (!verdict.right) fail_msg("%s %s: %s", keys[i], printed, verdict.cause);
            workbench_destroy(bench);
        }
    tess_context_destroy(ctx);
}

/* A reference that has drifted does not make times of nothing: a run takes a quarter of its fastest sample at least. */
static void test_drifted_reference(void **state) {
    tess_context *ctx = open_context(NULL);
    tess_conv_desc d = {.n = 1, .c = 3, .h = 8, .w = 8, .k = 4, .r = 3, .s = 3};
    struct conv_problem problem;
    struct workbench *bench = NULL;
    struct instance *pair[2] = {NULL, NULL};
    struct race_options options = {.reference = 1e-12, .sample_seconds = 1e-4, .samples = 4};
    struct race_result result;
    (void)state;
    assert_non_null(ctx);
    assert_ok(ctx, conv_problem_init(&d, NULL, &ctx->error, &problem));
    assert_ok(ctx, workbench_create(ctx, &problem, 1e4, false, &bench));
    for (int i = 0; i < 2; i++)
        assert_ok(ctx, instance_create(bench, "conv_generic_fwd", &pair[i]));
    assert_ok(ctx, race(pair[0], pair[1], &options, &result));
    assert_int_equal(result.sample_count, 4);
    double fastest = INFINITY;
    for (int i = 0; i < result.sample_count; i++)
        fastest = fmin(fastest, result.samples[i]);
    assert_true(result.seconds >= fastest / 4 && fastest > 0);
    instance_destroy(pair[0]);
    instance_destroy(pair[1]);
    workbench_destroy(bench);
    tess_context_destroy(ctx);
}

/* The answers themselves, against another program's. */
static void test_answers(void **state) {
    uint64_t random = 11;
    (void)state;
    for (int i = 0; i < 60;) {
        tess_conv_desc d;
        if (!draw_problem(&random, &d)) continue;
        char key[TESS_CONV_KEY_SIZE];
        tess_conv_desc_key(&d, key);
        struct data t = make_data(key);
        for (int pass = 0; pass < 3; pass++) {
            struct conv_problem problem;
            tess_error error = {0};
            tess_conv_options options = {.pass = (tess_conv_pass)pass};
            assert_int_equal(conv_problem_init(&d, &options, &error, &problem), TESS_OK);
            const struct float64_operands operands = {&problem, t.operand[0], t.operand[1],
                                                      t.operand[2]};
            for (size_t j = 0; j < float64_elements(&problem); j++)
                if (!(fabs(float64_at(&operands, j) - t.want[pass][j]) <= 1e-12 * 4000))
                    fail_msg("%s, %s: element %zu is %.15g, not %.15g", key,
                             conv_pass_name(problem.pass), j, float64_at(&operands, j),
                             t.want[pass][j]);
        }
        free_data(&t);
        i++;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_faults_are_rejected), /* forks: before this process opens a device */
        cmocka_unit_test(test_winners_pass),
        cmocka_unit_test(test_drifted_reference),
        cmocka_unit_test(test_valid_configurations_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
