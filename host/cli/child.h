/* This program once more as a child, for what may crash or hang: drivers. */
#ifndef TESSERA_CLI_CHILD_H
#define TESSERA_CLI_CHILD_H

#include <stdbool.h>

/* Seconds of a clock that only moves forward. */
double clock_seconds(void);

/* Called with each line that the child prints on standard output, without its newline; may change it. */
typedef void child_line(void *user, char *line);

struct child_end {
    bool started;
    bool timed_out; /* it was killed */
    int status;     /* exit status */
    int signal;     /* that ended it; 0: none */
};

/* Runs this executable with args (ended by NULL; args[0] is the program's name) until it ends or seconds have passed. Its standard error
   goes to ours if loud, else nowhere. */
struct child_end child_run(const char *const *args, double seconds, bool loud, child_line *line,
                           void *user);

#endif
