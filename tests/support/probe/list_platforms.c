/* Prints the name of each OpenCL platform that has a device. Used when the build is configured. */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <stdio.h>

int main(void) {
    cl_platform_id platforms[32];
    cl_uint count = 0;
    if (clGetPlatformIDs(32, platforms, &count) != CL_SUCCESS) return 1;
    for (cl_uint i = 0; i < count && i < 32; i++) {
        char name[256] = "";
        cl_uint devices = 0;
        clGetPlatformInfo(platforms[i], CL_PLATFORM_NAME, sizeof name - 1, name, NULL);
        if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 0, NULL, &devices) == CL_SUCCESS &&
            devices)
            puts(name);
    }
    return 0;
}
