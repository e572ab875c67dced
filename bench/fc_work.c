#include "bench/fc_work.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/tensor.h"

tess_status fc_problem_parse(const char *text, tess_error *error, tess_fc_desc *out) {
    int n = 0, c = 0, k = 0, end = 0;
    if (sscanf(text, "n%8dc%8dk%8d%n", &n, &c, &k, &end) != 3 || text[end] || n < 1 || c < 1 ||
        k < 1)
        return error_set(error, TESS_INVALID_ARGUMENT,
                         "fully connected problem '%.60s': not of the form n64c4096k4096", text);
    *out = (tess_fc_desc){.n = n, .c = c, .k = k};
    return TESS_OK;
}

double fc_flops(const tess_fc_desc *desc) {
    return 2.0 * desc->n * desc->c * desc->k;
}

static const int result_of[] = {2, 0, 1}; /* of x, w, y */

/* Element i of operand which: a hash, so that it can be made again for the check. */
static float element(int which, size_t i) {
    uint32_t h = (uint32_t)i * 2654435761u + 0x9E3779B9u * (uint32_t)(which + 1);
    h = (h ^ h >> 15) * 2246822519u;
    h ^= h >> 13;
    return (float)(h >> 8) * 0x1p-24f - 0.5f;
}

static tess_status make_tensor(struct fc_work *work, int which, const tess_tensor_desc *desc,
                               tess_tensor **out) {
    size_t count = tess_tensor_desc_elements(desc);
    float *data = malloc((count ? count : 1) * sizeof *data);
    if (!data)
        return context_fail(work->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "fully connected layer to time: no host memory for operands");
    for (size_t i = 0; i < count; i++)
        data[i] = result_of[work->pass] == which ? NAN : element(which, i);
    tess_status status = tess_tensor_create(work->ctx, desc, out);
    if (!status) status = tess_tensor_write(*out, data, desc->layout);
    free(data);
    return status;
}

tess_status fc_work_open(tess_context *ctx, const tess_fc_desc *desc, tess_conv_pass pass,
                         struct fc_work *work) {
    *work = (struct fc_work){.ctx = ctx, .pass = pass};
    tess_fc_desc wanted = *desc;
    wanted.forward_only = pass == TESS_CONV_FWD;
    tess_status status = tess_fc_create(ctx, &wanted, &work->fc);
    if (status) return status;
    const tess_tensor_desc x = {TESS_F32, TESS_NHWC, desc->n, desc->c, 1, 1};
    const tess_tensor_desc w = {TESS_F32, TESS_RSCK, desc->k, desc->c, 1, 1};
    const tess_tensor_desc y = {TESS_F32, TESS_NHWC, desc->n, desc->k, 1, 1};
    size_t bytes = tess_fc_workspace(work->fc);
    const tess_tensor_desc workspace = {TESS_F32, TESS_NHWC, 1, (int)((bytes + 3) / 4), 1, 1};
    status = make_tensor(work, 0, &x, &work->x);
    if (!status) status = make_tensor(work, 1, &w, &work->w);
    if (!status) status = make_tensor(work, 2, &y, &work->y);
    if (!status && bytes) status = tess_tensor_create(ctx, &workspace, &work->workspace);
    return status;
}

void fc_work_close(struct fc_work *work) {
    tess_tensor_destroy(work->x);
    tess_tensor_destroy(work->w);
    tess_tensor_destroy(work->y);
    tess_tensor_destroy(work->workspace);
    tess_fc_destroy(work->fc);
    *work = (struct fc_work){0};
}

tess_status fc_work_run(void *user) {
    struct fc_work *work = user;
    if (work->pass == TESS_CONV_FWD)
        return tess_fc_forward(work->fc, work->x, work->w, NULL, work->y, work->workspace, 1);
    if (work->pass == TESS_CONV_BWD_DATA)
        return tess_fc_backward_data(work->fc, work->y, work->w, work->x, work->workspace, 1);
    return tess_fc_backward_weights(work->fc, work->x, work->y, work->w, work->workspace);
}

/* Element at of the product that the pass makes: a row of a times a column of b. */
static double product_at(const struct fc_work *work, size_t at) {
    size_t n = (size_t)work->x->desc.n, c = (size_t)work->x->desc.c, k = (size_t)work->y->desc.c;
    double sum = 0;
    if (work->pass == TESS_CONV_FWD)
        for (size_t i = 0; i < c; i++)
            sum += (double)element(0, at / k * c + i) * (double)element(1, i * k + at % k);
    else if (work->pass == TESS_CONV_BWD_DATA)
        for (size_t i = 0; i < k; i++)
            sum += (double)element(2, at / c * k + i) * (double)element(1, at % c * k + i);
    else
        for (size_t i = 0; i < n; i++)
            sum += (double)element(0, i * c + at / k) * (double)element(2, i * k + at % k);
    return sum;
}

tess_status fc_work_error(struct fc_work *work, int count, double *max_err) {
    tess_tensor *const all[] = {work->x, work->w, work->y};
    tess_tensor *result = all[result_of[work->pass]];
    size_t elements = tess_tensor_desc_elements(&result->desc);
    float *data = malloc(elements * sizeof *data);
    if (!data)
        return context_fail(work->ctx, TESS_OUT_OF_HOST_MEMORY,
                            "fully connected layer to time: no host memory for its result");
    tess_status status = tess_tensor_read(result, data, result->desc.layout);
    double worst = 0;
    for (int i = 0; i < count && !status && !isnan(worst); i++) {
        size_t at = i == 0 ? elements - 1 : (size_t)i * 2654435761u % elements;
        double err = fabs((double)data[at] - product_at(work, at));
        if (!(err <= worst)) worst = err;
    }
    free(data);
    if (!status) *max_err = worst;
    return status;
}
