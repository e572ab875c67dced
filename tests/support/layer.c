#include "support/layer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/check.h"

/* Test programs lie in bin/, layers in tests/ beside it. */
char *layer_path(const char *name, char out[LAYER_PATH_SIZE]) {
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(length > 0);
    self[length] = '\0';
    char *slash = strrchr(self, '/');
    assert_non_null(slash);
    *slash = '\0';
    snprintf(out, LAYER_PATH_SIZE, "%s/../tests/liblayer_%s.so", self, name);
    assert_int_equal(access(out, R_OK), 0);
    return out;
}
