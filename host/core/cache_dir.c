#include "core/cache_dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *join(const char *folder, const char *rest) {
    size_t size = strlen(folder) + strlen(rest) + 1;
    char *path = malloc(size);
    if (path) snprintf(path, size, "%s%s", folder, rest);
    return path;
}

/* The XDG base directory specification: a relative path in the variable is to be ignored. */
char *cache_dir_default(void) {
    const char *xdg = getenv("XDG_CACHE_HOME");
    if (xdg && *xdg == '/') return join(xdg, "/tessera");
    const char *home = getenv("HOME");
    if (home && *home == '/') return join(home, "/.cache/tessera");
    return NULL;
}

/* Another process may be making the same folders. */
int cache_dir_make(char *path) {
    for (char *at = path + 1; *at; at++) {
        if (*at != '/') continue;
        *at = '\0';
        int failed = mkdir(path, 0777) != 0 && errno != EEXIST ? errno : 0;
        *at = '/';
        /* A parent that exists but may not be written (EACCES, EROFS) is no obstacle yet. */
        if (failed && failed != EACCES && failed != EROFS) return failed;
    }
    if (mkdir(path, 0777) != 0 && errno != EEXIST) return errno;
    struct stat info;
    if (stat(path, &info) != 0) return errno;
    if (!S_ISDIR(info.st_mode)) return ENOTDIR;
    return access(path, W_OK | X_OK) == 0 ? 0 : errno;
}

void cache_dir_open(tess_context *ctx, const char *option) {
    if (option && !*option) return;
    char *path = option ? join(option, "") : cache_dir_default();
    if (!path) {
        context_log(ctx, TESS_LOG_WARN,
                    "program cache: neither XDG_CACHE_HOME nor HOME names a folder; every start "
                    "will compile its kernels");
        return;
    }
    int failed = cache_dir_make(path);
    if (failed) {
        context_log(ctx, TESS_LOG_WARN,
                    "program cache: %s cannot be written: %s; every start will compile its kernels",
                    path, strerror(failed));
        free(path);
        return;
    }
    ctx->cache_dir = path;
}
