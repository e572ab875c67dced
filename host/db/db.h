/* The tuning database: one SQLite file (WAL), shared by any number of processes.

   device --- env --- trial --- kernel        trial: one configuration of one operation, measured or failed
                        |
                     problem                  best: the fastest good trials of each (device, env, problem), derived

   Operations and problems are text, so that everything tunable fits: operation "conv_fwd", "conv_bwd_data", "conv_bwd_weights"
   with a problem key; "fc_fwd", "fc_fwd_repack" (with packing the weights), "fc_bwd_data", "fc_bwd_data_repack", "fc_bwd_weights" with
   "n64c4096k4096"; "clblast" with a routine's name. */
#ifndef TESSERA_DB_DB_H
#define TESSERA_DB_DB_H

#include "core/context.h"

struct db;

/* Opens or creates. path NULL: $TESSERA_DB, else $XDG_DATA_HOME/tessera/tuning.db (~/.local/share). Folders are made. A file that is no database, or
   is damaged, is renamed to "<path>.corrupt-N" and a new one begun, with a warning through log (may be NULL): work goes on. Read-only places
   work for reading. A database of a newer version of Tessera, or of another program, is an error that says so. A database is for
   one thread, and is not to be used in a child after fork. */
tess_status db_open(const char *path, tess_log_callback log, void *log_user, tess_error *error,
                    struct db **out);
void db_close(struct db *db); /* NULL is allowed */
const char *db_path(const struct db *db);

/* A look at the file without changing it, for people. path as in db_open. */
struct db_health {
    char path[4096];
    bool exists;
    int64_t bytes, trials;
    int version; /* of its schema */
};
/* TESS_OK also where there is no file. TESS_IO: not readable; TESS_BAD_FORMAT: damaged (a whole check), of another program or of a newer
   version; seconds bounds the check, which then counts as passed. */
tess_status db_check(const char *path, double seconds, tess_error *error, struct db_health *out);

/* The device, platform and driver that the calls below are about; rows for them are made when first needed. */
tess_status db_set_device(struct db *db, const tess_device_info *device, tess_error *error);

/* ---- trials */

enum db_status {
    DB_RUNNING, /* begun and never ended: its process died */
    DB_OK,
    DB_BUILD_FAILED,
    DB_WRONG_RESULT,
    DB_CRASHED,
    DB_TIMED_OUT,
    DB_OUT_OF_MEMORY,
    DB_REFUSED /* the device or the algorithm cannot do it */
};
const char *db_status_name(enum db_status status); /* "ok", "build failed", ... */

/* What is tried. Strings are borrowed. */
struct db_subject {
    const char *operation, *problem, *dtype; /* "conv_fwd", key, "f32" */
    const char *algo, *config;               /* "direct", "conv_direct_fwd__wt14_kv2" */
    const char *kernel_hash; /* of source and space: rows with another hash are only hints */
    bool strict;             /* rounds no more than the plain sum */
};

struct db_result {
    enum db_status status;
    const double *samples; /* seconds of each sample, as measured; borrowed */
    int sample_count;
    double seconds, mad; /* median, and median absolute deviation */
    double max_err;      /* verification: largest error relative to the bound; above 1 is wrong */
    size_t bytes;        /* workspace and packed weights */
    double build_seconds;
    /* Where the rest of the trial's time went; all 0: not known, as in trials of older versions. search: choosing it, and waiting. */
    double verify_seconds, run_seconds, search_seconds;
    const char *cause; /* of a failure, one line; NULL */
};

/* Writes the row in state DB_RUNNING before anything risky happens. */
tess_status db_trial_begin(struct db *db, const struct db_subject *subject, tess_error *error,
                           int64_t *id);
/* A wrong result also takes back what earlier good trials of the same configuration said; a good one also puts its time in place of theirs. */
tess_status db_trial_end(struct db *db, int64_t id, const struct db_result *result,
                         tess_error *error);

/* How many trials of this configuration crashed, hung or were never ended (their process died), on this device and driver with
   this kernel hash, for this problem: at two it is quarantined. */
tess_status db_failures(struct db *db, const struct db_subject *subject, tess_error *error,
                        int *out);

