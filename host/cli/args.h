/* Options of a command, as a table over getopt_long: strict values, help text, and errors that say what would be right. */
#ifndef TESSERA_CLI_ARGS_H
#define TESSERA_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum arg_type {
    ARG_FLAG,  /* out: bool */
    ARG_TEXT,  /* out: const char *, points into argv */
    ARG_INT,   /* out: int, low .. high */
    ARG_REAL,  /* out: double, low .. high */
    ARG_U64,   /* out: uint64_t */
    ARG_BYTES, /* out: size_t; "2G", "800M", "64K" or plain bytes */
    ARG_LIST   /* out: struct arg_texts; the option may come several times */
};

enum { ARG_LIST_ROOM = 64 };
struct arg_texts {
    const char *texts[ARG_LIST_ROOM]; /* point into argv */
    int count;
};

struct arg {
    const char *name; /* without the dashes */
    enum arg_type type;
    void *out;         /* left alone when the option is not given: its default is what it holds */
    const char *value; /* how help names the value: "N"; NULL for flags */
    const char *help;
    double low, high; /* numbers; both zero: any */
    bool given;       /* set by args_parse */
};

struct arg_table {
    const char *command;      /* "train", or "" for the options before the command */
    const char *usage;        /* "MODEL --data SPEC [options]" */
    const char *about;        /* what the command does, and notes, for help */
    struct arg *list;         /* ended by a NULL name */
    int min_words, max_words; /* arguments that are no options */
    bool stop_at_word;        /* options end at the first word: what follows belongs to a command */
};

#define ARGS_CONTINUE (-1)

/* Reads argv (argv[0] is skipped) and moves the words to its end; *words is the index of the first. Gives
   ARGS_CONTINUE, or the exit status after help (on standard output) or one line about wrong usage. */
int args_parse(struct arg_table *table, int argc, char **argv, int *words);

void args_help(const struct arg_table *table);

/* Strict: the whole text, decimal, in range. */
bool parse_int(const char *text, int low, int high, int *out);
bool parse_real(const char *text, double low, double high, double *out);
bool parse_u64(const char *text, uint64_t *out);

#endif
