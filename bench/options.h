/* The command lines of tessera-bench and tessera-tune: options by getopt_long, and one line on standard error about what is wrong. */
#ifndef TESSERA_BENCH_OPTIONS_H
#define TESSERA_BENCH_OPTIONS_H

#include <getopt.h>
#include <stdio.h>

#include "bench/net_choice.h"
#include "core/status.h"

struct options {
    const char *command; /* "bench conv" */
    const char *usage;   /* printed for 'h'; NULL: set gets the letter */
    const struct option *list;
    int words; /* arguments that are no options: exactly so many; behind the options when all are read */
    int (*set)(void *user, int letter, char *value); /* as options_read; not called for '?', ':' */
};

/* Calls set for each option. Gives 0, -1 after help, or the exit status after one line about what is wrong: 1 (a file) or 2 (wrong
   usage). argv[0] is skipped; argv[argc - words] is the first word. */
int options_read(const struct options *options, int argc, char **argv, void *user);

/* "tessera: " and the text on standard error; gives status. */
int option_fail(int status, const char *format, ...) PRINTF_LIKE(2, 3);

/* A whole number from least to most. Gives 0, or 2 after one line. */
int option_number(const char *name, const char *text, int least, int most, int *out);

/* --pass: a list such as "fwd,bwd_data". Gives 0, or 2 after one line. */
int option_passes(const char *list, bool passes[3]);

/* --problems (file) or --problem; gives 0, or the exit status after one line. */
int option_problem(bool file, const char *text, struct problem_list *problems);

/* --input, --classes, --width or --net by their letters I, K and W and any other. Gives 0, or 2 after one line. */
int option_net(int letter, const char *value, struct net_choice *nets);

/* All options are known: adds what the networks have, and sets the batch size, unless it is 0. */
int option_problems_end(const struct net_choice *nets, int batch, struct problem_list *problems);

/* The file of --json, for appending; "-" is standard output. The last one counts. Gives 0, or 1 after one line. */
int option_json(const char *path, FILE **json);

/* Closes it; NULL is no file. Gives status, or 1 after one line when only now it turns out that something was not written. */
int option_json_close(FILE *json, int status);

#endif
