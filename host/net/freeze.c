/* Which layers of a training network are frozen. */
#include <stdio.h>
#include <string.h>

#include "core/refused_option.h"
#include "net/net.h"

enum { NEAR_NAMES = 6 };

/* How far a layer is from what was asked for; names that one holds of the other are near, whatever their lengths. */
static int remoteness(const char *wanted, const char *name) {
    int edits = (int)edit_distance(wanted, name);
    return strstr(name, wanted) || strstr(wanted, name) ? edits / 4 : edits;
}

/* The nearest layers, best first, then in the graph's order. Gives their number. */
static int nearest_layers(const tess_graph *graph, const char *wanted, int found[NEAR_NAMES]) {
    int count = 0, remote[NEAR_NAMES];
    for (int i = 1; i < graph->count; i++) {
        int now = remoteness(wanted, graph->layers[i].name), at = count;
        while (at > 0 && remote[at - 1] > now)
            at--;
        if (at == NEAR_NAMES) continue;
        if (count < NEAR_NAMES) count++;
        for (int j = count - 1; j > at; j--) {
            remote[j] = remote[j - 1];
            found[j] = found[j - 1];
        }
        remote[at] = now;
        found[at] = i;
    }
    return count;
}

static tess_status not_found(const tess_net *net, const char *wanted) {
    char cut[LAYER_NAME_SIZE], list[NEAR_NAMES * (LAYER_NAME_SIZE + 2)] = "";
    int found[NEAR_NAMES];
    snprintf(cut, sizeof cut, "%s", wanted);
    int count = nearest_layers(net->graph, cut, found);
    for (int i = 0; i < count; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
                 net->graph->layers[found[i]].name);
    }
    return context_fail(net->ctx, TESS_NOT_FOUND,
                        "freezing: there is no layer %s; the nearest of its names are %s", cut,
                        list);
}

tess_status net_freeze(tess_net *net) {
    const char *name = net->options.freeze_until;
    const tess_graph *graph = net->graph;
    int last = 0;
    if (!name) return TESS_OK;
    while (last < graph->count && strcmp(graph->layers[last].name, name) != 0)
        last++;
    if (last == graph->count) return not_found(net, name);
    bool remains = false;
    for (int i = last + 1; i < graph->count; i++) {
        struct param_spec specs[LAYER_PARAMS];
        remains = remains || layer_params(&graph->layers[i], specs) > 0;
    }
    if (!remains)
        return context_fail(net->ctx, TESS_INVALID_ARGUMENT,
                            "freezing: no layer after %s has parameters, so that nothing would be "
                            "trained; name an earlier layer",
                            name);
    if (net->options.training) net->frozen = last + 1;
    return TESS_OK;
}
