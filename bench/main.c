/* tessera-bench: benchmarks, apart from the library and the command. Reached as `tessera bench`. */
#include <stdio.h>
#include <string.h>

#include "bench/bench_conv.h"
#include "bench/bench_fc.h"
#include "bench/bench_net.h"
#include "bench/bench_report.h"
#include "core/std_streams.h"

static const char usage[] =
    "usage: tessera bench [--device SPEC] conv|fc|net|roof|compare|report ...\n"
    "  conv     convolutions beside the device's roofs and oneDNN; `conv --help`\n"
    "  fc       fully connected layers: ours beside CLBlast; `fc --help`\n"
    "  net      networks: training steps, inference; `net --help`\n"
    "  roof     the device's measured limits; `roof --help`\n"
    "  compare  two files of results: faster, slower, or no difference; `compare --help`\n"
    "  report   what `tessera report` does; `report --help`\n";

/* compare needs no device. */
static int compare(const char *device, int argc, char **argv) {
    (void)device;
    return bench_compare(argc, argv);
}

static const struct {
    const char *name;
    int (*run)(const char *device, int argc, char **argv);
} commands[] = {{"conv", bench_conv}, {"fc", bench_fc},     {"net", bench_net},
                {"roof", bench_roof}, {"compare", compare}, {"report", bench_report}};

int main(int argc, char **argv) {
    const char *device = NULL;
    int at = 1;
    std_streams_hold();
    if (at + 1 < argc && strcmp(argv[at], "--device") == 0) {
        device = argv[at + 1];
        at += 2;
    }
    if (at < argc && strcmp(argv[at], "--help") == 0)
        return std_streams_end(fputs(usage, stdout) < 0);
    for (size_t i = 0; at < argc && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[at], commands[i].name) == 0)
            return std_streams_end(commands[i].run(device, argc - at, argv + at));
    fprintf(stderr,
            "tessera: bench: nothing to measure; there are 'conv', 'fc', 'net', 'roof', 'compare' "
            "and 'report'; see --help\n");
    return 2;
}
