/* Keys and values as text: the metadata of a checkpoint. */
#ifndef TESSERA_TRAIN_TEXT_FIELDS_H
#define TESSERA_TRAIN_TEXT_FIELDS_H

#include "core/status.h"
#include "net/safetensors.h"

/* Alternating keys and values, then NULL: what tess_net_save takes. Starts as {0}; ended by fields_free. */
struct text_fields {
    char *list[2 * 48 + 1];
    int count;   /* strings */
    bool failed; /* no memory, or too many: the list is not to be used */
};

void fields_add(struct text_fields *fields, const char *key, const char *format, ...)
    PRINTF_LIKE(3, 4);
void fields_free(struct text_fields *fields);

/* The shortest decimal text that reads back as the same number; gives text. */
#define FIELD_NUMBER_SIZE 40
const char *field_number(double value, char text[FIELD_NUMBER_SIZE]);

/* Reads numbers from a file's metadata. good becomes false at the first that is missing, not a number, or not in
   low .. high; that one reads as low. */
struct field_reader {
    const struct safetensors *file;
    bool good;
};
double fields_number(struct field_reader *reader, const char *key, double low, double high);
uint64_t fields_u64(struct field_reader *reader, const char *key);

#endif
