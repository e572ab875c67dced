/* Standard normals by Box-Muller, many at a time. The arithmetic is plain double precision, without calls of the C
   library but sqrt, which IEEE 754 defines: every machine and every vector width gives the same bits. The loops are
   written for a compiler that makes vectors of them. */
#include "ops/random.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

/* Philox blocks of a step; each is two normals. */
enum { LANES = 32 };

/* One build for each width of vectors, chosen when the program is loaded. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__gnu_linux__) &&   \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define EACH_VECTOR_WIDTH __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define EACH_VECTOR_WIDTH
#endif

static inline double double_of_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ln((word + 1) / 2^32), in (-23, 0], within 1 unit in the last place: the argument as 2^k m with m in
   [sqrt(1/2), sqrt(2)), and log(m) with the polynomial of FreeBSD's e_log.c. */
static inline double log_unit(uint32_t word) {
    /* By way of a signed number, which every vector unit converts; exact. */
    double x = ((double)(int32_t)(word ^ 0x80000000u) + 0x1p31 + 1) * 0x1p-32;
    const uint64_t root_half = 0x3FE6A09E667F3BCDu, one = 0x3FF0000000000000u;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += one - root_half;
    /* The exponent as the last digits of 2^52 + exponent. */
    double k = double_of_bits(bits >> 52 | 0x4330000000000000u) - (0x1p52 + 1023);
    double f = double_of_bits((bits & 0x000FFFFFFFFFFFFFu) + root_half) - 1;
    double s = f / (2 + f), z = s * s, half = 0.5 * f * f;
    double r = 1.531383769920937332e-01 + z * 1.479819860511658591e-01;
    r = 2.222219843214978396e-01 + z * (1.818357216161805012e-01 + z * r);
    r = 3.999999999940941908e-01 + z * (2.857142874366239149e-01 + z * r);
    r = z * (6.666666666666735130e-01 + z * r);
    const double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;
    return k * ln2_high - ((half - (s * (half + r) + k * ln2_low)) - f);
}

/* cos(2 pi word / 2^32) = sin(pi/2 y) with y in [-1, 1], by Taylor's polynomial; within 4e-16. */
static inline double cos_turn(uint32_t word) {
    double y = 1 - fabs((double)(int32_t)word) * 0x1p-30, z = y * y;
    double p = 2.571422892860473e-16 + z * -1.2538995405354577e-18;
    p = 6.066935731106195e-12 + z * (-4.377065467313742e-14 + z * p);
    p = 5.692172921967926e-08 + z * (-6.688035109811467e-10 + z * p);
    p = 1.6044118478735982e-04 + z * (-3.598843235212085e-06 + z * p);
    p = 7.969262624616704e-02 + z * (-4.681754135318688e-03 + z * p);
    return y * (1.5707963267948966 + z * (-6.459640975062462e-01 + z * p));
}

/* The radius is that of a number in (0, 1], so that its logarithm is finite. */
static inline double normal_of(uint32_t radius, uint32_t angle) {
    return sqrt(-2.0 * log_unit(radius)) * cos_turn(angle);
}

double random_normal(struct random_stream *random) {
    uint32_t radius = random_word(random);
    return normal_of(radius, random_word(random));
}

/* As philox4x32, of LANES counters that follow each other. */
static inline void philox_lanes(uint64_t seed, uint64_t stream, uint64_t first,
                                uint32_t c[4][LANES]) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int i = 0; i < LANES; i++) {
        uint64_t counter = first + (uint64_t)i;
        c[0][i] = (uint32_t)counter;
        c[1][i] = (uint32_t)(counter >> 32);
        c[2][i] = (uint32_t)stream;
        c[3][i] = (uint32_t)(stream >> 32);
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < LANES; i++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * c[0][i];
            uint64_t p1 = (uint64_t)0xCD9E8D57u * c[2][i];
            c[0][i] = (uint32_t)(p1 >> 32) ^ c[1][i] ^ k0;
            c[1][i] = (uint32_t)p1;
            c[2][i] = (uint32_t)(p0 >> 32) ^ c[3][i] ^ k1;
            c[3][i] = (uint32_t)p0;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

EACH_VECTOR_WIDTH
static void normal_lanes(uint64_t seed, uint64_t stream, uint64_t first, double scale,
                         float out[2 * LANES]) {
    uint32_t words[4][LANES];
    double even[LANES], odd[LANES];
    philox_lanes(seed, stream, first, words);
    for (int i = 0; i < LANES; i++)
        even[i] = scale * normal_of(words[0][i], words[1][i]);
    for (int i = 0; i < LANES; i++)
        odd[i] = scale * normal_of(words[2][i], words[3][i]);
    for (int i = 0; i < LANES; i++) {
        out[2 * i] = (float)even[i];
        out[2 * i + 1] = (float)odd[i];
    }
}

/* A part of the sequence. */
struct part {
    struct random_stream random;
    double scale;
    float *out;
    size_t count;
};

static void draw(struct random_stream *random, double scale, float *out, size_t count) {
    size_t i = 0;
    while (i < count) {
        if (random->drawn % 4 == 0 && count - i >= 2 * LANES) {
            normal_lanes(random->seed, random->stream, random->drawn / 4, scale, out + i);
            random->drawn += 4 * LANES;
            i += 2 * LANES;
        } else {
            out[i++] = (float)(scale * random_normal(random));
        }
    }
}

static void *draw_part(void *user) {
    struct part *part = user;
    draw(&part->random, part->scale, part->out, part->count);
    return NULL;
}

/* Worth a thread: this many take half a millisecond. */
enum { MANY = 1 << 16 };

void random_normals(struct random_stream *random, double scale, float *out, size_t count) {
    size_t half = count / 2;
    struct part rest = {*random, scale, out + half, count - half};
    pthread_t thread;
    rest.random.drawn += 2 * half;
    bool apart = count >= MANY && pthread_create(&thread, NULL, draw_part, &rest) == 0;
    draw(random, scale, out, apart ? half : count);
    if (!apart) return;
    pthread_join(thread, NULL);
    random->drawn = rest.random.drawn;
}
