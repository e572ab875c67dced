/* Starting the test program again as another process, with an argument that its main() knows. */
#ifndef TESSERA_TESTS_PROCESS_H
#define TESSERA_TESTS_PROCESS_H

#include <sys/types.h>

/* arguments: from argv[1] on, ended by NULL, at most 8. environment: NULL, or one more "NAME=value". */
pid_t process_start(const char *const *arguments, const char *environment);
/* Its exit status, or -1 if a signal ended it. */
int process_wait(pid_t process);

#endif
