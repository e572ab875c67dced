#include "bench/report/run_info.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>

#include "core/file_error.h"

/* ---------------------------------------------------------------- what ran */

static bool plain(const char *word) {
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "_-./:=,+%@";
    return *word && strspn(word, safe) == strlen(word);
}

/* Appends to out, which holds used bytes; gives what it holds then. */
static size_t append(char out[RUN_COMMAND_SIZE], size_t used, const char *text, size_t length) {
    if (used + length >= RUN_COMMAND_SIZE) length = RUN_COMMAND_SIZE - 1 - used;
    memcpy(out + used, text, length);
    out[used + length] = '\0';
    return used + length;
}

void run_command(const char *program, int argc, char **argv, char out[RUN_COMMAND_SIZE]) {
    size_t used = append(out, 0, "tessera ", 8);
    used = append(out, used, program, strlen(program));
    for (int i = 0; i < argc; i++) {
        used = append(out, used, " ", 1);
        if (plain(argv[i])) {
            used = append(out, used, argv[i], strlen(argv[i]));
            continue;
        }
        used = append(out, used, "'", 1);
        for (const char *c = argv[i]; *c; c++)
            used = *c == '\'' ? append(out, used, "'\\''", 4) : append(out, used, c, 1);
        used = append(out, used, "'", 1);
    }
}

void run_time(char out[32]) {
    time_t now = time(NULL);
    struct tm utc;
    if (!gmtime_r(&now, &utc) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc)) out[0] = '\0';
}

json_t *run_text(const char *text) {
    json_t *value = json_string(text);
    if (value) return value;
    char clean[1024];
    return json_string(printable(text, clean, sizeof clean));
}

static const char *type_name(cl_device_type type) {
    if (type & CL_DEVICE_TYPE_GPU) return "GPU";
    if (type & CL_DEVICE_TYPE_ACCELERATOR) return "accelerator";
    if (type & CL_DEVICE_TYPE_CPU) return "CPU";
    return "custom";
}

json_t *run_device(const tess_device_info *d) {
    return json_pack(
        "{s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I,"
        " s:b, s:b, s:b}",
        "name", run_text(d->name), "platform", run_text(d->platform_name), "vendor",
        run_text(d->vendor), "type", type_name(d->type), "driver", run_text(d->driver_version),
        "opencl", run_text(d->opencl_version), "opencl_c", run_text(d->opencl_c_version),
        "compute_units", (json_int_t)d->compute_units, "clock_mhz", (json_int_t)d->clock_mhz,
        "global_memory", (json_int_t)d->global_memory, "max_allocation",
        (json_int_t)d->max_allocation, "global_cache", (json_int_t)d->global_cache, "local_memory",
        (json_int_t)d->local_memory, "local_memory_dedicated", d->local_memory_dedicated,
        "max_work_group", (json_int_t)d->max_work_group, "native_float_vector",
        (json_int_t)d->native_float_vector, "max_sub_groups", (json_int_t)d->max_sub_groups, "fp16",
        d->has_fp16, "fp64", d->has_fp64, "unified_memory", d->unified_memory);
}

json_t *run_info(const tess_context *ctx, const char *command) {
    char now[32], version[32], host[256] = "";
    struct utsname name;
    run_time(now);
    snprintf(version, sizeof version, "%d.%d.%d", TESS_VERSION_MAJOR, TESS_VERSION_MINOR,
             TESS_VERSION_PATCH);
    if (uname(&name) == 0)
        snprintf(host, sizeof host, "%.60s %.120s %.60s", name.sysname, name.release, name.machine);
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "time", now, "version", version, "command",
                     run_text(command), "host", run_text(host), "device",
                     run_device(tess_context_device(ctx)));
}

/* ---------------------------------------------------------------- kept runs */

enum { SAVED_BYTES_MAX = 16 << 20, LINE_BYTES_MAX = 1 << 20 };

/* As the tuning database's place. */
bool saved_runs_path(char out[4096]) {
    const char *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int length = -1;
    if (xdg && *xdg == '/')
        length = snprintf(out, 4096, "%s/tessera/runs.jsonl", xdg);
    else if (home && *home == '/')
        length = snprintf(out, 4096, "%s/.local/share/tessera/runs.jsonl", home);
    return length > 0 && length < 4080;
}

static void make_folders(char *path) {
    for (char *at = path + 1; *at; at++) {
        if (*at != '/') continue;
        *at = '\0';
        (void)mkdir(path, 0777); /* what is missing then shows when the file is opened */
        *at = '/';
    }
}

/* Whether the last line has no end: the disk was full then, or the program was ended. */
static bool ends_cut(const char *path) {
    FILE *file = fopen(path, "r");
    int last = file && fseek(file, -1, SEEK_END) == 0 ? fgetc(file) : '\n';
    if (file) fclose(file);
    return last != '\n';
}

FILE *saved_runs_open(void) {
    char path[4096], old[4104];
    struct stat info;
    if (!saved_runs_path(path)) return NULL;
    make_folders(path);
    if (stat(path, &info) == 0 && info.st_size > SAVED_BYTES_MAX) {
        snprintf(old, sizeof old, "%s.old", path);
        (void)rename(path, old);
    }
    FILE *file = fopen(path, "a");
    /* A line is one write, so that processes do not mix theirs. */
    if (file) (void)setvbuf(file, NULL, _IOFBF, LINE_BYTES_MAX);
    if (file && ends_cut(path)) (void)fputc('\n', file);
    return file;
}
