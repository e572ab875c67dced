#include "tuner/message.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/timing.h"

enum { LINE_MAX_BYTES = 1 << 20, READ_BYTES = 4096, POLL_MS = 50 };

void message_reader_close(struct message_reader *reader) {
    free(reader->text);
    *reader = (struct message_reader){.fd = -1};
}

static bool write_all(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t done = write(fd, data, size);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        data += done;
        size -= (size_t)done;
    }
    return true;
}

bool message_send(int fd, json_t *object) {
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(object);
    if (!text) return false;
    bool sent = write_all(fd, text, strlen(text)) && write_all(fd, "\n", 1);
    free(text);
    return sent;
}

/* Hands out the first line, if there is a whole one. */
static bool take_line(struct message_reader *reader, enum message_result *result, json_t **out) {
    char *end = reader->used ? memchr(reader->text, '\n', reader->used) : NULL;
    if (!end) return false;
    size_t length = (size_t)(end - reader->text);
    json_t *object = json_loadb(reader->text, length, 0, NULL);
    reader->used -= length + 1;
    memmove(reader->text, end + 1, reader->used);
    if (!json_is_object(object)) {
        json_decref(object);
        *result = MESSAGE_MALFORMED;
        return true;
    }
    *out = object;
    *result = MESSAGE_OK;
    return true;
}

bool message_signal_pending(void) {
    sigset_t pending;
    if (sigpending(&pending)) return false;
    return sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1;
}

/* Reads what is there. */
static enum message_result fill(struct message_reader *reader) {
    if (reader->used + READ_BYTES > reader->size) {
        size_t size = reader->size + 4 * (size_t)READ_BYTES;
        char *text = size <= LINE_MAX_BYTES ? realloc(reader->text, size) : NULL;
        if (!text) return MESSAGE_MALFORMED;
        reader->text = text;
        reader->size = size;
    }
    ssize_t got = read(reader->fd, reader->text + reader->used, READ_BYTES);
    if (got < 0 && errno == EINTR) return MESSAGE_OK;
    if (got <= 0) return MESSAGE_END;
    reader->used += (size_t)got;
    return MESSAGE_OK;
}

enum message_result message_receive(struct message_reader *reader, double seconds, bool signals,
                                    json_t **out) {
    double deadline = timing_now() + seconds;
    enum message_result result;
    while (!take_line(reader, &result, out)) {
        if (signals && message_signal_pending()) return MESSAGE_SIGNAL;
        double left = deadline - timing_now();
        if (seconds >= 0 && left <= 0) return MESSAGE_LATE;
        int wait = seconds >= 0 && left * 1e3 < POLL_MS ? (int)(left * 1e3) + 1 : POLL_MS;
        struct pollfd poller = {.fd = reader->fd, .events = POLLIN};
        int ready = poll(&poller, 1, wait);
        if (ready < 0 && errno != EINTR) return MESSAGE_END;
        if (ready <= 0) continue;
        result = fill(reader);
        if (result != MESSAGE_OK) return result;
    }
    return result;
}
