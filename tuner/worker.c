#include "tuner/worker.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/roof.h"
#include "db/db.h"
#include "ops/conv/conv_advice.h"
#include "tuner/faults.h"
#include "tuner/identity.h"
#include "tuner/measure.h"
#include "tuner/message.h"
#include "tuner/verify.h"
#include "tuner/worker_fc.h"

struct worker {
    tess_context *ctx;
    struct workbench *bench;
    struct identity *identity; /* NULL: no memory for it */
    struct instance *candidate, *anchor;
    struct faults faults;
    struct worker_fc fc;
    int out; /* where answers go */
};

/* ---------------------------------------------------------------- answers */

static enum db_status status_of(tess_status status) {
    switch (status) {
    case TESS_OK:
        return DB_OK;
    case TESS_BUILD_FAILED:
        return DB_BUILD_FAILED;
    case TESS_OUT_OF_HOST_MEMORY:
    case TESS_OUT_OF_DEVICE_MEMORY:
        return DB_OUT_OF_MEMORY;
    case TESS_OPENCL:
    case TESS_INTERNAL:
        return DB_CRASHED;
    default:
        return DB_REFUSED;
    }
}

static json_t *answer(enum db_status status, const char *cause) {
    return json_pack("{s:i, s:s}", "status", (int)status, "cause", cause ? cause : "");
}

static json_t *failed(struct worker *worker, tess_status status) {
    return answer(status_of(status), tess_context_last_error(worker->ctx));
}

static json_t *verdict_answer(const struct verdict *verdict) {
    json_t *reply = answer(verdict->right ? DB_OK : DB_WRONG_RESULT, verdict->cause);
    /* JSON has no infinity. */
    double err = verdict->max_err < 1e30 ? verdict->max_err : 1e30;
    if (reply) json_object_set_new(reply, "max_err", json_real(err));
    return reply;
}

/* ---------------------------------------------------------------- requests */

static const char *text_of(const json_t *request, const char *key) {
    const char *text = json_string_value(json_object_get(request, key));
    return text ? text : "";
}
static double number_of(const json_t *request, const char *key) {
    return json_number_value(json_object_get(request, key));
}
static long trial_of(const json_t *request) {
    return (long)number_of(request, "trial");
}

static void drop_instances(struct worker *worker) {
    instance_destroy(worker->candidate);
    instance_destroy(worker->anchor);
    worker->candidate = worker->anchor = NULL;
}

/* The planner's answer as key of the reply. */
static tess_status add_choice(struct worker *worker, bool strict, const char *key, json_t *reply) {
    const struct conv_problem *problem = &worker->bench->problem;
    const tess_conv_options options = {.pass = problem->pass, .strict = strict};
    struct conv_choice choice;
    tess_status status = conv_choose(worker->ctx, problem, &options, &choice);
    if (status) return status;
    char printed[CONV_CONFIG_SIZE];
    conv_config_print(choice.algo, problem->pass, &choice.config, printed);
    json_object_set_new(reply, key, json_string(printed));
    return TESS_OK;
}

/* What the planner says where nothing was tuned, and configurations that did well elsewhere. */
static tess_status add_guesses(struct worker *worker, const json_t *request, json_t *reply) {
    enum { ADVICE_MAX = 8 };
    const struct conv_problem *problem = &worker->bench->problem;
    const struct conv_advisor *advisor = worker->ctx->advisor;
    bool strict = json_is_true(json_object_get(request, "strict"));
    struct db_aside aside;
    tess_status status = db_step_aside(worker->ctx, &aside);
    if (status) return status;
    status = add_choice(worker, strict, "default", reply);
    if (!status) status = add_choice(worker, true, "strict_default", reply);
    db_step_back(worker->ctx, &aside);
    if (status) return status;
    struct conv_advice advice[ADVICE_MAX];
    int count =
        advisor ? advisor->advise(advisor->user, problem, strict, SIZE_MAX, advice, ADVICE_MAX) : 0;
    json_t *warm = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(warm, json_string(advice[i].config));
    json_object_set_new(reply, "warm", warm);
    return TESS_OK;
}

static json_t *do_open(struct worker *worker, const json_t *request) {
    tess_context *ctx = worker->ctx;
    drop_instances(worker);
    workbench_destroy(worker->bench);
    worker->bench = NULL;
    tess_conv_desc desc;
    struct conv_problem problem;
    tess_conv_options options = {.pass = (tess_conv_pass)number_of(request, "pass")};
    tess_status status = tess_conv_desc_parse(text_of(request, "problem"), &ctx->error, &desc);
    if (!status) status = conv_problem_init(&desc, &options, &ctx->error, &problem);
    if (!status)
        status = workbench_create(ctx, &problem, number_of(request, "macs"),
                                  json_is_true(json_object_get(request, "cold")), &worker->bench);
    json_t *reply = answer(DB_OK, NULL);
    if (!status) status = add_guesses(worker, request, reply);
    if (!status) return reply;
    json_decref(reply);
    return failed(worker, status);
}

