#include "support/process.h"

#include "support/check.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

/* environ with one variable set; free() the array. */
static char **environment_with(char *variable) {
    size_t count = 0, name = strcspn(variable, "=") + 1;
    while (environ[count])
        count++;
    char **out = check_alloc((count + 2) * sizeof *out);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], variable, name) != 0) out[kept++] = environ[i];
    out[kept++] = variable;
    out[kept] = NULL;
    return out;
}

pid_t process_start(const char *const *arguments, const char *environment) {
    static char program[] = "/proc/self/exe";
    char *copies[10] = {program};
    for (int i = 0; arguments[i]; i++) {
        assert_true(i < 8);
        copies[i + 1] = strdup(arguments[i]);
    }
    char *variable = environment ? strdup(environment) : NULL;
    char **variables = variable ? environment_with(variable) : NULL;
    pid_t process = 0;
    int failed =
        posix_spawn(&process, program, NULL, NULL, copies, variables ? variables : environ);
    for (int i = 1; copies[i]; i++)
        free(copies[i]);
    free(variables);
    free(variable);
    if (failed) fail_msg("cannot start a process: %s", strerror(failed));
    return process;
}

int process_wait(pid_t process) {
    int status = 0;
    while (waitpid(process, &status, 0) < 0)
        if (errno != EINTR) fail_msg("cannot wait for a process: %s", strerror(errno));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
