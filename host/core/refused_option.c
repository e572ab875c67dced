#include "core/refused_option.h"

#include <stdio.h>
#include <string.h>

enum { MAX_OPTIONS = 64 };

size_t edit_distance(const char *a, const char *b) {
    size_t row[64];
    size_t width = strlen(b);
    if (width >= 64) return 64;
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < change) change = row[j] + 1;
            if (row[j - 1] + 1 < change) change = row[j - 1] + 1;
            row[j] = change;
        }
    }
    return row[width];
}

const char *nearest_name(const char *word, const char *const *names, size_t count) {
    const char *best = NULL;
    size_t best_distance = strlen(word) / 2 + 1;
    for (size_t i = 0; i < count; i++) {
        size_t distance = edit_distance(word, names[i]);
        if (distance < best_distance) {
            best = names[i];
            best_distance = distance;
        }
    }
    return best;
}

void refused_option_text(const char *command, const struct option *list, int code,
                         char *const *argv, char text[REFUSED_OPTION_SIZE]) {
    const char *names[MAX_OPTIONS];
    const char *word = argv[optind - 1], *space = *command ? " " : "", *of = *command ? " of " : "";
    char letter[3] = {'-', (char)optopt, 0}, bare[64];
    size_t count = 0;
    /* In the middle of -abc, optind has not moved yet. */
    if (strncmp(word, "--", 2) != 0) word = letter;
    const char *start = word + strspn(word, "-");
    snprintf(bare, sizeof bare, "%.*s", (int)strcspn(start, "="), start);
    if (code == ':') {
        snprintf(text, REFUSED_OPTION_SIZE, "%.200s: a value is missing; write '%.200s VALUE'",
                 word, word);
        return;
    }
    for (; count < MAX_OPTIONS && list[count].name; count++) {
        names[count] = list[count].name;
        if (list[count].has_arg || strcmp(bare, names[count]) != 0) continue;
        snprintf(text, REFUSED_OPTION_SIZE, "--%s: takes no value; give it alone", bare);
        return;
    }
    const char *near = nearest_name(bare, names, count);
    int length = snprintf(text, REFUSED_OPTION_SIZE, "%.200s: unknown or ambiguous option%s%s; ",
                          word, of, command);
    size_t left = REFUSED_OPTION_SIZE - (size_t)length;
    if (near)
        snprintf(text + length, left, "did you mean --%s?", near);
    else
        snprintf(text + length, left, "see 'tessera%s%s --help'", space, command);
}
