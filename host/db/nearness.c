#include "db/nearness.h"

#include <math.h>
#include <stdio.h>

enum { DIMENSIONS = 5 };
static const double weight[DIMENSIONS] = {0.5, 1, 0.5, 1, 1};

static void logs(const tess_conv_desc *d, double out[DIMENSIONS]) {
    const int size[DIMENSIONS] = {d->n, d->c, d->h, d->w, d->k};
    for (int i = 0; i < DIMENSIONS; i++)
        out[i] = weight[i] * log2(size[i]);
}

void nearness_class(const tess_conv_desc *d, char text[NEARNESS_CLASS_SIZE]) {
    char groups[16] = "dw";
    if (d->groups == 1 || d->groups != d->c) snprintf(groups, sizeof groups, "%d", d->groups);
    snprintf(text, NEARNESS_CLASS_SIZE, "r%ds%du%dv%dd%de%dg%sm%d", d->r, d->s, d->stride_h,
             d->stride_w, d->dilation_h, d->dilation_w, groups, d->pad_mode);
}

double nearness_distance(const tess_conv_desc *a, const tess_conv_desc *b) {
    double of_a[DIMENSIONS], of_b[DIMENSIONS], sum = 0;
    logs(a, of_a);
    logs(b, of_b);
    for (int i = 0; i < DIMENSIONS; i++)
        sum += fabs(of_a[i] - of_b[i]);
    return sum;
}

double nearness_size(const tess_conv_desc *d) {
    double of[DIMENSIONS], sum = 0;
    logs(d, of);
    for (int i = 0; i < DIMENSIONS; i++)
        sum += of[i];
    return sum;
}
