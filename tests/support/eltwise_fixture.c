#include "support/eltwise_fixture.h"

#include <stdlib.h>

#include "support/check.h"

int eltwise_setup(void **state) {
    void *ctx;
    if (check_setup(&ctx)) return -1;
    struct eltwise_fixture *fixture = check_alloc(sizeof *fixture);
    *fixture = (struct eltwise_fixture){.ctx = ctx};
    *state = fixture;
    assert_ok(ctx, tess_eltwise_create(ctx, &fixture->op));
    return 0;
}

int eltwise_teardown(void **state) {
    struct eltwise_fixture *fixture = *state;
    if (!fixture) return 0;
    void *ctx = fixture->ctx;
    tess_eltwise_destroy(fixture->op);
    free(fixture);
    return check_teardown(&ctx);
}
