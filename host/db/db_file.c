/* The database's file and folder, without SQLite. */
#include "db/db_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_ASIDE = 10000 }; /* files set aside beside each other */

static char *join(const char *folder, const char *rest) {
    size_t size = strlen(folder) + strlen(rest) + 1;
    char *path = malloc(size);
    if (path) snprintf(path, size, "%s%s", folder, rest);
    return path;
}

/* The XDG base directory specification: a relative path in the variable is to be ignored. */
char *db_default_path(tess_error *error) {
    const char *named = getenv("TESSERA_DB");
    const char *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (named && *named)
        path = join(named, "");
    else if (xdg && *xdg == '/')
        path = join(xdg, "/tessera/tuning.db");
    else if (home && *home == '/')
        path = join(home, "/.local/share/tessera/tuning.db");
    else {
        error_set(error, TESS_IO,
                  "tuning database: none of TESSERA_DB, XDG_DATA_HOME and HOME names a place; set "
                  "one, or give a path");
        return NULL;
    }
    if (!path) error_set(error, TESS_OUT_OF_HOST_MEMORY, "tuning database: no host memory");
    return path;
}

int db_make_folders(const char *path) {
    char *copy = strdup(path);
    if (!copy) return ENOMEM;
    int failed = 0;
    for (char *at = copy + 1; *copy && *at && !failed; at++) {
        if (*at != '/') continue;
        *at = '\0';
        /* A parent that exists but may not be written (EACCES, EROFS) is no obstacle yet. */
        if (mkdir(copy, 0777) != 0 && errno != EEXIST && errno != EACCES && errno != EROFS)
            failed = errno;
        *at = '/';
    }
    free(copy);
    return failed;
}

int db_lock_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!folder) return -1;
    int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    while (lock >= 0 && flock(lock, LOCK_EX) != 0) {
        if (errno == EINTR) continue;
        close(lock);
        return -1;
    }
    return lock;
}

void db_unlock_folder(int lock) {
    if (lock >= 0) close(lock);
}

bool db_was_database(const char *path) {
    static const char magic[] = "SQLite format 3";
    char start[sizeof magic] = "";
    const char *slash = strrchr(path, '/');
    if (strcmp(slash ? slash + 1 : path, "tuning.db") == 0) return true;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool same = file >= 0 && read(file, start, sizeof start) == (ssize_t)sizeof start &&
                memcmp(start, magic, sizeof start) == 0;
    if (file >= 0) close(file);
    return same;
}

int db_set_aside(const char *path, char *aside, size_t size) {
    static const char *const suffix[] = {"-wal", "-shm"};
    struct stat info;
    int number = 1;
    for (; number < MAX_ASIDE; number++) {
        snprintf(aside, size, "%s.corrupt-%d", path, number);
        if (lstat(aside, &info) != 0) break;
    }
    if (rename(path, aside) != 0) return errno;
    /* The new database must not meet the old one's log. */
    for (size_t i = 0; i < 2; i++) {
        char *from = join(path, suffix[i]), *to = join(aside, suffix[i]);
        bool moved = from && to && (rename(from, to) == 0 || errno == ENOENT);
        int code = errno;
        free(from);
        free(to);
        if (!moved) return code ? code : ENOMEM;
    }
    return 0;
}

char *db_immutable_uri(const char *path) {
    char *uri = malloc(3 * strlen(path) + 40);
    if (!uri) return NULL;
    /* "file:a" is relative and "file:/a" absolute; "file://a" would name a host. */
    char *at = uri + sprintf(uri, "file:");
    while (path[0] == '/' && path[1] == '/')
        path++;
    for (; *path; path++)
        if (strchr("%?#", *path))
            at += sprintf(at, "%%%02X", (unsigned)*path);
        else
            *at++ = *path;
    sprintf(at, "?mode=ro&immutable=1");
    return uri;
}
