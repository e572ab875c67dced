/* Programs compiled beforehand, for devices without a compiler: one file with the binaries for one kind of device and driver, and with the
   convolution plans that they belong to. The file, numbers little-endian, texts as length (8 bytes) and bytes:

     offset  size  contents
          0     8  "TESSKRN" and a zero
          8     8  format version
         16     8  size of the rest
         24    32  SHA-256 of the rest
         56        6 texts: what the device is (kernel_bundle.c); number of programs; of each its key (program_cache_key: device, driver,
                   source and options), name, binary; number of plans; of each pass, problem key and configuration */
#ifndef TESSERA_CORE_KERNEL_BUNDLE_H
#define TESSERA_CORE_KERNEL_BUNDLE_H

#include "core/context.h"

struct kernel_bundle;

struct bundle_program {
    const unsigned char *key; /* 32 bytes */
    const char *name;
    const unsigned char *binary;
    size_t size;
};

/* TESS_IO: not readable; TESS_BAD_FORMAT: damaged or no bundle; TESS_UNSUPPORTED: of a newer version, or for another device or driver. */
tess_status kernel_bundle_open(const char *path, const tess_device_info *device, tess_error *error,
                               struct kernel_bundle **out);
void kernel_bundle_close(struct kernel_bundle *bundle); /* NULL is allowed */
const char *kernel_bundle_path(const struct kernel_bundle *bundle);

/* NULL: not in it. */
const struct bundle_program *kernel_bundle_find(const struct kernel_bundle *bundle,
                                                const unsigned char key[32]);
/* The printed configuration of a problem's plan. NULL: none is recorded. */
const char *kernel_bundle_plan(const struct kernel_bundle *bundle, const char *pass,
                               const char *problem);

/* ---- making one: kernel_bundle_write.c */

/* What was planned while ctx->plans was set, each once. */
struct plan_record {
    char (*text)[3][256]; /* pass, problem, configuration */
    size_t count, capacity;
};
tess_status plan_record_add(tess_context *ctx, const char *pass, const char *problem,
                            const char *config);

/* Writes all programs of ctx and the plans. */
tess_status kernel_bundle_write(tess_context *ctx, const struct plan_record *plans,
                                const char *path);

/* ---- shared by the two */

#define BUNDLE_MAGIC "TESSKRN"
enum { BUNDLE_VERSION = 1, BUNDLE_HEADER = 56, BUNDLE_IDENTITY = 6 };

/* What the binaries depend on, for messages and comparison: device, driver, platform, its version, vendor, OpenCL version. */
void bundle_identity(const tess_device_info *device, const char *out[BUNDLE_IDENTITY]);

#endif
