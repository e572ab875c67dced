/* A digit is drawn as a person would: a pen of some width follows the strokes of one way of writing, which are bent a
   little (a smooth random displacement), slanted, turned, scaled and shifted. A pixel's brightness falls off with
   its distance to the nearest stroke, then noise is added. */
#include "train/digit_draw.h"

#include "ops/random.h"
#include "train/digit_glyphs.h"

#include <math.h>

#define SIDE          DIGIT_SIDE
#define CURVE_STEPS   5      /* straight pieces between two points of a smooth stroke */
#define BODY          0.195f /* pixels in a unit of the glyph box: digits are about 19 pixels high */
#define WAVES         2      /* of the displacement, per axis */
#define NOISE_COUNTER 1u     /* second counter word: far from the blocks that the stream draws */

struct wave {
    float x, y, phase, amplitude;
};

/* What is random about one digit. */
struct style {
    float matrix[2][2]; /* glyph units about the centre -> pixels */
    float shift[2];
    struct wave waves[2][WAVES];
    float radius, taper; /* of the pen, pixels; how much it thins to a stroke's end */
    float softness;      /* width of the edge, pixels */
    float brightness, noise;
};

/* ratio[y][x]: square of the distance from the pixel's centre to the nearest stroke, in units of the pen's radius
   there. Squares keep the roots out of the inner loop. */
struct canvas {
    float ratio[SIDE][SIDE];
};

/* Not fminf and fmaxf, which are function calls for the sake of NaN. */
static float limit(float value, float low, float high) {
    return value < low ? low : value > high ? high : value;
}

static float uniform(struct random_stream *random, float low, float high) {
    return low + (high - low) * random_uniform(random);
}

static float normal(struct random_stream *random, float deviation, float most) {
    return limit(deviation * (float)random_normal(random), -most, most);
}

static void choose_style(struct random_stream *random, struct style *style) {
    float angle = normal(random, 0.16f, 0.40f), slant = normal(random, 0.20f, 0.50f);
    float width = uniform(random, 0.72f, 1.15f) * BODY,
          height = uniform(random, 0.85f, 1.12f) * BODY;
    float cosine = cosf(angle), sine = sinf(angle);
    style->matrix[0][0] = cosine * width;
    style->matrix[0][1] = -(cosine * slant + sine) * height;
    style->matrix[1][0] = sine * width;
    style->matrix[1][1] = (cosine - sine * slant) * height;
    for (int axis = 0; axis < 2; axis++) {
        style->shift[axis] = (SIDE - 1) / 2.0f + normal(random, 1.1f, 2.6f);
        for (int i = 0; i < WAVES; i++)
            style->waves[axis][i] = (struct wave){.x = uniform(random, -0.055f, 0.055f),
                                                  .y = uniform(random, -0.055f, 0.055f),
                                                  .phase = uniform(random, 0, 6.2831853f),
                                                  .amplitude = uniform(random, 1.5f, 5.5f)};
    }
    style->radius = uniform(random, 0.65f, 1.75f);
    style->taper = uniform(random, 0, 0.35f);
    style->softness = uniform(random, 0.9f, 1.8f);
    style->brightness = uniform(random, 0.65f, 1.0f);
    style->noise = uniform(random, 0, 0.09f);
}

/* From the glyph box to pixels. */
static void place(const struct style *style, const float from[2], float to[2]) {
    float bent[2];
    for (int axis = 0; axis < 2; axis++) {
        bent[axis] = from[axis] - 50;
        for (int i = 0; i < WAVES; i++) {
            const struct wave *wave = &style->waves[axis][i];
            bent[axis] +=
                wave->amplitude * sinf(wave->x * from[0] + wave->y * from[1] + wave->phase);
        }
    }
    for (int axis = 0; axis < 2; axis++)
        to[axis] = style->matrix[axis][0] * bent[0] + style->matrix[axis][1] * bent[1] +
                   style->shift[axis];
}

static int to_pixel(float value) {
    return (int)limit(value, 0, SIDE - 1);
}

