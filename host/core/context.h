/* The context's inside: what every module of the library may use of it. */
#ifndef TESSERA_CORE_CONTEXT_H
#define TESSERA_CORE_CONTEXT_H

#include "core/status.h"

struct program;      /* core/program.h */
struct conv_advisor; /* ops/conv/conv_advice.h */
struct program_event;
struct kernel_range; /* core/program.h */
struct kernel_arg;
struct kernel_bundle; /* core/kernel_bundle.h */
struct plan_record;

struct tess_context {
    cl_context cl;
    cl_command_queue queue;
    tess_device_info device;
    tess_error error; /* of the last failed call */
    tess_counters counters;
    tess_log_callback log;
    void *log_user;
    tess_log_level log_level;
    char *cache_dir;          /* NULL: no cache on disk */
    char *kernel_dir;         /* NULL: the embedded kernels */
    struct program *programs; /* built so far: a list owned by the context */
    void (*program_observer)(void *user, const struct program_event *event); /* NULL: nobody */
    void *program_observer_user;
    void (*kernel_observer)(void *user, cl_kernel kernel, const struct kernel_range *range,
                            const struct kernel_arg *args, unsigned count); /* NULL: nobody */
    void *kernel_observer_user;
    struct kernel_bundle *bundle; /* NULL: none. Where all programs come from; owned */
    struct plan_record *plans;    /* NULL: nobody wants to know. What was planned; borrowed */
    bool
        own_kernels_only; /* no CLBlast, which compiles on its own: with a bundle, and while one is made */
    bool no_programs; /* program_get and program_kernel make empty shells: for what nobody runs */
    bool
        reversed_ids; /* program_get makes programs that number work-items and groups from the end: program.h */
    void (*slow_build)(void *user); /* NULL: nobody. After a build that no cache had */
    void *slow_build_user;
    bool clblast_tuned;           /* CLBlast's parameters were looked up in the tuning database */
    struct conv_advisor *advisor; /* NULL: none; owned */
    void (*advisor_destroy)(struct conv_advisor *advisor);
};

/* error_set on the context's last error. */
tess_status context_fail(tess_context *ctx, tess_status status, const char *format, ...)
    PRINTF_LIKE(3, 4);
tess_status context_fail_opencl(tess_context *ctx, cl_int code, const char *what);

void context_log(const tess_context *ctx, tess_log_level level, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* clCreateBuffer (flags: CL_MEM_READ_WRITE) with accounting and a clear error. On devices that share memory with
   the host, memory that a map does not copy. */
tess_status context_buffer_create(tess_context *ctx, size_t bytes, cl_mem *out);
/* offset must be a multiple of device.base_align. */
tess_status context_subbuffer_create(tess_context *ctx, cl_mem parent, size_t offset, size_t bytes,
                                     cl_mem *out);
/* Releases a buffer of context_buffer_create (bytes: its size) or a sub-buffer (bytes: 0). NULL is allowed. */
void context_buffer_release(tess_context *ctx, cl_mem mem, size_t bytes);

#ifdef __clang_analyzer__ /* as in status.h */
#define context_fail(ctx, status, ...)       (context_fail(ctx, status, __VA_ARGS__), (status))
#define context_fail_opencl(ctx, code, what) (context_fail_opencl(ctx, code, what), TESS_OPENCL)
#endif

#endif