static json_t *do_build(struct worker *worker, const json_t *request) {
    instance_destroy(worker->candidate);
    worker->candidate = NULL;
    if (!worker->bench) return answer(DB_REFUSED, "no problem is open");
    if (faults_strike(&worker->faults, trial_of(request), FAULT_BUILD))
        return answer(DB_OUT_OF_MEMORY, "building: out of memory");
    tess_status status =
        instance_create(worker->bench, text_of(request, "config"), &worker->candidate);
    if (status) return failed(worker, status);
    char identity[IDENTITY_SIZE] = "";
    if (worker->identity) identity_of(worker->identity, worker->candidate, identity);
    return json_pack("{s:i, s:f, s:I, s:s}", "status", DB_OK, "build_seconds",
                     worker->candidate->build_seconds, "bytes",
                     (json_int_t)worker->candidate->bytes, "identity", identity);
}

static json_t *do_verify(struct worker *worker, const json_t *request) {
    if (!worker->candidate) return answer(DB_REFUSED, "there is no candidate");
    if (faults_strike(&worker->faults, trial_of(request), FAULT_VERIFY))
        return answer(DB_OUT_OF_MEMORY, "verifying: out of memory");
    struct verdict verdict;
    tess_status status = verify_instance(worker->candidate, &verdict);
    return status ? failed(worker, status) : verdict_answer(&verdict);
}

static json_t *do_race(struct worker *worker, const json_t *request) {
    if (!worker->candidate) return answer(DB_REFUSED, "there is no candidate");
    if (faults_strike(&worker->faults, trial_of(request), FAULT_RACE))
        return answer(DB_OUT_OF_MEMORY, "timing: out of memory");
    struct race_options options = {.reference = number_of(request, "reference"),
                                   .best = number_of(request, "best"),
                                   .sample_seconds = number_of(request, "sample_seconds"),
                                   .samples = (int)number_of(request, "samples")};
    struct race_result result;
    tess_status status = race(worker->candidate, worker->anchor, &options, &result);
    if (status) return failed(worker, status);
    json_t *samples = json_array();
    for (int i = 0; i < result.sample_count; i++)
        json_array_append_new(samples, json_real(result.samples[i]));
    return json_pack("{s:i, s:f, s:f, s:f, s:f, s:b, s:o}", "status", DB_OK, "seconds",
                     result.seconds, "clock", result.clock, "mad", result.mad, "ratio",
                     result.ratio, "aborted", result.aborted, "samples", samples);
}

static json_t *do_adopt(struct worker *worker, const json_t *request) {
    (void)request;
    if (!worker->candidate) return answer(DB_REFUSED, "there is no candidate");
    instance_destroy(worker->anchor);
    worker->anchor = worker->candidate;
    worker->candidate = NULL;
    return answer(DB_OK, NULL);
}

static json_t *do_winner(struct worker *worker, const json_t *request) {
    if (!worker->bench) return answer(DB_REFUSED, "no problem is open");
    struct verdict verdict;
    tess_status status = verify_winner(worker->bench, text_of(request, "config"),
                                       number_of(request, "macs"), &verdict);
    return status ? failed(worker, status) : verdict_answer(&verdict);
}

/* Opens a problem and verifies whole what the planner takes untuned. Without macs the opening has the fewest answers: verify_winner makes its own. */
static json_t *do_untuned(struct worker *worker, const json_t *request) {
    json_t *opened = do_open(worker, request), *reply;
    const char *config = text_of(opened, "default");
    if (json_integer_value(json_object_get(opened, "status")) != DB_OK) return opened;
    for (int stage = 0; stage < FAULT_STAGES; stage++)
        if (faults_strike(&worker->faults, trial_of(request), (enum fault_stage)stage)) {
            json_decref(opened);
            return answer(DB_OUT_OF_MEMORY, "verifying: out of memory");
        }
    struct verdict verdict;
    tess_status status =
        verify_winner(worker->bench, config, number_of(request, "winner_macs"), &verdict);
    reply = status ? failed(worker, status) : verdict_answer(&verdict);
    if (reply) json_object_set_new(reply, "config", json_string(config));
    json_decref(opened);
    return reply;
}

static json_t *do_fc(struct worker *worker, const json_t *request) {
    struct worker_fc_result result;
    tess_status status = worker_fc_run(&worker->fc, worker->ctx, request, &result);
    if (status) return failed(worker, status);
    return json_pack("{s:i, s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "status",
                     result.right ? DB_OK : DB_WRONG_RESULT, "cause",
                     result.right ? "" : "elements differ from the float64 product", "max_err",
                     result.max_err, "seconds", result.seconds, "mad", result.mad, "build_seconds",
                     result.build_seconds, "verify_seconds", result.verify_seconds, "run_seconds",
                     result.run_seconds);
}