/* A straight piece from a to b of a pen of this radius. Only pixels that it can light are visited. */
static void draw_piece(struct canvas *canvas, const float a[2], const float b[2], float radius,
                       float softness) {
    float reach = radius + 0.5f * softness;
    int x0 = to_pixel(fminf(a[0], b[0]) - reach + 1), x1 = to_pixel(fmaxf(a[0], b[0]) + reach);
    int y0 = to_pixel(fminf(a[1], b[1]) - reach + 1), y1 = to_pixel(fmaxf(a[1], b[1]) + reach);
    float dx = b[0] - a[0], dy = b[1] - a[1], length = dx * dx + dy * dy;
    float ux = length > 0 ? dx / length : 0, uy = length > 0 ? dy / length : 0;
    float unit = 1 / (radius * radius);
    for (int y = y0; y <= y1; y++) {
        float *row = canvas->ratio[y], py = (float)y - a[1];
        for (int x = x0; x <= x1; x++) {
            float px = (float)x - a[0], along = limit(px * ux + py * uy, 0, 1);
            float ex = px - along * dx, ey = py - along * dy;
            float ratio = (ex * ex + ey * ey) * unit;
            row[x] = ratio < row[x] ? ratio : row[x];
        }
    }
}

/* The point at t in 0 .. 1 between points i and i + 1. Catmull-Rom: Catmull and Rom 1974; the end points are
   repeated. */
static void stroke_point(const struct glyph_stroke *stroke, int i, float t, float out[2]) {
    int last = stroke->count - 1;
    for (int axis = 0; axis < 2; axis++) {
        float p0 = stroke->points[i > 0 ? i - 1 : 0][axis], p1 = stroke->points[i][axis];
        float p2 = stroke->points[i + 1][axis];
        float p3 = stroke->points[i + 2 <= last ? i + 2 : last][axis];
        if (!stroke->smooth)
            out[axis] = p1 + t * (p2 - p1);
        else
            out[axis] =
                p1 +
                0.5f * t *
                    (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)));
    }
}

static void draw_stroke(struct canvas *canvas, const struct style *style,
                        const struct glyph_stroke *stroke) {
    float point[2], from[2], to[2];
    int pieces = (stroke->count - 1) * CURVE_STEPS;
    stroke_point(stroke, 0, 0, point);
    place(style, point, from);
    for (int piece = 0; piece < pieces; piece++) {
        int i = piece / CURVE_STEPS;
        stroke_point(stroke, i, (float)(piece % CURVE_STEPS + 1) / CURVE_STEPS, point);
        place(style, point, to);
        float thinning = 1 - style->taper * (float)piece / (float)pieces;
        draw_piece(canvas, from, to, style->radius * thinning, style->softness);
        from[0] = to[0];
        from[1] = to[1];
    }
}

/* The sum of a word's bytes, scaled to mean 0 and deviation 1: normal enough for noise. */
static float noise_of(uint32_t word) {
    uint32_t sum = (word & 255) + (word >> 8 & 255) + (word >> 16 & 255) + (word >> 24);
    return ((float)sum - 510) * (1 / 147.8f);
}

static void develop(const struct canvas *canvas, const struct style *style, uint64_t seed,
                    uint64_t stream, uint8_t *pixels) {
    const float *ratio = &canvas->ratio[0][0];
    float sharpness = 1 / style->softness;
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (uint32_t i = 0; i < SIDE * SIDE; i += 4) {
        uint32_t words[4] = {i, NOISE_COUNTER, (uint32_t)stream, (uint32_t)(stream >> 32)};
        philox4x32(words, key, words);
        for (uint32_t k = 0; k < 4; k++) {
            float excess = (sqrtf(ratio[i + k]) - 1) * style->radius;
            float light = limit(0.5f - excess * sharpness, 0, 1);
            float value = style->brightness * light + style->noise * noise_of(words[k]);
            pixels[i + k] = (uint8_t)(limit(value, 0, 1) * 255 + 0.5f);
        }
    }
}

int digit_draw(uint64_t seed, uint64_t stream, int classes,
               uint8_t pixels[DIGIT_SIDE * DIGIT_SIDE]) {
    struct random_stream random = {.seed = seed, .stream = stream};
    struct style style;
    struct canvas canvas;
    int digit = (int)random_below(&random, (uint32_t)classes);
    const struct glyph_set *set = &digit_glyphs[digit];
    const struct glyph *glyph = &set->variants[random_below(&random, (uint32_t)set->count)];
    choose_style(&random, &style);
    for (int i = 0; i < SIDE * SIDE; i++)
        canvas.ratio[i / SIDE][i % SIDE] = SIDE * SIDE;
    for (int i = 0; i < GLYPH_MAX_STROKES && glyph->strokes[i].count; i++)
        draw_stroke(&canvas, &style, &glyph->strokes[i]);
    develop(&canvas, &style, seed, stream, pixels);
    return digit;
}
