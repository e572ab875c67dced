/* Pictures as text: half blocks where the character set is UTF-8, shades of ASCII elsewhere. */
#ifndef TESSERA_CLI_PICTURE_H
#define TESSERA_CLI_PICTURE_H

#include <stdbool.h>

/* A grey image: height rows of width values from 0 (dark) to 1 (light). */
struct picture {
    int width, height;
    float *pixels; /* owned: picture_free */
};

/* Zeros; pixels is NULL if there is no memory. */
struct picture picture_create(int width, int height);
void picture_free(struct picture *picture);

/* Makes the smaller picture by averaging areas. */
struct picture picture_shrink(const struct picture *from, int width, int height);

/* Columns that picture_print_row takes for one picture of that width. */
int picture_columns(int width, bool utf8, bool shades);

/* Prints count pictures of one size side by side to standard output, two spaces apart. With utf8 each character is two
   pixels, one above the other, in two tones or, for shades, each pixel is two characters in five tones;
   without it each pixel is two characters in ten tones. */
void picture_print_row(const struct picture *pictures, int count, bool utf8, bool shades);

#endif
