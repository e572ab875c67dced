/* Rows of device, env, kernel and problem. */
#include "db/db_internal.h"
#include "db/device_class.h"
#include "db/nearness.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *type_name(cl_device_type type) {
    if (type & CL_DEVICE_TYPE_GPU) return "GPU";
    if (type & CL_DEVICE_TYPE_ACCELERATOR) return "accelerator";
    return "CPU";
}

#define COPY(to, from) snprintf(to, sizeof(to), "%.*s", (int)sizeof(to) - 1, from)

/* Memory sizes that change with the machine's load or kernel settings are no part of the fingerprint. */
static void identify(const tess_device_info *d, struct db_identity *out) {
    *out = (struct db_identity){
        .device_class = device_class(d),
        .type = type_name(d->type),
        .compute_units = d->compute_units,
        .clock_mhz = d->clock_mhz,
        .global_memory = (int64_t)d->global_memory,
        .local_memory = (int64_t)d->local_memory,
        .max_work_group = (int64_t)d->max_work_group,
        .native_float_vector = d->native_float_vector,
    };
    COPY(out->vendor, d->vendor);
    COPY(out->name, d->name);
    COPY(out->platform, d->platform_name);
    COPY(out->driver, d->driver_version);
    COPY(out->opencl, d->opencl_version);
    COPY(out->opencl_c, d->opencl_c_version);
    /* The platform's version names the compiler (PoCL: its LLVM), which the driver's need not. */
    COPY(out->compiler, d->platform_version);
    snprintf(out->fingerprint, sizeof out->fingerprint,
             "%s/%s/%s/units %u/work-group %zu/local %llu/vector %u", out->type, out->vendor,
             out->name, d->compute_units, d->max_work_group, (unsigned long long)d->local_memory,
             d->native_float_vector);
}

tess_status db_set_device(struct db *db, const tess_device_info *device, tess_error *error) {
    if (!db || !device)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "tuning database: no database or no device; give both");
    identify(device, &db->identity);
    db->has_device = true;
    db->env = 0;
    return TESS_OK;
}

static int find_env(struct db *db, const struct db_identity *i, int64_t *env) {
    int64_t device = 0;
    *env = 0;
    int code = db_number(db, db_bind(db, DB_DEVICE_FIND, "t", i->fingerprint), &device);
    if (code != SQLITE_OK || !device) return code;
    return db_number(db,
                     db_bind(db, DB_ENV_FIND, "ittttt", device, i->platform, i->driver, i->opencl,
                             i->opencl_c, i->compiler),
                     env);
}

int db_find_env(struct db *db) {
    if (db->env || !db->has_device) return SQLITE_OK;
    return find_env(db, &db->identity, &db->env);
}

int db_env_row(struct db *db, const struct db_identity *i, int64_t *env) {
    int code = find_env(db, i, env);
    if (code != SQLITE_OK || *env) return code;
    code = db_step(db, db_bind(db, DB_DEVICE_ADD, "tttttiiiiii", i->fingerprint, i->device_class,
                               i->type, i->vendor, i->name, i->compute_units, i->clock_mhz,
                               i->global_memory, i->local_memory, i->max_work_group,
                               i->native_float_vector));
    int64_t device = 0;
    if (code == SQLITE_OK)
        code = db_number(db, db_bind(db, DB_DEVICE_FIND, "t", i->fingerprint), &device);
    if (code == SQLITE_OK)
        code = db_step(db, db_bind(db, DB_ENV_ADD, "ittttt", device, i->platform, i->driver,
                                   i->opencl, i->opencl_c, i->compiler));
    return code == SQLITE_OK ? find_env(db, i, env) : code;
}

int db_kernel_row(struct db *db, const char *algo, const char *hash, int64_t *kernel) {
    int code = db_number(db, db_bind(db, DB_KERNEL_FIND, "tt", algo, hash), kernel);
    if (code != SQLITE_OK || *kernel) return code;
    code = db_step(db, db_bind(db, DB_KERNEL_ADD, "tt", algo, hash));
    return code == SQLITE_OK ? db_number(db, db_bind(db, DB_KERNEL_FIND, "tt", algo, hash), kernel)
                             : code;
}

int db_problem_row(struct db *db, const char *operation, const char *key, const char *dtype,
                   int64_t *problem) {
    int code = db_number(db, db_bind(db, DB_PROBLEM_FIND, "ttt", operation, key, dtype), problem);
    if (code != SQLITE_OK || *problem) return code;
    char class_text[NEARNESS_CLASS_SIZE];
    const char *class_name = NULL;
    double size = NAN;
    tess_conv_desc desc;
    if (strncmp(operation, "conv_", 5) == 0 && tess_conv_desc_parse(key, NULL, &desc) == TESS_OK) {
        nearness_class(&desc, class_text);
        class_name = class_text;
        size = nearness_size(&desc);
    }
    code =
        db_step(db, db_bind(db, DB_PROBLEM_ADD, "ttttd", operation, key, dtype, class_name, size));
    if (code != SQLITE_OK) return code;
    return db_number(db, db_bind(db, DB_PROBLEM_FIND, "ttt", operation, key, dtype), problem);
}

/* FNV-1a, 64 bits: http://www.isthe.com/chongo/tech/comp/fnv. The terminating zero goes in too. */
static uint64_t fnv(uint64_t hash, const char *text) {
    do
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    while (*text++);
    return hash;
}

int64_t db_lookup(int64_t env, const char *operation, const char *key, const char *dtype) {
    uint64_t hash = fnv(fnv(fnv(0xcbf29ce484222325u, operation), key), dtype);
    hash = (hash ^ (uint64_t)env) * 0x9e3779b97f4a7c15u;
    return (int64_t)((hash ^ hash >> 32) & INT64_MAX);
}
