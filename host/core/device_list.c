#include "core/device.h"

#include "core/pocl_cache.h"
#include "core/program_cache.h"

#include <stdlib.h>
#include <string.h>

#define NO_DEVICE_ADVICE                                                                           \
    "install an OpenCL driver: your GPU vendor's, or pocl-opencl-icd, which serves any CPU"

/* A platform without devices, or one that fails, adds nothing: the others may still work. */
static tess_status append_platform(tess_error *error, cl_platform_id platform, unsigned index,
                                   tess_device_info **list, size_t *count) {
    cl_uint found = 0;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &found) != CL_SUCCESS || found == 0)
        return TESS_OK;
    tess_status status = TESS_OK;
    cl_device_id *ids = calloc(found, sizeof *ids);
    tess_device_info *grown = ids ? realloc(*list, (*count + found) * sizeof **list) : NULL;
    if (!grown) {
        status = error_set(error, TESS_OUT_OF_HOST_MEMORY, "listing devices: out of memory");
        goto done;
    }
    *list = grown;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, found, ids, NULL) != CL_SUCCESS) goto done;
    for (cl_uint i = 0; i < found; i++) {
        tess_device_info *info = &grown[(*count)++];
        device_query(ids[i], info);
        info->platform = platform;
        info->platform_index = index;
        info->device_index = i;
    }
done:
    free(ids);
    return status;
}

static tess_status list_platforms(tess_error *error, cl_platform_id **out, cl_uint *count) {
    cl_uint found = 0;
    cl_int code = clGetPlatformIDs(0, NULL, &found);
    if (code != CL_SUCCESS) return error_opencl(error, code, "listing OpenCL platforms");
    if (found == 0)
        return error_set(error, TESS_NO_DEVICE,
                         "listing OpenCL platforms: there is none; " NO_DEVICE_ADVICE);
    cl_platform_id *platforms = calloc(found, sizeof *platforms);
    if (!platforms)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY, "listing devices: out of memory");
    code = clGetPlatformIDs(found, platforms, NULL);
    if (code != CL_SUCCESS) {
        free(platforms);
        return error_opencl(error, code, "listing OpenCL platforms");
    }
    *out = platforms;
    *count = found;
    return TESS_OK;
}

static bool is_pocl(cl_platform_id platform) {
    char name[sizeof POCL_PLATFORM];
    return clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof name, name, NULL) == CL_SUCCESS &&
           strcmp(name, POCL_PLATFORM) == 0;
}

static tess_status no_device(tess_error *error, const cl_platform_id *platforms, cl_uint count) {
    char why[1000];
    bool pocl = false;
    for (cl_uint i = 0; i < count; i++)
        pocl = pocl || is_pocl(platforms[i]);
    if (pocl && pocl_cache_look(why, sizeof why) == POCL_CACHE_BAD)
        return error_set(error, TESS_NO_DEVICE, "listing OpenCL devices: PoCL offers none: %s",
                         why);
    return error_set(error, TESS_NO_DEVICE,
                     "listing OpenCL devices: %u platform%s, no device; " NO_DEVICE_ADVICE, count,
                     count == 1 ? "" : "s");
}

tess_status tess_device_list(tess_error *error, tess_device_info **list, size_t *count) {
    if (!list || !count)
        return error_set(error, TESS_INVALID_ARGUMENT, "listing devices: an output is NULL");
    cl_platform_id *platforms = NULL;
    cl_uint platform_count = 0;
    tess_device_info *devices = NULL;
    size_t device_count = 0;
    tess_status status = list_platforms(error, &platforms, &platform_count);
    if (status) return status;
    for (cl_uint i = 0; i < platform_count && !status; i++)
        status = append_platform(error, platforms[i], i, &devices, &device_count);
    if (!status && device_count == 0) status = no_device(error, platforms, platform_count);
    free(platforms);
    if (status) {
        free(devices);
        return status;
    }
    *list = devices;
    *count = device_count;
    return TESS_OK;
}

void tess_device_list_free(tess_device_info *list) {
    free(list);
}
