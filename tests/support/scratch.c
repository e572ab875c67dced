#include "support/scratch.h"

#include "support/check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void scratch_create(char path[SCRATCH_PATH]) {
    const char *root = getenv("TMPDIR");
    snprintf(path, SCRATCH_PATH, "%.200s/tessera-test-XXXXXX", root && *root ? root : "/tmp");
    if (!mkdtemp(path)) fail_msg("cannot make a folder %s", path);
}

void scratch_join(char out[SCRATCH_PATH], const char *folder, const char *name) {
    int length = snprintf(out, SCRATCH_PATH, "%s/%s", folder, name);
    if (length < 0 || length >= SCRATCH_PATH) fail_msg("path too long: %s/%s", folder, name);
}

void scratch_remove(const char *path) {
    struct stat info;
    if (lstat(path, &info) != 0) return;
    if (S_ISDIR(info.st_mode)) {
        DIR *entries = opendir(path);
        assert_non_null(entries);
        for (struct dirent *entry = readdir(entries); entry; entry = readdir(entries)) {
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
            char inner[SCRATCH_PATH];
            scratch_join(inner, path, entry->d_name);
            scratch_remove(inner);
        }
        closedir(entries);
    }
    if (remove(path) != 0) fail_msg("cannot remove %s", path);
}

void scratch_write(const char *folder, const char *name, const void *data, size_t size) {
    char path[SCRATCH_PATH];
    scratch_join(path, folder, name);
    FILE *stream = fopen(path, "wb");
    if (!stream) fail_msg("cannot write %s", path);
    assert_int_equal(fwrite(data, 1, size, stream), size);
    assert_int_equal(fclose(stream), 0);
}

void scratch_write_text(const char *folder, const char *name, const char *text) {
    scratch_write(folder, name, text, strlen(text));
}

char *scratch_read(const char *folder, const char *name, size_t *size) {
    char path[SCRATCH_PATH];
    struct stat info;
    scratch_join(path, folder, name);
    if (stat(path, &info) != 0) fail_msg("cannot find %s", path);
    size_t bytes = (size_t)info.st_size;
    char *data = check_alloc(bytes + 1);
    FILE *stream = fopen(path, "rb");
    if (!stream) fail_msg("cannot read %s", path);
    assert_int_equal(fread(data, 1, bytes, stream), bytes);
    fclose(stream);
    data[bytes] = '\0';
    if (size) *size = bytes;
    return data;
}

int scratch_count(const char *folder, const char *suffix, char name[SCRATCH_PATH]) {
    DIR *entries = opendir(folder);
    assert_non_null(entries);
    int count = 0;
    for (struct dirent *entry = readdir(entries); entry; entry = readdir(entries)) {
        size_t length = strlen(entry->d_name), end = strlen(suffix);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (length < end || strcmp(entry->d_name + length - end, suffix) != 0) continue;
        if (name) snprintf(name, SCRATCH_PATH, "%s", entry->d_name);
        count++;
    }
    closedir(entries);
    return count;
}
