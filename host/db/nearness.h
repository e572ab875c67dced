/* Which convolutions are alike: same filter, stride, dilation and groups, and how far apart they are in size. */
#ifndef TESSERA_DB_NEARNESS_H
#define TESSERA_DB_NEARNESS_H

#include "tessera.h"

/* What near problems share, as text: "r3s3u1v1d1e1g1m0"; "gdw" for any depthwise convolution (one channel a group). */
#define NEARNESS_CLASS_SIZE 128
void nearness_class(const tess_conv_desc *desc, char text[NEARNESS_CLASS_SIZE]);

/* Doublings (and halvings) between two problems of a class, weighted: one for each of c, k and w, which decide tiles and what
   stays in the caches, a half for each of n and h, which only decide how often all is repeated:
   |log2(ca/cb)| + |log2(ka/kb)| + |log2(wa/wb)| + |log2(na/nb)| / 2 + |log2(ha/hb)| / 2. */
double nearness_distance(const tess_conv_desc *a, const tess_conv_desc *b);

/* The weighted sum of the logarithms themselves: sizes differ by no more than the distance. */
double nearness_size(const tess_conv_desc *desc);

#endif
