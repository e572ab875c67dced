#include "bench/report/plot.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { SVG_BYTES_MAX = 16 << 20 };

/* ---------------------------------------------------------------- gnuplot */

static tess_status start(FILE *files[3], tess_error *error, pid_t *child) {
    char *const argv[] = {"gnuplot", "-d", NULL}; /* -d: no start-up files of the user */
    posix_spawn_file_actions_t actions;
    int code = posix_spawn_file_actions_init(&actions);
    if (code) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "report: %s", strerror(code));
    for (int i = 0; i < 3 && !code; i++)
        code = posix_spawn_file_actions_adddup2(&actions, fileno(files[i]), i);
    if (!code) code = posix_spawnp(child, "gnuplot", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (code == ENOENT)
        return error_set(error, TESS_NOT_FOUND,
                         "report: no plots: gnuplot is not installed; install the package "
                         "gnuplot-nox (Debian, Ubuntu) or gnuplot (Fedora, Arch)");
    if (code)
        return error_set(error, TESS_IO,
                         "report: no plots: gnuplot cannot be started: %s; install it again",
                         strerror(code));
    return TESS_OK;
}

/* All of a file from its beginning, ended by a zero; NULL: no memory, or too much. */
static char *contents(FILE *file) {
    if (fseek(file, 0, SEEK_END)) return NULL;
    long size = ftell(file);
    if (size < 0 || size > SVG_BYTES_MAX) return NULL;
    rewind(file);
    char *text = malloc((size_t)size + 1);
    if (!text) return NULL;
    text[fread(text, 1, (size_t)size, file)] = '\0';
    return text;
}

static tess_status failed(FILE *messages, int status, tess_error *error) {
    char *text = contents(messages);
    for (size_t end = text ? strlen(text) : 0; end > 0 && text[end - 1] == '\n'; end--)
        text[end - 1] = '\0';
    char *line = text ? strrchr(text, '\n') : NULL;
    error_set(error, TESS_INTERNAL, "report: gnuplot failed (status %d): %.200s; report it", status,
              line   ? line + 1
              : text ? text
                     : "");
    free(text);
    return TESS_INTERNAL;
}

static tess_status run(FILE *files[3], tess_error *error, char **out) {
    pid_t child;
    int status = 0;
    tess_status result = start(files, error, &child);
    if (result) return result;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return error_set(error, TESS_IO, "report: gnuplot: %s; try again", strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status)) return failed(files[2], status, error);
    *out = contents(files[1]);
    return *out ? TESS_OK
                : error_set(error, TESS_OUT_OF_HOST_MEMORY, "report: no memory for a plot");
}

/* ---------------------------------------------------------------- SVG for a page */

/* What gnuplot writes -> what a page needs; $ stands for the element's id, which keeps the ids of several plots apart. */
static const struct change {
    const char *from, *to;
} changes[] = {
    {"rgb(  1,   1,   1)", "var(--c1)"},
    {"rgb(  2,   2,   2)", "var(--c2)"},
    {"rgb(  3,   3,   3)", "var(--c3)"},
    {"rgb(  4,   4,   4)", "var(--c4)"},
    {"rgb(  5,   5,   5)", "var(--c5)"},
    {"rgb(  6,   6,   6)", "var(--c6)"},
    {"color=\"black\" ", ""},
    {"color=\"white\" ", ""},
    {"'black'", "'currentColor'"},
    {"\"black\"", "\"currentColor\""},
    {"rgb(  0,   0,   0)", "currentColor"},
    {"rgb(0,0,0)", "currentColor"},
    {"xlink:href", "href"},
    {"font-family=\"sans-serif\"", ""},
    {"gpDot", "$Dot"},
    {"gpPt", "$Pt"},
    {"gnuplot_canvas", "$Canvas"},
    {"'textbox'", "'$Text'"},
    {"'greybox'", "'$Grey'"},
};

static const struct change *change_at(const char *text) {
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        if (strncmp(text, changes[i].from, strlen(changes[i].from)) == 0) return &changes[i];
    return NULL;
}

/* The inside of gnuplot's <svg> element, changed; titles, which browsers show beside the pointer, are left out. */
static void write_inside(FILE *out, const char *text, const char *id) {
    while (*text) {
        if (strncmp(text, "<title>", 7) == 0) {
            const char *end = strstr(text, "</title>");
            if (end) {
                text = end + 8;
                continue;
            }
        }
        const struct change *change = change_at(text);
        if (!change) {
            fputc(*text++, out);
            continue;
        }
        for (const char *c = change->to; *c; c++)
            if (*c == '$')
                fputs(id, out);
            else
                fputc(*c, out);
        text += strlen(change->from);
    }
}

static tess_status for_page(const char *text, const char *id, const char *css, int width,
                            int height, const char *about, tess_error *error, char **svg) {
    const char *start = strstr(text, "<svg");
    start = start ? strchr(start, '>') : NULL;
    char *end = start ? strstr(start, "</svg>") : NULL;
    if (!end)
        return error_set(error, TESS_BAD_FORMAT,
                         "report: gnuplot wrote no SVG; install its svg "
                         "terminal (Debian: gnuplot-nox)");
    *end = '\0';
    size_t size;
    FILE *out = open_memstream(svg, &size);
    if (!out) return error_set(error, TESS_OUT_OF_HOST_MEMORY, "report: no memory for a plot");
    fprintf(out,
            "<svg class=\"%s\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\" "
            "font-family=\"system-ui,sans-serif\">",
            css, width, height, about);
    write_inside(out, start + 1, id);
    fputs("</svg>\n", out);
    if (!fclose(out)) return TESS_OK;
    free(*svg);
    *svg = NULL;
    return error_set(error, TESS_OUT_OF_HOST_MEMORY, "report: no memory for a plot");
}

tess_status plot_svg(const char *id, const char *css, int width, int height, const char *about,
                     const char *script, tess_error *error, char **svg) {
    FILE *files[3] = {tmpfile(), tmpfile(), tmpfile()};
    char *text = NULL;
    tess_status status = TESS_OK;
    *svg = NULL;
    if (!files[0] || !files[1] || !files[2])
        status = error_set(error, TESS_IO, "report: no temporary file: %s; make room in TMPDIR",
                           strerror(errno));
    if (!status) {
        fprintf(files[0],
                "set terminal svg size %d,%d dynamic noenhanced font 'sans-serif,14' name '%s'\n"
                "set border lc rgb 'black'\nset encoding utf8\n%s\n",
                width, height, id, script);
        if (fflush(files[0]) || fseek(files[0], 0, SEEK_SET))
            status = error_set(error, TESS_IO, "report: a plot's script: %s; is the disk full?",
                               strerror(errno));
    }
    if (!status) status = run(files, error, &text);
    if (!status) status = for_page(text, id, css, width, height, about, error, svg);
    free(text);
    for (int i = 0; i < 3; i++)
        if (files[i]) fclose(files[i]);
    return status;
}
