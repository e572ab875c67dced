/* tessera-bench: benchmarks, apart from the library and the command. Reached as `tessera bench`. */
#include <stdio.h>
#include <string.h>

#include "bench/bench_conv.h"

static const char usage[] = "usage: tessera bench [--device SPEC] conv ...\n"
                            "  conv   one convolution beside the device's peak; `conv --help`\n";

int main(int argc, char **argv) {
    const char *device = NULL;
    int at = 1;
    if (at + 1 < argc && strcmp(argv[at], "--device") == 0) {
        device = argv[at + 1];
        at += 2;
    }
    if (at < argc && strcmp(argv[at], "--help") == 0) return fputs(usage, stdout) < 0;
    if (at < argc && strcmp(argv[at], "conv") == 0) return bench_conv(device, argc - at, argv + at);
    fprintf(stderr, "tessera: bench: nothing to measure; the benchmark is 'conv', see --help\n");
    return 2;
}
