#include "core/pocl_cache.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Small kernels' code takes some 200 KiB in its stages. */
static const double LITTLE_SPACE = 1024 * 1024;

/* As PoCL 3.1 chooses it, lib/CL/pocl_cache.c. False: the name is too long. */
static bool folder_name(char *path, size_t size) {
    const char *own = getenv("POCL_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    int length;
    if (own && *own)
        length = snprintf(path, size, "%s", own);
    else if (xdg && *xdg)
        length = snprintf(path, size, "%s/pocl/kcache", xdg);
    else if (home)
        length = snprintf(path, size, "%s/.cache/pocl/kcache", home);
    else
        length = snprintf(path, size, "/tmp/pocl/kcache");
    return length >= 0 && (size_t)length < size;
}

/* Cuts path, of two bytes at least, down to what is there. Gives 0, or errno: it is no folder, or not to be written. */
static int nearest_there(char *path) {
    struct stat info;
    while (stat(path, &info) != 0) {
        char *slash = strrchr(path, '/');
        if (errno != ENOENT) return errno;
        if (!slash) memcpy(path, ".", 2);
        if (slash) slash[slash == path] = '\0';
    }
    if (!S_ISDIR(info.st_mode)) return ENOTDIR;
    return access(path, W_OK | X_OK) ? errno : 0;
}

enum pocl_cache_state pocl_cache_look(char *text, size_t size) {
    char folder[4096], there[4096];
    struct statvfs disk;
    if (!folder_name(folder, sizeof folder)) return POCL_CACHE_GOOD;
    memcpy(there, folder, sizeof there);
    int failed = nearest_there(there);
    if (failed) {
        snprintf(
            text, size,
            "PoCL's cache folder %.1000s cannot be written: %s; correct its permissions, or set "
            "POCL_CACHE_DIR to a folder that can be written",
            folder, strerror(failed));
        return POCL_CACHE_BAD;
    }
    if (statvfs(there, &disk) || (double)disk.f_bavail * (double)disk.f_frsize >= LITTLE_SPACE)
        return POCL_CACHE_GOOD;
    snprintf(text, size,
             "the disk of PoCL's cache folder %.1000s has %.1f MiB left, and without space PoCL's "
             "compiler ends the process; make room, or set POCL_CACHE_DIR to a folder on another "
             "disk",
             folder, (double)disk.f_bavail * (double)disk.f_frsize / 1048576);
    return POCL_CACHE_FULL;
}
