#include "cli/args.h"

#include "cli/cli.h"
#include "core/byte_size.h"
#include "core/refused_option.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARGS 32

static bool starts_a_number(const char *text) {
    if (*text == '-' || *text == '+') text++;
    return isdigit((unsigned char)*text) || (*text == '.' && isdigit((unsigned char)text[1]));
}

bool parse_int(const char *text, int low, int high, int *out) {
    char *end;
    if (!starts_a_number(text)) return false;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || *end || value < low || value > high) return false;
    *out = (int)value;
    return true;
}

bool parse_real(const char *text, double low, double high, double *out) {
    char *end;
    if (!starts_a_number(text) || strpbrk(text, "xX")) return false;
    double value = strtod(text, &end);
    if (*end || !isfinite(value) || !(value >= low && value <= high)) return false;
    *out = value;
    return true;
}

bool parse_u64(const char *text, uint64_t *out) {
    char *end;
    if (!isdigit((unsigned char)*text)) return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end) return false;
    *out = value;
    return true;
}

static size_t table_size(const struct arg_table *table) {
    size_t count = 0;
    while (table->list[count].name)
        count++;
    return count;
}

void args_help(const struct arg_table *table) {
    const char *space = *table->command ? " " : "";
    printf("usage: tessera%s%s %s\n%s\n\noptions:\n", space, table->command, table->usage,
           table->about);
    for (const struct arg *arg = table->list; arg->name; arg++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", arg->name, arg->value ? " " : "",
                 arg->value ? arg->value : "");
        printf("  %-22s %s\n", left, arg->help);
    }
    printf("  %-22s %s\n", "--help", "this text");
}

static int bad_value(const struct arg *arg, const char *text) {
    const char *kind = arg->type == ARG_REAL ? "number" : "whole number";
    if (arg->type == ARG_U64 || (arg->low == 0 && arg->high == 0))
        return cli_usage("--%s: '%s' is not a %s; give %s", arg->name, text, kind,
                         arg->type == ARG_U64 ? "one from 0 on" : "one");
    return cli_usage("--%s: '%s' is not a %s in range; give one from %.12g to %.12g", arg->name,
                     text, kind, arg->low, arg->high);
}

static int take_text(struct arg *arg, const char *text) {
    struct arg_texts *list = arg->out;
    if (!*text) return cli_usage("--%s: empty; give %s", arg->name, arg->value);
    if (list->count == ARG_LIST_ROOM)
        return cli_usage("--%s: given more than %d times; give it less often", arg->name,
                         ARG_LIST_ROOM);
    list->texts[list->count++] = text;
    arg->given = true;
    return ARGS_CONTINUE;
}

static int take_value(struct arg *arg, const char *text) {
    bool good = true;
    bool any = arg->low == 0 && arg->high == 0;
    switch (arg->type) {
    case ARG_FLAG:
        *(bool *)arg->out = true;
        break;
    case ARG_TEXT:
        if (!*text) return cli_usage("--%s: empty; give %s", arg->name, arg->value);
        *(const char **)arg->out = text;
        break;
    case ARG_LIST:
        return take_text(arg, text);
    case ARG_INT:
        good = any ? parse_int(text, -2147483647, 2147483647, arg->out)
                   : parse_int(text, (int)arg->low, (int)arg->high, arg->out);
        break;
    case ARG_REAL:
        good = any ? parse_real(text, -INFINITY, INFINITY, arg->out)
                   : parse_real(text, arg->low, arg->high, arg->out);
        break;
    case ARG_BYTES:
        if (!byte_size_parse(text, arg->out))
            return cli_usage("--%s: '%s' is not an amount of memory; give one such as 2G, 800M or "
                             "64K, or a number of bytes",
                             arg->name, text);
        break;
    case ARG_U64:
        good = parse_u64(text, arg->out);
        break;
    }
    if (!good) return bad_value(arg, text);
    arg->given = true;
    return ARGS_CONTINUE;
}

static int check_words(const struct arg_table *table, int count, char **words) {
    if (count < table->min_words)
        return cli_usage("%s: an argument is missing; usage: tessera %s %s", table->command,
                         table->command, table->usage);
    if (!table->stop_at_word && count > table->max_words)
        return cli_usage("%s: '%s' is one argument too many; usage: tessera %s %s", table->command,
                         words[table->max_words], table->command, table->usage);
    return ARGS_CONTINUE;
}

int args_parse(struct arg_table *table, int argc, char **argv, int *words) {
    struct option options[MAX_ARGS + 2] = {0};
    size_t count = table_size(table);
    for (size_t i = 0; i < count; i++)
        options[i] = (struct option){table->list[i].name, table->list[i].type != ARG_FLAG, NULL,
                                     (int)(256 + i)};
    options[count] = (struct option){"help", no_argument, NULL, 'h'};
    optind = 0; /* glibc: start afresh */
    opterr = 0;
    for (;;) {
        int code = getopt_long(argc, argv, table->stop_at_word ? "+:h" : ":h", options, NULL);
        if (code == -1) break;
        if (code == 'h') {
            args_help(table);
            return EXIT_DONE;
        }
        if (code < 256) {
            char text[REFUSED_OPTION_SIZE];
            refused_option_text(table->command, options, code, argv, text);
            return cli_usage("%s", text);
        }
        int status = take_value(&table->list[code - 256], optarg);
        if (status != ARGS_CONTINUE) return status;
    }
    *words = optind;
    return check_words(table, argc - optind, argv + optind);
}
