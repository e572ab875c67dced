/* `tessera report`, `tessera bench compare` and `tessera bench roof`. argv as from the subcommand's name on; device: NULL or a SPEC. Each gives the exit status. */
#ifndef TESSERA_BENCH_BENCH_REPORT_H
#define TESSERA_BENCH_BENCH_REPORT_H

int bench_report(const char *device, int argc, char **argv);
int bench_compare(int argc, char **argv);
int bench_roof(const char *device, int argc, char **argv);

#endif
