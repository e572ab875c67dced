#include "train/schedule.h"

double schedule_lr(const struct schedule *schedule, int epoch) {
    double lr = schedule->lr;
    int drops = schedule->step > 0 ? epoch / schedule->step : 0;
    for (int i = 0; i < drops; i++)
        lr *= schedule->factor;
    return lr;
}
