/* A temporary folder for each test, and whole files as bytes. */
#ifndef TESSERA_TESTS_FOLDER_H
#define TESSERA_TESTS_FOLDER_H

#include "support/check.h"

#include <sys/types.h>

#define FOLDER_PATH_SIZE 256

/* A new empty folder below $TMPDIR, else /tmp; it is ended with folder_remove. */
void folder_create(char path[FOLDER_PATH_SIZE]);
/* With all that is in it; a link is removed, not followed. A path that is not there is fine. Also for a file. */
void folder_remove(const char *path);

/* cmocka test set-up and tear-down: *state becomes the path (a string) of an empty folder, which goes away with all that is
   in it. */
int folder_setup(void **state);
int folder_teardown(void **state);

/* "folder/name" in a buffer of the caller. Gives out. */
char *folder_path(const char *folder, const char *name, char out[FOLDER_PATH_SIZE]);

/* The number of entries, "." and ".." not counted. */
int folder_count(const char *folder);
/* The number of those whose name ends with suffix; the last such name in name, which may be NULL. */
int folder_find(const char *folder, const char *suffix, char name[FOLDER_PATH_SIZE]);

/* Files. Each fails the test if it cannot. What is read is followed by a zero; free() it. size may be NULL. */
void bytes_write(const char *path, const void *data, size_t size);
unsigned char *bytes_read(const char *path, size_t *size);
void folder_write(const char *folder, const char *name, const void *data, size_t size);
void folder_write_text(const char *folder, const char *name, const char *text);
char *folder_read(const char *folder, const char *name, size_t *size);

#endif
