#include "core/device.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Newer than the oldest cl.h that users may build against. */
#ifndef CL_DEVICE_MAX_NUM_SUB_GROUPS
#define CL_DEVICE_MAX_NUM_SUB_GROUPS 0x105C
#endif

/* Drivers pad names with blanks on both sides. */
static void trim(char *text) {
    size_t start = strspn(text, " \t\r\n");
    size_t length = strlen(text + start);
    while (length > 0 && isspace((unsigned char)text[start + length - 1]))
        length--;
    memmove(text, text + start, length);
    text[length] = '\0';
}

static void copy_text(char *out, size_t size, const char *text) {
    snprintf(out, size, "%s", text);
    trim(out);
}

/* The whole string, owned by the caller; NULL when the query fails. */
static char *device_text(cl_device_id device, cl_device_info what) {
    size_t size = 0;
    if (clGetDeviceInfo(device, what, 0, NULL, &size) != CL_SUCCESS) return NULL;
    char *text = calloc(size + 1, 1);
    if (text && clGetDeviceInfo(device, what, size, text, NULL) != CL_SUCCESS) {
        free(text);
        return NULL;
    }
    return text;
}

static void query_text(cl_device_id device, cl_device_info what, char *out, size_t size) {
    char *text = device_text(device, what);
    if (text) copy_text(out, size, text);
    free(text);
}

static void query_platform(cl_platform_id platform, cl_platform_info what, char *out, size_t size) {
    size_t length = 0;
    if (clGetPlatformInfo(platform, what, 0, NULL, &length) != CL_SUCCESS) return;
    char *text = calloc(length + 1, 1);
    if (text && clGetPlatformInfo(platform, what, length, text, NULL) == CL_SUCCESS)
        copy_text(out, size, text);
    free(text);
}

static cl_uint query_uint(cl_device_id device, cl_device_info what) {
    cl_uint value = 0;
    return clGetDeviceInfo(device, what, sizeof value, &value, NULL) == CL_SUCCESS ? value : 0;
}

static uint64_t query_ulong(cl_device_id device, cl_device_info what) {
    cl_ulong value = 0;
    return clGetDeviceInfo(device, what, sizeof value, &value, NULL) == CL_SUCCESS ? value : 0;
}

static size_t query_size(cl_device_id device, cl_device_info what) {
    size_t value = 0;
    return clGetDeviceInfo(device, what, sizeof value, &value, NULL) == CL_SUCCESS ? value : 0;
}

static bool query_bool(cl_device_id device, cl_device_info what) {
    cl_bool value = CL_FALSE;
    return clGetDeviceInfo(device, what, sizeof value, &value, NULL) == CL_SUCCESS && value;
}

static void query_work_item(cl_device_id device, size_t out[3]) {
    size_t size = 0;
    size_t dims[16];
    if (clGetDeviceInfo(device, CL_DEVICE_MAX_WORK_ITEM_SIZES, 0, NULL, &size) != CL_SUCCESS ||
        size > sizeof dims || size < 3 * sizeof *dims)
        return;
    if (clGetDeviceInfo(device, CL_DEVICE_MAX_WORK_ITEM_SIZES, size, dims, NULL) == CL_SUCCESS)
        memcpy(out, dims, 3 * sizeof *dims);
}

static bool has_extension(const char *extensions, const char *name) {
    size_t length = strlen(name);
    for (const char *at = extensions; at && (at = strstr(at, name)); at += length) {
        bool starts = at == extensions || at[-1] == ' ';
        if (starts && (at[length] == ' ' || at[length] == '\0')) return true;
    }
    return false;
}

