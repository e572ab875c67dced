#include "support/db_fixture.h"

#include <stdio.h>
#include <string.h>

tess_device_info db_fixture_device(const char *name, const char *driver) {
    tess_device_info device = {
        .type = CL_DEVICE_TYPE_CPU,
        .platform_name = "Portable Computing Language",
        .vendor = "test",
        .opencl_version = "OpenCL 3.0",
        .opencl_c_version = "OpenCL C 1.2",
        .compute_units = 2,
        .local_memory = 1 << 20,
        .max_work_group = 4096,
        .native_float_vector = 16,
    };
    snprintf(device.name, sizeof device.name, "%s", name);
    snprintf(device.driver_version, sizeof device.driver_version, "%s", driver);
    return device;
}

const char *db_fixture_path(const char *folder) {
    static char path[FOLDER_PATH_SIZE];
    return folder_path(folder, "tuning.db", path);
}

struct db *db_fixture_open(const char *folder, const char *name, const char *driver) {
    tess_error error = {0};
    struct db *db = NULL;
    tess_device_info device = db_fixture_device(name, driver);
    if (db_open(db_fixture_path(folder), NULL, NULL, &error, &db) ||
        db_set_device(db, &device, &error))
        fail_msg("%s", error.text);
    return db;
}

void db_fixture_log(void *user, tess_log_level level, const char *line) {
    (void)level;
    snprintf(user, DB_FIXTURE_LOG_SIZE, "%s", line);
}

const char *db_fixture_hash(void *user, const char *algo) {
    (void)user;
    return strcmp(algo, "direct") == 0 ? "hash-direct" : "hash-other";
}

void db_fixture_add(struct db *db, const struct db_fixture_trial *t) {
    const char *algo = t->algo ? t->algo : "direct";
    struct db_subject subject = {
        .operation = t->operation ? t->operation : "conv_fwd",
        .problem = t->problem,
        .dtype = "f32",
        .algo = algo,
        .config = t->config,
        .kernel_hash = t->hash ? t->hash : db_fixture_hash(NULL, algo),
        .strict = !t->not_strict,
    };
    double samples[3] = {t->seconds, t->seconds * 1.01, t->seconds * 0.99};
    struct db_result result = {
        .status = t->status ? t->status : DB_OK,
        .samples = samples,
        .sample_count = 3,
        .seconds = t->seconds,
        .mad = t->seconds * 0.01,
        .max_err = 0.25,
        .bytes = t->bytes,
        .build_seconds = 0.5,
    };
    tess_error error = {0};
    int64_t id = 0;
    if (db_trial_begin(db, &subject, &error, &id) || db_trial_end(db, id, &result, &error))
        fail_msg("%s", error.text);
}
