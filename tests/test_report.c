/* `tessera report`, `bench compare` and `bench roof` as a user runs them: pages that are well-formed and whole, and damaged input. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/folder.h"
#include "support/program.h"

/* ---------------------------------------------------------------- files to report on */

/* A line of bench conv; text: what a driver might call itself. */
static json_t *layer(const char *key, const char *pass, double ms, const char *text) {
    json_t *samples = json_array(), *stick = json_array();
    for (int i = 0; i < 12; i++) {
        json_array_append_new(samples, json_real(ms * (1 + 0.001 * ((i * 5) % 7))));
        json_array_append_new(stick, json_real(2 + 0.002 * ((i * 3) % 5)));
    }
    json_t *row = json_pack(
        "{s:s, s:s, s:i, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:i}",
        "problem", key, "pass", pass, "count", 1, "algo", "direct", "config", text, "tier", "exact",
        "ms", ms, "ms_mad", 0.01, "gflops", 100 / ms, "max_err", 1e-6, "peak_gflops", 200.0,
        "gbytes", 2.0, "peak_gbytes", 10.0, "of_roof", 0.5 / ms, "workspace", 4096, "packed", 0);
    json_t *sampled = json_pack("{s:i, s:O, s:O, s:O, s:O}", "samples_per_round", 1, "samples_ms",
                                samples, "cpu_samples_ms", samples, "yardstick_samples_ms", stick,
                                "yardstick_cpu_samples_ms", stick);
    json_object_update(row, sampled);
    json_decref(sampled);
    json_object_set_new(row, "ms_ci", json_pack("[f, f]", 0.9 * ms, 1.1 * ms));
    json_object_set_new(row, "run",
                        json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s, s:s}}", "time",
                                  "2026-11-22T10:00:00Z", "version", "0.1.0", "command", text,
                                  "host", text, "device", "name", text, "type", "CPU", "driver",
                                  text, "platform", text));
    json_decref(samples);
    json_decref(stick);
    return row;
}

/* Appends rows of two problems to a file in folder; ms: of the first. */
static void write_lines(const char *folder, const char *name, double ms, const char *text) {
    char path[FOLDER_PATH_SIZE];
    FILE *file = fopen(folder_path(folder, name, path), "a");
    assert_non_null(file);
    json_t *rows[] = {layer("n1c1h1w1k1r1s1", "fwd", ms, text),
                      layer("n2c1h1w1k1r1s1", "bwd_data", 1, text)};
    for (int i = 0; i < 2; i++) {
        json_dumpf(rows[i], file, JSON_COMPACT);
        fputc('\n', file);
        json_decref(rows[i]);
    }
    assert_int_equal(fclose(file), 0);
}

/* ---------------------------------------------------------------- HTML */

/* Reads a tag's name and attributes; gives what follows the tag. *closed: it ends in "/>". Attributes are quoted, and name no other place. */
static const char *read_tag(const char *at, char name[32], bool *closed) {
    size_t length = strcspn(at, " \t\n/>");
    assert_true(length > 0 && length < 32);
    memcpy(name, at, length);
    name[length] = '\0';
    for (at += length; *at && *at != '>' && strncmp(at, "/>", 2) != 0;) {
        at += strspn(at, " \t\n");
        if (*at == '>' || *at == '/') continue;
        size_t attribute = strcspn(at, "= \t\n/>");
        bool link = (attribute == 4 && strncmp(at, "href", 4) == 0) ||
                    (attribute == 3 && strncmp(at, "src", 3) == 0);
        at += attribute;
        at += strspn(at, " ");
        assert_int_equal(*at, '=');
        at++;
        at += strspn(at, " ");
        assert_true(*at == '"' || *at == '\'');
        if (link) assert_int_equal(at[1], '#');
        const char *end = strchr(at + 1, *at);
        assert_non_null(end);
        for (const char *c = at + 1; c < end; c++)
            assert_true(*c != '<');
        at = end + 1;
    }
    *closed = *at == '/';
    assert_true(*at);
    return at + 1 + *closed;
}

/* "&" begins one of the five entities that pages use. */
static void check_entity(const char *at) {
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
        if (strncmp(at, entities[i], strlen(entities[i])) == 0) return;
    fail_msg("a bare ampersand: %.20s", at);
}

