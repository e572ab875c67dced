/* `tessera-bench fc`. */
#ifndef TESSERA_BENCH_FC_H
#define TESSERA_BENCH_FC_H

/* argv[0] is "fc"; returns the exit status: 0, 1 (failed) or 2 (wrong usage). */
int bench_fc(const char *device, int argc, char **argv);

#endif
