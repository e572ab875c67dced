#include "support/tuner_device.h"

#include "support/check.h"

tess_device_info tuner_cpu(void) {
    return (tess_device_info){.type = CL_DEVICE_TYPE_CPU,
                              .name = "test CPU",
                              .compute_units = 2,
                              .clock_mhz = 2000,
                              .global_memory = (uint64_t)8 << 30,
                              .max_allocation = (uint64_t)2 << 30,
                              .local_memory = 512 << 10,
                              .max_work_group = 4096,
                              .max_work_item = {4096, 4096, 4096},
                              .base_align = 128,
                              .native_float_vector = 16};
}

tess_device_info tuner_gpu(void) {
    tess_device_info device = tuner_cpu();
    device.type = CL_DEVICE_TYPE_GPU;
    device.compute_units = 40;
    device.local_memory = 64 << 10;
    device.max_work_group = 256;
    device.native_float_vector = 1;
    device.local_memory_dedicated = true;
    return device;
}

struct conv_problem tuner_problem(const char *key, tess_conv_pass pass) {
    tess_conv_desc desc;
    struct conv_problem problem;
    tess_conv_options options = {.pass = pass};
    assert_int_equal(tess_conv_desc_parse(key, NULL, &desc), TESS_OK);
    assert_int_equal(conv_problem_init(&desc, &options, NULL, &problem), TESS_OK);
    return problem;
}
