#include "bench/report/report_numbers.h"

#include <math.h>
#include <stdio.h>

#include "bench/report/report_read.h"

const char *number_text(double value, char text[NUMBER_TEXT]) {
    double size = fabs(value);
    if (!isfinite(value))
        snprintf(text, NUMBER_TEXT, "n/a");
    else if ((size >= 100 || value == floor(value)) && size < 1e7)
        snprintf(text, NUMBER_TEXT, "%.0f", value);
    else if (size >= 10 && size < 100)
        snprintf(text, NUMBER_TEXT, "%.1f", value);
    else
        snprintf(text, NUMBER_TEXT, "%.3g", value);
    return text;
}

const char *bytes_text(double bytes, char text[NUMBER_TEXT]) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    if (!isfinite(bytes)) return number_text(bytes, text);
    for (; fabs(bytes) >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        bytes /= 1024;
    snprintf(text, NUMBER_TEXT, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}

const char *interval_text(const json_t *row, const char *name, const char *mad_name,
                          const char *ci_name, char text[3 * NUMBER_TEXT]) {
    char value[NUMBER_TEXT], low[NUMBER_TEXT], high[NUMBER_TEXT];
    const json_t *ci = json_object_get(row, ci_name);
    double mad = report_number(row, mad_name);
    number_text(report_number(row, name), value);
    if (json_is_array(ci))
        snprintf(text, 3 * NUMBER_TEXT, "%s (%s to %s)", value,
                 number_text(json_number_value(json_array_get(ci, 0)), low),
                 number_text(json_number_value(json_array_get(ci, 1)), high));
    else if (isfinite(mad))
        snprintf(text, 3 * NUMBER_TEXT, "%s +- %s", value, number_text(mad, low));
    else
        snprintf(text, 3 * NUMBER_TEXT, "%s", value);
    return text;
}

const char *speed_text(const json_t *row, const char *name, char text[3 * NUMBER_TEXT]) {
    char value[NUMBER_TEXT], low[NUMBER_TEXT], high[NUMBER_TEXT];
    double speed = report_number(row, name), work = speed * report_number(row, "ms");
    const json_t *ci = json_object_get(row, "ms_ci");
    double mad = report_number(row, "ms_mad") / report_number(row, "ms");
    number_text(speed, value);
    if (json_is_array(ci))
        snprintf(text, 3 * NUMBER_TEXT, "%s (%s to %s)", value,
                 number_text(work / json_number_value(json_array_get(ci, 1)), low),
                 number_text(work / json_number_value(json_array_get(ci, 0)), high));
    else if (isfinite(mad))
        snprintf(text, 3 * NUMBER_TEXT, "%s +- %s", value, number_text(speed * mad, low));
    else
        snprintf(text, 3 * NUMBER_TEXT, "%s", value);
    return text;
}

void page_pair(struct page *page, const char *name, const char *value) {
    page_cell(page, "%s", name);
    page_cell(page, "%s", *value ? value : "n/a");
}
