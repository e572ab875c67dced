/* Devices without a compiler: they say so and refuse sources, but take binaries. */
#include "opencl_layer.h"

#include <stdbool.h>
#include <string.h>

static CL_API_ENTRY cl_int CL_API_CALL device_info(cl_device_id device, cl_device_info what,
                                                   size_t size, void *value, size_t *size_ret) {
    cl_int code = layer_next.clGetDeviceInfo(device, what, size, value, size_ret);
    const cl_bool no = CL_FALSE;
    bool compiler = what == CL_DEVICE_COMPILER_AVAILABLE || what == CL_DEVICE_LINKER_AVAILABLE;
    if (code == CL_SUCCESS && compiler && value) memcpy(value, &no, sizeof no);
    return code;
}

static CL_API_ENTRY cl_program CL_API_CALL create_program(cl_context context, cl_uint count,
                                                          const char **strings,
                                                          const size_t *lengths, cl_int *code) {
    (void)context, (void)count, (void)strings, (void)lengths;
    if (code) *code = CL_INVALID_OPERATION;
    return NULL;
}

static CL_API_ENTRY cl_program CL_API_CALL create_from_il(cl_context context, const void *il,
                                                          size_t length, cl_int *code) {
    (void)context, (void)il, (void)length;
    if (code) *code = CL_INVALID_OPERATION;
    return NULL;
}

static CL_API_ENTRY cl_int CL_API_CALL compile(cl_program program, cl_uint device_count,
                                               const cl_device_id *devices, const char *options,
                                               cl_uint header_count, const cl_program *headers,
                                               const char **names,
                                               void(CL_CALLBACK *done)(cl_program, void *),
                                               void *user) {
    (void)program, (void)device_count, (void)devices, (void)options, (void)header_count;
    (void)headers, (void)names, (void)done, (void)user;
    return CL_COMPILER_NOT_AVAILABLE;
}

void layer_replace(void) {
    layer_own.clGetDeviceInfo = device_info;
    layer_own.clCreateProgramWithSource = create_program;
    layer_own.clCreateProgramWithIL = create_from_il;
    layer_own.clCompileProgram = compile;
}
