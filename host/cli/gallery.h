/* What a training has learned, as text: the first layer's filters, and a few images with the answers. */
#ifndef TESSERA_CLI_GALLERY_H
#define TESSERA_CLI_GALLERY_H

#include "train/dataset.h"

/* Prints to standard output. The network's weights are those to show; data: the images to classify. */
tess_status gallery_show(tess_context *ctx, tess_net *net, const struct dataset *data,
                         tess_error *error);

#endif
