#include "core/program_cache.h"

#include "core/cache_file.h"
#include "core/program_source.h"

#include <stdlib.h>
#include <string.h>

/* PoCL compiles every kernel of a program for work-groups of any size when it is asked for the binary, code that it
   mostly compiles again for the size that is launched: 0.2 s for a small kernel, seconds for a large one. Its own cache of
   compiled code already serves later starts, which then spend 60 to 100 ms a program on building from source; a
   binary makes that 3 to 7 ms. Measured with PoCL 3.1 on a busy 2-core machine, three passes of one direct
   convolution, two programs of 6 kernels each: first start 16 s without fetching binaries and 29 s with it, later
   ones 0.2 to 0.4 s and 0.1 to 0.2 s. So on PoCL only programs of a single kernel get an entry. Other drivers hand out what
   they have compiled anyway. */
#define POCL_MAX_KERNELS 1

static bool worth_storing(const tess_context *ctx, cl_program program) {
    if (strcmp(ctx->device.platform_name, POCL_PLATFORM) != 0) return true;
    size_t kernels = 0;
    return clGetProgramInfo(program, CL_PROGRAM_NUM_KERNELS, sizeof kernels, &kernels, NULL) ==
               CL_SUCCESS &&
           kernels <= POCL_MAX_KERNELS;
}

tess_status program_cache_key(tess_context *ctx, const char *source, const char *options,
                              unsigned char key[32]) {
    const tess_device_info *device = &ctx->device;
    const char *const parts[] = {device->name,
                                 device->vendor,
                                 device->driver_version,
                                 device->platform_name,
                                 device->platform_version,
                                 device->opencl_version,
                                 source,
                                 options};
    return hash_strings(ctx, parts, sizeof parts / sizeof *parts, key);
}

cl_int program_from_binary(tess_context *ctx, const unsigned char *binary, size_t size,
                           const char *options, cl_program *out) {
    cl_int code = CL_SUCCESS, binary_code = CL_SUCCESS;
    cl_program program = clCreateProgramWithBinary(ctx->cl, 1, &ctx->device.device, &size, &binary,
                                                   &binary_code, &code);
    if (code == CL_SUCCESS) code = binary_code;
    if (code == CL_SUCCESS)
        code = clBuildProgram(program, 1, &ctx->device.device, options, NULL, NULL);
    if (code == CL_SUCCESS)
        *out = program;
    else if (program)
        clReleaseProgram(program);
    return code;
}

cl_program program_cache_load(tess_context *ctx, const unsigned char key[32], const char *options,
                              const char *config) {
    unsigned char *binary = NULL;
    size_t size = 0;
    if (!ctx->cache_dir || !cache_file_read(ctx, key, &binary, &size)) return NULL;
    cl_program program = NULL;
    cl_int code = program_from_binary(ctx, binary, size, options, &program);
    free(binary);
    if (code != CL_SUCCESS)
        context_log(ctx, TESS_LOG_DEBUG, "program cache: the driver refuses the binary of %s: %s",
                    config, opencl_error_name(code));
    return program;
}

/* A context that the user made may have several devices, and a program then has a slot for each: only ours is asked for. */
static cl_int find_slot(tess_context *ctx, cl_program program, size_t *slot, size_t *slots) {
    size_t bytes = 0;
    cl_int code = clGetProgramInfo(program, CL_PROGRAM_DEVICES, 0, NULL, &bytes);
    if (code != CL_SUCCESS) return code;
    cl_device_id *devices = malloc(bytes ? bytes : 1);
    if (!devices) return CL_OUT_OF_HOST_MEMORY;
    code = clGetProgramInfo(program, CL_PROGRAM_DEVICES, bytes, devices, NULL);
    *slots = bytes / sizeof *devices;
    *slot = *slots;
    for (size_t i = 0; code == CL_SUCCESS && i < *slots; i++)
        if (devices[i] == ctx->device.device) *slot = i;
    free(devices);
    return code == CL_SUCCESS && *slot == *slots ? CL_INVALID_DEVICE : code;
}

cl_int program_binary(tess_context *ctx, cl_program program, unsigned char **binary, size_t *size) {
    size_t slot = 0, slots = 0;
    cl_int code = find_slot(ctx, program, &slot, &slots);
    if (code != CL_SUCCESS) return code;
    size_t *sizes = calloc(slots, sizeof *sizes);
    unsigned char **binaries = calloc(slots, sizeof *binaries);
    code = sizes && binaries ? clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES,
                                                slots * sizeof *sizes, sizes, NULL)
                             : CL_OUT_OF_HOST_MEMORY;
    if (code == CL_SUCCESS && sizes[slot] == 0) code = CL_INVALID_PROGRAM_EXECUTABLE;
    if (code == CL_SUCCESS) {
        *size = sizes[slot];
        *binary = binaries[slot] = malloc(sizes[slot]);
        code = *binary ? clGetProgramInfo(program, CL_PROGRAM_BINARIES, slots * sizeof *binaries,
                                          binaries, NULL)
                       : CL_OUT_OF_HOST_MEMORY;
    }
    free(sizes);
    free(binaries);
    return code;
}

void program_cache_store(tess_context *ctx, const unsigned char key[32], cl_program program,
                         const char *config) {
    if (!ctx->cache_dir || !worth_storing(ctx, program)) return;
    unsigned char *binary = NULL;
    size_t size = 0;
    cl_int code = program_binary(ctx, program, &binary, &size);
    if (code == CL_SUCCESS)
        cache_file_write(ctx, key, binary, size);
    else
        context_log(ctx, TESS_LOG_DEBUG, "program cache: no binary of %s: %s", config,
                    opencl_error_name(code));
    free(binary);
}
