/* Positions of max pooling as ONNX's indices, which count the elements of the whole input in N C H W:

     y[n,c,p,q] = (n C + c) H W + at,    positions[n,p,q,c] = h W + w,    at = h W + w, or by columns h + w H

   Layout: positions N P Q C (int), y N C P Q (long); a work-item makes one element of y. No tuning parameters. */
#include "common.clh"
#include "fastdiv.clh"

kernel void pool_indices(global const int *positions, global long *y, int count, int channels, int pixels,
                         int height, int width, int by_columns, ulong by_channels, ulong by_pixels,
                         ulong by_width) {
    int id = get_global_id(0);
    if (id >= count) return;
    int plane = divide(id, by_pixels);  /* n C + c */
    int n = divide(plane, by_channels);
    int at = positions[(n * pixels + id - plane * pixels) * channels + plane - n * channels];
    int h = divide(at, by_width);
    int place = by_columns ? h + (at - h * width) * height : at;
    y[id] = (long)plane * height * width + place;
}