/* Every element is closed in order, no element is a script, nothing is loaded from elsewhere. */
static void check_html(const char *text) {
    char stack[64][32], name[32];
    int depth = 0;
    bool closed;
    assert_int_equal(strncmp(text, "<!DOCTYPE html>\n", 16), 0);
    assert_null(strstr(text, "http"));
    assert_null(strstr(text, "@import"));
    assert_null(strstr(text, "url("));
    for (const char *at = text + 16; *at;) {
        if (*at == '&') check_entity(at);
        assert_true(*at != '>');
        if (*at != '<') {
            at++;
            continue;
        }
        if (at[1] == '/') {
            size_t length = strcspn(at + 2, ">");
            assert_true(depth > 0);
            depth--;
            assert_true(strlen(stack[depth]) == length &&
                        strncmp(stack[depth], at + 2, length) == 0);
            at += length + 3;
            continue;
        }
        at = read_tag(at + 1, name, &closed);
        assert_string_not_equal(name, "script");
        if (closed) continue;
        assert_true(depth < 64);
        strcpy(stack[depth++], name);
        if (strcmp(name, "style") == 0) at = strstr(at, "</style>");
        assert_non_null(at);
    }
    assert_int_equal(depth, 0);
}

static void check_no_nan(const char *text) {
    static const char *const bad[] = {">nan", ">inf", " nan", " inf ",
                                      "-nan", "-inf", "(nan", "NaN"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (strstr(text, bad[i])) fail_msg("the report has '%s'", bad[i]);
}

/* ---------------------------------------------------------------- tests */

static const char hostile[] = "</td><script>alert(1)</script>&\"'`rm -rf x`|$(x)\n# \\ \001";

static void test_pages(void **state) {
    const char *folder = *state;
    char old[FOLDER_PATH_SIZE], new[FOLDER_PATH_SIZE], out[FOLDER_PATH_SIZE];
    write_lines(folder, "old.json", 1, hostile);
    write_lines(folder, "new.json", 1.1, hostile);
    struct program_result result =
        RUN("report", "--out", folder_path(folder, "r.html", out), "--from",
            folder_path(folder, "old.json", old), "--from", folder_path(folder, "new.json", new));
    if (result.status || result.err[0]) fail_msg("%s", result.err);
#ifdef TESSERA_GNUPLOT
    assert_string_equal(result.err, "");
#else
    assert_non_null(strstr(result.err, "gnuplot-nox"));
#endif
    program_free(&result);
    char *html = folder_read(folder, "r.html", NULL), *md = folder_read(folder, "r.md", NULL);
    char *twin = folder_read(folder, "r.json", NULL);
    check_html(html);
    check_no_nan(html);
    check_no_nan(md);
    assert_null(strstr(html, "<script"));
    /* Only in code, where it stands for itself. */
    for (const char *at = md; (at = strstr(at, "<script")); at++) {
        const char *line = at;
        while (line > md && line[-1] != '\n')
            line--;
        assert_int_equal(strncmp(line, "    ", 4), 0);
    }
    assert_non_null(strstr(html, "&lt;script&gt;alert(1)"));
    static const char *const ids[] = {"device0", "layers0", "reproduce0", "comparison0", "method"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        char id[32];
        snprintf(id, sizeof id, "id=\"%s\"", ids[i]);
        assert_non_null(strstr(html, id));
    }
#ifdef TESSERA_GNUPLOT
    assert_non_null(strstr(html, "<svg"));
    assert_null(strstr(html, "rgb("));
#endif
    /* The twin has the numbers of the page, and is a source itself. */
    json_t *document = json_loads(twin, 0, NULL);
    json_t *source = json_array_get(json_object_get(document, "sources"), 1);
    json_t *row = json_array_get(json_object_get(source, "layers"), 0);
    assert_float_equal(json_number_value(json_object_get(row, "ms")), 1.1, 1e-9);
    assert_non_null(strstr(html, ">1.1 (0.99 to 1.21)<"));
    assert_non_null(strstr(md, "| 1.1 (0.99 to 1.21) |"));
    json_t *comparison = json_array_get(json_object_get(document, "comparisons"), 0);
    row = json_array_get(json_object_get(comparison, "rows"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "verdict")), "slower");
    assert_float_equal(json_number_value(json_object_get(row, "change")), 0.1, 0.005);
    json_decref(document);
    free(html), free(md), free(twin);
    folder_path(folder, "r.json", old);
    assert_program(RUN("report", "--out", folder_path(folder, "again.html", out), "--from", old), 0,
                   NULL);
}

static void test_gate(void **state) {
    const char *folder = *state;
    char old[FOLDER_PATH_SIZE], same[FOLDER_PATH_SIZE], new[FOLDER_PATH_SIZE];
    write_lines(folder, "old.json", 1, "x");
    write_lines(folder, "same.json", 1.002, "x");
    write_lines(folder, "new.json", 1.1, "x");
    folder_path(folder, "old.json", old);
    folder_path(folder, "same.json", same);
    folder_path(folder, "new.json", new);
    struct program_result result = RUN("bench", "compare", old, new, "--fail-above", "5%");
    assert_int_equal(result.status, 1);
    assert_non_null(strstr(result.err, "1 of 2 rows are slower by more than 5 %"));
    assert_non_null(strstr(result.err, "n1c1h1w1k1r1s1"));
    program_free(&result);
    assert_program(RUN("bench", "compare", old, new, "--fail-above", "15%"), 0, NULL);
    assert_program(RUN("bench", "compare", old, same), 0, NULL);
    assert_program(RUN("bench", "compare", new, old), 0, NULL);
    result = RUN("bench", "compare", old, new, "--json", "-", "--fail-above", "50");
    json_t *comparison = json_loads(result.out, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(comparison, "rows")), 2);
    json_decref(comparison);
    program_free(&result);
    assert_program(RUN("bench", "compare", old), 2, "an argument is missing");
    assert_program(RUN("bench", "compare", old, new, "--fail-above", "much"), 2, "--fail-above");
    assert_program(RUN("bench", "compare", old, "/nonexistent/x"), 1, "/nonexistent/x");
}

