#include "selftest/selftest.h"

#include "core/program.h"
#include "selftest/trial.h"

#include <stdio.h>
#include <string.h>

static const struct selftest *const groups[] = {selftest_layers, selftest_losses, selftest_elements,
                                                selftest_nd};
enum { GROUP_COUNT = sizeof groups / sizeof *groups };

static int group_size(const struct selftest *group) {
    int count = 0;
    while (group[count].name)
        count++;
    return count;
}

/* NULL for a convolution, and beyond the last one. */
static const struct selftest *plain_test(int index) {
    index -= selftest_conv_count();
    for (int i = 0; i < GROUP_COUNT && index >= 0; i++) {
        int size = group_size(groups[i]);
        if (index < size) return &groups[i][index];
        index -= size;
    }
    return NULL;
}

int selftest_count(void) {
    int count = selftest_conv_count();
    for (int i = 0; i < GROUP_COUNT; i++)
        count += group_size(groups[i]);
    return count;
}

void selftest_name(int index, char name[SELFTEST_NAME_SIZE]) {
    const struct selftest *test = plain_test(index);
    name[0] = '\0';
    if (test)
        snprintf(name, SELFTEST_NAME_SIZE, "%s", test->name);
    else if (index >= 0 && index < selftest_conv_count())
        selftest_conv_name(index, name);
}

int selftest_find(const char *name) {
    for (int i = 0; i < selftest_count(); i++) {
        char known[SELFTEST_NAME_SIZE];
        selftest_name(i, known);
        if (strcmp(known, name) == 0) return i;
    }
    return -1;
}

void selftest_run(tess_context *ctx, int index, const char *folder, struct selftest_result *out) {
    struct trial trial = {.ctx = ctx, .folder = folder, .random = 0x9E3779B97F4A7C15u};
    const struct selftest *test = plain_test(index);
    ctx->error = (tess_error){0};
    if (folder) program_observe(ctx, record_program, &trial);
    if (test)
        test->run(&trial);
    else
        selftest_conv_run(&trial, index);
    trial_compare(&trial, out);
    if (folder) program_observe(ctx, NULL, NULL);
    trial_clear(&trial);
}
