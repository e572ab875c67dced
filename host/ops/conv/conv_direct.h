/* Between the files of conv_direct: its parameters, and how backward-weights is cut into bands, chunks and parts of the
   channels. */
#ifndef TESSERA_OPS_CONV_DIRECT_H
#define TESSERA_OPS_CONV_DIRECT_H

#include "ops/conv/conv_algo.h"

/* Indices of parameters. */
enum { WT, KV, NT, CT, ST, ORDER, CB, CHUNKS, BAND, PANELS, PARAM_COUNT };
enum { LANES = 16 }; /* of a float16 */

/* The rest is for backward-weights. */

/* Output pixels of a band: some columns of rows of images, at the most. */
struct direct_band {
    int images, rows, columns;
};
struct direct_band direct_band_size(const struct conv_problem *p, const struct conv_config *config);

/* Chunks that the bands are shared between. */
int direct_chunks(const struct conv_problem *p, const struct conv_config *config);

/* Floats of a panel of CT channels of what a band reads of x, with a vector to spare. */
int64_t direct_x_panel(const struct conv_problem *p, const struct conv_config *config);

/* Into how many parts the tiles of C/g and the blocks of K/g are split, and the bytes of panels that one part needs. */
struct direct_parts {
    int c, k;
    int64_t bytes;
};

/* The fewest that keep the configuration's limit, where one can. */
struct direct_parts direct_least_parts(const struct conv_problem *p,
                                       const struct conv_config *config);
/* Those that keep all compute units busy: more parts of the channels where chunks are few. */
struct direct_parts direct_device_parts(const struct conv_problem *p,
                                        const tess_device_info *device,
                                        const struct conv_config *config);

/* Constraints. They hold for other passes. */
bool direct_chunks_fit(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config);
bool direct_band_fits(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config);
bool direct_panels_fit(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config);

double direct_predict_weights(const struct conv_problem *p, const tess_device_info *device,
                              const struct conv_config *config);

#endif
