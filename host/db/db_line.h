/* A trial as a line of JSON: what db_export writes and db_import reads. Ids of rows never appear. */
#ifndef TESSERA_DB_DB_LINE_H
#define TESSERA_DB_DB_LINE_H

#include "db/db_internal.h"

#include <jansson.h>

/* A line as read: strings are borrowed from json. */
struct db_line {
    json_t *json;
    struct db_identity identity;
    const char *algo, *hash, *operation, *problem, *dtype, *config;
    struct db_result result;
    int64_t begun;
    bool strict;
    double *samples; /* result.samples, owned */
};

/* The row of DB_EXPORT that from is at, as an object; NULL: no memory. */
json_t *db_line_print(sqlite3_stmt *from);

/* Reads one line. On failure the error says what is wrong with it, without its number. */
tess_status db_line_parse(const char *text, size_t length, tess_error *error, struct db_line *out);
void db_line_free(struct db_line *line);

#endif
