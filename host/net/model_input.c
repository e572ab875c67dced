#include "net/model_input.h"

#include "core/status.h"

#include <stdio.h>
#include <string.h>

bool model_input_parse(const char *text, tess_zoo_options *out) {
    int c, h, w;
    char junk;
    if (strspn(text, "0123456789x") != strlen(text)) return false;
    if (sscanf(text, "%6dx%6dx%6d%c", &c, &h, &w, &junk) != 3) return false;
    if (c < 1 || h < 1 || w < 1) return false;
    out->c = c;
    out->h = h;
    out->w = w;
    return true;
}

tess_status model_input_check(const char *model, const tess_zoo_options *wish,
                              const tess_graph *graph, tess_error *error) {
    tess_layer_info input = tess_graph_layer_info(graph, 0);
    if (!wish->c || (wish->c == input.c && wish->h == input.h && wish->w == input.w))
        return TESS_OK;
    return error_set(error, TESS_INVALID_SHAPE,
                     "--input: %s is made for %dx%dx%d, not for %dx%dx%d; leave --input away, or "
                     "export the model with open sizes",
                     model, input.c, input.h, input.w, wish->c, wish->h, wish->w);
}
