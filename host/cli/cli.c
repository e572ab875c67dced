#include "cli/cli.h"

#include <langinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_line(const char *format, va_list args) {
    char text[2048];
    vsnprintf(text, sizeof text, format, args);
    for (size_t end = strlen(text); end > 0 && text[end - 1] == '\n'; end--)
        text[end - 1] = '\0';
    fflush(stdout);
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr); /* takes a progress bar off */
    fputs("tessera: ", stderr);
    for (const char *c = text; *c; c++)
        if (*c == '\n')
            fputs(" | ", stderr);
        else
            fputc(*c, stderr);
    fputc('\n', stderr);
}

int cli_fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    print_line(format, args);
    va_end(args);
    return EXIT_FAILED;
}

int cli_usage(const char *format, ...) {
    va_list args;
    va_start(args, format);
    print_line(format, args);
    va_end(args);
    return EXIT_USAGE;
}

static void log_line(void *user, tess_log_level level, const char *line) {
    static const char *const names[] = {"error", "warn", "info", "debug"};
    (void)user;
    fprintf(stderr, "[%s] %s\n", names[level], line);
}

tess_status cli_context(const struct cli *cli, tess_error *error, tess_context **out) {
    /* Errors come back as statuses and are printed once, by the command: so they are no log lines as well. */
    tess_context_options options = {
        .device = cli->device,
        .log = cli->log_level == TESS_LOG_ERROR ? NULL : log_line,
        .log_level = cli->log_level,
        .kernels = cli->kernels,
    };
    tess_context *ctx = NULL;
    tess_status status = tess_context_create(&options, error, &ctx);
    if (status) return status;
    status = tess_context_use_tuning(ctx, cli->db);
    if (status && cli->db) {
        error_set(error, status, "%s", tess_context_last_error(ctx));
        tess_context_destroy(ctx);
        return status;
    }
    if (status && cli->log_level >= TESS_LOG_WARN)
        log_line(NULL, TESS_LOG_WARN, tess_context_last_error(ctx));
    *out = ctx;
    return TESS_OK;
}

int cli_print_json(json_t *object) {
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(object);
    if (!text)
        return cli_fail("JSON: out of memory or text that is not UTF-8; check the names of files");
    puts(text);
    free(text);
    return EXIT_DONE;
}

const char *cli_count(uint64_t value, char text[CLI_COUNT_SIZE]) {
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
    int at = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

const char *cli_bytes(double bytes, char text[CLI_COUNT_SIZE]) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    while (bytes >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, CLI_COUNT_SIZE, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

bool cli_utf8(void) {
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}
