/* What the operator tests share: a device, poisoned tensors, seeded data, comparison that NaN cannot pass. */
#ifndef TESSERA_TESTS_CHECK_H
#define TESSERA_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tensor.h"
#include "tessera.h"

/* cmocka group set-up and tear-down: *state becomes a tess_context on TESSERA_DEVICE, else a CPU, else the default device. */
int check_setup(void **state);
int check_teardown(void **state);

/* True where only tiny shapes are bearable (environment TESSERA_TEST_TINY=1: Oclgrind, llvmpipe). */
bool check_tiny(void);

/* Fails the test with the context's last error unless status is TESS_OK. */
#define assert_ok(ctx, call) check_ok((ctx), (call), #call, __FILE__, __LINE__)
void check_ok(const tess_context *ctx, tess_status status, const char *call, const char *file,
              int line);

/* Uniform in [low, high), the same for a seed everywhere. */
void check_random(float *data, size_t count, float low, float high, uint64_t seed);

/* malloc that fails the test instead of returning NULL; free() it. */
void *check_alloc(size_t bytes);

/* A tensor holding data (dense in the desc's own layout), or, with data NULL, poisoned: NaN for TESS_F32,
   0x7FFFFFFF for TESS_I32. */
tess_tensor *check_tensor(tess_context *ctx, tess_tensor_desc desc, const void *data);

/* Shorthands for descs. */
tess_tensor_desc desc_nhwc(int n, int c, int h, int w); /* TESS_F32 TESS_NHWC */
tess_tensor_desc desc_rsck(int r, int s, int c, int k); /* TESS_F32 TESS_RSCK */
tess_tensor_desc desc_vector(int count);                /* 1 count 1 1, TESS_F32 */

/* The elements of a TESS_F32 tensor in its own layout; free() them. */
float *check_read(tess_tensor *tensor);

/* Compares with a float64 reference: each |got - want| must satisfy !(err <= tol) == false with
   tol = relative * (|want| + scale). scale: the size of the terms that were added up, so that
   cancellation does not fail. label is printed with the first bad index. */
void check_close(const float *got, const double *want, size_t count, double relative, double scale,
                 const char *label);

/* Relative tolerance for a sum of length fp32 products: grows with sqrt(length), 2^-24 based. */
double check_tolerance(size_t length);

/* Same bytes. */
void check_same_bytes(const void *a, const void *b, size_t bytes, const char *label);

#endif
