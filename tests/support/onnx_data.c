#include "support/onnx_data.h"

#include "support/check.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_folder(const char *path) {
    struct stat info;
    return path && stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

const char *onnx_data_folder(void) {
    const char *own = getenv("TESSERA_ONNX_DATA");
    if (own) return is_folder(own) ? own : NULL;
    static const char *const places[] = {"/usr/share/libonnx-testdata/data",
                                         "/usr/lib/python3/dist-packages/onnx/backend/test/data"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (is_folder(places[i])) return places[i];
    return NULL;
}

void onnx_data_each(const char *folder, const char *suffix,
                    void (*visit)(const char *path, void *user), void *user) {
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        char path[ONNX_DATA_PATH];
        size_t length = strlen(name), tail = strlen(suffix);
        if (*name != '.' && snprintf(path, sizeof path, "%s/%s", folder, name) < ONNX_DATA_PATH) {
            if (is_folder(path))
                onnx_data_each(path, suffix, visit, user);
            else if (length >= tail && strcmp(name + length - tail, suffix) == 0)
                visit(path, user);
        }
        free(entries[i]);
    }
    free(entries);
}
