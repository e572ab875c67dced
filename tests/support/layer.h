/* The OpenCL layers of tests/layers. */
#ifndef TESSERA_TESTS_SUPPORT_LAYER_H
#define TESSERA_TESTS_SUPPORT_LAYER_H

#define LAYER_PATH_SIZE 4200

/* What OPENCL_LAYERS must be for one of them ("miscompute", "no_compiler"): the library in this build. Gives out. */
char *layer_path(const char *name, char out[LAYER_PATH_SIZE]);

#endif
