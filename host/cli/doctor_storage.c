/* What lies on disk: the program cache and the tuning database. */
#include "cli/child.h"
#include "cli/doctor.h"
#include "core/cache_dir.h"
#include "core/cache_file.h"
#include "core/pocl_cache.h"
#include "db/db.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CACHE_SECONDS    2.0
#define DATABASE_SECONDS 2.0
#define LITTLE_SPACE     (256.0 * 1024 * 1024)

/* Whether a file can be made in folder: 0 or errno. Permissions alone do not say it: root passes, read-only file systems refuse. */
static int try_writing(const char *folder) {
    char path[4096];
    snprintf(path, sizeof path, "%s/.doctor-XXXXXX", folder);
    int file = mkstemp(path);
    if (file < 0) return errno;
    ssize_t written = write(file, "x", 1);
    int failed = written == 1 ? 0 : errno;
    close(file);
    unlink(path);
    return failed;
}

static void check_space(struct doctor *doctor, const char *folder) {
    struct statvfs disk;
    char free_text[CLI_COUNT_SIZE];
    if (statvfs(folder, &disk)) return;
    double bytes = (double)disk.f_bavail * (double)disk.f_frsize;
    cli_bytes(bytes, free_text);
    if (bytes < LITTLE_SPACE)
        doctor_say(doctor, FOUND_WARNING, "disk", "%s free at %s; make room", free_text, folder);
    else
        doctor_say(doctor, FOUND_OK, "disk", "%s free at %s", free_text, folder);
}

/* ---------------------------------------------------------------- program cache */

struct cache {
    int entries, bad, unread;
    double bytes;
    char name[256], why[128]; /* of the first bad one */
};

static void read_cache(const char *folder, struct cache *out) {
    double deadline = clock_seconds() + CACHE_SECONDS;
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        size_t length = strlen(entry->d_name), size = 0;
        if (length < 4 || strcmp(entry->d_name + length - 4, ".bin") != 0) continue;
        out->entries++;
        if (clock_seconds() > deadline) {
            out->unread++;
            continue;
        }
        const char *why = cache_file_check(folder, entry->d_name, &size);
        out->bytes += (double)size;
        if (why && !out->bad++) {
            snprintf(out->name, sizeof out->name, "%s", entry->d_name);
            snprintf(out->why, sizeof out->why, "%s", why);
        }
    }
    if (dir) closedir(dir);
}

static void check_cache(struct doctor *doctor) {
    char *folder = cache_dir_default();
    struct cache cache = {0};
    if (!folder) {
        doctor_say(
            doctor, FOUND_FAILURE, "program cache",
            "no place for it: neither XDG_CACHE_HOME nor HOME names a folder; set one, or every "
            "start compiles its kernels");
        return;
    }
    int failed = cache_dir_make(folder);
    if (!failed) failed = try_writing(folder);
    if (failed)
        doctor_say(doctor, FOUND_FAILURE, "program cache",
                   "%s cannot be written: %s; correct its permissions, make room, or set "
                   "XDG_CACHE_HOME: until then every start compiles its kernels",
                   folder, strerror(failed));
    read_cache(folder, &cache);
    if (cache.bad)
        doctor_say(
            doctor, FOUND_FAILURE, "program cache",
            "%d of %d entries in %s are corrupt, e.g. %s: %s; they are not used; remove them "
            "(rm %s/*.bin) and check the disk",
            cache.bad, cache.entries, folder, cache.name, cache.why, folder);
    char bytes[CLI_COUNT_SIZE], unread[64] = "";
    if (cache.unread) snprintf(unread, sizeof unread, "; %d not read in the time", cache.unread);
    if (!failed && !cache.bad)
        doctor_say(doctor, FOUND_OK, "program cache", "%d entr%s, %s, in %s%s", cache.entries,
                   cache.entries == 1 ? "y" : "ies", cli_bytes(cache.bytes, bytes), folder, unread);
    if (!failed) check_space(doctor, folder);
    free(folder);
}

static void check_pocl_cache(struct doctor *doctor) {
    char why[1024];
    if (!doctor->pocl) return;
    if (pocl_cache_look(why, sizeof why))
        doctor_say(doctor, FOUND_FAILURE, "PoCL cache", "%s", why);
    else
        doctor_say(doctor, FOUND_OK, "PoCL cache", "can be written");
}

/* ---------------------------------------------------------------- tuning database */

/* The database's folder can be made and written; db_check has said where. */
static bool check_folder(struct doctor *doctor, const char *path) {
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash) snprintf(folder, sizeof folder, ".");
    if (slash) slash[slash == folder] = '\0';
    int failed = cache_dir_make(folder);
    if (!failed) failed = try_writing(folder);
    if (!failed && access(path, F_OK) == 0 && access(path, W_OK) != 0) failed = errno;
    if (failed)
        doctor_say(
            doctor, FOUND_FAILURE, "data folder",
            "%s cannot be written: %s; correct its permissions, make room, or choose another "
            "place (XDG_DATA_HOME, --db FILE): what tuning finds is lost",
            folder, strerror(failed));
    else
        check_space(doctor, folder);
    return !failed;
}

static void check_database(struct doctor *doctor) {
    tess_error error = {0};
    struct db_health health = {0};
    tess_status status = db_check(doctor->cli->db, DATABASE_SECONDS, &error, &health);
    if (status) doctor_say(doctor, FOUND_FAILURE, "tuning database", "%s", error.text);
    if (*health.path && !check_folder(doctor, health.path)) return;
    char trials[CLI_COUNT_SIZE], bytes[CLI_COUNT_SIZE];
    if (status) return;
    if (!health.exists)
        doctor_say(doctor, FOUND_OK, "tuning database", "none yet: 'tessera tune' begins %s",
                   health.path);
    else
        doctor_say(doctor, FOUND_OK, "tuning database", "%s trials, %s, sound, in %s",
                   cli_count((uint64_t)health.trials, trials),
                   cli_bytes((double)health.bytes, bytes), health.path);
}

void doctor_storage(struct doctor *doctor) {
    check_cache(doctor);
    check_pocl_cache(doctor);
    check_database(doctor);
}
