/* What the OpenCL layers of the tests share. A layer is a library that the ICD loader puts between a program and the drivers where
   OPENCL_LAYERS names it: https://github.com/Kerilk/OpenCL-Layers-Tutorial. State is global, because layers have no other place. */
#ifndef TESSERA_TESTS_LAYER_H
#define TESSERA_TESTS_LAYER_H

#include <CL/cl.h>
#include <CL/cl_icd.h>
#include <CL/cl_layer.h>

#include <stddef.h>

/* The functions beneath the layer, and the layer's own: those that it does not replace are equal. */
extern struct _cl_icd_dispatch layer_next, layer_own;

/* Defined by each layer: puts its functions into layer_own. */
void layer_replace(void);

#endif
