#include "train/run_dir.h"

#include "core/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const names[] = {"metrics.jsonl", "best.safetensors", "last.safetensors"};
enum { NAME_COUNT = sizeof names / sizeof *names };

static tess_status make_folders(const char *path, tess_error *error) {
    char partial[4096];
    size_t length = strlen(path);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        memcpy(partial, path, i);
        partial[i] = '\0';
        if (mkdir(partial, 0777) && errno != EEXIST)
            return error_set(error, TESS_IO,
                             "%s: this folder cannot be made: %s; choose another --out", partial,
                             strerror(errno));
    }
    return TESS_OK;
}

tess_status run_dir_open(const char *path, tess_error *error, struct run_dir *out) {
    size_t length = strlen(path);
    if (length == 0 || length > 4000)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "output folder: its name has %zu characters; choose another --out",
                         length);
    bool made = access(path, F_OK) != 0;
    tess_status status = make_folders(path, error);
    if (status) return status;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || access(path, W_OK | X_OK)) {
        status = error_set(error, TESS_IO, "%s: cannot be written: %s; choose another --out", path,
                           strerror(errno));
        if (folder >= 0) close(folder);
        return status;
    }
    if (flock(folder, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
        close(folder);
        return error_set(error, TESS_IO,
                         "%s: another training writes here; wait for it or choose another --out",
                         path);
    }
    out->lock = folder;
    snprintf(out->made, sizeof out->made, "%s", made ? path : "");
    snprintf(out->metrics, sizeof out->metrics, "%s/metrics.jsonl", path);
    snprintf(out->best, sizeof out->best, "%s/best.safetensors", path);
    snprintf(out->last, sizeof out->last, "%s/last.safetensors", path);
    return TESS_OK;
}

void run_dir_close(struct run_dir *dir) {
    if (dir->lock < 0) return;
    if (dir->made[0]) (void)rmdir(dir->made); /* fails, as it should, where anything is in it */
    close(dir->lock);
    dir->lock = -1;
}

/* Makes the first path/previous-N that does not exist. */
static tess_status make_previous(const char *path, tess_error *error, char out[4096]) {
    for (int n = 1; n < 1000000; n++) {
        snprintf(out, 4096, "%.4000s/previous-%d", path, n);
        if (!mkdir(out, 0777)) return TESS_OK;
        if (errno != EEXIST) break;
    }
    tess_status status = error_set(error, TESS_IO, "%s: cannot be made: %s; choose another --out",
                                   out, strerror(errno));
    out[0] = '\0';
    return status;
}

tess_status run_dir_clear(const struct run_dir *dir, const char *path, tess_error *error,
                          char moved[4096]) {
    const char *const files[NAME_COUNT] = {dir->metrics, dir->best, dir->last};
    moved[0] = '\0';
    for (int i = 0; i < NAME_COUNT; i++) {
        char target[4200];
        if (access(files[i], F_OK)) continue;
        tess_status status = moved[0] ? TESS_OK : make_previous(path, error, moved);
        if (status) return status;
        snprintf(target, sizeof target, "%s/%s", moved, names[i]);
        if (rename(files[i], target))
            return error_set(error, TESS_IO, "%s: cannot be moved to %s: %s; choose another --out",
                             files[i], moved, strerror(errno));
    }
    return TESS_OK;
}
