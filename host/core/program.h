/* Programs: OpenCL C sources and options -> kernels, built lazily, kept in the context, binaries cached on disk.

   A program is named by its file in kernels_cl/ ("pool.cl") and its options ("-DWT=14 -DKV=2"). The text comes
   from the embedded sources or from ctx->kernel_dir; lines `#include "x.clh"` are expanded by us, so no compiler
   ever needs an include path. Cache key: SHA-256 over device name, vendor, driver version, platform version, expanded source and
   options. Entries are written to a temporary name and renamed; each carries a checksum, so that a torn, truncated, foreign or
   stale entry is ignored and rebuilt. */
#ifndef TESSERA_CORE_PROGRAM_H
#define TESSERA_CORE_PROGRAM_H

#include "core/context.h"

struct program;

/* Finds or builds. config: how the configuration prints ("conv_direct_fwd__wt14_kv2"), for messages; copied. The program
   belongs to the context. Build errors carry the first lines of the log and config. */
tess_status program_get(tess_context *ctx, const char *file, const char *options,
                        const char *config, struct program **out);

/* While ctx->reversed_ids is set, program_get finds and builds other programs: of the same text, but work-item i of n is the
   one that calls itself n - 1 - i in every dimension, and groups and local ids likewise. A device that starts groups in the
   order of their ids, as PoCL does, then does the last part of the work first. A kernel whose parts are independent leaves
   the same; one that writes into another part's result, which that part then overwrites, does not. For tests and the tuner's
   verification: such a program is a little slower. Plain text in front of the source; the hash of the source is the same. */

/* A new kernel object, which the caller ends with kernel_release. */
tess_status program_kernel(tess_context *ctx, struct program *program, const char *name,
                           cl_kernel *out);
void kernel_release(cl_kernel kernel); /* NULL is allowed */

/* SHA-256 of the expanded source, as 64 hexadecimal digits: what the tuning database knows a kernel by. */
tess_status program_source_hash(tess_context *ctx, const char *file, char hex[65]);

/* What a program_get does that finds nothing in the context: first a call with log NULL, before anything is built or loaded, then, also
   after a failed build, one with the compiler's log ("": none). Strings are borrowed for the call. */
struct program_event {
    const char *file, *config, *options,
        *source; /* options and source (expanded) as the driver gets them, but for program_quick.h */
    const char *log;
};
typedef void program_observer(void *user, const struct program_event *event);
void program_observe(tess_context *ctx, program_observer *observer, void *user); /* NULL: nobody */

/* Calls visit for each program of the context until it fails. */
typedef tess_status program_visitor(void *user, const char *file, const char *config,
                                    const unsigned char key[32], cl_program program);
tess_status programs_each(tess_context *ctx, program_visitor *visit, void *user);

/* Frees the context's list of programs; for tess_context_destroy. */
void programs_destroy(tess_context *ctx);

/* ---- arguments and launch */

struct kernel_arg {
    size_t size;
    bool local; /* size bytes of local memory; value is not used */
    union {
        cl_mem mem;
        cl_int i;
        cl_uint u;
        cl_ulong ul;
        cl_float f;
    } value;
};

#define ARG_MEM(m) ((struct kernel_arg){.size = sizeof(cl_mem), .value.mem = (m)})
/* A tensor, or NULL, which becomes a null pointer in the kernel. */
#define ARG_TENSOR(t)    ARG_MEM((t) ? (t)->mem : NULL)
#define ARG_LOCAL(bytes) ((struct kernel_arg){.size = (bytes), .local = true})
#define ARG_INT(x)       ((struct kernel_arg){.size = sizeof(cl_int), .value.i = (x)})
#define ARG_UINT(x)      ((struct kernel_arg){.size = sizeof(cl_uint), .value.u = (x)})
#define ARG_ULONG(x)     ((struct kernel_arg){.size = sizeof(cl_ulong), .value.ul = (x)})
#define ARG_FLOAT(x)     ((struct kernel_arg){.size = sizeof(cl_float), .value.f = (x)})

struct kernel_range {
    cl_uint dims;
    size_t global[3];
    size_t local[3]; /* all zero: the implementation chooses */
};

/* Sets args[0 .. count-1] and enqueues. what: for the error message, e.g. "pool forward". */
tess_status kernel_enqueue(tess_context *ctx, cl_kernel kernel, const struct kernel_range *range,
                           const struct kernel_arg *args, unsigned count, const char *what);

/* For long work-groups of one work-item. PoCL's threads take up to 32 times their number of work-groups at once, at first half of all with two threads,
   and wait for the one that is late. This puts every - 1 work-groups that do nothing behind each one along range's first dimension,
   so that threads take few that work at a time. Gives every, for the kernel (idle_groups.clh); 1 where that gains nothing. */
int range_spread_out(const tess_context *ctx, struct kernel_range *range);

/* Gets what kernel_enqueue is called with, which then enqueues nothing. */
typedef void kernel_observer(void *user, cl_kernel kernel, const struct kernel_range *range,
                             const struct kernel_arg *args, unsigned count);
void kernel_observe(tess_context *ctx, kernel_observer *observer, void *user); /* NULL: nobody */

#endif
