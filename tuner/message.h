/* JSON objects, one a line, over a pipe: how the tuner and its worker talk. */
#ifndef TESSERA_TUNER_MESSAGE_H
#define TESSERA_TUNER_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum message_result {
    MESSAGE_OK,
    MESSAGE_END,      /* the other side closed the pipe, or died */
    MESSAGE_LATE,     /* nothing whole came in time */
    MESSAGE_SIGNAL,   /* a blocked SIGINT or SIGTERM is pending */
    MESSAGE_MALFORMED /* not a JSON object, or too long */
};

/* What has been read from a pipe and not yet been handed out. */
struct message_reader {
    int fd;
    char *text; /* owned */
    size_t used, size;
};

void message_reader_close(struct message_reader *reader); /* frees; leaves fd open */

bool message_signal_pending(void); /* a blocked SIGINT or SIGTERM */

/* Writes the object, whose reference is taken over; NULL (no memory) and a broken pipe give false. SIGPIPE must be ignored. */
bool message_send(int fd, json_t *object);

/* The next object, a new reference. seconds: how long to wait; below 0: as long as it takes. signals: whether a
   pending signal ends the wait. */
enum message_result message_receive(struct message_reader *reader, double seconds, bool signals,
                                    json_t **out);

#endif
