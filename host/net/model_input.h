/* The input that a user asks for, CxHxW, and whether a model has it. */
#ifndef TESSERA_NET_MODEL_INPUT_H
#define TESSERA_NET_MODEL_INPUT_H

#include "tessera.h"

/* "3x32x32" -> c, h and w of out; each has one to six digits and is at least 1. */
bool model_input_parse(const char *text, tess_zoo_options *out);

/* graph is model, made with wish. A file may fix its input's size: another size in wish is TESS_INVALID_SHAPE. */
tess_status model_input_check(const char *model, const tess_zoo_options *wish,
                              const tess_graph *graph, tess_error *error);

#endif
