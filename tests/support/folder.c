#include "support/folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int folder_setup(void **state) {
    char *path = strdup("/tmp/tessera-test-XXXXXX");
    if (!path || !mkdtemp(path)) return -1;
    *state = path;
    return 0;
}

/* Calls visit, if not NULL, for each entry; gives their number. */
static int each_entry(const char *folder, void (*visit)(const char *path)) {
    DIR *dir = opendir(folder);
    if (!dir) return -1;
    int count = 0;
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char path[FOLDER_PATH_SIZE];
        if (visit) visit(folder_path(folder, entry->d_name, path));
        count++;
    }
    closedir(dir);
    return count;
}

static void remove_entry(const char *path) {
    if (!unlink(path)) return;
    each_entry(path, remove_entry);
    (void)rmdir(path);
}

int folder_teardown(void **state) {
    each_entry(*state, remove_entry);
    int result = rmdir(*state);
    free(*state);
    return result;
}

char *folder_path(const char *folder, const char *name, char out[FOLDER_PATH_SIZE]) {
    int length = snprintf(out, FOLDER_PATH_SIZE, "%s/%s", folder, name);
    assert_in_range(length, 1, FOLDER_PATH_SIZE - 1);
    return out;
}

int folder_count(const char *folder) {
    return each_entry(folder, NULL);
}

void bytes_write(const char *path, const void *data, size_t size) {
    /* A new file each time: some file systems wait for the disk when an old one is cut and rewritten. */
    (void)unlink(path);
    FILE *out = fopen(path, "wb");
    if (!out) fail_msg("%s cannot be created", path);
    assert_int_equal(fwrite(data, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

unsigned char *bytes_read(const char *path, size_t *size) {
    FILE *in = fopen(path, "rb");
    if (!in) fail_msg("%s cannot be opened", path);
    fseek(in, 0, SEEK_END);
    *size = (size_t)ftell(in);
    rewind(in);
    unsigned char *data = check_alloc(*size);
    assert_int_equal(fread(data, 1, *size, in), *size);
    fclose(in);
    return data;
}
