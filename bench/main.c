/* tessera-bench: benchmarks, apart from the library and the command. Reached as `tessera bench`. */
#include <stdio.h>
#include <string.h>

#include "bench/bench_conv.h"
#include "bench/bench_fc.h"
#include "bench/bench_net.h"

static const char usage[] =
    "usage: tessera bench [--device SPEC] conv|fc|net ...\n"
    "  conv   convolutions beside the device's roofs and oneDNN; `conv --help`\n"
    "  fc     fully connected layers: ours beside CLBlast; `fc --help`\n"
    "  net    networks: training steps, inference; `net --help`\n";

int main(int argc, char **argv) {
    const char *device = NULL;
    int at = 1;
    if (at + 1 < argc && strcmp(argv[at], "--device") == 0) {
        device = argv[at + 1];
        at += 2;
    }
    if (at < argc && strcmp(argv[at], "--help") == 0) return fputs(usage, stdout) < 0;
    if (at < argc && strcmp(argv[at], "conv") == 0) return bench_conv(device, argc - at, argv + at);
    if (at < argc && strcmp(argv[at], "fc") == 0) return bench_fc(device, argc - at, argv + at);
    if (at < argc && strcmp(argv[at], "net") == 0) return bench_net(device, argc - at, argv + at);
    fprintf(stderr,
            "tessera: bench: nothing to measure; there are 'conv', 'fc' and 'net'; see --help\n");
    return 2;
}
