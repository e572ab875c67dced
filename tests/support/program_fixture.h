/* A context on a temporary kernel folder and a temporary binary cache, for the tests of programs. */
#ifndef TESSERA_TESTS_PROGRAM_FIXTURE_H
#define TESSERA_TESTS_PROGRAM_FIXTURE_H

#include "core/program.h"
#include "support/folder.h"

#define FIXTURE_LOG_LINES 64

struct fixture {
    char root[FOLDER_PATH_SIZE], kernels[FOLDER_PATH_SIZE], cache[FOLDER_PATH_SIZE];
    tess_context *ctx; /* NULL until fixture_open */
    int lines[TESS_LOG_DEBUG + 1];
    char log[FIXTURE_LOG_LINES][1024]; /* the first lines of any level */
    int log_count;
};

/* Folders, and value.cl in them: kernel `value` writes VALUE to its first argument. */
void fixture_create(struct fixture *fixture);
void fixture_destroy(struct fixture *fixture);

/* Ends the context if there is one, and makes a new one on the same folders with its log and counters at zero. */
void fixture_open(struct fixture *fixture);

/* A context on the device of the tests; folders NULL: as tess_context_options. */
tess_context *fixture_context(const char *kernels, const char *cache, struct fixture *log);

/* Builds file and runs its kernel `value`: what it wrote. */
int fixture_run(tess_context *ctx, const char *file, const char *options);

/* Whether some logged line contains text. */
bool fixture_logged(const struct fixture *fixture, const char *text);

#endif
