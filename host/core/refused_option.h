/* What getopt_long refuses, in words: for the command and the programs beside it. */
#ifndef TESSERA_CORE_REFUSED_OPTION_H
#define TESSERA_CORE_REFUSED_OPTION_H

#include <getopt.h>
#include <stddef.h>

enum { REFUSED_OPTION_SIZE = 512 };

/* getopt_long, with opterr 0 and a short option string that begins with ':' (behind '+'), has just given code, '?' or ':'. Writes which
   option is wrong, why, and what to do. command: "bench conv", or "" for the options before the command. */
void refused_option_text(const char *command, const struct option *list, int code,
                         char *const *argv, char text[REFUSED_OPTION_SIZE]);

/* Characters more, less or other that make one word of the other (Levenshtein's distance); 64 where b has 64 or more. */
size_t edit_distance(const char *a, const char *b);

/* The name of names (count of them) with the smallest edit distance to word; NULL if none is near. */
const char *nearest_name(const char *word, const char *const *names, size_t count);

#endif
