/* Tuning databases in temporary folders, and devices and trials to fill them with. */
#ifndef TESSERA_TESTS_DB_FIXTURE_H
#define TESSERA_TESTS_DB_FIXTURE_H

#include "db/db.h"
#include "support/folder.h"

/* A made-up CPU under PoCL; driver: its version. */
tess_device_info db_fixture_device(const char *name, const char *driver);

/* Opens "folder/tuning.db" with a device; fails the test if it cannot. The log's last line goes to db_fixture_log. */
struct db *db_fixture_open(const char *folder, const char *name, const char *driver);
const char *db_fixture_path(const char *folder); /* a buffer that the next call uses again */

/* A log callback whose user is a buffer of this size for the last line. */
#define DB_FIXTURE_LOG_SIZE 1024
void db_fixture_log(void *user, tess_log_level level, const char *line);

/* Begins and ends a good trial of conv_fwd: kernel hash "hash-<algo>" unless given. */
struct db_fixture_trial {
    const char *operation, *problem, *algo, *config, *hash;
    double seconds;
    enum db_status status; /* 0 (running) means DB_OK */
    bool not_strict;
    size_t bytes;
};
void db_fixture_add(struct db *db, const struct db_fixture_trial *trial);

/* A db_kernel_hash: "hash-direct", ... */
const char *db_fixture_hash(void *user, const char *algo);

#endif
