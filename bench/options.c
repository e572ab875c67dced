#include "bench/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/file_error.h"
#include "core/refused_option.h"
#include "ops/conv/conv_problem.h"

int option_fail(int status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("tessera: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return status;
}

static int set(const struct options *options, int letter, char **argv, void *user) {
    char text[REFUSED_OPTION_SIZE];
    if (letter == 'h' && options->usage) return fputs(options->usage, stdout) < 0 ? 1 : -1;
    if (letter != '?' && letter != ':') return options->set(user, letter, optarg);
    refused_option_text(options->command, options->list, letter, argv, text);
    return option_fail(2, "%s", text);
}

int options_read(const struct options *options, int argc, char **argv, void *user) {
    int status = 0, letter;
    opterr = 0;
    optind = 0; /* glibc: start afresh */
    while (!status && (letter = getopt_long(argc, argv, ":h", options->list, NULL)) != -1)
        status = set(options, letter, argv, user);
    if (status) return status;
    if (argc - optind > options->words)
        return option_fail(2, "%s: '%s' is one argument too many; see 'tessera %s --help'",
                           options->command, argv[optind + options->words], options->command);
    if (argc - optind < options->words)
        return option_fail(2, "%s: an argument is missing; see 'tessera %s --help'",
                           options->command, options->command);
    return 0;
}

int option_number(const char *name, const char *text, int least, int most, int *out) {
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < least || value > most)
        return option_fail(2, "--%s: '%s' is not a whole number from %d to %d", name, text, least,
                           most);
    *out = (int)value;
    return 0;
}

int option_passes(const char *list, bool passes[3]) {
    memset(passes, 0, 3 * sizeof *passes);
    while (true) {
        size_t length = strcspn(list, ",");
        int found = -1;
        for (int pass = 0; pass < 3; pass++) {
            const char *name = conv_pass_name((tess_conv_pass)pass);
            if (strlen(name) == length && strncmp(name, list, length) == 0) found = pass;
        }
        if (found < 0)
            return option_fail(
                2, "--pass: '%.*s' is no pass; give fwd,bwd_data,bwd_weights or some of them",
                (int)length, list);
        passes[found] = true;
        if (!list[length]) return 0;
        list += length + 1;
    }
}

int option_problem(bool file, const char *text, struct problem_list *problems) {
    tess_error error = {0};
    tess_status status = file ? problem_list_add_file(problems, text, &error)
                              : problem_list_add(problems, text, 1, &error);
    return status ? option_fail(status == TESS_IO ? 1 : 2, "%s", error.text) : 0;
}

int option_net(int letter, const char *value, struct net_choice *nets) {
    const char *name = letter == 'I'   ? "input"
                       : letter == 'K' ? "classes"
                       : letter == 'W' ? "width"
                                       : "net";
    tess_error error = {0};
    return net_choice_set(nets, name, value, &error) ? option_fail(2, "%s", error.text) : 0;
}

int option_problems_end(const struct net_choice *nets, int batch, struct problem_list *problems) {
    tess_error error = {0};
    tess_status status = net_choice_add(nets, problems, &error);
    if (!status && batch) status = problem_list_set_batch(problems, batch, &error);
    return status ? option_fail(status == TESS_IO ? 1 : 2, "%s", error.text) : 0;
}

int option_json(const char *path, FILE **json) {
    if (*json && *json != stdout) fclose(*json);
    *json = strcmp(path, "-") == 0 ? stdout : fopen(path, "a");
    if (*json) return 0;
    tess_error error = {0};
    error_file(&error, errno, path, "written");
    return option_fail(1, "--json: %s", error.text);
}

int option_json_close(FILE *json, int status) {
    if (!json || json == stdout || !fclose(json) || status) return status;
    return option_fail(1, "--json: the file could not be written; is the disk full?");
}
