/* A temporary folder for each test, and whole files as bytes. */
#ifndef TESSERA_TESTS_FOLDER_H
#define TESSERA_TESTS_FOLDER_H

#include "support/check.h"

#include <sys/types.h>

/* cmocka test set-up and tear-down: *state becomes the path (a string) of an empty folder, which goes away with all that is
   in it. */
int folder_setup(void **state);
int folder_teardown(void **state);

/* "folder/name" in a buffer of the caller. Gives out. */
#define FOLDER_PATH_SIZE 256
char *folder_path(const char *folder, const char *name, char out[FOLDER_PATH_SIZE]);

/* The number of entries, "." and ".." not counted. */
int folder_count(const char *folder);

/* Each fails the test if it cannot. */
void bytes_write(const char *path, const void *data, size_t size);
unsigned char *bytes_read(const char *path, size_t *size); /* free() it */

#endif
