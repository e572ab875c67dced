/* `tessera-bench net`. */
#ifndef TESSERA_BENCH_NET_H
#define TESSERA_BENCH_NET_H

/* argv[0] is "net"; returns the exit status: 0, 1 (failed) or 2 (wrong usage). */
int bench_net(const char *device, int argc, char **argv);

#endif
