#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *tess_status_string(tess_status status) {
    static const char *const strings[] = {
#define X(name, text) text,
        TESS_STATUS_MAP(X)
#undef X
    };
    size_t index = (size_t)status;
    return index < sizeof strings / sizeof *strings ? strings[index] : "unknown status";
}

tess_status(error_set)(tess_error *error, tess_status status, const char *format, ...) {
    if (!error) return status;
    /* The arguments may point into error->text. */
    char text[sizeof error->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    error->status = status;
    memcpy(error->text, text, sizeof text);
    return status;
}

tess_status(error_prefix)(tess_error *error, tess_status status, const char *format, ...) {
    if (!error) return status;
    char prefix[256];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    return error_set(error, status, "%s: %s", prefix, error->text);
}
