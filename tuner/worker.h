/* The worker process: it alone opens the device, builds, verifies and times. It reads requests from standard input and answers each on what
   was its standard output; it ends with its input. One JSON object a line:

   (greeting)                             status, device (see worker_device), hashes {algorithm: kernel hash}, peak (FLOP/s; 0: not wanted)
   do open, problem, pass, strict, macs, cold   status, default, strict_default (the planner's answers where nothing was tuned), warm [...] (advice)
   do build, config, trial                status, bytes, build_seconds, identity (see identity.h); the configuration becomes the candidate
   do verify, trial                       status, max_err
   do race, trial, reference, ...         status, seconds, mad, ratio, clock, samples [...]; see measure.h
   do adopt                               status; the candidate becomes the anchor
   do winner, config, macs                status, max_err; see verify_winner
   do untuned, problem, pass, strict, winner_macs, trial   status, config, max_err: opens, and verifies the planner's answer as a winner is
   do peak                                status, peak
   do fc                                  see worker_fc.h

   status is an enum db_status, with a cause where it is not DB_OK. */
#ifndef TESSERA_TUNER_WORKER_H
#define TESSERA_TUNER_WORKER_H

#include <stdbool.h>

#include "tessera.h"

struct worker_setup {
    const char *device, *db, *kernel_dir; /* NULL: the default, none, as in tess_context_options */
    int share;                            /* of so many that share the memory; 0: it has it alone */
};

/* Never returns but with the process's exit status. */
int worker_main(const struct worker_setup *setup);

/* A device's properties as text of hexadecimal digits, for a process of the same program; its handles become NULL. */
#define WORKER_DEVICE_SIZE (2 * sizeof(tess_device_info) + 1)
void worker_device_print(const tess_device_info *device, char text[WORKER_DEVICE_SIZE]);
bool worker_device_parse(const char *text, tess_device_info *out);

#endif
