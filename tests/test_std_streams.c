/* Programs that are started with standard streams closed: no file of theirs takes the streams' numbers. */
#include "core/std_streams.h"
#include "support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Bits of what went wrong. */
static int try_closed(int closed) {
    static const int streams[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    char byte = 'x';
    int wrong = 0;
    for (int i = 0; i < 3; i++)
        if (closed >> i & 1) close(streams[i]);
    std_streams_hold();
    int file = open("/dev/null", O_RDWR);
    if (file <= STDERR_FILENO) wrong |= 1;
    if ((closed & 1) && (read(STDIN_FILENO, &byte, 1) != -1 || errno != EBADF)) wrong |= 2;
    if ((closed & 2) && (write(STDOUT_FILENO, &byte, 1) != -1 || errno != EBADF)) wrong |= 4;
    if ((closed & 4) && (write(STDERR_FILENO, &byte, 1) != -1 || errno != EBADF)) wrong |= 8;
    if ((closed & 2) && (putchar('x') == EOF || std_streams_end(0) != 1)) wrong |= 16;
    if (!(closed & 2) && std_streams_end(0) != 0) wrong |= 32;
    return wrong;
}

static void test_closed(void **state) {
    (void)state;
    fflush(stdout);
    for (int closed = 0; closed < 8; closed++) {
        int result = -1;
        pid_t child = fork();
        if (child == 0) _exit(try_closed(closed));
        assert_true(child > 0 && waitpid(child, &result, 0) == child);
        if (result) fail_msg("streams %d closed: status %#x", closed, (unsigned)result);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_closed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
