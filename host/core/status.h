/* Making errors: one line "what: why; what to do" in a tess_error, and its status to return. */
#ifndef TESSERA_CORE_STATUS_H
#define TESSERA_CORE_STATUS_H

#include "tessera.h"

#if defined(__GNUC__)
#define PRINTF_LIKE(text, first) __attribute__((__format__(__printf__, text, first)))
#else
#define PRINTF_LIKE(text, first)
#endif

/* Fills error (which may be NULL) and returns status, so that a failure reads `return error_set(...)`. */
tess_status error_set(tess_error *error, tess_status status, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Puts "prefix: " before the text that is there, to say which layer or file it happened in. */
tess_status error_prefix(tess_error *error, tess_status status, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* "CL_OUT_OF_RESOURCES" for -5; "CL_UNKNOWN_ERROR" for a code that has no name. */
const char *opencl_error_name(cl_int code);

/* An OpenCL call failed: the status that fits the code (memory codes become OUT_OF_DEVICE_MEMORY), and
   "what: NAME (code); advice for this code". */
tess_status error_opencl(tess_error *error, cl_int code, const char *what);

/* clang-tidy reads one file at a time; this tells it that a failure never returns TESS_OK.
   Definitions put the name in parentheses, where no macro applies. */
#ifdef __clang_analyzer__
#define error_set(error, status, ...)    (error_set(error, status, __VA_ARGS__), (status))
#define error_prefix(error, status, ...) (error_prefix(error, status, __VA_ARGS__), (status))
#define error_opencl(error, code, what)  (error_opencl(error, code, what), TESS_OPENCL)
#endif

#endif
