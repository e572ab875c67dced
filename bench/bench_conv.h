/* `tessera-bench conv`. */
#ifndef TESSERA_BENCH_CONV_H
#define TESSERA_BENCH_CONV_H

/* argv[0] is "conv"; returns the exit status: 0, 1 (failed) or 2 (wrong usage). */
int bench_conv(const char *device, int argc, char **argv);

#endif
