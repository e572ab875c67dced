#include "cli/picture.h"

#include <stdio.h>
#include <stdlib.h>

struct picture picture_create(int width, int height) {
    return (struct picture){width, height, calloc((size_t)width * (size_t)height, sizeof(float))};
}

void picture_free(struct picture *picture) {
    free(picture->pixels);
    picture->pixels = NULL;
}

/* Mean of from over the part that the pixel (x, y) of the smaller picture covers. */
static float area_mean(const struct picture *from, int width, int height, int x, int y) {
    int x0 = x * from->width / width, x1 = (x + 1) * from->width / width;
    int y0 = y * from->height / height, y1 = (y + 1) * from->height / height;
    if (x1 == x0) x1++;
    if (y1 == y0) y1++;
    float sum = 0;
    for (int i = y0; i < y1; i++)
        for (int j = x0; j < x1; j++)
            sum += from->pixels[i * from->width + j];
    return sum / (float)((x1 - x0) * (y1 - y0));
}

struct picture picture_shrink(const struct picture *from, int width, int height) {
    struct picture small = picture_create(width, height);
    if (!small.pixels) return small;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            small.pixels[y * width + x] = area_mean(from, width, height, x, y);
    return small;
}

int picture_columns(int width, bool utf8, bool shades) {
    return utf8 && !shades ? width : 2 * width;
}

static float pixel(const struct picture *p, int x, int y) {
    return y < p->height ? p->pixels[y * p->width + x] : 0;
}

/* One line of a picture: pixel rows y and y + 1. */
static void print_half_blocks(const struct picture *p, int y) {
    static const char *const blocks[] = {" ", "\u2580", "\u2584", "\u2588"};
    for (int x = 0; x < p->width; x++)
        fputs(blocks[(pixel(p, x, y) > 0.4f) + 2 * (pixel(p, x, y + 1) > 0.4f)], stdout);
}

static void print_tones(const struct picture *p, int y, const char *const *tones, int count) {
    for (int x = 0; x < p->width; x++) {
        int tone = (int)(pixel(p, x, y) * (float)count);
        tone = tone < 0 ? 0 : tone >= count ? count - 1 : tone;
        fputs(tones[tone], stdout);
        fputs(tones[tone], stdout);
    }
}

void picture_print_row(const struct picture *pictures, int count, bool utf8, bool shades) {
    static const char *const light[] = {" ", "\u2591", "\u2592", "\u2593", "\u2588"};
    static const char *const ascii[] = {" ", ".", ":", "-", "=", "+", "*", "#", "%", "@"};
    bool halves = utf8 && !shades;
    for (int y = 0; count > 0 && y < pictures[0].height; y += halves ? 2 : 1) {
        for (int i = 0; i < count; i++) {
            fputs("  ", stdout);
            if (halves)
                print_half_blocks(&pictures[i], y);
            else if (utf8)
                print_tones(&pictures[i], y, light, 5);
            else
                print_tones(&pictures[i], y, ascii, 10);
        }
        putchar('\n');
    }
}
