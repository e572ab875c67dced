#include "train/text_fields.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fields_add(struct text_fields *fields, const char *key, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *name = strdup(key);
    char *value = length < 0 ? NULL : malloc((size_t)length + 1);
    bool full = fields->count + 3 > (int)(sizeof fields->list / sizeof *fields->list);
    if (name && value && !full) {
        vsnprintf(value, (size_t)length + 1, format, again);
        fields->list[fields->count++] = name;
        fields->list[fields->count++] = value;
    } else {
        free(name);
        free(value);
        fields->failed = true;
    }
    va_end(again);
}

void fields_free(struct text_fields *fields) {
    for (int i = 0; i < fields->count; i++)
        free(fields->list[i]);
    *fields = (struct text_fields){0};
}

const char *field_number(double value, char text[FIELD_NUMBER_SIZE]) {
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, FIELD_NUMBER_SIZE, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    return text;
}

double fields_number(struct field_reader *reader, const char *key, double low, double high) {
    const char *text = safetensors_metadata(reader->file, key);
    char *end = NULL;
    double value = text ? strtod(text, &end) : low;
    if (text && end != text && !*end && value >= low && value <= high) return value;
    reader->good = false;
    return low;
}

uint64_t fields_u64(struct field_reader *reader, const char *key) {
    const char *text = safetensors_metadata(reader->file, key);
    char *end = NULL;
    errno = 0;
    unsigned long long value = text ? strtoull(text, &end, 10) : 0;
    if (text && *text >= '0' && *text <= '9' && !*end && !errno) return value;
    reader->good = false;
    return 0;
}
