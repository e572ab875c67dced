#include "core/device.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A SPEC, parsed. */
struct device_spec {
    cl_device_type type; /* 0: any */
    bool indexed;
    unsigned platform_index, device_index;
    const char *part; /* of a name; NULL: any */
};

static bool same_word(const char *a, const char *b) {
    for (; *a && *b; a++, b++)
        if (tolower((unsigned char)*a) != tolower((unsigned char)*b)) return false;
    return *a == *b;
}

static bool contains(const char *text, const char *part) {
    size_t length = strlen(part);
    for (; *text; text++) {
        size_t i = 0;
        while (i < length && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (i == length) return true;
    }
    return length == 0;
}

/* Digits only: no sign, no blanks; at most nine of them, so that it fits. */
static const char *parse_index(const char *text, unsigned *out) {
    unsigned value = 0;
    int digits = 0;
    for (; isdigit((unsigned char)*text) && digits < 9; text++, digits++)
        value = value * 10 + (unsigned)(*text - '0');
    if (digits == 0) return NULL;
    *out = value;
    return text;
}

static struct device_spec parse_spec(const char *spec) {
    static const struct {
        const char *word;
        cl_device_type type;
    } words[] = {{"gpu", CL_DEVICE_TYPE_GPU},
                 {"cpu", CL_DEVICE_TYPE_CPU},
                 {"accelerator", CL_DEVICE_TYPE_ACCELERATOR}};
    struct device_spec out = {0};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (same_word(spec, words[i].word)) {
            out.type = words[i].type;
            return out;
        }
    const char *at = parse_index(spec, &out.platform_index);
    if (at && *at == ':' && (at = parse_index(at + 1, &out.device_index)) && *at == '\0')
        out.indexed = true;
    else
        out.part = spec;
    return out;
}

static bool matches(const struct device_spec *spec, const tess_device_info *info) {
    if (spec->indexed)
        return info->platform_index == spec->platform_index &&
               info->device_index == spec->device_index;
    if (spec->type && !(info->type & spec->type)) return false;
    return !spec->part || contains(info->name, spec->part) ||
           contains(info->platform_name, spec->part);
}

/* Higher is better. A device that context creation would refuse comes after all others, and kinds come in the
   order GPU, accelerator, CPU, rest; among equals the faster one by compute units times clock. */
static double rank(const tess_device_info *info) {
    double kind = info->type & CL_DEVICE_TYPE_GPU           ? 3
                  : info->type & CL_DEVICE_TYPE_ACCELERATOR ? 2
                  : info->type & CL_DEVICE_TYPE_CPU         ? 1
                                                            : 0;
    double usable = device_check(info, true, NULL) == TESS_OK ? 4 : 0;
    double speed = (double)info->compute_units * (info->clock_mhz ? info->clock_mhz : 1);
    return (usable + kind) * 1e12 + speed;
}

static tess_status no_match(tess_error *error, const char *spec, const tess_device_info *list,
                            size_t count) {
    char known[640] = "";
    size_t used = 0;
    for (size_t i = 0; i < count && used < sizeof known - 1; i++) {
        int length = snprintf(known + used, sizeof known - used, "%s%u:%u %s (%s)", i ? ", " : "",
                              list[i].platform_index, list[i].device_index, list[i].name,
                              list[i].platform_name);
        used += length > 0 ? (size_t)length : 0;
    }
    return error_set(error, TESS_NO_DEVICE,
                     "device \"%.100s\": no such device; use gpu, cpu, accelerator or a part of: "
                     "%s",
                     spec, known);
}

tess_status tess_device_find(const char *spec, tess_error *error, tess_device_info *out) {
    if (!out)
        return error_set(error, TESS_INVALID_ARGUMENT, "finding a device: the output is NULL");
    if (!spec || !*spec) spec = getenv("TESSERA_DEVICE");
    if (!spec) spec = "";
    tess_device_info *list = NULL;
    size_t count = 0;
    tess_status status = tess_device_list(error, &list, &count);
    if (status) return status;
    struct device_spec wanted = parse_spec(spec);
    const tess_device_info *best = NULL;
    for (size_t i = 0; i < count; i++)
        if (matches(&wanted, &list[i]) && (!best || rank(&list[i]) > rank(best))) best = &list[i];
    if (best)
        *out = *best;
    else
        status = no_match(error, spec, list, count);
    tess_device_list_free(list);
    return status;
}
