#include "tuner/twins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void twins_clear(struct twins *twins) {
    free(twins->list);
    *twins = (struct twins){0};
}

static struct twin *find(const struct twins *twins, const char *identity) {
    for (int i = 0; i < twins->count; i++)
        if (strcmp(twins->list[i].identity, identity) == 0) return &twins->list[i];
    return NULL;
}

void twins_add(struct twins *twins, const char *identity, const char *printed, int samples,
               const struct trial *trial) {
    if (!*identity) return;
    struct twin *twin = find(twins, identity);
    if (!twin && twins->count == twins->room) {
        int room = twins->room ? 2 * twins->room : 64;
        struct twin *more = realloc(twins->list, (size_t)room * sizeof *more);
        if (!more) return;
        twins->list = more;
        twins->room = room;
    }
    if (!twin) twin = &twins->list[twins->count++];
    *twin = (struct twin){.samples = samples,
                          .seconds = trial->seconds,
                          .mad = trial->mad,
                          .clock = trial->clock,
                          .max_err = trial->max_err};
    snprintf(twin->identity, sizeof twin->identity, "%s", identity);
    snprintf(twin->printed, sizeof twin->printed, "%s", printed);
}

bool twins_find(const struct twins *twins, const char *identity, const char *printed, int samples,
                struct trial *trial) {
    const struct twin *twin = *identity ? find(twins, identity) : NULL;
    if (!twin || twin->samples < samples || strcmp(twin->printed, printed) == 0) return false;
    trial->status = DB_OK;
    trial->twin = true;
    trial->seconds = twin->seconds;
    trial->mad = twin->mad;
    trial->clock = twin->clock;
    trial->max_err = twin->max_err;
    snprintf(trial->cause, sizeof trial->cause, "identical to %s", twin->printed);
    return true;
}
