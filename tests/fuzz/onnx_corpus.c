/* onnx_corpus FOLDER: writes the seeds of the tests there, for fuzz_onnx to begin with. */
#include "support/onnx_seeds.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

int main(int argc, char **argv) {
    struct onnx_build build;
    if (argc != 2) {
        fprintf(stderr, "usage: onnx_corpus FOLDER\n");
        return 2;
    }
    if (mkdir(argv[1], 0777) && errno != EEXIST) {
        perror(argv[1]);
        return 1;
    }
    for (int i = 0; onnx_seed(i, &build); i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/seed_%d.onnx", argv[1], i);
        onnx_build_save(&build, path);
        onnx_build_end(&build);
    }
    return 0;
}
