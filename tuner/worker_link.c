#include "tuner/worker_link.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/status.h"

/* After fork: only async-signal-safe calls. */
static void become_worker(const char *program, char *const *argv, const int in[2], const int out[2],
                          bool verbose) {
    /* A signal from the terminal is the parent's to answer. */
    setpgid(0, 0);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = verbose ? -1 : open("/dev/null", O_WRONLY);
    if (dup2(in[0], STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0) _exit(127);
    if (null >= 0 && dup2(null, STDERR_FILENO) < 0) _exit(127);
    execv(program, argv);
    _exit(127);
}

static bool open_pipes(int in[2], int out[2]) {
    if (pipe(in)) return false;
    if (pipe(out)) {
        close(in[0]), close(in[1]);
        return false;
    }
    /* So that the next worker does not hold this one's pipe open. */
    const int all[] = {in[0], in[1], out[0], out[1]};
    for (int i = 0; i < 4; i++)
        fcntl(all[i], F_SETFD, FD_CLOEXEC);
    return true;
}

tess_status worker_start(const struct worker_options *options, tess_error *error,
                         struct worker_link *out) {
    const char *program = options->program ? options->program : "/proc/self/exe";
    char share[16];
    const char *argv[12] = {"tessera-tune", "--worker"};
    int count = 2;
    if (options->device) argv[count++] = "--device", argv[count++] = options->device;
    if (options->db) argv[count++] = "--db", argv[count++] = options->db;
    if (options->kernel_dir) argv[count++] = "--kernel-dir", argv[count++] = options->kernel_dir;
    if (options->share) argv[count++] = "--share", argv[count++] = share;
    snprintf(share, sizeof share, "%d", options->share);
    int in[2], from[2];
    if (!open_pipes(in, from))
        return error_set(error, TESS_IO, "tune: no pipe for a worker: %s; close other programs",
                         strerror(errno));
    pid_t pid = fork();
    if (pid == 0) become_worker(program, (char *const *)argv, in, from, options->verbose);
    close(in[0]), close(from[1]);
    if (pid < 0) {
        close(in[1]), close(from[0]);
        return error_set(error, TESS_IO,
                         "tune: a worker cannot be started: %s; close other programs",
                         strerror(errno));
    }
    *out = (struct worker_link){.pid = pid, .to = in[1], .from = {.fd = from[0]}};
    return TESS_OK;
}

/* Closes the pipes and collects the process; *status as waitpid gives it. */
static void reap(struct worker_link *link, int *status) {
    close(link->to);
    close(link->from.fd);
    message_reader_close(&link->from);
    while (waitpid(link->pid, status, 0) < 0 && errno == EINTR)
        ;
    link->pid = 0;
}

void worker_kill(struct worker_link *link) {
    int status;
    if (!link->pid) return;
    kill(link->pid, SIGKILL);
    reap(link, &status);
}

/* The pipe is closed, so the process is about to end by itself; a kill changes nothing then. */
static void describe_death(struct worker_link *link, char *cause, size_t size) {
    int status = 0;
    /* Time to write its core or run its exit handlers; a process that closed the pipe and goes on is killed. */
    for (int i = 0; i < 200; i++) {
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)link->pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid)
            break;
        struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
        nanosleep(&pause, NULL);
    }
    kill(link->pid, SIGKILL);
    reap(link, &status);
    if (WIFSIGNALED(status))
        snprintf(cause, size, "the worker process died of signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(cause, size, "the worker process ended with status %d", WEXITSTATUS(status));
}

enum worker_answer worker_ask(struct worker_link *link, json_t *request, double seconds,
                              json_t **reply, char *cause, size_t size) {
    snprintf(cause, size, "%s", "");
    bool sent = !request || message_send(link->to, request);
    enum message_result result =
        sent ? message_receive(&link->from, seconds, true, reply) : MESSAGE_END;
    if (result == MESSAGE_OK) return WORKER_ANSWERED;
    if (result == MESSAGE_END) {
        describe_death(link, cause, size);
        return WORKER_CRASHED;
    }
    worker_kill(link);
    if (result == MESSAGE_LATE) {
        snprintf(cause, size, "no answer in %.3g s; the worker process was killed", seconds);
        return WORKER_HUNG;
    }
    if (result == MESSAGE_SIGNAL) {
        snprintf(cause, size, "interrupted");
        return WORKER_INTERRUPTED;
    }
    snprintf(cause, size, "the worker process answered with something unreadable");
    return WORKER_CRASHED;
}
