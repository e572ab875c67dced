#include <math.h>

#include "core/status.h"

static tess_status check(const tess_batch_norm_fold_args *args, tess_error *error) {
    if (!args || !args->weights || !args->mean || !args->var || !args->folded_weights ||
        !args->folded_bias || args->rows < 1 || args->k < 1)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "batch norm folding: weights, mean, var or an output is missing, or there "
                         "are none of them; give all");
    for (int k = 0; k < args->k; k++)
        if (!((double)args->var[k] + (double)args->eps > 0))
            return error_set(error, TESS_INVALID_ARGUMENT,
                             "batch norm folding: variance %g of channel %d plus eps %g is not "
                             "above 0; check the parameters",
                             (double)args->var[k], k, (double)args->eps);
    return TESS_OK;
}

static double factor(const tess_batch_norm_fold_args *args, size_t k) {
    double scale = args->scale ? (double)args->scale[k] : 1;
    return scale / sqrt((double)args->var[k] + (double)args->eps);
}

tess_status tess_batch_norm_fold(const tess_batch_norm_fold_args *args, tess_error *error) {
    tess_status status = check(args, error);
    if (status) return status;
    size_t filters = (size_t)args->k;
    for (size_t k = 0; k < filters; k++) {
        double f = factor(args, k);
        double bias = args->bias ? (double)args->bias[k] : 0;
        double shift = args->shift ? (double)args->shift[k] : 0;
        args->folded_bias[k] = (float)((bias - (double)args->mean[k]) * f + shift);
        for (size_t row = 0; row < args->rows; row++) {
            size_t i = row * filters + k;
            args->folded_weights[i] = (float)((double)args->weights[i] * f);
        }
    }
    return TESS_OK;
}