static void query_names(cl_device_id device, tess_device_info *out) {
    query_platform(out->platform, CL_PLATFORM_NAME, out->platform_name, sizeof out->platform_name);
    query_platform(out->platform, CL_PLATFORM_VERSION, out->platform_version,
                   sizeof out->platform_version);
    query_text(device, CL_DEVICE_NAME, out->name, sizeof out->name);
    query_text(device, CL_DEVICE_VENDOR, out->vendor, sizeof out->vendor);
    query_text(device, CL_DRIVER_VERSION, out->driver_version, sizeof out->driver_version);
    query_text(device, CL_DEVICE_VERSION, out->opencl_version, sizeof out->opencl_version);
    query_text(device, CL_DEVICE_OPENCL_C_VERSION, out->opencl_c_version,
               sizeof out->opencl_c_version);
    /* The format is fixed: OpenCL specification, table of device queries. */
    if (sscanf(out->opencl_version, "OpenCL %d.%d", &out->opencl_major, &out->opencl_minor) != 2)
        out->opencl_major = out->opencl_minor = 0;
    if (sscanf(out->opencl_c_version, "OpenCL C %d.%d", &out->opencl_c_major,
               &out->opencl_c_minor) != 2)
        out->opencl_c_major = out->opencl_c_minor = 0;
}

static void query_memory(cl_device_id device, tess_device_info *out) {
    out->global_memory = query_ulong(device, CL_DEVICE_GLOBAL_MEM_SIZE);
    out->max_allocation = query_ulong(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    out->global_cache = query_ulong(device, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE);
    out->local_memory = query_ulong(device, CL_DEVICE_LOCAL_MEM_SIZE);
    out->base_align = query_uint(device, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8; /* given in bits */
    out->local_memory_dedicated = query_uint(device, CL_DEVICE_LOCAL_MEM_TYPE) == CL_LOCAL;
    out->unified_memory = query_bool(device, CL_DEVICE_HOST_UNIFIED_MEMORY);
}

void device_query(cl_device_id device, tess_device_info *out) {
    *out = (tess_device_info){.device = device};
    if (clGetDeviceInfo(device, CL_DEVICE_PLATFORM, sizeof out->platform, &out->platform, NULL) !=
        CL_SUCCESS)
        out->platform = NULL;
    if (clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof out->type, &out->type, NULL) != CL_SUCCESS)
        out->type = 0;
    query_names(device, out);
    query_memory(device, out);
    out->compute_units = query_uint(device, CL_DEVICE_MAX_COMPUTE_UNITS);
    out->clock_mhz = query_uint(device, CL_DEVICE_MAX_CLOCK_FREQUENCY);
    out->max_work_group = query_size(device, CL_DEVICE_MAX_WORK_GROUP_SIZE);
    query_work_item(device, out->max_work_item);
    out->native_float_vector = query_uint(device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
    /* A query of OpenCL 2.1; older devices may misread an unknown name. */
    if (out->opencl_major > 2 || (out->opencl_major == 2 && out->opencl_minor >= 1))
        out->max_sub_groups = query_uint(device, CL_DEVICE_MAX_NUM_SUB_GROUPS);
    char *extensions = device_text(device, CL_DEVICE_EXTENSIONS);
    out->has_fp16 = has_extension(extensions, "cl_khr_fp16");
    out->has_fp64 = has_extension(extensions, "cl_khr_fp64");
    free(extensions);
    out->compiler_available = query_bool(device, CL_DEVICE_COMPILER_AVAILABLE);
    out->available = query_bool(device, CL_DEVICE_AVAILABLE);
}

tess_status device_check(const tess_device_info *info, bool compiles, tess_error *error) {
    if (!info->available)
        return error_set(error, TESS_NO_DEVICE,
                         "device %s: the driver says that it is not available; choose another one",
                         info->name);
    if (info->opencl_major * 10 + info->opencl_minor < 12)
        return error_set(error, TESS_UNSUPPORTED,
                         "device %s: it has \"%s\", and OpenCL 1.2 is needed; update its driver or "
                         "choose another device",
                         info->name, info->opencl_version);
    if (compiles && !info->compiler_available)
        return error_set(
            error, TESS_UNSUPPORTED,
            "device %s: it has no OpenCL C compiler; choose another device, or give it "
            "kernels that were compiled elsewhere (--kernels BUNDLE)",
            info->name);
    return TESS_OK;
}