/* text as a file: the status is 1, and the message has why and the line. */
static void check_bad(const char *folder, const char *text, const char *why) {
    char path[FOLDER_PATH_SIZE], out[FOLDER_PATH_SIZE];
    folder_write_text(folder, "bad.json", text);
    folder_path(folder, "bad.json", path);
    assert_program(RUN("report", "--out", folder_path(folder, "bad.html", out), "--from", path), 1,
                   why);
    assert_program(RUN("bench", "compare", path, path), 1, why);
}

static void test_bad_input(void **state) {
    const char *folder = *state;
    check_bad(folder, "", "empty");
    check_bad(folder, "\n\n", "empty");
    check_bad(folder, "no JSON", "line 1");
    check_bad(folder, "{\"problem\":\"n1\"", "line 1");
    check_bad(folder, "[1, 2]\n", "line 1");
    check_bad(folder, "{\"net\":\"x\",\"ms\":-1}\n", "ms, images_per_s");
    check_bad(folder, "{\"roof\":\"fma\",\"label\":\"x\"}\n", "value");
    check_bad(folder, "{\"something\":1}\n", "neither");
    check_bad(folder, "{\"report\":1}\n", "without sources");
    check_bad(folder,
              "\n{\"problem\":\"n1\",\"pass\":\"fwd\",\"algo\":\"a\",\"config\":\"c\",\"tier\":"
              "\"t\",\"ms\":0,\"gflops\":1}\n",
              "line 2");
    check_bad(folder,
              "{\"problem\":\"n1\",\"pass\":\"fwd\",\"algo\":\"a\",\"config\":\"c\",\"tier\":\"t\","
              "\"ms\":1,\"gflops\":1,\"samples_ms\":[1,\"x\"]}\n",
              "samples");
    assert_program(RUN("report", "--from", "/nonexistent/x"), 1, "/nonexistent/x");
    assert_program(RUN("report"), 2, "--out");
    assert_program(RUN("report", "--out", "x.pdf"), 2, ".html");
    assert_program(RUN("report", "--help"), 0, NULL);
}

/* A line of the contract alone, without samples or run: older files. */
static void test_plain_lines(void **state) {
    const char *folder = *state;
    char path[FOLDER_PATH_SIZE], out[FOLDER_PATH_SIZE];
    folder_write_text(folder, "plain.json",
                      "{\"problem\":\"n1\",\"pass\":\"fwd\",\"algo\":\"a\",\"config\":\"c\","
                      "\"tier\":\"t\",\"ms\":1,\"ms_mad\":0.1,\"gflops\":3,\"max_err\":0}\n"
                      "{\"net\":\"x\",\"batch\":2,\"mode\":\"train\",\"ms\":5,\"ms_mad\":0.1,"
                      "\"images_per_s\":400,\"device_bytes_peak\":1048576}\n");
    folder_path(folder, "plain.json", path);
    struct program_result result =
        RUN("report", "--out", folder_path(folder, "p.html", out), "--from", path);
    assert_int_equal(result.status, 0);
    assert_null(strstr(result.err, "failed")); /* there is nothing to plot */
    program_free(&result);
    char *html = folder_read(folder, "p.html", NULL);
    check_html(html);
    check_no_nan(html);
    assert_non_null(strstr(html, "400 +- 8"));
    free(html);
}

