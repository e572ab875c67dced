/* Local response normalisation across channels (Krizhevsky et al. 2012, section 3.3), of N H W pixels of C channels.

     lrn_fwd   y[c]  = x[c] s[c]^-beta,   s[c] = k + alpha * sum of x[j]^2 over j = c - before .. c + after inside 0 .. C - 1
     lrn_bwd   dx[c] = dy[c] s[c]^-beta - 2 alpha beta x[c] * sum of t[j] over j = c - after .. c + before,
               t[j]  = dy[j] x[j] s[j]^(-beta - 1)

   alpha: already divided by the window's size.

        a pixel        | v v v v | v v v v | v v v v | v v v v | v v |       vectors of VEC channels
        a work-item              |<----- CHUNK ----->|
        t in lrn_bwd   |<- HALO >|                   |<- HALO >|             computed by each work-item for itself

   Windows are added from the lowest channel to the highest. Nothing but x, dy is read: s costs less than a read.

     VEC         see vector.clh
     CHUNK       vectors of a work-item; more of them need less of the halo twice
     HALO        vectors that before and after channels reach into, at most
     BETA_75     1: beta is 3 / 4, without a logarithm */
#include "common.clh"
#include "fastdiv.clh"
#include "vector.clh"

#ifndef CHUNK
#define CHUNK 1
#endif
#ifndef HALO
#define HALO 1
#endif
#ifndef BETA_75
#define BETA_75 0
#endif
#if CHUNK < 1 || HALO < 1
#error CHUNK and HALO must be at least 1
#endif

#if VEC == 1
#define IOTA 0
#elif VEC == 4
#define IOTA (intv)(0, 1, 2, 3)
#elif VEC == 8
#define IOTA (intv)(0, 1, 2, 3, 4, 5, 6, 7)
#else
#define IOTA (intv)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#endif

/* What both kernels know. pixels: N H W. segments: work-items of a pixel, and as a divisor. */
struct lrn {
    int pixels, channels, before, after;
    float alpha, beta, k;
    int segments;
    ulong by_segments;
};

floatv to_minus_beta(floatv s, float beta) {
#if BETA_75
    floatv r = 1.0f / sqrt(s);
    return r * sqrt(r);
#else
    return exp2(-beta * log2(s)); /* several times as fast as pow() on PoCL */
#endif
}

/* VEC channels from c on of the pixel that begins at base; zero where there is no such channel. */
floatv channels_at(global const float *x, int base, int c, const struct lrn *g) {
    int at = base + c, end = g->pixels * g->channels;
    if (c >= 0 && c <= g->channels - VEC) return VLOAD(x + at);
    if (at >= 0 && at <= end - VEC) {
        intv lane = IOTA + c;
        return lane >= 0 && lane < g->channels ? VLOAD(x + at) : (floatv)(0.0f);
    }
    float part[VEC];
    for (int i = 0; i < VEC; i++)
        part[i] = c + i >= 0 && c + i < g->channels ? x[at + i] : 0.0f;
    return VLOAD(part);
}

/* s of VEC channels from c on. */
floatv divisor_base(global const float *x, int base, int c, const struct lrn *g) {
    floatv sum = (floatv)(0.0f);
    for (int d = -g->before; d <= g->after; d++) {
        floatv value = channels_at(x, base, c + d, g);
        sum = FMA(value, value, sum);
    }
    return FMA((floatv)(g->alpha), sum, (floatv)(g->k));
}

kernel void lrn_fwd(global const float *x, global float *y, int pixels, int channels, int before,
                    int after, float alpha, float beta, float k, int segments, ulong by_segments) {
    struct lrn g = {pixels, channels, before, after, alpha, beta, k, segments, by_segments};
    uint id = get_global_id(0);
    int pixel = divide(id, by_segments);
    if (pixel >= pixels) return;
    int base = pixel * channels, first = (id - pixel * segments) * (CHUNK * VEC);
    for (int c = first; c < min(first + CHUNK * VEC, channels); c += VEC) {
        floatv s = divisor_base(x, base, c, &g);
        floatv value = channels_at(x, base, c, &g) * to_minus_beta(s, beta);
        store_until(value, y, base + c, base + channels);
    }
}

kernel void lrn_bwd(global const float *x, global const float *dy, global float *dx, int pixels,
                    int channels, int before, int after, float alpha, float beta, float k,
                    int segments, ulong by_segments) {
    struct lrn g = {pixels, channels, before, after, alpha, beta, k, segments, by_segments};
    uint id = get_global_id(0);
    int pixel = divide(id, by_segments);
    if (pixel >= pixels) return;
    int base = pixel * channels, first = (id - pixel * segments) * (CHUNK * VEC);
    float t[(CHUNK + 2 * HALO) * VEC];
    floatv direct[CHUNK + 2 * HALO]; /* dy s^-beta */
    for (int v = 0; v < CHUNK + 2 * HALO; v++) {
        int c = first + (v - HALO) * VEC;
        floatv product = (floatv)(0.0f);
        if (c > -VEC && c < channels) {
            floatv s = divisor_base(x, base, c, &g);
            direct[v] = channels_at(dy, base, c, &g) * to_minus_beta(s, beta);
            product = direct[v] * channels_at(x, base, c, &g) / s;
        }
        VSTORE(product, t + v * VEC);
    }
    for (int v = 0; v < CHUNK && first + v * VEC < channels; v++) {
        int c = first + v * VEC;
        floatv sum = (floatv)(0.0f);
        for (int d = -after; d <= before; d++)
            sum += VLOAD(t + (v + HALO) * VEC + d);
        floatv value = channels_at(x, base, c, &g) * (2.0f * alpha * beta);
        store_until(direct[v + HALO] - value * sum, dx, base + c, base + channels);
    }
}
