/* Devices and problems for tests of the tuner that need no OpenCL. */
#ifndef TESSERA_TESTS_TUNER_DEVICE_H
#define TESSERA_TESTS_TUNER_DEVICE_H

#include "ops/conv/conv_problem.h"

/* A CPU with two compute units and 16-wide vectors, and a GPU. */
tess_device_info tuner_cpu(void);
tess_device_info tuner_gpu(void);

/* key: as tess_conv_desc_key prints it. Fails the test if it is none. */
struct conv_problem tuner_problem(const char *key, tess_conv_pass pass);

#endif
