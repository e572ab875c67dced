/* Faults planted in the kernels' sources: one textual change at one place of a convolution's kernel file each. */
#ifndef TESSERA_TESTS_PLANTED_FAULT_H
#define TESSERA_TESTS_PLANTED_FAULT_H

#include "core/embedded.h"
#include "ops/conv/conv_algo.h"

enum fault_kind { FAULT_RAGGED, FAULT_INDEX, FAULT_OVERRUN, FAULT_STALE, FAULT_RACE, FAULT_KINDS };
extern const char *const fault_kind_names[FAULT_KINDS];

/* from -> to at one of the places where from stands. */
struct fault_change {
    enum fault_kind kind;
    const char *from, *to;
};

struct fault {
    const struct fault_change *change;
    const struct embedded_source *source;
    size_t at; /* of change->from in the text */
};

enum { FAULTS_MAX = 6000 };

/* Every change at every place of the files that `of` wants (NULL: all), in an order that seed decides. out: room for FAULTS_MAX. The number. */
int fault_list(bool (*of)(const char *file), uint64_t seed, struct fault *out);

/* The place of a change whose `from` lies in file at the given line's text, for a fault of its own. */
struct fault fault_at(const char *file, const struct fault_change *change, const char *line);

/* Whether the file is a part of the algorithm's kernels. */
bool fault_concerns(const struct fault *fault, const struct conv_algo *algo);

/* All kernels into folder, one of them changed. */
void fault_write(const char *folder, const struct fault *fault);

/* "what: kind: file:line: 'from' -> 'to'" */
void fault_print(const struct fault *fault, const char *what);

#endif
