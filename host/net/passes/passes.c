#include "net/passes/passes.h"

#include <stdlib.h>
#include <string.h>

const struct pass passes[PASS_COUNT] = {
#define PASS(id, ...) [PASS_##id] = {__VA_ARGS__},
#include "net/passes/passes.def"
#undef PASS
};

bool pass_is_on(const tess_net *net, enum pass_id id) {
    return !(net->passes_off & 1u << id);
}

void pass_note(tess_net *net, enum pass_id id, int layer, int into) {
    net->merged[(size_t)layer * PASS_COUNT + id] = into + 1;
}

void fold(struct lowering *lo, enum pass_id id, int index, int into) {
    lo->layers[index].folded = true;
    lo->layers[index].source = lo->layers[into].source;
    pass_note(lo->net, id, index, lo->layers[into].source);
}

/* ---------------------------------------------------------------- which are off */

static tess_status unknown_pass(tess_net *net, const char *name, size_t length) {
    char known[200] = "";
    for (int i = 0; i < PASS_COUNT; i++) {
        strncat(known, i ? ", " : "", sizeof known - strlen(known) - 1);
        strncat(known, passes[i].name, sizeof known - strlen(known) - 1);
    }
    return context_fail(net->ctx, TESS_INVALID_ARGUMENT,
                        "without: there is no pass '%.*s'; give any of %s, between commas",
                        (int)(length < 40 ? length : 40), name, known);
}

static tess_status read_without(tess_net *net) {
    const char *text = net->options.without;
    while (text && *text) {
        size_t length = strcspn(text, ",");
        int found = -1;
        for (int i = 0; i < PASS_COUNT; i++)
            if (strlen(passes[i].name) == length && !strncmp(text, passes[i].name, length))
                found = i;
        if (found < 0) return unknown_pass(net, text, length);
        net->passes_off |= 1u << found;
        text += length;
        if (*text == ',') text++;
    }
    return TESS_OK;
}

tess_status passes_begin(tess_net *net) {
    net->merged = calloc((size_t)net->graph->count * PASS_COUNT, sizeof *net->merged);
    if (!net->merged)
        return context_fail(net->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "no host memory; free some and try again");
    tess_status status = read_without(net);
    net->options.without = NULL; /* the caller's */
    return status;
}

/* ---------------------------------------------------------------- running them */

/* From the end backwards: what inference needs. */
static void mark_inferred(struct lowering *lo) {
    const tess_graph *graph = lo->net->graph;
    lo->layers[graph->count - 1].inferred = true;
    for (int i = graph->count - 1; i >= 0; i--)
        for (int k = 0; k < graph->layers[i].input_count; k++)
            if (lo->layers[i].inferred) lo->layers[graph->layers[i].inputs[k]].inferred = true;
}

static void merge(struct lowering *lo, int index) {
    const struct layer *layer = &lo->net->graph->layers[index];
    struct lowered *low = &lo->layers[index];
    low->source = index;
    low->residual = low->norm = low->whole = -1;
    low->act = layer->act;
    low->act_apart = true;
    for (int i = 0; i < PASS_COUNT; i++)
        if (passes[i].merge && pass_is_on(lo->net, (enum pass_id)i) && !low->folded)
            passes[i].merge(lo, index);
}

void passes_merge(struct lowering *lo) {
    const tess_graph *graph = lo->net->graph;
    mark_inferred(lo);
    for (int i = 0; i < graph->count; i++) {
        const struct layer *layer = &graph->layers[i];
        struct lowered *low = &lo->layers[i];
        struct param_spec specs[LAYER_PARAMS];
        if (!low->folded) merge(lo, i);
        low->trains = i >= lo->net->frozen && layer_params(layer, specs) > 0;
        for (int k = 0; k < layer->input_count; k++)
            low->trains = low->trains || lo->layers[layer->inputs[k]].trains;
    }
}

tess_status passes_rewrite(tess_net *net) {
    tess_status status = TESS_OK;
    for (int i = 0; i < PASS_COUNT && !status; i++)
        if (passes[i].rewrite && pass_is_on(net, (enum pass_id)i)) status = passes[i].rewrite(net);
    return status;
}

/* ---------------------------------------------------------------- questions */

const char *tess_net_pass(int index, const char **what) {
    if (index < 0 || index >= PASS_COUNT) return NULL;
    if (what) *what = passes[index].what;
    return passes[index].name;
}

tess_net_fusion tess_net_fused(const tess_net *net, int index) {
    for (int i = 0; net && index >= 0 && i < net->graph->count * PASS_COUNT; i++) {
        if (!net->merged[i] || index-- > 0) continue;
        return (tess_net_fusion){.pass = passes[i % PASS_COUNT].name,
                                 .layer = net->graph->layers[i / PASS_COUNT].name,
                                 .into = net->graph->layers[net->merged[i] - 1].name};
    }
    return (tess_net_fusion){0};
}
