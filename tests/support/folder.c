#include "support/folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *folder_path(const char *folder, const char *name, char out[FOLDER_PATH_SIZE]) {
    int length = snprintf(out, FOLDER_PATH_SIZE, "%s/%s", folder, name);
    if (length < 0 || length >= FOLDER_PATH_SIZE) fail_msg("path too long: %s/%s", folder, name);
    return out;
}

/* ---------------------------------------------------------------- entries */

/* Calls visit for each entry. */
static void each_entry(const char *folder, void (*visit)(void *user, const char *name),
                       void *user) {
    DIR *entries = opendir(folder);
    if (!entries) fail_msg("cannot open the folder %s", folder);
    for (struct dirent *entry = readdir(entries); entry; entry = readdir(entries))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            visit(user, entry->d_name);
    closedir(entries);
}

static void remove_entry(void *user, const char *name) {
    char path[FOLDER_PATH_SIZE];
    folder_remove(folder_path(user, name, path));
}

void folder_remove(const char *path) {
    if (unlink(path) == 0 || errno == ENOENT) return;
    each_entry(path, remove_entry, (void *)path);
    if (rmdir(path) != 0) fail_msg("cannot remove %s", path);
}

struct find {
    const char *suffix;
    char *name;
    int count;
};

static void find_entry(void *user, const char *name) {
    struct find *find = user;
    size_t length = strlen(name), end = strlen(find->suffix);
    if (length < end || strcmp(name + length - end, find->suffix) != 0) return;
    if (find->name) snprintf(find->name, FOLDER_PATH_SIZE, "%s", name);
    find->count++;
}

/* find_entry writes name. NOLINTNEXTLINE(readability-non-const-parameter) */
int folder_find(const char *folder, const char *suffix, char name[FOLDER_PATH_SIZE]) {
    struct find find = {suffix, name, 0};
    each_entry(folder, find_entry, &find);
    return find.count;
}

int folder_count(const char *folder) {
    return folder_find(folder, "", NULL);
}

/* ---------------------------------------------------------------- folders of tests */

void folder_create(char path[FOLDER_PATH_SIZE]) {
    const char *root = getenv("TMPDIR");
    snprintf(path, FOLDER_PATH_SIZE, "%.200s/tessera-test-XXXXXX", root && *root ? root : "/tmp");
    if (!mkdtemp(path)) fail_msg("cannot make a folder %s", path);
}

int folder_setup(void **state) {
    *state = check_alloc(FOLDER_PATH_SIZE);
    folder_create(*state);
    return 0;
}

int folder_teardown(void **state) {
    folder_remove(*state);
    free(*state);
    return 0;
}

/* ---------------------------------------------------------------- files */

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
    size_t bytes = (size_t)ftell(in);
    rewind(in);
    unsigned char *data = check_alloc(bytes + 1);
    assert_int_equal(fread(data, 1, bytes, in), bytes);
    fclose(in);
    data[bytes] = '\0';
    if (size) *size = bytes;
    return data;
}

void folder_write(const char *folder, const char *name, const void *data, size_t size) {
    char path[FOLDER_PATH_SIZE];
    bytes_write(folder_path(folder, name, path), data, size);
}

void folder_write_text(const char *folder, const char *name, const char *text) {
    folder_write(folder, name, text, strlen(text));
}

char *folder_read(const char *folder, const char *name, size_t *size) {
    char path[FOLDER_PATH_SIZE];
    return (char *)bytes_read(folder_path(folder, name, path), size);
}
