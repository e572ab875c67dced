/* Where the planner asks what was measured. The tuning database (host/db) answers; host/ops knows only this. */
#ifndef TESSERA_OPS_CONV_ADVICE_H
#define TESSERA_OPS_CONV_ADVICE_H

#include "ops/conv/conv_algo.h"

/* How near the measurement is to the question, nearest first. A measurement counts as EXACT or NEAR only if it was made with this
   driver and with the kernel source and parameter table that the program has now; older ones count as OTHER. */
enum conv_nearness {
    CONV_EXACT,    /* this problem, this device */
    CONV_NEAR,     /* a problem of like shape, this device */
    CONV_OTHER,    /* another device, an older driver or kernel */
    CONV_PORTFOLIO /* shipped with the library for devices of this class */
};

struct conv_advice {
    enum conv_nearness nearness;
    char config[CONV_CONFIG_SIZE];    /* printed: "conv_direct_fwd__wt14_kv2" */
    char problem[TESS_CONV_KEY_SIZE]; /* what it was measured on, or is meant for */
    char origin[64];                  /* for people: device and driver, or the portfolio's name */
    double seconds;                   /* median there; 0: not known */
    int trials;                       /* of this problem here, good and bad; 0: not known */
};

/* Owned by the context (conv_advisor_set), asked by conv_choose. */
struct conv_advisor {
    void *user;
    /* A call with max 1 asks for the best exact measurement alone, and is fast. Otherwise:
       fills out with at most max pieces of advice, best first, and returns how many. Configurations of algorithms that are
       not strict, or that need more than limit bytes (SIZE_MAX: no limit) for workspace and packed weights on the problem that
       they were measured on, are left out where the caller wants that. Never fails: a
       broken database gives no advice. */
    int (*advise)(void *user, const struct conv_problem *problem, bool strict, size_t limit,
                  struct conv_advice *out, int max);
    /* The fastest measured configuration of any other operation with this device, driver and kernel ("fc_fwd", "n64c4096k4096" ->
       "conv"; "clblast", "Xgemm" -> "KWG=16_..."). false: not known. NULL: knows none. */
    bool (*lookup)(void *user, const char *operation, const char *problem, char *config,
                   size_t size);
    void (*destroy)(void *user); /* may be NULL */
};

/* Replaces the context's advisor (and destroys the old one's user); NULL: none. advisor is copied; on failure its user stays the caller's. */
tess_status conv_advisor_set(tess_context *ctx, const struct conv_advisor *advisor);

#endif
