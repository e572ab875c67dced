#include "core/program.h"

#include "core/kernel_bundle.h"
#include "core/pocl_cache.h"
#include "core/program_cache.h"
#include "core/program_quick.h"
#include "core/program_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct program {
    struct program *next;
    char *file, *options, *config;
    bool reversed;         /* ctx->reversed_ids was set */
    unsigned char key[32]; /* program_cache_key */
    cl_program cl;
};

static void program_free(struct program *program) {
    if (program->cl) clReleaseProgram(program->cl);
    free(program->file);
    free(program->options);
    free(program->config);
    free(program);
}

void programs_destroy(tess_context *ctx) {
    while (ctx->programs) {
        struct program *next = ctx->programs->next;
        program_free(ctx->programs);
        ctx->programs = next;
    }
}

/* The build log, freed by the caller; NULL when there is none. */
static char *build_log(const tess_context *ctx, cl_program program) {
    cl_device_id device = ctx->device.device;
    size_t size = 0;
    if (clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) != CL_SUCCESS)
        return NULL;
    char *log = calloc(size + 1, 1);
    if (log && clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, size, log, NULL) !=
                   CL_SUCCESS) {
        free(log);
        return NULL;
    }
    return log;
}

#define LOG_LINES 8

/* The first lines of a build log on one line, and all of them to the context's log. Cuts log up. */
static void digest_log(const tess_context *ctx, char *log, const char *config, char *out,
                       size_t size) {
    size_t used = 0;
    int lines = 0;
    char *rest = NULL;
    out[0] = '\0';
    for (char *line = strtok_r(log, "\r\n", &rest); line; line = strtok_r(NULL, "\r\n", &rest)) {
        context_log(ctx, TESS_LOG_ERROR, "%s: %s", config, line);
        if (lines++ >= LOG_LINES || used >= size - 1) continue;
        int length = snprintf(out + used, size - used, "%s%s", used ? " | " : "",
                              line + strspn(line, " \t"));
        used += length > 0 ? (size_t)length : 0;
    }
}

/* Compilers and kernels take no buffers: what they run out of are registers and local memory, which another kernel
   may do without. */
static tess_status program_status(cl_int code) {
    return code == CL_OUT_OF_RESOURCES ? TESS_UNSUPPORTED : error_opencl(NULL, code, "");
}

static bool on_pocl(const tess_context *ctx) {
    return strcmp(ctx->device.platform_name, POCL_PLATFORM) == 0;
}

/* TESS_IO if PoCL's cache is in that state. */
static tess_status check_pocl_cache(tess_context *ctx, enum pocl_cache_state state,
                                    const char *config) {
    char why[sizeof ctx->error.text];
    if (!on_pocl(ctx) || pocl_cache_look(why, sizeof why) != state) return TESS_OK;
    return context_fail(ctx, TESS_IO, "building %s: %s", config, why);
}

/* log: may be NULL; cut up. */
static tess_status fail_build(tess_context *ctx, char *log, cl_int code, const char *config) {
    /* PoCL's own words would be "failed to build the program". */
    if (!(log && strstr(log, "error:")) && check_pocl_cache(ctx, POCL_CACHE_BAD, config))
        return TESS_IO;
    char first[sizeof ctx->error.text] = "";
    if (log) digest_log(ctx, log, config, first, sizeof first);
    if (!first[0])
        snprintf(first, sizeof first, "the driver gives no build log; try another driver version");
    /* Memory and device losses keep their own status; all else is what the caller knows as a failed build. */
    tess_status status = program_status(code);
    if (status == TESS_OPENCL || status == TESS_INVALID_ARGUMENT) status = TESS_BUILD_FAILED;
    return context_fail(ctx, status, "building %s on %.80s: %s (%d): %s", config, ctx->device.name,
                        opencl_error_name(code), code, first);
}

/* PoCL 3.1 fails a build while another process puts the same program into PoCL's own cache: it removes a file that
   the other has just removed. There is no compiler message then, and the next attempt finds the other's file. */
static bool lost_race(const tess_context *ctx, cl_int code, const char *log) {
    return code == CL_BUILD_PROGRAM_FAILURE && log && !strstr(log, "error:") && on_pocl(ctx);
}

