/* ONNX's own node tests, run as `tessera run` runs a model. onnx_conformance.txt says of each case whether it passes; one that passed may
   not fail later. Skipped where the data are not installed.

   Environment: TESSERA_CONFORMANCE_WRITE=FILE writes the list anew; TESSERA_CONFORMANCE_ONLY=TEXT runs only cases whose name contains
   it; TESSERA_TEST_VERBOSE=1 tells about each. */
#include "support/check.h"
#include "support/folder.h"
#include "support/onnx_case.h"
#include "support/onnx_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WANTED  0.95 /* of the cases in scope */
#define DAMAGES 2    /* of each model */

struct tally {
    tess_context *ctx;
    char *list;    /* what the file says */
    FILE *written; /* NULL: the list is not written */
    int counts[3];
    int lost;      /* cases that passed once and do not now */
    uint64_t seed; /* of damages */
};

static const char *const outcomes[] = {"passed", "failed", "out of scope"};

/* The case's folder and name from its model's path. */
static const char *split_path(const char *path, char folder[ONNX_DATA_PATH]) {
    snprintf(folder, ONNX_DATA_PATH, "%s", path);
    *strrchr(folder, '/') = '\0';
    return strrchr(folder, '/') + 1;
}

/* Whether the list has "name: passed". */
static bool passed_before(const struct tally *tally, const char *name) {
    char line[ONNX_DATA_PATH];
    snprintf(line, sizeof line, "\n%s: passed\n", name);
    return strstr(tally->list, line) != NULL;
}

static void run_case(const char *path, void *user) {
    struct tally *tally = user;
    char folder[ONNX_DATA_PATH];
    const char *name = split_path(path, folder), *only = getenv("TESSERA_CONFORMANCE_ONLY");
    if (only && !strstr(name, only)) return;
    struct case_result result = onnx_case_run(tally->ctx, folder);
    tally->counts[result.outcome]++;
    const char *colon = *result.why ? ": " : "";
    if (tally->written)
        fprintf(tally->written, "%s: %s%s%s\n", name, outcomes[result.outcome], colon, result.why);
    if (getenv("TESSERA_TEST_VERBOSE"))
        print_message("%s: %s%s%s\n", name, outcomes[result.outcome], colon, result.why);
    if (result.outcome != CASE_PASSED && passed_before(tally, name)) {
        print_error("%s: passed before: %s\n", name, result.why);
        tally->lost++;
    }
}

static void test_nodes(void **state) {
    const char *folder = onnx_data_folder(), *path = getenv("TESSERA_CONFORMANCE_WRITE");
    if (!folder) {
        print_message("no ONNX test data here; install libonnx-testdata\n");
        skip();
    }
    char nodes[ONNX_DATA_PATH];
    snprintf(nodes, sizeof nodes, "%s/node", folder);
    struct tally tally = {.ctx = *state,
                          .list = (char *)bytes_read(TESSERA_CONFORMANCE_LIST, NULL),
                          .written = path ? fopen(path, "w") : NULL};
    assert_true(!path || tally.written);
    if (tally.written)
        fprintf(tally.written, "# ONNX's node tests; written by test_onnx_conformance with "
                               "TESSERA_CONFORMANCE_WRITE.\n");
    onnx_data_each(nodes, "model.onnx", run_case, &tally);
    print_message("%d passed, %d failed, %d out of scope\n", tally.counts[CASE_PASSED],
                  tally.counts[CASE_FAILED], tally.counts[CASE_OUT_OF_SCOPE]);
    if (tally.written) assert_int_equal(fclose(tally.written), 0);
    free(tally.list);
    assert_int_equal(tally.lost, 0);
    int in_scope = tally.counts[CASE_PASSED] + tally.counts[CASE_FAILED];
    if (!getenv("TESSERA_CONFORMANCE_ONLY"))
        assert_true(tally.counts[CASE_PASSED] >= WANTED * in_scope);
}

/* Models of cases that pass, each with one bit changed: run, or refused with a reason; no crash, no leak. */
static void damage_case(const char *path, void *user) {
    struct tally *tally = user;
    char folder[ONNX_DATA_PATH];
    const char *name = split_path(path, folder);
    if (!passed_before(tally, name)) return;
    for (int i = 0; i < DAMAGES; i++) {
        uint64_t seed = tally->seed = tally->seed * 6364136223846793005u + 1442695040888963407u;
        tally->counts[onnx_case_damaged(tally->ctx, folder, seed >> 20)]++;
    }
}

static void test_damaged(void **state) {
    const char *folder = onnx_data_folder();
    if (!folder) skip();
    char nodes[ONNX_DATA_PATH];
    snprintf(nodes, sizeof nodes, "%s/node", folder);
    struct tally tally = {
        .ctx = *state, .seed = 1, .list = (char *)bytes_read(TESSERA_CONFORMANCE_LIST, NULL)};
    uint64_t before = tess_context_counters(*state).device_bytes;
    onnx_data_each(nodes, "model.onnx", damage_case, &tally);
    print_message("%d damaged models ran, %d were refused\n", tally.counts[true],
                  tally.counts[false]);
    free(tally.list);
    assert_true(tally.counts[true] > 0 && tally.counts[false] > 0);
    assert_int_equal(tess_context_counters(*state).device_bytes, before);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_nodes),
                                       cmocka_unit_test(test_damaged)};
    return cmocka_run_group_tests(tests, check_setup, check_teardown);
}