/* Lines of `tune --fc`: who is taken and by how much, the fastest trial of each; a backend alone has nothing to beat. */
static void test_fully_connected(void **state) {
    const char *folder = *state;
    char path[FOLDER_PATH_SIZE], out[FOLDER_PATH_SIZE], text[2048] = "";
    static const struct {
        const char *problem, *operation, *backend, *status;
        double ms;
    } lines[] = {{"n8c64k32", "fc_fwd", "conv", "ok", 4},
                 {"n8c64k32", "fc_fwd", "clblast", "ok", 9},
                 {"n8c64k32", "fc_fwd", "stream", "ok", 8},
                 {"n8c64k32", "fc_fwd", "stream", "ok", 6},
                 {"n8c64k32", "fc_fwd_repack", "conv", "ok", 5},
                 {"n8c64k32", "fc_fwd_repack", "stream", "ok", 2},
                 {"n8c64k32", "fc_bwd_weights", "conv", "ok", 3},
                 {"n8c64k32", "fc_bwd_weights", "stream", "crashed", 1}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "{\"event\":\"fc\",\"problem\":\"%s\",\"operation\":\"%s\",\"backend\":\"%s\","
                 "\"status\":\"%s\",\"ms\":%g,\"ms_mad\":0.1}\n",
                 lines[i].problem, lines[i].operation, lines[i].backend, lines[i].status,
                 lines[i].ms);
    folder_write_text(folder, "fc.json", text);
    folder_path(folder, "fc.json", path);
    assert_program(RUN("report", "--out", folder_path(folder, "f.html", out), "--from", path), 0,
                   NULL);
    char *html = folder_read(folder, "f.html", NULL), *md = folder_read(folder, "f.md", NULL);
    check_html(html);
    check_no_nan(html);
    assert_non_null(strstr(md, "| n8c64k32 | fwd | stay | conv | 1.5 +- 0.0451 of stream |"));
    assert_non_null(strstr(md, "| fwd | packed in each call | stream | 2.5 +- 0.135 of conv |"));
    assert_non_null(strstr(md, "| bwd_weights | stay | - | nothing to compare with |"));
    free(html), free(md);
}

/* The tuning page of these lines of `tune --json`, as Markdown. */
static char *tuning_page(const char *folder, const char *text) {
    char path[FOLDER_PATH_SIZE], out[FOLDER_PATH_SIZE];
    folder_write_text(folder, "t.json", text);
    assert_program(RUN("report", "--out", folder_path(folder, "t.html", out), "--from",
                       folder_path(folder, "t.json", path)),
                   0, NULL);
    char *html = folder_read(folder, "t.html", NULL);
    check_html(html);
    check_no_nan(html);
    free(html);
    return folder_read(folder, "t.md", NULL);
}

/* Where a search's time went; trials of older versions do not know. */
static void test_time_split(void **state) {
#define TRIAL                                                                                      \
    "{\"event\":\"trial\",\"problem\":\"n1\",\"pass\":\"fwd\",\"config\":\"c\",\"status\":\"ok\"," \
    "\"ms\":1,\"build_s\":1"
    char *md = tuning_page(*state, TRIAL "}\n" TRIAL "}\n");
    assert_non_null(strstr(md, "do not say where their time went"));
    assert_non_null(strstr(md, "Compiling took 2 s"));
    free(md);
    md = tuning_page(*state, TRIAL "}\n" TRIAL ",\"verify_s\":2,\"run_s\":4,\"search_s\":1}\n" TRIAL
                                   ",\"verify_s\":2,\"run_s\":4,\"search_s\":1}\n");
    assert_non_null(strstr(md, "2 of them say where their time went"));
    assert_non_null(strstr(md, "| build: compiling, making buffers | 2 | 12.5 % |"));
    assert_non_null(strstr(md, "| verify: against float64 | 4 | 25 % |"));
    assert_non_null(strstr(md, "| run: timing | 8 | 50 % |"));
    assert_non_null(strstr(md, "| search: choosing, recording, waiting | 2 | 12.5 % |"));
    free(md);
#undef TRIAL
}

/* The measuring itself: roofs, and a report of this machine from what bench kept, behind a line that a full disk cut. */
static void test_this_machine(void **state) {
    const char *folder = *state;
    char out[FOLDER_PATH_SIZE];
    setenv("XDG_DATA_HOME", folder, 1);
    assert_int_equal(mkdir(folder_path(folder, "tessera", out), 0777), 0);
    folder_write_text(folder, "tessera/runs.jsonl", "{\"problem\":\"n1c");
    assert_program(RUN("bench", "conv", "--problem", "n1c4h6w6k8r1s1", "--pass", "fwd", "--algo",
                       "generic", "--rounds", "1", "--samples", "3"),
                   0, NULL);
    struct program_result result = RUN("report", "--out", folder_path(folder, "m.html", out));
    if (result.status) fail_msg("%s", result.err);
    program_free(&result);
    char *html = folder_read(folder, "m.html", NULL);
    check_html(html);
    check_no_nan(html);
    static const char *const words[] = {
        "multiply-adds in registers", "triad",
        "local memory, read",         "kernel launch",
        "transfer to the device",     "transfer from the device",
        "conv_generic_fwd",           "tessera bench conv --problem n1c4h6w6k8r1s1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strstr(html, words[i])) fail_msg("the report lacks '%s'", words[i]);
    free(html);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pages, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_gate, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_bad_input, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_plain_lines, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_fully_connected, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_time_split, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(test_this_machine, folder_setup, folder_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
