/* Configurations that the library ships for classes of devices: host/db/portfolio/README.md. */
#ifndef TESSERA_DB_PORTFOLIO_H
#define TESSERA_DB_PORTFOLIO_H

#include "ops/conv/conv_advice.h"

struct portfolio_entry {
    char operation[32], problem[TESS_CONV_KEY_SIZE], config[CONV_CONFIG_SIZE];
    tess_conv_desc desc;
    double seconds; /* 0: reasoned */
};

struct portfolio {
    char name[32]; /* the device class */
    struct portfolio_entry *list;
    int count;
};

/* Reads JSON Lines. On failure the error names the line. */
tess_status portfolio_parse(const char *name, const char *text, tess_error *error,
                            struct portfolio **out);
void portfolio_free(struct portfolio *portfolio); /* NULL is allowed */

/* The embedded portfolio of the device's class, or of the class above; *out is NULL where there is none. */
tess_status portfolio_for_device(const tess_device_info *device, tess_error *error,
                                 struct portfolio **out);

/* The entries of the problem's class, nearest first, at most max of them; gives how many. */
int portfolio_advise(const struct portfolio *portfolio, const char *operation,
                     const tess_conv_desc *desc, struct conv_advice *out, int max);

#endif
