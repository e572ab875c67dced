/* What runs in the doctor's children: everything that calls a driver. Answers are lines with tabs between their fields. */
#include "cli/child.h"
#include "cli/doctor.h"
#include "core/device.h"
#include "selftest/selftest.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Without tabs and line breaks. */
static void answer(const char *kind, const char *a, const char *b, const char *c, const char *d) {
    const char *const fields[] = {kind, a, b, c, d};
    for (int i = 0; i < 5 && fields[i]; i++) {
        if (i) putchar('\t');
        for (const char *at = fields[i]; *at; at++)
            putchar(*at == '\t' || *at == '\n' || *at == '\r' ? ' ' : *at);
    }
    putchar('\n');
    fflush(stdout);
}

static int load_library(const char *name) {
    if (dlopen(name, RTLD_LAZY | RTLD_LOCAL)) return EXIT_DONE;
    const char *why = dlerror();
    answer(why ? why : "no reason given", NULL, NULL, NULL, NULL);
    return EXIT_FAILED;
}

/* ---------------------------------------------------------------- devices */

/* Where the loader was loaded from, by this process' memory map. */
static void answer_loader(void) {
    char line[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        char *path = strchr(line, '/');
        if (!path || !strstr(path, "libOpenCL")) continue;
        path[strcspn(path, "\n")] = '\0';
        answer("loader", path, NULL, NULL, NULL);
        break;
    }
    if (maps) fclose(maps);
}

static void answer_platforms(void) {
    cl_uint count = 0;
    cl_platform_id ids[64];
    if (clGetPlatformIDs(64, ids, &count) != CL_SUCCESS) return;
    for (cl_uint i = 0; i < count && i < 64; i++) {
        char name[256] = "", version[256] = "", number[16];
        cl_uint devices = 0;
        clGetPlatformInfo(ids[i], CL_PLATFORM_NAME, sizeof name, name, NULL);
        clGetPlatformInfo(ids[i], CL_PLATFORM_VERSION, sizeof version, version, NULL);
        if (clGetDeviceIDs(ids[i], CL_DEVICE_TYPE_ALL, 0, NULL, &devices) != CL_SUCCESS)
            devices = 0;
        snprintf(number, sizeof number, "%u", devices);
        answer("platform", name, number, version, NULL);
    }
}

static int list_devices(const char *spec) {
    tess_device_info *list = NULL, chosen;
    size_t count = 0;
    answer_loader();
    answer_platforms();
    if (tess_device_list(NULL, &list, &count) == TESS_OK) {
        bool one = *spec != '\0';
        bool found = !one || tess_device_find(spec, NULL, &chosen) == TESS_OK;
        for (size_t i = 0; i < count; i++) {
            tess_error error = {0};
            char index[32];
            bool wanted = found && (!one || list[i].device == chosen.device);
            (void)device_check(&list[i], true, &error);
            snprintf(index, sizeof index, "%u:%u", list[i].platform_index, list[i].device_index);
            answer("device", index, list[i].name, error.text, wanted ? "1" : "0");
        }
        if (!found) answer("nothing", NULL, NULL, NULL, NULL);
    }
    tess_device_list_free(list);
    answer("end", NULL, NULL, NULL, NULL);
    return EXIT_DONE;
}

/* ---------------------------------------------------------------- self-tests */

static int run_tests(const char *device, int first, double seconds, bool one) {
    static const char *const words[] = {"passed", "wrong", "wrong", "left out"};
    tess_error error = {0};
    tess_context *ctx = NULL;
    double deadline = clock_seconds() + seconds;
    if (tess_context_create(&(tess_context_options){.device = device}, &error, &ctx)) {
        answer("refused", error.text, NULL, NULL, NULL);
        return EXIT_FAILED;
    }
    answer("opened", NULL, NULL, NULL, NULL);
    for (int i = first; i < selftest_count() && clock_seconds() < deadline; i++) {
        char name[SELFTEST_NAME_SIZE];
        struct selftest_result result;
        selftest_name(i, name);
        answer("begin", name, NULL, NULL, NULL);
        selftest_run(ctx, i, NULL, &result);
        answer(words[result.verdict], name, result.text, NULL, NULL);
        if (one) break;
    }
    tess_context_destroy(ctx);
    return EXIT_DONE;
}

static void write_file(const char *folder, const char *name, const char *text) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = text ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "%s\n", text);
    fclose(file);
}

/* Without the program cache: what the compiler says belongs to it. */
static int record(const char *device, const char *test, const char *folder) {
    tess_error error = {0};
    tess_context *ctx = NULL;
    tess_context_options options = {.device = device, .cache_dir = ""};
    if (tess_context_create(&options, &error, &ctx)) {
        write_file(folder, "result.txt", error.text);
        return EXIT_FAILED;
    }
    json_t *info = device_json(tess_context_device(ctx), true);
    char *text = info ? json_dumps(info, JSON_INDENT(2)) : NULL;
    write_file(folder, "device.json", text);
    free(text);
    json_decref(info);
    struct selftest_result result;
    selftest_run(ctx, selftest_find(test), folder, &result);
    write_file(folder, "result.txt", *result.text ? result.text : "passed");
    tess_context_destroy(ctx);
    return EXIT_DONE;
}

int doctor_child(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[0], "@library")) return load_library(argv[1]);
    if (argc == 2 && !strcmp(argv[0], "@devices")) return list_devices(argv[1]);
    if (argc == 5 && !strcmp(argv[0], "@test"))
        return run_tests(argv[1], atoi(argv[2]), atof(argv[3]), *argv[4] == '1');
    if (argc == 4 && !strcmp(argv[0], "@record") && selftest_find(argv[2]) >= 0)
        return record(argv[1], argv[2], argv[3]);
    return cli_usage("doctor: '%s' is for its own children; see 'tessera doctor --help'", argv[0]);
}
