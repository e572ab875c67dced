/* The pen strokes that the synthetic digits are drawn with. */
#ifndef TESSERA_TRAIN_DIGIT_GLYPHS_H
#define TESSERA_TRAIN_DIGIT_GLYPHS_H

#include <stdbool.h>
#include <stdint.h>

#define GLYPH_MAX_POINTS  18
#define GLYPH_MAX_STROKES 3

/* A line through points; smooth: as a Catmull-Rom spline, otherwise straight from point to point. */
struct glyph_stroke {
    bool smooth;
    int count;                           /* 0: no such stroke */
    uint8_t points[GLYPH_MAX_POINTS][2]; /* x to the right, y down, in a box of 100 x 100 */
};

/* One way to write a digit. */
struct glyph {
    struct glyph_stroke strokes[GLYPH_MAX_STROKES];
};

/* The ways of writing digit 0 .. 9. */
struct glyph_set {
    const struct glyph *variants;
    int count;
};

extern const struct glyph_set digit_glyphs[10];

#endif
