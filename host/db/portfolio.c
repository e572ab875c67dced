#include "db/portfolio.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/embedded.h"
#include "db/device_class.h"
#include "db/nearness.h"

enum { MAX_NEAR = 16 };

static bool text_field(const json_t *line, const char *name, char *out, size_t size) {
    const char *text = json_string_value(json_object_get(line, name));
    if (!text || strlen(text) >= size) return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

/* Says what is wrong, or gives NULL. */
static const char *read_entry(const json_t *line, struct portfolio_entry *out) {
    *out = (struct portfolio_entry){0};
    char basis[16];
    if (!text_field(line, "operation", out->operation, sizeof out->operation))
        return "operation is missing";
    if (!text_field(line, "problem", out->problem, sizeof out->problem) ||
        tess_conv_desc_parse(out->problem, NULL, &out->desc))
        return "problem is missing or no key";
    if (!text_field(line, "config", out->config, sizeof out->config)) return "config is missing";
    if (!text_field(line, "basis", basis, sizeof basis)) return "basis is missing";
    double ms = json_number_value(json_object_get(line, "ms"));
    if (strcmp(basis, "measured") == 0)
        out->seconds = 1e-3 * ms;
    else if (strcmp(basis, "reasoned") != 0)
        return "basis is neither measured nor reasoned";
    return strcmp(basis, "measured") == 0 && !(ms > 0) ? "it was measured, but ms is missing"
                                                       : NULL;
}

static tess_status parse_line(struct portfolio *portfolio, const char *text, size_t length,
                              int number, tess_error *error) {
    json_t *line = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
    const char *wrong =
        line ? read_entry(line, &portfolio->list[portfolio->count]) : "it is no JSON";
    json_decref(line);
    if (wrong)
        return error_set(error, TESS_BAD_FORMAT,
                         "portfolio %s: line %d: %s; see host/db/portfolio/README.md",
                         portfolio->name, number, wrong);
    portfolio->count++;
    return TESS_OK;
}

tess_status portfolio_parse(const char *name, const char *text, tess_error *error,
                            struct portfolio **out) {
    size_t lines = 1;
    for (const char *at = text; *at; at++)
        lines += *at == '\n';
    struct portfolio *portfolio = calloc(1, sizeof *portfolio);
    if (portfolio) portfolio->list = calloc(lines, sizeof *portfolio->list);
    if (!portfolio || !portfolio->list) {
        portfolio_free(portfolio);
        return error_set(error, TESS_OUT_OF_HOST_MEMORY, "portfolio %s: no host memory", name);
    }
    snprintf(portfolio->name, sizeof portfolio->name, "%s", name);
    tess_status status = TESS_OK;
    int number = 1;
    for (const char *at = text; *at && !status; number++) {
        size_t length = strcspn(at, "\n");
        if (length) status = parse_line(portfolio, at, length, number, error);
        at += length + (at[length] == '\n');
    }
    if (status)
        portfolio_free(portfolio);
    else
        *out = portfolio;
    return status;
}

void portfolio_free(struct portfolio *portfolio) {
    if (!portfolio) return;
    free(portfolio->list);
    free(portfolio);
}

tess_status portfolio_for_device(const tess_device_info *device, tess_error *error,
                                 struct portfolio **out) {
    *out = NULL;
    for (const char *name = device_class(device); name && *name; name = device_class_parent(name)) {
        char file[64];
        snprintf(file, sizeof file, "%s.jsonl", name);
        for (const struct embedded_source *e = embedded_portfolios; e->name; e++)
            if (strcmp(e->name, file) == 0) return portfolio_parse(name, e->text, error, out);
    }
    return TESS_OK;
}

static struct conv_advice advice_of(const struct portfolio *portfolio,
                                    const struct portfolio_entry *entry) {
    struct conv_advice advice = {.nearness = CONV_PORTFOLIO, .seconds = entry->seconds};
    snprintf(advice.config, sizeof advice.config, "%s", entry->config);
    snprintf(advice.problem, sizeof advice.problem, "%s", entry->problem);
    snprintf(advice.origin, sizeof advice.origin, "portfolio %s", portfolio->name);
    return advice;
}

int portfolio_advise(const struct portfolio *portfolio, const char *operation,
                     const tess_conv_desc *desc, struct conv_advice *out, int max) {
    char wanted[NEARNESS_CLASS_SIZE], have[NEARNESS_CLASS_SIZE];
    double distance[MAX_NEAR];
    int nearest[MAX_NEAR], count = 0;
    if (max > MAX_NEAR) max = MAX_NEAR;
    nearness_class(desc, wanted);
    for (int i = 0; i < portfolio->count && max > 0; i++) {
        const struct portfolio_entry *entry = &portfolio->list[i];
        nearness_class(&entry->desc, have);
        if (strcmp(entry->operation, operation) != 0 || strcmp(have, wanted) != 0) continue;
        double d = nearness_distance(&entry->desc, desc);
        if (count == max && d >= distance[count - 1]) continue;
        int at = count < max ? count++ : count - 1;
        for (; at > 0 && distance[at - 1] > d; at--) {
            distance[at] = distance[at - 1];
            nearest[at] = nearest[at - 1];
        }
        distance[at] = d;
        nearest[at] = i;
    }
    for (int i = 0; i < count; i++)
        out[i] = advice_of(portfolio, &portfolio->list[nearest[i]]);
    return count;
}
