/* Trained weights from a file, in a network that is ready to classify. */
#ifndef TESSERA_CLI_WEIGHTS_H
#define TESSERA_CLI_WEIGHTS_H

#include "cli/cli.h"
#include "cli/model.h"
#include "train/checkpoint.h"

/* Starts as {0}; weights_close ends it. */
struct weights {
    struct safetensors *file;
    struct input_format format;
    tess_graph *graph;
    struct kernel_helper *helper; /* may be NULL */
    tess_context *ctx;
    tess_net *net;
    struct image_shape input; /* of the network */
    int classes;              /* of the network */
};

struct weights_request {
    const char *model;
    const char *path; /* NULL: those of the model's file, or of the zoo's network as it starts */
    int batch;
    size_t memory;              /* limit of the network's device memory; 0: none */
    const struct dataset *data; /* may be NULL */
};
/* Whether a file with this format is of the model; TESS_INVALID_ARGUMENT if not. */
tess_status weights_check_model(const struct input_format *format, const char *path,
                                const char *model, tess_error *error);

/* Loads the file at path into model's network, planned for batch images, with the input and classes that the file names. A file that
   does not name them gets those that fit data, or with data NULL the network's own. */
tess_status weights_open(const struct cli *cli, const struct weights_request *request,
                         tess_error *error, struct weights *out);
void weights_close(struct weights *weights);

#endif
