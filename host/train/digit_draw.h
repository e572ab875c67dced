/* Draws one synthetic digit. */
#ifndef TESSERA_TRAIN_DIGIT_DRAW_H
#define TESSERA_TRAIN_DIGIT_DRAW_H

#include <stdint.h>

#define DIGIT_SIDE 28

/* Draws a digit that is chosen at random from the first classes (1 to 10), and so are its way of writing, place, size, slant, pen and noise: all a
   function of (seed, stream, classes) alone. White on black. Gives the digit. */
int digit_draw(uint64_t seed, uint64_t stream, int classes,
               uint8_t pixels[DIGIT_SIDE * DIGIT_SIDE]);

#endif
