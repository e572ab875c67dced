/* The learning rate of each epoch. */
#ifndef TESSERA_TRAIN_SCHEDULE_H
#define TESSERA_TRAIN_SCHEDULE_H

/* lr * factor^floor(epoch / step), epochs counted from 0. step 0: lr throughout. */
struct schedule {
    double lr;
    int step;
    double factor;
};

double schedule_lr(const struct schedule *schedule, int epoch);

#endif
