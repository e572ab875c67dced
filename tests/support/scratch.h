/* Temporary folders and files of tests. Failures fail the test. */
#ifndef TESSERA_TESTS_SCRATCH_H
#define TESSERA_TESTS_SCRATCH_H

#include <stddef.h>

#define SCRATCH_PATH 256

/* A new empty folder; end it with scratch_remove. */
void scratch_create(char path[SCRATCH_PATH]);
/* With all that is in it. A path that is not there is fine. */
void scratch_remove(const char *path);

/* out = folder/name. */
void scratch_join(char out[SCRATCH_PATH], const char *folder, const char *name);

void scratch_write(const char *folder, const char *name, const void *data, size_t size);
void scratch_write_text(const char *folder, const char *name, const char *text);
/* The file's bytes and a zero; free() them. size may be NULL. */
char *scratch_read(const char *folder, const char *name, size_t *size);

/* Number of entries whose name ends with suffix ("": all); the last such name in name, which may be NULL. */
int scratch_count(const char *folder, const char *suffix, char name[SCRATCH_PATH]);

#endif
