#include "bench/problem_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/status.h"
#include "net/graph.h"
#include "net/model_input.h"

static bool same_problem(const tess_conv_desc *a, const tess_conv_desc *b) {
    char x[TESS_CONV_KEY_SIZE], y[TESS_CONV_KEY_SIZE];
    tess_conv_desc_key(a, x);
    tess_conv_desc_key(b, y);
    return strcmp(x, y) == 0;
}

tess_status problem_list_add(struct problem_list *list, const char *key, int count,
                             tess_error *error) {
    struct problem_entry entry = {.count = count};
    tess_status status = tess_conv_desc_parse(key, error, &entry.desc);
    if (status) return status;
    for (int i = 0; i < list->count; i++) {
        struct problem_entry *old = &list->entries[i];
        if (!same_problem(&old->desc, &entry.desc)) continue;
        if (count > old->count) old->count = count;
        return TESS_OK;
    }
    if (list->count == list->capacity) {
        int capacity = list->capacity ? 2 * list->capacity : 32;
        struct problem_entry *grown =
            realloc(list->entries, (size_t)capacity * sizeof *list->entries);
        if (!grown)
            return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                             "list of problems: no host memory; give fewer problems");
        list->entries = grown;
        list->capacity = capacity;
    }
    list->entries[list->count++] = entry;
    return TESS_OK;
}

/* "KEY" or "KEY x3"; line is changed. */
static tess_status add_line(struct problem_list *list, char *line, const char *path, int number,
                            tess_error *error) {
    char *rest = NULL;
    line[strcspn(line, "#\r\n")] = '\0';
    char *key = strtok_r(line, " \t", &rest);
    if (!key) return TESS_OK;
    const char *times = strtok_r(NULL, " \t", &rest);
    char *end = NULL;
    long count = times && *times == 'x' ? strtol(times + 1, &end, 10) : 1;
    if ((times && (!end || *end || end == times + 1)) || count < 1 || count > 1000000 ||
        strtok_r(NULL, " \t", &rest))
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "%s, line %d: behind a key stands at most a count; write it like x3", path,
                         number);
    tess_status status = problem_list_add(list, key, (int)count, error);
    return status ? error_prefix(error, status, "%s, line %d", path, number) : TESS_OK;
}

tess_status problem_list_add_file(struct problem_list *list, const char *path, tess_error *error) {
    FILE *file = fopen(path, "r");
    if (!file)
        return error_set(error, TESS_IO, "%s: cannot be read: %s; give a file of problem keys",
                         path, strerror(errno));
    char line[512];
    tess_status status = TESS_OK;
    int before = list->count;
    for (int number = 1; !status && fgets(line, sizeof line, file); number++) {
        if (!strchr(line, '\n') && !feof(file))
            status =
                error_set(error, TESS_INVALID_ARGUMENT,
                          "%s, line %d: longer than 510 characters; one key a line", path, number);
        else
            status = add_line(list, line, path, number, error);
    }
    if (!status && ferror(file))
        status = error_set(error, TESS_IO, "%s: reading failed: %s; check the disk", path,
                           strerror(errno));
    fclose(file);
    if (!status && list->count == before && before == 0)
        status = error_set(error, TESS_INVALID_ARGUMENT,
                           "%s: no problem in it; write one key a line", path);
    return status;
}

/* How many layers of the graph are this convolution. */
static int occurrences(const tess_graph *graph, const tess_conv_desc *desc) {
    int count = 0;
    for (int i = 0; i < graph->count; i++)
        count +=
            graph->layers[i].kind == LAYER_CONV && same_problem(&graph->layers[i].as.conv, desc);
    return count;
}

tess_status problem_list_add_net(struct problem_list *list, const char *name,
                                 const tess_zoo_options *size, tess_error *error) {
    tess_graph *graph = NULL;
    tess_status status = tess_model_build(name, size, error, &graph);
    if (!status && size) status = model_input_check(name, size, graph, error);
    for (int i = 0; !status && i < graph->count; i++) {
        const tess_conv_desc *desc = &graph->layers[i].as.conv;
        char key[TESS_CONV_KEY_SIZE];
        if (graph->layers[i].kind != LAYER_CONV) continue;
        tess_conv_desc_key(desc, key);
        status = problem_list_add(list, key, occurrences(graph, desc), error);
    }
    tess_graph_destroy(graph);
    return status;
}

tess_status problem_list_set_batch(struct problem_list *list, int batch, tess_error *error) {
    for (int i = 0; i < list->count; i++) {
        tess_conv_desc *desc = &list->entries[i].desc;
        int p, q;
        desc->n = batch;
        tess_status status = tess_conv_out_size(desc, error, &p, &q);
        if (status) return status;
    }
    return TESS_OK;
}

void problem_list_free(struct problem_list *list) {
    free(list->entries);
    *list = (struct problem_list){0};
}