#define MAX_ATTEMPTS 4

void program_observe(tess_context *ctx, program_observer *observer, void *user) {
    ctx->program_observer = observer;
    ctx->program_observer_user = user;
}

static void tell(tess_context *ctx, const struct program *program, const char *source,
                 const char *log) {
    if (!ctx->program_observer) return;
    const struct program_event event = {program->file, program->config, program->options, source,
                                        log};
    ctx->program_observer(ctx->program_observer_user, &event);
}

static tess_status compile(tess_context *ctx, const char *source, struct program *program) {
    /* Rather than let the compiler end the process. */
    if (check_pocl_cache(ctx, POCL_CACHE_FULL, program->config)) return TESS_IO;
    program->cl = program_build_quick(ctx, source, program->options);
    if (program->cl) {
        tell(ctx, program, source, "");
        return TESS_OK;
    }
    for (int attempt = 1;; attempt++) {
        cl_int code = CL_SUCCESS;
        cl_program cl = clCreateProgramWithSource(ctx->cl, 1, &source, NULL, &code);
        if (code != CL_SUCCESS) return fail_build(ctx, NULL, code, program->config);
        code = clBuildProgram(cl, 1, &ctx->device.device, program->options, NULL, NULL);
        char *log = code != CL_SUCCESS || ctx->program_observer ? build_log(ctx, cl) : NULL;
        tell(ctx, program, source, log ? log : "");
        if (code == CL_SUCCESS) {
            free(log);
            program->cl = cl;
            return TESS_OK;
        }
        clReleaseProgram(cl);
        bool again = attempt < MAX_ATTEMPTS && lost_race(ctx, code, log);
        tess_status status = again ? TESS_OK : fail_build(ctx, log, code, program->config);
        free(log);
        if (!again) return status;
        context_log(ctx, TESS_LOG_DEBUG, "program %s: attempt %d failed without a message",
                    program->config, attempt);
    }
}

/* Of this thread, whatever else the machine does. */
static double cpu_seconds(void) {
    struct timespec now = {0};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Drivers with a cache of their own take 10 to 30 ms for what is in it, and hundreds for what is not. */
#define SLOW_BUILD 0.1

/* From the cache on disk, else from source. */
static tess_status load_or_compile(tess_context *ctx, struct program *program, const char *source) {
    program->cl = program_cache_load(ctx, program->key, program->options, program->config);
    if (program->cl) {
        ctx->counters.programs_loaded++;
        context_log(ctx, TESS_LOG_DEBUG, "program %s: loaded from the cache", program->config);
        return TESS_OK;
    }
    double start = cpu_seconds();
    tess_status status = compile(ctx, source, program);
    if (status) return status;
    ctx->counters.programs_compiled++;
    if (ctx->slow_build && cpu_seconds() - start > SLOW_BUILD)
        ctx->slow_build(ctx->slow_build_user);
    context_log(ctx, TESS_LOG_DEBUG, "program %s: compiled from %s with %s", program->config,
                program->file, program->options);
    program_cache_store(ctx, program->key, program->cl, program->config);
    return TESS_OK;
}

static tess_status load_bundled(tess_context *ctx, struct program *program) {
    const char *path = kernel_bundle_path(ctx->bundle);
    const struct bundle_program *stored = kernel_bundle_find(ctx->bundle, program->key);
    if (!stored)
        return context_fail(ctx, TESS_NOT_FOUND,
                            "kernels %s: program %s (%s %s) is not in it: it was made for another "
                            "network, batch or version; make it anew with 'tessera kernels build'",
                            path, program->config, program->file, program->options);
    cl_int code =
        program_from_binary(ctx, stored->binary, stored->size, program->options, &program->cl);
    if (code != CL_SUCCESS)
        return context_fail(
            ctx, TESS_UNSUPPORTED,
            "kernels %s: the driver refuses the binary of %s: %s (%d); make it anew "
            "with 'tessera kernels build' on this machine",
            path, program->config, opencl_error_name(code), code);
    ctx->counters.programs_loaded++;
    return TESS_OK;
}

/* A macro does not expand itself again: within, the names are the functions. No launch here has an offset. */
static const char reversing[] =
    "#define get_global_id(d) (get_global_size(d) - 1 - get_global_id(d))\n"
    "#define get_group_id(d) (get_num_groups(d) - 1 - get_group_id(d))\n"
    "#define get_local_id(d) (get_local_size(d) - 1 - get_local_id(d))\n";

/* *source becomes the longer text. */
static tess_status reverse_ids(tess_context *ctx, char **source) {
    size_t size = strlen(*source) + 1;
    char *text = malloc(sizeof reversing - 1 + size);
    if (!text) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "building kernels: out of memory");
    memcpy(text, reversing, sizeof reversing - 1);
    memcpy(text + sizeof reversing - 1, *source, size);
    free(*source);
    *source = text;
    return TESS_OK;
}

