/* tessera doctor's parts: each looks at one thing and says what it found, a line a finding. What calls a driver runs in a child. */
#ifndef TESSERA_CLI_DOCTOR_H
#define TESSERA_CLI_DOCTOR_H

#include "cli/cli.h"

enum verdict { FOUND_OK, FOUND_WARNING, FOUND_FAILURE };

struct doctor {
    const struct cli *cli;
    bool json;
    const char *only;    /* NULL, or the one self-test to run */
    const char *capsule; /* NULL, or where a driver-bug capsule goes */
    double deadline;     /* clock_seconds() when the self-tests must be over */
    int counts[3];       /* of each verdict */
    bool pocl;           /* is among the platforms */
    /* What the capsule is about: the first self-test that failed, or the chosen one; "": none. */
    char sick_device[32], sick_test[64], sick_why[1024];
};

/* subject: "driver pocl.icd"; the rest reads "what: why; what to do", the latter two where something is wrong. */
void doctor_say(struct doctor *doctor, enum verdict verdict, const char *subject,
                const char *format, ...) PRINTF_LIKE(4, 5);

void doctor_drivers(struct doctor *doctor); /* ICD files and the libraries that they name */
void doctor_devices(struct doctor *doctor); /* loader, platforms, devices, self-tests */
void doctor_storage(struct doctor *doctor); /* program cache, tuning database, disk */
void doctor_capsule(struct doctor *doctor);

/* What the children do. Words: "@library NAME", "@devices", "@test P:D FIRST SECONDS", "@record P:D TEST FOLDER". */
int doctor_child(int argc, char **argv);

/* A line of fields with tabs between them, in place; fields that are missing are "". */
void split_fields(char *line, char **fields, int count);

#endif
