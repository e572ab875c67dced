/* cmocka group fixture: a context and its element-wise operators. */
#ifndef TESSERA_TESTS_ELTWISE_FIXTURE_H
#define TESSERA_TESTS_ELTWISE_FIXTURE_H

#include "tessera.h"

struct eltwise_fixture {
    tess_context *ctx;
    tess_eltwise *op;
};

/* *state becomes a struct eltwise_fixture. */
int eltwise_setup(void **state);
int eltwise_teardown(void **state);

#endif
