/* MODEL of the command line -> a graph. */
#ifndef TESSERA_CLI_MODEL_H
#define TESSERA_CLI_MODEL_H

#include "tessera.h"
#include "train/dataset.h"

/* Channels, height and width of an image or of a network's input. */
struct image_shape {
    int c, h, w;
};

/* A zoo name, a path to a .onnx file, or a convolution problem key, which becomes a network of that one layer (without softmax: it can be
   summarised, not trained). options is for names and files; an input that a file does not have is TESS_INVALID_SHAPE. A list of
   a file's nodes that is too long for error goes to standard error. *batch, if not NULL, becomes the key's n and stays
   otherwise. The caller destroys *out. */
tess_status model_build(const char *model, const tess_zoo_options *options, int *batch,
                        tess_error *error, tess_graph **out);

bool model_is_key(const char *model);
bool model_is_file(const char *model);

struct image_shape model_input(const tess_graph *graph);

/* The zoo network fitted to a data set: its classes and channels; its height and width unless the network's own
   input is at least as large, in which case images are centred in it. wish: input, classes and width that the user asked for, or
   zeros; an input that cannot hold the images is TESS_INVALID_SHAPE, as are classes that are not the data set's. A file keeps the
   input and the classes that it fixes, which must suit the data set; wish->classes replaces its last layer. */
tess_status model_for_data(const char *model, const tess_zoo_options *wish,
                           const struct dataset *data, tess_error *error, tess_graph **out);

/* What --classes and --width of every command say. */
#define CLASSES_HELP "classes instead of the network's own number"
#define INPUT_HELP   "the network's input instead of its own"
#define MEMORY_HELP  "most device memory of the network, such as 2G or 800M"
#define WIDTH_HELP   "factor on the filters and hidden units of every layer (1)"
#define WITHOUT_HELP "leave out passes that merge layers, as plan names them"

/* "3x32x32" */
bool parse_shape(const char *text, struct image_shape *out);

#endif
