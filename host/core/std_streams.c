#include "core/std_streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void std_streams_hold(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        /* The smallest number that is free is fd. */
        if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) return;
    }
}

int std_streams_end(int status) {
    if (!(fflush(stdout) || ferror(stdout)) || status) return status;
    fprintf(stderr, "tessera: standard output: %s; make room or give another place\n",
            strerror(errno));
    return 1;
}