/* One stored measurement, for warm starts, listing and look-up. */
struct db_row {
    char operation[32], problem[256], algo[32], config[160];
    char device[256], driver[128];
    enum db_status status;
    bool this_device, current; /* current: this driver, and the kernel hash that was asked with */
    bool strict;
    double seconds, mad, max_err;
    size_t bytes;
};

/* The good trials of (operation, problem, dtype f32) with this device and driver, fastest first, each configuration once. out receives at most max.
   At most 20 us at the 99th percentile with 200,000 problems stored. hash(user, algo) tells the
   current hash ("": any will do; NULL: there is no such kernel); rows of others are skipped. */
typedef const char *(*db_kernel_hash)(void *user, const char *algo);
int db_best(struct db *db, const char *operation, const char *problem, db_kernel_hash hash,
            void *user, struct db_row *out, int max);

/* The same for a caller who wants less than all, and rows of other problems and devices. */
struct db_question {
    const char *operation, *problem;
    db_kernel_hash hash;
    void *user;
    bool strict; /* only rows that are */
    size_t
        limit; /* most bytes of workspace and packed weights that a row may have needed; SIZE_MAX: any */
};
int db_answers(struct db *db, const struct db_question *question, struct db_row *out, int max);

/* Good trials of convolutions like this one (nearness.h), nearest first, each configuration once: those that are current and of
   this device, then those of older kernels and drivers and of like devices, down to other devices of the same type. Looks at problems of the same class, nearest size
   first, at most some thousand: below 20 ms with 200,000 problems in the class. */
int db_near(struct db *db, const struct db_question *question, struct db_row *out, int max);

/* Good and bad trials of a problem on this device and driver; 0 if it cannot be told. */
int db_trial_count(struct db *db, const char *operation, const char *problem);

/* ---- files: JSON Lines, one trial a line with device, env, kernel, problem */

tess_status db_export(struct db *db, const char *path, tess_error *error, long *rows);
/* All or nothing. replace: what is there is dropped first (import); else rows are added, duplicates ignored (merge). rows: added or
   completed. */
tess_status db_import(struct db *db, const char *path, bool replace, tess_error *error, long *rows);
/* Drops what is of no more use: trials with other drivers than each device's last one (or the one of db_set_device), of other
   kernels than each algorithm's last one, and of each problem all but the eight best strict ones, the eight best others and those that
   quarantine. */
tess_status db_prune(struct db *db, tess_error *error, long *rows);

/* Each (device, driver, operation, problem), with its fastest good trial, or any other where there is none; trials: how many there
   are. The row's this_device and current are not filled in. A visitor that returns other than 0 stops. */
typedef int (*db_visitor)(void *user, const struct db_row *row, long trials);
tess_status db_list(struct db *db, db_visitor visit, void *user, tess_error *error);

/* Writes the portfolio of a device class (host/db/portfolio/README.md) that the database's good trials give: the best configuration of
   each convolution measured on such devices with each algorithm's last kernel, thinned as long as each of these problems is served within 5 % by its nearest
   entry; and where that is not strict, its best strict one. rows: entries. TESS_NOT_FOUND where nothing was measured on such devices. */
tess_status db_portfolio(struct db *db, const char *device_class, const char *path,
                         tess_error *error, long *rows);

/* ---- planner */

/* What the database knows an algorithm's kernel by: SHA-256 of its expanded source and its table of parameters. */
struct conv_algo;
tess_status db_algo_hash(tess_context *ctx, const struct conv_algo *algo, char hex[65]);

/* Makes the database the context's advisor: db is opened with path (NULL: the default place), closed with the context. A
   file that does not exist yet is not made: nothing was measured then, and the advisor knows the shipped portfolios alone. A database
   that cannot be opened is an error, and the advisor stays as it was. The same as tess_context_use_tuning. */
tess_status db_advise(tess_context *ctx, const char *path);

/* Between these two calls the planner answers as where nothing was tuned, with the shipped portfolio alone. On failure nothing changed.
   aside is the caller's. */
struct db_aside {
    struct conv_advisor *advisor;
    void (*destroy)(struct conv_advisor *);
};
tess_status db_step_aside(tess_context *ctx, struct db_aside *aside);
void db_step_back(tess_context *ctx, const struct db_aside *aside);

#endif
