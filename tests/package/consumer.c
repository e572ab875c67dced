/* An application of its own: its OpenCL context and queue, its names (error_set is also an internal name of
   the library), and a 3x3 convolution of ones over ones, which is 9 C everywhere. */
#include <stdio.h>
#include <tessera.h>

enum { C = 3, H = 6, W = 5, K = 2, P = 4, Q = 3 };

static int error_set_calls;
int error_set(const char *what, const char *why);
int error_set(const char *what, const char *why) {
    error_set_calls++;
    return fprintf(stderr, "%s: %s\n", what, why), 1;
}

int main(void) {
    tess_error error = {0};
    tess_device_info device;
    if (tess_device_find(NULL, &error, &device) != TESS_OK) return error_set("device", error.text);
    cl_context cl = clCreateContext(NULL, 1, &device.device, NULL, NULL, NULL);
    cl_command_queue queue = clCreateCommandQueue(cl, device.device, 0, NULL);
    tess_context *ctx;
    if (tess_context_adopt(cl, device.device, queue, NULL, &error, &ctx) != TESS_OK)
        return error_set("adopt", error.text);

    tess_conv_plan *plan = NULL;
    tess_tensor *x = NULL, *w = NULL, *y = NULL, *scratch = NULL;
    float result[K * P * Q] = {0};
    tess_conv_desc desc = {.n = 1, .c = C, .h = H, .w = W, .k = K, .r = 3, .s = 3};
    if (tess_conv_plan_create(ctx, &desc, NULL, &plan))
        return error_set("plan", tess_context_last_error(ctx));
    int floats = (int)(tess_conv_plan_info(plan).workspace / sizeof(float)) + 1;
    if (tess_tensor_create(ctx, &(tess_tensor_desc){.n = 1, .c = C, .h = H, .w = W}, &x) ||
        tess_tensor_create(
            ctx, &(tess_tensor_desc){.layout = TESS_RSCK, .n = K, .c = C, .h = 3, .w = 3}, &w) ||
        tess_tensor_create(ctx, &(tess_tensor_desc){.n = 1, .c = K, .h = P, .w = Q}, &y) ||
        tess_tensor_create(ctx, &(tess_tensor_desc){.n = 1, .c = floats, .h = 1, .w = 1},
                           &scratch) ||
        tess_tensor_fill(x, 1) || tess_tensor_fill(w, 1) ||
        tess_conv_plan_enqueue(plan,
                               &(tess_conv_args){.x = x, .w = w, .y = y, .workspace = scratch}) ||
        tess_tensor_read(y, result, TESS_NHWC))
        return error_set("convolution", tess_context_last_error(ctx));

    tess_tensor_destroy(scratch);
    tess_tensor_destroy(y);
    tess_tensor_destroy(w);
    tess_tensor_destroy(x);
    tess_conv_plan_destroy(plan);
    tess_context_destroy(ctx);
    clReleaseCommandQueue(queue);
    clReleaseContext(cl);
    for (int i = 0; i < K * P * Q; i++)
        if (!(result[i] == 9 * C)) return error_set("convolution", "wrong result");
    return error_set_calls;
}
