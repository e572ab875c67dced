#include "db/device_class.h"

#include <string.h>
#include <strings.h>

static bool has(const char *text, const char *word) {
    size_t length = strlen(word);
    for (; *text; text++)
        if (strncasecmp(text, word, length) == 0) return true;
    return false;
}

/* A driver of one maker may serve another's device (Mesa), so vendor and name count, not the platform. */
static const char *gpu_class(const tess_device_info *device) {
    static const struct {
        const char *word, *name;
    } makers[] = {
        {"advanced micro devices", "amd-gpu"},
        {"amd", "amd-gpu"},
        {"radeon", "amd-gpu"},
        {"nvidia", "nvidia-gpu"},
        {"geforce", "nvidia-gpu"},
        {"intel", "intel-gpu"},
    };
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
        if (has(device->vendor, makers[i].word) || has(device->name, makers[i].word))
            return makers[i].name;
    return "any-gpu";
}

const char *device_class(const tess_device_info *device) {
    if (device->type & CL_DEVICE_TYPE_GPU) return gpu_class(device);
    bool pocl = has(device->platform_name, "portable computing language");
    if (!pocl || !(device->type & CL_DEVICE_TYPE_CPU)) return "";
    if (device->native_float_vector >= 16) return "pocl-avx512";
    return device->native_float_vector >= 8 ? "pocl-avx2" : "";
}

const char *device_class_parent(const char *name) {
    size_t length = strlen(name);
    bool gpu = length > 4 && strcmp(name + length - 4, "-gpu") == 0;
    return gpu && strcmp(name, "any-gpu") != 0 ? "any-gpu" : NULL;
}
