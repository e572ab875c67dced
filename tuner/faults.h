/* A test hook: makes a worker process fail on purpose, so that tests see that a failure costs one trial and no more.

   The environment's TESSERA_TUNE_FAULTS=SEED:KINDS:EVERY strikes trial number t of a session where (t + SEED) % EVERY is 0. KINDS are
   letters, one of which is drawn for each: s segmentation fault, h hang, m out of memory, k killed by SIGKILL; and likewise
   whether it happens while building, verifying or timing. Of a verification ahead (ahead.h) the job's number, from 1 on, counts as the
   trial's. Without the variable nothing is drawn. */
#ifndef TESSERA_TUNER_FAULTS_H
#define TESSERA_TUNER_FAULTS_H

#include <stdint.h>

enum fault_stage { FAULT_BUILD, FAULT_VERIFY, FAULT_RACE, FAULT_STAGES };

struct faults {
    uint64_t seed;
    char kinds[16];
    long every; /* 0: none */
};

void faults_read(struct faults *faults); /* from the environment */

/* Strikes if trial and stage are drawn. Returns 1 where memory ran out: the caller reports that; the other kinds do not return. */
int faults_strike(const struct faults *faults, long trial, enum fault_stage stage);

#endif
