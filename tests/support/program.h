/* Running the command as a user would: fork, exec, exit status, and what it printed. No shell. */
#ifndef TESSERA_TESTS_PROGRAM_H
#define TESSERA_TESTS_PROGRAM_H

#include "support/check.h"

struct program_result {
    int status;      /* exit status, or minus the number of the signal that ended it */
    char *out, *err; /* standard output and error, ended by a zero */
};

/* Runs `tessera` of this build with the given arguments (ended by NULL; at most 40). Without TESSERA_DEVICE in the environment it
   runs on a CPU. */
struct program_result program_run(const char *const *args);

/* A signal that a program gets unless it has ended by then: so many milliseconds after file has so many lines. What it waits for is what
   the program does, so that a busy machine changes nothing. */
struct program_signal {
    int signal;
    const char *file; /* need not be there yet; NULL: from the start on */
    int lines, after_ms;
};
struct program_result program_run_signal(const char *const *args,
                                         const struct program_signal *signal);
/* Of a file; 0 if it is not there. */
int program_lines(const char *path);

void program_free(struct program_result *result);

/* program_run with the arguments in place. */
#define RUN(...) program_run((const char *const[]){__VA_ARGS__, NULL})

/* Fails unless the program ended with status, and, if that is not 0, with exactly one line on standard error that starts
   with "tessera: " and contains text. Ends the result. */
#define assert_program(result, status, text)                                                       \
    program_check((result), (status), (text), __FILE__, __LINE__)
void program_check(struct program_result result, int status, const char *text, const char *file,
                   int line);

#endif
