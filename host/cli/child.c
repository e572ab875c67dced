#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

double clock_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The child's process id, or -1. */
static pid_t start(const char *const *args, int out, bool loud) {
    posix_spawn_file_actions_t actions;
    pid_t child = -1;
    if (posix_spawn_file_actions_init(&actions)) return -1;
    int failed = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (!failed && !loud)
        failed =
            posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (!failed)
        failed = posix_spawn(&child, "/proc/self/exe", &actions, NULL, (char *const *)(void *)args,
                             environ);
    posix_spawn_file_actions_destroy(&actions);
    return failed ? -1 : child;
}

/* Hands out the whole lines of text and moves the rest to its beginning; a line without end in a full buffer is cut. */
static size_t hand_out(char *text, size_t used, size_t room, child_line *line, void *user) {
    char *from = text, *end;
    while ((end = memchr(from, '\n', used - (size_t)(from - text)))) {
        *end = '\0';
        line(user, from);
        from = end + 1;
    }
    used -= (size_t)(from - text);
    memmove(text, from, used);
    return used == room ? 0 : used;
}

/* Reads until the child closes its output; false: the time is over. */
static bool read_lines(int fd, double deadline, child_line *line, void *user) {
    char text[8192];
    size_t used = 0;
    for (;;) {
        double left = deadline - clock_seconds();
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int ready = left > 0 ? poll(&wait, 1, (int)(1000 * left) + 1) : 0;
        if (ready == 0) return false;
        if (ready < 0 && errno != EINTR) return true;
        if (ready < 0) continue;
        ssize_t got = read(fd, text + used, sizeof text - used);
        if (got <= 0) return true;
        used = hand_out(text, used + (size_t)got, sizeof text, line, user);
    }
}

struct child_end child_run(const char *const *args, double seconds, bool loud, child_line *line,
                           void *user) {
    struct child_end end = {0};
    int ends[2], status = 0;
    if (pipe(ends)) return end;
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    pid_t child = start(args, ends[1], loud);
    close(ends[1]);
    end.started = child > 0;
    if (end.started) {
        end.timed_out = !read_lines(ends[0], clock_seconds() + seconds, line, user);
        if (end.timed_out) kill(child, SIGKILL);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            continue;
        end.status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
        end.signal = WIFSIGNALED(status) && !end.timed_out ? WTERMSIG(status) : 0;
    }
    close(ends[0]);
    return end;
}
