#include "tuner/ahead.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "bench/timing.h"
#include "db/db.h"

enum { WORKERS_MAX = 4, FAILURES_MAX = 3, POLL_MS = 50 };

/* A worker process and its job; without a job it is idle. */
struct member {
    struct worker_link link;
    struct ahead_job *job;
    bool greeted;
    double deadline;
    int failures; /* in a row */
};

struct crew {
    const struct ahead_options *options;
    struct ahead_job *jobs;
    int first, last, done, right, count; /* jobs first .. last - 1 are nobody's yet */
    struct member members[WORKERS_MAX];
};

int ahead_workers(void) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors < WORKERS_MAX ? (int)processors : WORKERS_MAX;
}

static json_t *request_of(const struct crew *crew, const struct ahead_job *job) {
    char key[TESS_CONV_KEY_SIZE];
    tess_conv_desc_key(&job->problem->d, key);
    return json_pack("{s:s, s:s, s:i, s:b, s:f, s:I}", "do", "untuned", "problem", key, "pass",
                     (int)job->problem->pass, "strict", crew->options->strict, "winner_macs",
                     crew->options->macs, "trial", (json_int_t)(job - crew->jobs + 1));
}

/* Neighbours in the list often share programs: every second member takes its jobs from the end, so that two seldom compile the same. */
static void assign(struct crew *crew, int i) {
    struct member *member = &crew->members[i];
    struct worker_options worker = crew->options->worker;
    tess_error ignored;
    worker.share = crew->options->workers;
    if (member->job || crew->first == crew->last || member->failures == FAILURES_MAX) return;
    if (!member->link.pid) {
        member->greeted = false;
        if (worker_start(&worker, &ignored, &member->link)) {
            member->failures = FAILURES_MAX;
            return;
        }
    }
    member->job = &crew->jobs[i % 2 ? --crew->last : crew->first++];
    member->deadline = timing_now() + crew->options->seconds;
    /* A broken pipe shows when the answer is waited for. */
    message_send(member->link.to, request_of(crew, member->job));
}

static void end_job(struct crew *crew, struct member *member, bool answered) {
    member->failures = answered ? 0 : member->failures + 1;
    member->job = NULL;
    crew->done++;
    crew->options->watch(crew->options->user, crew->done, crew->right, crew->count);
}

/* Takes a member's message, which is there or late. false: interrupted. */
static bool collect(struct crew *crew, struct member *member) {
    char cause[256];
    json_t *reply = NULL;
    double left = member->deadline - timing_now();
    enum worker_answer answer =
        worker_ask(&member->link, NULL, left > 0 ? left : 0, &reply, cause, sizeof cause);
    if (answer == WORKER_INTERRUPTED) return false;
    bool good =
        answer == WORKER_ANSWERED && json_integer_value(json_object_get(reply, "status")) == DB_OK;
    const char *config = json_string_value(json_object_get(reply, "config"));
    if (good && !member->greeted) {
        member->greeted = true;
        json_decref(reply);
        return !member->link.from.used || collect(crew, member); /* both came at once */
    }
    if (good && config) {
        snprintf(member->job->config, sizeof member->job->config, "%s", config);
        crew->right++;
    }
    json_decref(reply);
    end_job(crew, member, answer == WORKER_ANSWERED && member->greeted);
    if (!good) worker_kill(&member->link); /* what else is broken is not known */
    return true;
}

/* Waits for one message at least, or a while. */
static bool wait_for_some(struct crew *crew) {
    struct pollfd polled[WORKERS_MAX];
    for (int i = 0; i < WORKERS_MAX; i++)
        polled[i] = (struct pollfd){.fd = crew->members[i].job ? crew->members[i].link.from.fd : -1,
                                    .events = POLLIN};
    if (poll(polled, WORKERS_MAX, POLL_MS) < 0) return true; /* a signal, which shows elsewhere */
    for (int i = 0; i < WORKERS_MAX; i++) {
        struct member *member = &crew->members[i];
        if (!member->job || (!polled[i].revents && timing_now() < member->deadline)) continue;
        if (!collect(crew, member)) return false;
    }
    return !message_signal_pending();
}

static bool is_busy(const struct crew *crew) {
    for (int i = 0; i < WORKERS_MAX; i++)
        if (crew->members[i].job) return true;
    return false;
}

bool verify_ahead(const struct ahead_options *options, struct ahead_job *jobs, int count) {
    struct crew crew = {.options = options, .jobs = jobs, .last = count, .count = count};
    bool going = true;
    for (int i = 0; i < count; i++)
        jobs[i].config[0] = '\0';
    do {
        for (int i = 0; i < options->workers && i < WORKERS_MAX; i++)
            assign(&crew, i);
        if (!is_busy(&crew)) break;
        going = wait_for_some(&crew);
    } while (going);
    for (int i = 0; i < WORKERS_MAX; i++)
        worker_kill(&crew.members[i].link);
    return going;
}