static tess_status make(tess_context *ctx, struct program *program) {
    char *source = NULL;
    if (ctx->no_programs) return TESS_OK;
    tess_status status = program_source(ctx, program->file, &source);
    if (!status && program->reversed) status = reverse_ids(ctx, &source);
    if (!status) status = program_cache_key(ctx, source, program->options, program->key);
    if (status) goto done;
    tell(ctx, program, source, NULL);
    status = ctx->bundle ? load_bundled(ctx, program) : load_or_compile(ctx, program, source);
done:
    free(source);
    return status;
}

/* Every build states the language, so that a device's default (1.1 on some, 3.0 on others) plays no part. */
static char *full_options(const char *options) {
    static const char language[] = "-cl-std=CL1.2";
    size_t size = sizeof language + strlen(options) + 1;
    char *text = malloc(size);
    if (text) snprintf(text, size, "%s%s%s", language, *options ? " " : "", options);
    return text;
}

tess_status program_get(tess_context *ctx, const char *file, const char *options,
                        const char *config, struct program **out) {
    if (!ctx || !file || !config || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "program_get: an argument is NULL");
    tess_status status = TESS_OUT_OF_HOST_MEMORY;
    struct program *program = calloc(1, sizeof *program);
    if (!program) goto no_memory;
    program->reversed = ctx->reversed_ids;
    program->options = full_options(options ? options : "");
    program->file = strdup(file);
    program->config = strdup(config);
    if (!program->options || !program->file || !program->config) goto no_memory;
    for (struct program *known = ctx->programs; known; known = known->next)
        if (known->cl && known->reversed == program->reversed && strcmp(known->file, file) == 0 &&
            strcmp(known->options, program->options) == 0) {
            program_free(program);
            *out = known;
            return TESS_OK;
        }
    status = make(ctx, program);
    if (status) goto fail;
    program->next = ctx->programs;
    ctx->programs = program;
    *out = program;
    return TESS_OK;
no_memory:
    context_fail(ctx, status, "building %s: out of memory", config);
fail:
    if (program) program_free(program);
    return status;
}

tess_status program_source_hash(tess_context *ctx, const char *file, char hex[65]) {
    if (!ctx || !file || !hex)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "program_source_hash: an argument is NULL");
    char *source = NULL;
    unsigned char hash[32];
    tess_status status = program_source(ctx, file, &source);
    if (!status) status = hash_bytes(ctx, source, strlen(source), hash);
    if (!status) hash_hex(hash, hex);
    free(source);
    return status;
}

tess_status programs_each(tess_context *ctx, program_visitor *visit, void *user) {
    tess_status status = TESS_OK;
    for (struct program *p = ctx->programs; p && !status; p = p->next)
        status = visit(user, p->file, p->config, p->key, p->cl);
    return status;
}

/* What the compiler made of the kernel may need more than the device has, registers above all: it then allows fewer work-items than the
   kernel is written for. */
