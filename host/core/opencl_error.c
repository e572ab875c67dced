#include "core/status.h"

#include <stddef.h>

struct opencl_code {
    cl_int code;
    tess_status status;
    const char *name;
    const char *advice; /* NULL: none */
};

#define PLAIN(code)                                                                                \
    { code, TESS_OPENCL, #code, NULL }
#define CODE(code, status, advice)                                                                 \
    { code, TESS_##status, #code, advice }

/* Of cl_ext.h, which is not included for one name. */
#define CL_PLATFORM_NOT_FOUND_KHR (-1001)

/* All codes up to OpenCL 3.0, and the ICD loader's. */
static const struct opencl_code codes[] = {
    PLAIN(CL_SUCCESS),
    CODE(CL_DEVICE_NOT_FOUND, NO_DEVICE,
         "install an OpenCL driver for the device, or choose another device"),
    CODE(CL_DEVICE_NOT_AVAILABLE, NO_DEVICE,
         "the device is in use or was lost; free it or choose another one"),
    CODE(CL_COMPILER_NOT_AVAILABLE, UNSUPPORTED,
         "this device takes only precompiled kernels; choose a device with a compiler"),
    CODE(CL_MEM_OBJECT_ALLOCATION_FAILURE, OUT_OF_DEVICE_MEMORY,
         "use a smaller batch or network, or free memory on the device"),
    CODE(
        CL_OUT_OF_RESOURCES, OUT_OF_DEVICE_MEMORY,
        "the device ran out of memory or registers, or a kernel failed on it; use a smaller batch"),
    CODE(CL_OUT_OF_HOST_MEMORY, OUT_OF_HOST_MEMORY,
         "use a smaller batch, or free memory on the host"),
    PLAIN(CL_PROFILING_INFO_NOT_AVAILABLE),
    PLAIN(CL_MEM_COPY_OVERLAP),
    PLAIN(CL_IMAGE_FORMAT_MISMATCH),
    PLAIN(CL_IMAGE_FORMAT_NOT_SUPPORTED),
    CODE(CL_BUILD_PROGRAM_FAILURE, BUILD_FAILED, "read the build log"),
    CODE(CL_MAP_FAILURE, OUT_OF_DEVICE_MEMORY, "free memory on the host"),
    CODE(CL_MISALIGNED_SUB_BUFFER_OFFSET, INVALID_ARGUMENT,
         "use an offset that is a multiple of the device's base_align"),
    CODE(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, OPENCL,
         "an earlier command failed on the device"),
    PLAIN(CL_COMPILE_PROGRAM_FAILURE),
    PLAIN(CL_LINKER_NOT_AVAILABLE),
    PLAIN(CL_LINK_PROGRAM_FAILURE),
    PLAIN(CL_DEVICE_PARTITION_FAILED),
    PLAIN(CL_KERNEL_ARG_INFO_NOT_AVAILABLE),
    PLAIN(CL_INVALID_VALUE),
    PLAIN(CL_INVALID_DEVICE_TYPE),
    PLAIN(CL_INVALID_PLATFORM),
    CODE(CL_INVALID_DEVICE, OPENCL, "the device does not belong to this context"),
    CODE(CL_INVALID_CONTEXT, OPENCL, "the object belongs to another context or was released"),
    PLAIN(CL_INVALID_QUEUE_PROPERTIES),
    CODE(CL_INVALID_COMMAND_QUEUE, OPENCL,
         "the queue was released, or an earlier kernel failed on the device"),
    PLAIN(CL_INVALID_HOST_PTR),
    CODE(CL_INVALID_MEM_OBJECT, OPENCL, "the buffer was released or is of another kind"),
    PLAIN(CL_INVALID_IMAGE_FORMAT_DESCRIPTOR),
    PLAIN(CL_INVALID_IMAGE_SIZE),
    PLAIN(CL_INVALID_SAMPLER),
    CODE(CL_INVALID_BINARY, OPENCL, "the binary is for another device or driver"),
    CODE(CL_INVALID_BUILD_OPTIONS, BUILD_FAILED,
         "check the options that were given to the compiler"),
    PLAIN(CL_INVALID_PROGRAM),
    PLAIN(CL_INVALID_PROGRAM_EXECUTABLE),
    PLAIN(CL_INVALID_KERNEL_NAME),
    PLAIN(CL_INVALID_KERNEL_DEFINITION),
    PLAIN(CL_INVALID_KERNEL),
    PLAIN(CL_INVALID_ARG_INDEX),
    PLAIN(CL_INVALID_ARG_VALUE),
    PLAIN(CL_INVALID_ARG_SIZE),
    CODE(CL_INVALID_KERNEL_ARGS, OPENCL, "an argument of the kernel was not set"),
    CODE(CL_INVALID_WORK_DIMENSION, OPENCL, "use 1 to 3 dimensions"),
    CODE(CL_INVALID_WORK_GROUP_SIZE, OPENCL,
         "the work-group is too large for this kernel on this device, or does not divide the "
         "global size; use a smaller one"),
    CODE(CL_INVALID_WORK_ITEM_SIZE, OPENCL, "use a work-group within the device's max_work_item"),
    PLAIN(CL_INVALID_GLOBAL_OFFSET),
    PLAIN(CL_INVALID_EVENT_WAIT_LIST),
    PLAIN(CL_INVALID_EVENT),
    PLAIN(CL_INVALID_OPERATION),
    PLAIN(CL_INVALID_GL_OBJECT),
    CODE(CL_INVALID_BUFFER_SIZE, OUT_OF_DEVICE_MEMORY,
         "the buffer is larger than the device allows; use a smaller batch"),
    PLAIN(CL_INVALID_MIP_LEVEL),
    CODE(CL_INVALID_GLOBAL_WORK_SIZE, OPENCL,
         "the global size is zero or too large for this device"),
    PLAIN(CL_INVALID_PROPERTY),
    PLAIN(CL_INVALID_IMAGE_DESCRIPTOR),
    PLAIN(CL_INVALID_COMPILER_OPTIONS),
    PLAIN(CL_INVALID_LINKER_OPTIONS),
    PLAIN(CL_INVALID_DEVICE_PARTITION_COUNT),
    PLAIN(CL_INVALID_PIPE_SIZE),
    PLAIN(CL_INVALID_DEVICE_QUEUE),
    PLAIN(CL_INVALID_SPEC_ID),
    PLAIN(CL_MAX_SIZE_RESTRICTION_EXCEEDED),
    CODE(CL_PLATFORM_NOT_FOUND_KHR, NO_DEVICE,
         "install an OpenCL driver; pocl-opencl-icd serves any CPU"),
};

static const struct opencl_code *find_code(cl_int code) {
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].code == code) return &codes[i];
    return NULL;
}

const char *opencl_error_name(cl_int code) {
    const struct opencl_code *found = find_code(code);
    return found ? found->name : "CL_UNKNOWN_ERROR";
}

tess_status(error_opencl)(tess_error *error, cl_int code, const char *what) {
    const struct opencl_code *found = find_code(code);
    const char *advice = found ? found->advice : NULL;
    return error_set(error, found ? found->status : TESS_OPENCL, "%s: %s (%d)%s%s", what,
                     opencl_error_name(code), code, advice ? "; " : "", advice ? advice : "");
}