static json_t *do_peak(struct worker *worker, const json_t *request) {
    (void)request;
    struct fma_roof roof;
    tess_status status = fma_roof_create(worker->ctx, &roof);
    if (status) return failed(worker, status);
    struct timed work = {.run = fma_roof_run, .user = &roof};
    status = timing_interleaved(worker->ctx, &work, 1, NULL);
    double peak = roof.flops / work.median;
    fma_roof_destroy(&roof);
    return status ? failed(worker, status) : json_pack("{s:i, s:f}", "status", DB_OK, "peak", peak);
}

static json_t *handle(struct worker *worker, const json_t *request) {
    static const struct {
        const char *name;
        json_t *(*run)(struct worker *, const json_t *);
    } requests[] = {{"open", do_open}, {"build", do_build}, {"verify", do_verify},
                    {"race", do_race}, {"adopt", do_adopt}, {"winner", do_winner},
                    {"peak", do_peak}, {"fc", do_fc},       {"untuned", do_untuned}};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        if (strcmp(requests[i].name, text_of(request, "do")) == 0)
            return requests[i].run(worker, request);
    return answer(DB_REFUSED, "no such request");
}

/* ---------------------------------------------------------------- process */

/* The device's memory is this process's on CPUs. A configuration that wants more than the machine has fails in its allocation,
   not by the machine's swapping. RLIMIT_DATA counts what may be written to, not address space, of which compilers reserve a lot. */
static void limit_memory(int share) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages <= 0 || page <= 0) return;
    rlim_t bytes = (rlim_t)pages * (rlim_t)page / 4 * 3 / (rlim_t)(share > 1 ? share : 1);
    struct rlimit limit = {bytes, bytes};
    setrlimit(RLIMIT_DATA, &limit);
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

/* Answers keep standard output's pipe for themselves: drivers print. */
static int take_output(void) {
    int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (out >= 0) dup2(STDERR_FILENO, STDOUT_FILENO);
    return out;
}

static json_t *greeting(struct worker *worker) {
    char device[WORKER_DEVICE_SIZE], hash[65];
    worker_device_print(tess_context_device(worker->ctx), device);
    json_t *hashes = json_object();
    for (int i = 0; i < conv_algo_count; i++) {
        tess_status status = db_algo_hash(worker->ctx, conv_algos[i], hash);
        if (status) {
            json_decref(hashes);
            return failed(worker, status);
        }
        json_object_set_new(hashes, conv_algos[i]->name, json_string(hash));
    }
    return json_pack("{s:i, s:s, s:o}", "status", DB_OK, "device", device, "hashes", hashes);
}

static void serve(struct worker *worker) {
    struct message_reader reader = {.fd = STDIN_FILENO};
    json_t *request;
    while (message_receive(&reader, -1, false, &request) == MESSAGE_OK) {
        json_t *reply = handle(worker, request);
        json_decref(request);
        if (!message_send(worker->out, reply)) break;
    }
    message_reader_close(&reader);
}

int worker_main(const struct worker_setup *setup) {
    struct worker worker = {.out = take_output()};
    if (worker.out < 0) return 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* also in the middle of a kernel that never ends */
    signal(SIGPIPE, SIG_IGN);
    limit_memory(setup->share);
    faults_read(&worker.faults);
    tess_error error = {0};
    tess_context_options options = {
        .device = setup->device, .kernel_dir = setup->kernel_dir, .profiling = true};
    tess_status status = tess_context_create(&options, &error, &worker.ctx);
    if (status) {
        message_send(worker.out, answer(DB_REFUSED, error.text));
        return 1;
    }
    /* A driver's handler may turn a crash into a hang: PoCL's does. */
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    signal(SIGILL, SIG_DFL);
    worker.identity = identity_create(worker.ctx);
    if (setup->db) db_advise(worker.ctx, setup->db); /* advice is welcome, not needed */
    if (message_send(worker.out, greeting(&worker))) serve(&worker);
    drop_instances(&worker);
    workbench_destroy(worker.bench);
    identity_destroy(worker.identity);
    tess_context_destroy(worker.ctx);
    return 0;
}

/* ---------------------------------------------------------------- the device as text */

void worker_device_print(const tess_device_info *device, char text[WORKER_DEVICE_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    tess_device_info copy = *device;
    copy.platform = NULL;
    copy.device = NULL;
    unsigned char bytes[sizeof copy];
    memcpy(bytes, &copy, sizeof copy);
    for (size_t i = 0; i < sizeof bytes; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * sizeof bytes] = '\0';
}

static int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool worker_device_parse(const char *text, tess_device_info *out) {
    unsigned char bytes[sizeof *out];
    if (strlen(text) != 2 * sizeof bytes) return false;
    for (size_t i = 0; i < sizeof bytes; i++) {
        int high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    memcpy(out, bytes, sizeof bytes);
    return true;
}