static tess_status check_fits(tess_context *ctx, const struct program *program, const char *name,
                              cl_kernel kernel) {
    cl_device_id device = ctx->device.device;
    size_t group[3] = {0}, most = 0, multiple = 0;
    cl_ulong local = 0;
    clGetKernelWorkGroupInfo(kernel, device, CL_KERNEL_COMPILE_WORK_GROUP_SIZE, sizeof group, group,
                             NULL);
    clGetKernelWorkGroupInfo(kernel, device, CL_KERNEL_WORK_GROUP_SIZE, sizeof most, &most, NULL);
    clGetKernelWorkGroupInfo(kernel, device, CL_KERNEL_PREFERRED_WORK_GROUP_SIZE_MULTIPLE,
                             sizeof multiple, &multiple, NULL);
    /* rusticl of Mesa 22.3 says one sub-group of every kernel, and runs more. */
    bool unknown =
        most == 0 || (most <= multiple && strcmp(ctx->device.platform_name, "rusticl") == 0);
    if (unknown || most > ctx->device.max_work_group) most = ctx->device.max_work_group;
    if (group[0] * group[1] * group[2] > most)
        return context_fail(ctx, TESS_UNSUPPORTED,
                            "%s: kernel %s has work-groups of %zu, the device can run %zu of its "
                            "work-items; choose another configuration",
                            program->config, name, group[0] * group[1] * group[2], most);
    if (clGetKernelWorkGroupInfo(kernel, device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof local, &local,
                                 NULL) == CL_SUCCESS &&
        local > ctx->device.local_memory)
        return context_fail(ctx, TESS_UNSUPPORTED,
                            "%s: kernel %s takes %llu bytes of local memory, the device has %llu; "
                            "choose another configuration",
                            program->config, name, (unsigned long long)local,
                            (unsigned long long)ctx->device.local_memory);
    return TESS_OK;
}

tess_status program_kernel(tess_context *ctx, struct program *program, const char *name,
                           cl_kernel *out) {
    if (!ctx || !program || !name || !out)
        return context_fail(ctx, TESS_INVALID_ARGUMENT, "program_kernel: an argument is NULL");
    cl_int code = CL_SUCCESS;
    if (!program->cl) {
        *out = NULL;
        return TESS_OK;
    }
    cl_kernel kernel = clCreateKernel(program->cl, name, &code);
    if (code == CL_INVALID_KERNEL_NAME)
        return context_fail(ctx, TESS_NOT_FOUND,
                            "%s: %s has no kernel named %s; check the name in the source",
                            program->config, program->file, name);
    if (code != CL_SUCCESS) {
        context_fail_opencl(ctx, code, name);
        return error_prefix(&ctx->error, program_status(code), "%s: creating kernel",
                            program->config);
    }
    tess_status status = check_fits(ctx, program, name, kernel);
    if (status) {
        clReleaseKernel(kernel);
        return status;
    }
    ctx->counters.kernels_created++;
    *out = kernel;
    return TESS_OK;
}

void kernel_release(cl_kernel kernel) {
    if (kernel) clReleaseKernel(kernel);
}

/* As PoCL 3.1's threads take work-groups (lib/CL/devices/pthread/pthread_scheduler.c): an equal share of what is left, but at most so many times the
   number of threads; many times that as long as more than LARGE threads^2 are left. */
enum { SHARE = 32, LARGE = 256 };
/* How often a thread is to take some, so that the others can make up for one that is late. */
enum { TURNS = 16 };
/* Work-groups that do nothing take a thread 10 to 20 ns each; so many for each thread at most. */
enum { IDLE_MOST = 4096 };

int range_spread_out(const tess_context *ctx, struct kernel_range *range) {
    if (!on_pocl(ctx)) return 1;
    size_t threads = ctx->device.compute_units, groups = 1;
    for (cl_uint i = 0; i < range->dims; i++) {
        if (range->local[i] != 1) return 1;
        groups *= range->global[i];
    }
    if (threads < 2 || groups <= threads) return 1;
    size_t together = groups / (TURNS * threads);
    size_t every = SHARE * threads / (together ? together : 1);
    size_t most = LARGE * threads < IDLE_MOST ? LARGE * threads : IDLE_MOST;
    /* Not so many that threads take LARGE times their number at once. */
    if (every > most * threads / groups) every = most * threads / groups;
    if (every < 2) return 1;
    range->global[0] *= every;
    return (int)every;
}
