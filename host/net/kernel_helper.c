#include "net/kernel_helper.h"

#include "core/program_cache.h"
#include "net/net.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct kernel_helper {
    pid_t child;
    int socket; /* a byte wakes the child, its end stops it */
    bool woken;
    tess_context *ctx; /* NULL: not attached */
};

/* ---------------------------------------------------------------- the child */

static bool parent_lives(void *user) {
    const int *socket = user;
    char byte;
    return recv(*socket, &byte, 1, MSG_DONTWAIT | MSG_PEEK) != 0;
}

static bool wait_for_byte(int socket) {
    char byte;
    ssize_t got;
    do
        got = recv(socket, &byte, 1, 0);
    while (got < 0 && errno == EINTR);
    return got == 1;
}

/* Nobody is to hear of the child. */
static bool silence(void) {
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool done = null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(null, STDOUT_FILENO) >= 0 &&
                dup2(null, STDERR_FILENO) >= 0;
    if (null > STDERR_FILENO) close(null);
    return done;
}

/* What fails here fails in the parent, too, which says so. */
static void work(const struct kernel_helper_job *job, int socket) {
    tess_context *ctx = NULL;
    tess_net *net = NULL;
    const struct net_debug debug = {.go_on = parent_lives, .go_on_user = &socket};
    if (!wait_for_byte(socket) || !silence() || job->context(job->user, &ctx)) return;
    (void)net_create(ctx, job->graph, job->options, &debug, &net);
}

/* ---------------------------------------------------------------- the parent */

static bool wanted(const struct kernel_helper_job *job) {
    const char *off = getenv("TESSERA_KERNEL_HELPER");
    if (off && strcmp(off, "0") == 0) return false;
    if (job->options && job->options->memory_limit) return false;
    return sysconf(_SC_NPROCESSORS_ONLN) > 1;
}

struct kernel_helper *kernel_helper_start(const struct kernel_helper_job *job) {
    int ends[2];
    struct kernel_helper *helper = wanted(job) ? calloc(1, sizeof *helper) : NULL;
    if (!helper) return NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) {
        free(helper);
        return NULL;
    }
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    helper->socket = ends[0];
    helper->child = fork();
    if (helper->child == 0) {
        close(ends[0]);
        work(job, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    if (helper->child > 0) return helper;
    close(helper->socket);
    free(helper);
    return NULL;
}

static void wake(void *user) {
    struct kernel_helper *helper = user;
    if (!helper->woken) (void)send(helper->socket, "", 1, MSG_NOSIGNAL);
    helper->woken = true;
}

void kernel_helper_attach(struct kernel_helper *helper, tess_context *ctx) {
    const char *cache = getenv("POCL_KERNEL_CACHE");
    if (!helper || ctx->bundle || strcmp(ctx->device.platform_name, POCL_PLATFORM) != 0 ||
        (cache && strcmp(cache, "0") == 0))
        return;
    helper->ctx = ctx;
    ctx->slow_build = wake;
    ctx->slow_build_user = helper;
}

void kernel_helper_end(struct kernel_helper *helper) {
    if (!helper) return;
    if (helper->ctx) helper->ctx->slow_build = NULL;
    close(helper->socket);
    /* In the middle of a kernel it would not see the end for a second or two; by now nobody waits for that kernel. */
    if (helper->woken) kill(helper->child, SIGKILL);
    while (waitpid(helper->child, NULL, 0) < 0 && errno == EINTR)
        continue;
    free(helper);
}
