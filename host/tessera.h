/*
 * tessera.h - convolutional networks, trained and run, on any OpenCL device.
 *
 * Conventions that hold for every declaration below:
 *
 *   Dimensions  N C H W: batch, channels, height, width of an input; K R S: filters, filter height,
 *               filter width; P Q: height and width of an output; g: groups.
 *   Layout      Activations live on the device as NHWC, weights as RSCK (r outermost, k innermost,
 *               C meaning C/g). Host data may also be NCHW / KCRS; see tess_layout.
 *   Errors      Every function that can fail returns a tess_status. Outputs come last and are left
 *               untouched on failure. Functions that take a context leave the explanation in
 *               tess_context_last_error(); functions that have none take a tess_error, which may be
 *               NULL. The library never exits, aborts or prints.
 *   Ownership   X_create gives the caller an object that X_destroy ends; X_destroy takes NULL.
 *               Pointers given to a function are borrowed for the call unless its comment says more.
 *   Blocking    Functions named enqueue, forward, backward or step only enqueue on the context's
 *               in-order queue, allocate nothing and compile nothing. Creating an object may do both.
 *   Threads     A context and all that was made from it may be used by one thread at a time.
 */
#ifndef TESSERA_H
#define TESSERA_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define TESS_API
#else
#define TESS_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define TESS_VERSION_MAJOR 0
#define TESS_VERSION_MINOR 1
#define TESS_VERSION_PATCH 0

/* ---------------------------------------------------------------- status and errors */

/* One list makes the enum and its strings. X(NAME, "string"). */
#define TESS_STATUS_MAP(X)                                                                         \
    X(OK, "success")                                                                               \
    X(INVALID_ARGUMENT, "invalid argument")                                                        \
    X(INVALID_SHAPE, "impossible or mismatched shape")                                             \
    X(UNSUPPORTED, "not supported by this device or build")                                        \
    X(OUT_OF_HOST_MEMORY, "out of host memory")                                                    \
    X(OUT_OF_DEVICE_MEMORY, "out of device memory")                                                \
    X(NO_DEVICE, "no such OpenCL device")                                                          \
    X(BUILD_FAILED, "an OpenCL program did not build")                                             \
    X(OPENCL, "an OpenCL call failed")                                                             \
    X(IO, "a file could not be read or written")                                                   \
    X(BAD_FORMAT, "a file's contents are not what its format demands")                             \
    X(NOT_FOUND, "no such name")                                                                   \
    X(INTERNAL, "internal error")

typedef enum tess_status {
#define X(name, text) TESS_##name,
    TESS_STATUS_MAP(X)
#undef X
} tess_status;

/* A constant string such as "invalid argument"; never NULL, also for values outside the enum. */
TESS_API const char *tess_status_string(tess_status status);

/* What went wrong, in one line "what: why; what to do". text is "" after success. */
typedef struct tess_error {
    tess_status status;
    char text[1024];
} tess_error;

/* ---------------------------------------------------------------- devices */

/* Everything here was queried from the device; zero or false where it did not answer. Sizes in bytes. */
typedef struct tess_device_info {
    cl_platform_id platform;
    cl_device_id device;
    unsigned platform_index, device_index; /* the P:D of a device SPEC */
    cl_device_type type;
    char platform_name[128];
    char platform_version[128]; /* CL_PLATFORM_VERSION: names PoCL's compiler, for one */
    char name[256];
    char vendor[128];
    char driver_version[128];
    char opencl_version[128];   /* CL_DEVICE_VERSION */
    char opencl_c_version[128]; /* CL_DEVICE_OPENCL_C_VERSION */
    int opencl_major, opencl_minor;
    int opencl_c_major, opencl_c_minor;
    unsigned compute_units;
    unsigned clock_mhz;
    uint64_t global_memory;
    uint64_t max_allocation;
    uint64_t global_cache;
    uint64_t local_memory;
    size_t max_work_group;
    size_t max_work_item[3];
    size_t base_align;            /* alignment of sub-buffer offsets */
    unsigned native_float_vector; /* CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT */
    unsigned max_sub_groups;      /* per work-group; 0: no sub-groups */
    bool local_memory_dedicated;  /* false: local memory is ordinary memory, as on CPUs */
    bool has_fp16, has_fp64;
    bool unified_memory; /* shares memory with the host: mapping copies nothing */
    bool compiler_available;
    bool available;
} tess_device_info;

/* Lists the devices of all platforms, in platform order. *list is freed by tess_device_list_free.
   No platform or no device at all is TESS_NO_DEVICE, with advice on what to install. */
TESS_API tess_status tess_device_list(tess_error *error, tess_device_info **list, size_t *count);
TESS_API void tess_device_list_free(tess_device_info *list);

/* Chooses a device. spec: "P:D", "gpu", "cpu", "accelerator", or a case-insensitive part of the device
   or platform name; NULL or "": the environment's TESSERA_DEVICE, else the best GPU (compute units
   times clock), else an accelerator, else a CPU. The error of a spec that matches nothing lists what there is. */
TESS_API tess_status tess_device_find(const char *spec, tess_error *error, tess_device_info *out);

/* ---------------------------------------------------------------- context */

typedef struct tess_context tess_context;

typedef enum tess_log_level {
    TESS_LOG_ERROR,
    TESS_LOG_WARN,
    TESS_LOG_INFO,
    TESS_LOG_DEBUG
} tess_log_level;

/* One line of text without a newline. May be called from any function that takes the context. */
typedef void (*tess_log_callback)(void *user, tess_log_level level, const char *line);

/* Zero means the default everywhere. Strings are copied. */
typedef struct tess_context_options {
    const char *device;    /* SPEC of tess_device_find; ignored by tess_context_adopt */
    tess_log_callback log; /* NULL: no log */
    void *log_user;
    tess_log_level log_level; /* lines above this level are not made; default TESS_LOG_ERROR */
    const char *cache_dir;  /* program binaries; NULL: $XDG_CACHE_HOME/tessera or ~/.cache/tessera;
                                 "": keep no cache on disk */
    const char *kernel_dir; /* read kernels from here instead of the embedded ones;
                                 NULL: the environment's TESSERA_KERNEL_DIR, else the embedded ones */
    bool profiling;         /* make the queue with CL_QUEUE_PROFILING_ENABLE */
    const char *kernels; /* a bundle of tess_kernels_build: all programs come from it, none from the
                                 compiler, which the device need not have; NULL: none */
} tess_context_options;

/* Creates an OpenCL context and an in-order queue on one device. options may be NULL. */
TESS_API tess_status tess_context_create(const tess_context_options *options, tess_error *error,
                                         tess_context **out);

/* Works on the caller's OpenCL objects; they are retained until tess_context_destroy.
   queue must be an in-order queue of context and device. */
TESS_API tess_status tess_context_adopt(cl_context context, cl_device_id device,
                                        cl_command_queue queue, const tess_context_options *options,
                                        tess_error *error, tess_context **out);

/* Everything made from the context must be destroyed before it. */
TESS_API void tess_context_destroy(tess_context *ctx);

TESS_API cl_context tess_context_cl(const tess_context *ctx);                  /* borrowed */
TESS_API cl_command_queue tess_context_queue(const tess_context *ctx);         /* borrowed */
TESS_API const tess_device_info *tess_context_device(const tess_context *ctx); /* borrowed */

/* "what: why; what to do" of the last failed call on this context, "" if none failed.
   Valid until the next call on the context. */
TESS_API const char *tess_context_last_error(const tess_context *ctx);

/* Waits until all that was enqueued has run. Blocking. */
TESS_API tess_status tess_context_finish(tess_context *ctx);

/* From now on plans of this context follow what was measured: the tuning database at path, which `tessera tune` fills, and where
   that knows nothing, the portfolios that the library ships. path NULL: $TESSERA_DB, else
   $XDG_DATA_HOME/tessera/tuning.db (~/.local/share). A file that is not there yet is no error, a damaged one is set aside, with a
   line in the log; one that cannot be read is TESS_IO, of another program or a newer version TESS_BAD_FORMAT. Without this call
   plans are made by prediction alone. A context with a bundle of kernels plans as the bundle says, whatever was measured: the call
   does nothing then. */
TESS_API tess_status tess_context_use_tuning(tess_context *ctx, const char *path);

/* What the context has done since it was made. */
typedef struct tess_counters {
    uint64_t programs_compiled; /* built from source */
    uint64_t programs_loaded;   /* from the binary cache on disk */
    uint64_t kernels_created;
    uint64_t buffers_created; /* OpenCL buffers and sub-buffers */
    uint64_t device_bytes;    /* in buffers alive now, sub-buffers not counted */
    uint64_t device_bytes_peak;
    uint64_t kernels_enqueued; /* of this library; CLBlast's own kernels are not counted */
} tess_counters;

TESS_API tess_counters tess_context_counters(const tess_context *ctx);

/* ---------------------------------------------------------------- tensors */

typedef enum tess_dtype { TESS_F32, TESS_I32 } tess_dtype;

/* Order of the four dimensions in memory, outermost first, no gaps. For weights, desc.n is K,
   desc.c is C/g, desc.h is R and desc.w is S. */
typedef enum tess_layout {
    TESS_NHWC, /* device activations */
    TESS_NCHW, /* files, other frameworks; also KCRS, as the dimensions have the same order */
    TESS_RSCK  /* device weights: h w c n in terms of the desc's fields */
} tess_layout;

/* n, c, h, w >= 1; at most 2^31 - 1 elements. A vector of K is {.n = 1, .c = K, .h = 1, .w = 1};
   weights of a fully connected layer on a C x H x W input are {.n = K, .c = C, .h = H, .w = W}. */
typedef struct tess_tensor_desc {
    tess_dtype dtype;
    tess_layout layout;
    int n, c, h, w;
} tess_tensor_desc;

typedef struct tess_tensor tess_tensor;

TESS_API size_t tess_tensor_desc_elements(const tess_tensor_desc *desc);
TESS_API size_t tess_tensor_desc_bytes(const tess_tensor_desc *desc);

/* Allocates uninitialised device memory. */
TESS_API tess_status tess_tensor_create(tess_context *ctx, const tess_tensor_desc *desc,
                                        tess_tensor **out);

/* A tensor in the caller's memory object, which is retained. offset in bytes, a multiple of the
   device's base_align. */
TESS_API tess_status tess_tensor_wrap(tess_context *ctx, const tess_tensor_desc *desc,
                                      cl_mem memory, size_t offset, tess_tensor **out);

/* A tensor in a part of another one's memory (a sub-buffer). Both may be destroyed in any order. */
TESS_API tess_status tess_tensor_view(tess_tensor *parent, const tess_tensor_desc *desc,
                                      size_t offset, tess_tensor **out);
TESS_API void tess_tensor_destroy(tess_tensor *tensor);

TESS_API const tess_tensor_desc *tess_tensor_get_desc(const tess_tensor *tensor); /* borrowed */
TESS_API cl_mem tess_tensor_memory(const tess_tensor *tensor);                    /* borrowed */

/* Copies all elements from / to host memory that is dense in host_layout. Blocking. */
TESS_API tess_status tess_tensor_write(tess_tensor *tensor, const void *src,
                                       tess_layout host_layout);
TESS_API tess_status tess_tensor_read(const tess_tensor *tensor, void *dst,
                                      tess_layout host_layout);

/* Maps the whole tensor, in its own layout; no copy where device and host share memory. for_write: the
   old contents are lost, and the new ones reach the device with tess_tensor_unmap. Blocking. */
TESS_API tess_status tess_tensor_map(tess_tensor *tensor, bool for_write, void **out);
TESS_API tess_status tess_tensor_unmap(tess_tensor *tensor, void *mapped);

/* Sets every element. Enqueues. value is converted to the tensor's dtype. */
TESS_API tess_status tess_tensor_fill(tess_tensor *tensor, float value);

/* ---------------------------------------------------------------- activations */

typedef enum tess_activation {
    TESS_ACT_NONE,
    TESS_ACT_RELU,       /* max(x, 0) */
    TESS_ACT_LEAKY_RELU, /* x > 0 ? x : alpha x, alpha > 0 */
    TESS_ACT_ELU,        /* x > 0 ? x : alpha (exp(x) - 1), alpha > 0 */
    TESS_ACT_SIGMOID,    /* 1 / (1 + exp(-x)) */
    TESS_ACT_TANH,
    TESS_ACT_CLIPPED_RELU, /* min(max(x, 0), alpha), alpha > 0; ReLU6 is alpha 6 */
    TESS_ACT_SELU,         /* 1.0507 (x > 0 ? x : 1.6733 (exp(x) - 1)), Klambauer et al. 2017, whose
                              constants the kernels hold to fp32 */
    TESS_ACT_HARD_SIGMOID /* max(0, min(1, x / 6 + 1 / 2)), as PyTorch; not ONNX's default slope 0.2 */
} tess_activation;

/* An activation and its parameter. All derivatives are computed from the output y. */
typedef struct tess_act {
    tess_activation kind;
    float alpha; /* leaky ReLU, ELU and clipped ReLU; 0 means 0.01, 1 and 6 */
} tess_act;

/* ---------------------------------------------------------------- convolution */

typedef enum tess_conv_pass {
    TESS_CONV_FWD,
    TESS_CONV_BWD_DATA,
    TESS_CONV_BWD_WEIGHTS
} tess_conv_pass;

/* y[n,p,q,k] = sum_{r,s,c} x[n, p u - pt + r d, q v - pl + s e, c] w[r,s,c,k], per group; zero outside x.
   P = (H - d (R - 1) - 1 + pt + pb) / u + 1, Q likewise. Zero strides, dilations and groups mean 1. */
/* What lies in the padding: zeros, or the image mirrored at its first and last pixel, which are not repeated
   (... x2 x1 | x0 x1 x2 ...; less padding than pixels). Padding layers also know a constant, and the edge repeated. */
typedef enum tess_pad_mode {
    TESS_PAD_ZERO,
    TESS_PAD_MIRROR,
    TESS_PAD_CONSTANT,
    TESS_PAD_EDGE
} tess_pad_mode;

typedef struct tess_conv_desc {
    tess_dtype dtype;   /* TESS_F32 */
    tess_layout layout; /* of x, y, their gradients: TESS_NHWC, or TESS_NCHW (weights: KCRS) */
    int n, c, h, w, k, r, s;
    int stride_h, stride_w;
    int pad_top, pad_bottom, pad_left, pad_right;
    int dilation_h, dilation_w;
    int groups;
    int pad_mode; /* TESS_PAD_ZERO or TESS_PAD_MIRROR */
} tess_conv_desc;

/* A problem key has at most this many characters, the terminating zero included. */
#define TESS_CONV_KEY_SIZE 256

/* Prints the canonical key, e.g. n8c64h56w56k64r3s3u1v1pt1pb1pl1pr1d1e1g1. */
TESS_API void tess_conv_desc_key(const tess_conv_desc *desc, char key[TESS_CONV_KEY_SIZE]);

/* Reads a key. Fields from u on may be left out and mean 1 (u v d e g) or 0 (padding);
   m1 at the end means mirror padding. */
TESS_API tess_status tess_conv_desc_parse(const char *key, tess_error *error, tess_conv_desc *out);

/* Output height and width; TESS_INVALID_SHAPE, with the key, for a problem that cannot exist. */
TESS_API tess_status tess_conv_out_size(const tess_conv_desc *desc, tess_error *error, int *p,
                                        int *q);

/* Multiply-adds counted as two, the same for each pass: 2 N P Q K (C/g) R S. */
TESS_API double tess_conv_flops(const tess_conv_desc *desc);

typedef struct tess_conv_plan tess_conv_plan;

typedef struct tess_conv_options {
    tess_conv_pass pass;
    /* Epilogue, forward only: y = act(conv + bias + residual). */
    bool bias;     /* args.bias is given */
    bool residual; /* args.residual, of y's shape, is given */
    tess_act act;
    /* Planning. */
    bool strict; /* only algorithms that round no more than the plain sum in fp32: no Winograd */
    bool
        limit_workspace; /* accept only plans that take at most workspace_limit for workspace and packed weights */
    size_t workspace_limit; /* bytes; 0 is always possible */
    const char *algo;       /* NULL: the planner's choice; else only this algorithm */
    const char *config;     /* with algo: a configuration as tess_conv_plan_info prints it, the part
                               after "__"; NULL: the planner's choice */
    bool
        repack; /* the plan keeps no packed weights: each call packs them into the workspace, which is larger by
                    them. For weights that change from call to call, as in training */
} tess_conv_options;

typedef struct tess_conv_info {
    const char *algo;   /* "direct" */
    const char *config; /* "conv_direct_fwd__wt14_kv2" */
    /* Who answered: "caller"; "exact" (measured here), "near" (on a like problem here), "other device", "portfolio"; "analytic"
       (predicted), "generic". */
    const char *tier;
    const char *why;  /* one line for people */
    size_t workspace; /* bytes, of the caller's */
    size_t packed;    /* bytes that the plan holds: the weights as the algorithm wants them */
} tess_conv_info;

/* Chooses algorithm and configuration, compiles. options may be NULL: plain forward. */
TESS_API tess_status tess_conv_plan_create(tess_context *ctx, const tess_conv_desc *desc,
                                           const tess_conv_options *options, tess_conv_plan **out);
TESS_API void tess_conv_plan_destroy(tess_conv_plan *plan);

/* Strings are valid as long as the plan. */
TESS_API tess_conv_info tess_conv_plan_info(const tess_conv_plan *plan);

/* forward:          x, w, [bias], [residual] -> y
   backward-data:    y holds dy, w            -> x receives dx
   backward-weights: x, y holds dy            -> w receives dw
   workspace: a tensor of at least info.workspace bytes, NULL if that is 0; contents are lost.
   What is written shares no memory with what is read.
   weights_version: forward and backward-data rearrange the weights first, and skip that when the last call had
   the same w and the same version other than 0. Give a number that changes whenever w's contents do, or 0 if you keep none. */
typedef struct tess_conv_args {
    tess_tensor *x, *w, *y;
    tess_tensor *bias, *residual;
    tess_tensor *workspace;
    uint64_t weights_version;
} tess_conv_args;

TESS_API tess_status tess_conv_plan_enqueue(tess_conv_plan *plan, const tess_conv_args *args);

/* Transposed convolution ("deconvolution"), for up-sampling: each input pixel adds its multiple of the filter to the output.
     y[n, h u - pt + r d, w v - pl + s e, k] += x[n,h,w,c] w[r,s,k,c], per group; what falls outside y is dropped
   It is the gradient of the convolution that makes x's shape from y's (same filter, stride, padding, dilation, groups), and
   its weights are those of that convolution, device layout R S K/g C; PyTorch's ConvTranspose2d has them as C K/g R S.
   P = (H - 1) u - pt - pb + d (R - 1) + 1 + out_pad_h, Q likewise. Zero strides, dilations and groups mean 1. */
typedef struct tess_conv_transpose_desc {
    tess_dtype dtype;   /* TESS_F32 */
    tess_layout layout; /* of x, y, their gradients: TESS_NHWC, or TESS_NCHW (weights: C K/g R S) */
    int n, c, h, w;     /* input x */
    int k;              /* channels of output y */
    int r, s;
    int stride_h, stride_w;
    int pad_top, pad_bottom, pad_left, pad_right; /* taken off y */
    int out_pad_h,
        out_pad_w; /* rows and columns that y has more at its end; less than the stride */
    int dilation_h, dilation_w;
    int groups;
} tess_conv_transpose_desc;

typedef struct tess_conv_transpose tess_conv_transpose;

/* Output height and width; TESS_INVALID_SHAPE for an operator that cannot exist. */
TESS_API tess_status tess_conv_transpose_out_size(const tess_conv_transpose_desc *desc,
                                                  tess_error *error, int *p, int *q);

/* One pass, as a convolution's plan is. options may be NULL: plain forward. Forward takes bias (TESS_NHWC only) and act, no
   residual; algo and config are those of the convolution underneath (forward: its backward-data; backward-data: its forward). */
TESS_API tess_status tess_conv_transpose_create(tess_context *ctx,
                                                const tess_conv_transpose_desc *desc,
                                                const tess_conv_options *options,
                                                tess_conv_transpose **out);
TESS_API void tess_conv_transpose_destroy(tess_conv_transpose *op);

/* Of the convolution's plan underneath. Strings are valid as long as the operator. */
TESS_API tess_conv_info tess_conv_transpose_info(const tess_conv_transpose *op);

/* forward:          x, w, [bias] -> y
   backward-data:    y holds dy, w -> x receives dx
   backward-weights: x, y holds dy -> w receives dw
   workspace and weights_version as for tess_conv_plan_enqueue. */
TESS_API tess_status tess_conv_transpose_enqueue(tess_conv_transpose *op,
                                                 const tess_conv_args *args);

/* ---------------------------------------------------------------- pooling */

typedef enum tess_pool_mode {
    TESS_POOL_MAX,
    TESS_POOL_AVG,          /* divides by the window's elements inside x */
    TESS_POOL_AVG_WITH_PAD, /* divides by the window's elements inside x and its padding */
    TESS_POOL_WEIGHTED /* scale[c] * (TESS_POOL_AVG) + bias[c]: LeCun et al. 1998, section II.B */
} tess_pool_mode;

/* NHWC, fp32. P = (H - d (R - 1) - 1 + pt + pb) / u + 1, rounded down, or up with ceil_mode (where a last window that
   would start beyond H + pt is dropped). Zero strides mean the window's size, zero dilations 1. global: window
   H x W, no padding. Every window must touch x: padding smaller than the window, dilations not above H, W. */
typedef struct tess_pool_desc {
    tess_pool_mode mode;
    int n, c, h, w;
    int r, s;
    int stride_h, stride_w;
    int pad_top, pad_bottom, pad_left, pad_right;
    int dilation_h, dilation_w;
    bool ceil_mode;
    bool global;
} tess_pool_desc;

typedef struct tess_pool tess_pool;

TESS_API tess_status tess_pool_out_size(const tess_pool_desc *desc, tess_error *error, int *p,
                                        int *q);
TESS_API tess_status tess_pool_create(tess_context *ctx, const tess_pool_desc *desc,
                                      tess_pool **out);
TESS_API void tess_pool_destroy(tess_pool *pool);

/* Bytes of scratch memory that tess_pool_backward needs (0 unless weighted). */
TESS_API size_t tess_pool_workspace(const tess_pool *pool);

/* x N C H W -> y N C P Q. positions, max only: TESS_I32 of y's shape, receives h * W + w of each maximum (the
   first in row order among equals); NULL for inference. scale, bias: C values, weighted only.
   A window that holds a NaN gives NaN. */
typedef struct tess_pool_args {
    tess_tensor *x, *y, *positions;
    tess_tensor *scale, *bias;
} tess_pool_args;
TESS_API tess_status tess_pool_forward(tess_pool *pool, const tess_pool_args *args);

/* dy -> dx (every element is written; NULL: not wanted). max reads positions; weighted reads x and scale and
   writes dscale and dbias. */
typedef struct tess_pool_grad_args {
    tess_tensor *dy, *dx, *positions;
    tess_tensor *x, *scale, *dscale, *dbias;
    tess_tensor *workspace;
} tess_pool_grad_args;
TESS_API tess_status tess_pool_backward(tess_pool *pool, const tess_pool_grad_args *args);

/* ---------------------------------------------------------------- element-wise operators */

typedef struct tess_eltwise tess_eltwise;

/* One object serves every shape; tensors of one call have equal shapes unless stated. fp32. */
TESS_API tess_status tess_eltwise_create(tess_context *ctx, tess_eltwise **out);
TESS_API void tess_eltwise_destroy(tess_eltwise *eltwise);

/* y = act(x); y may be x. */
TESS_API tess_status tess_activation_forward(tess_eltwise *op, tess_act act, const tess_tensor *x,
                                             tess_tensor *y);
/* dx = dy act'(.), from the output y; dx may be dy. */
TESS_API tess_status tess_activation_backward(tess_eltwise *op, tess_act act, const tess_tensor *y,
                                              const tess_tensor *dy, tess_tensor *dx);
/* y = act(a + b); y may be a or b. Its gradient is tess_activation_backward, for a and b alike. */
TESS_API tess_status tess_add_forward(tess_eltwise *op, tess_act act, const tess_tensor *a,
                                      const tess_tensor *b, tess_tensor *y);
/* y = act(x + bias) with one bias a channel (bias: C values); x NHWC; y may be x. */
TESS_API tess_status tess_bias_forward(tess_eltwise *op, tess_act act, const tess_tensor *x,
                                       const tess_tensor *bias, tess_tensor *y);
/* dbias[c] = sum over n, h, w of dy, added in a fixed order. workspace: tess_bias_workspace() bytes. */
TESS_API size_t tess_bias_workspace(const tess_tensor_desc *dy);
TESS_API tess_status tess_bias_backward(tess_eltwise *op, const tess_tensor *dy, tess_tensor *dbias,
                                        tess_tensor *workspace);
/* Copies all channels of part into whole, from channel first_channel on (concat, part by part); n, h, w
   are equal. tess_slice copies them back out (the gradient of concat). NHWC. */
TESS_API tess_status tess_concat(tess_eltwise *op, const tess_tensor *part, int first_channel,
                                 tess_tensor *whole);
TESS_API tess_status tess_slice(tess_eltwise *op, const tess_tensor *whole, int first_channel,
                                tess_tensor *part);
/* Dropout, keeping each element with probability 1 - rate and dividing it by that. The mask of element i is
   a function of (seed, stream, i) alone (Philox 4x32-10), the same on every device; the gradient is the
   same call on dy. y may be x. 0 <= rate < 1. */
TESS_API tess_status tess_dropout(tess_eltwise *op, float rate, uint64_t seed, uint64_t stream,
                                  const tess_tensor *x, tess_tensor *y);
/* Device copy between TESS_NHWC and TESS_NCHW, or TESS_RSCK and TESS_NCHW; the descs differ in layout only.
   y must not be x. */
TESS_API tess_status tess_layout_convert(tess_eltwise *op, const tess_tensor *x, tess_tensor *y);

/* ---------------------------------------------------------------- parametric ReLU */

/* y = x > 0 ? x : slope[c] x (He et al. 2015), NHWC, fp32. shared: one slope for all channels. */
typedef struct tess_prelu_desc {
    int n, c, h, w;
    bool shared;
} tess_prelu_desc;

typedef struct tess_prelu tess_prelu;

TESS_API tess_status tess_prelu_create(tess_context *ctx, const tess_prelu_desc *desc,
                                       tess_prelu **out);
TESS_API void tess_prelu_destroy(tess_prelu *op);
TESS_API size_t tess_prelu_workspace(const tess_prelu *op); /* bytes, for backward */

/* slope: C values, shared: one; any sign. y may be x where the caller needs x no more. */
TESS_API tess_status tess_prelu_forward(tess_prelu *op, const tess_tensor *x,
                                        const tess_tensor *slope, tess_tensor *y);

/* dslope = sum of dy x where not x > 0, added in a fixed order. dx may be dy, or NULL: not wanted. Reads x and dy once. */
typedef struct tess_prelu_grad_args {
    const tess_tensor *x, *slope, *dy;
    tess_tensor *dx, *dslope, *workspace;
} tess_prelu_grad_args;
TESS_API tess_status tess_prelu_backward(tess_prelu *op, const tess_prelu_grad_args *args);

/* ---------------------------------------------------------------- normalisation */

/* Batch normalisation (Ioffe and Szegedy 2015), NHWC, fp32, with an optional residual and an activation:
     y = act((x - mean[c]) invstd[c] scale[c] + bias[c] + residual),   invstd = 1 / sqrt(var + eps)
   mean and var: in training those of the batch over N H W (var biased: divided by N H W), in inference the running ones.
   At most 2^22 channels. */
typedef struct tess_batch_norm_desc {
    int n, c, h, w;
    float eps; /* 0: 1e-5 */
    float
        momentum; /* running = (1 - momentum) running + momentum batch, as PyTorch writes it (ONNX has
                       1 - momentum); 0: 0.1 */
    bool residual; /* args.residual, of x's shape, is given */
    tess_act act;
} tess_batch_norm_desc;

typedef struct tess_batch_norm tess_batch_norm;

TESS_API tess_status tess_batch_norm_create(tess_context *ctx, const tess_batch_norm_desc *desc,
                                            tess_batch_norm **out);
TESS_API void tess_batch_norm_destroy(tess_batch_norm *op);

/* Bytes of scratch memory that each of the three calls needs; contents are lost. */
TESS_API size_t tess_batch_norm_workspace(const tess_batch_norm *op);

/* Whether tess_batch_norm_backward reads y: not without an activation, and not for ReLU, leaky and clipped ReLU without a residual,
   where it makes y from x again. */
TESS_API bool tess_batch_norm_backward_reads_y(const tess_batch_norm *op);

/* Vectors have C values. scale, bias: NULL means ones and zeros. y may be residual, and x where the caller needs x no more.
   Training writes saved_mean and saved_invstd, for backward, and moves running_mean and running_var (by the batch's unbiased variance,
   divided by N H W - 1), which may both be NULL; N H W must be above 1. It reads x twice and writes y once.
   Inference reads running_mean and running_var; x read once, y written once. A residual is one read more.
   The same input gives the same bits on every run. */
typedef struct tess_batch_norm_args {
    const tess_tensor *x, *scale, *bias, *residual;
    tess_tensor *y;
    tess_tensor *running_mean, *running_var;
    tess_tensor *saved_mean, *saved_invstd; /* training */
    tess_tensor *workspace;
} tess_batch_norm_args;
TESS_API tess_status tess_batch_norm_forward_training(tess_batch_norm *op,
                                                      const tess_batch_norm_args *args);
TESS_API tess_status tess_batch_norm_forward_inference(tess_batch_norm *op,
                                                       const tess_batch_norm_args *args);
/* y of tess_batch_norm_forward_training once more, the same bits, from what that saved. running_mean and running_var are not used. */
TESS_API tess_status tess_batch_norm_forward_saved(tess_batch_norm *op,
                                                   const tess_batch_norm_args *args);

/* Gradients of tess_batch_norm_forward_training. scale and bias are those of forward; y where tess_batch_norm_backward_reads_y
   says so. dx may be dy. dscale, dbias: NULL: not wanted. dresidual = dy act'(.), NULL: not wanted (without an activation it is dy
   itself); may be dy, but not dx.
   Reads x and dy twice, y, if it is needed, twice, or once with dresidual, and writes dx once, dresidual once. */
typedef struct tess_batch_norm_grad_args {
    const tess_tensor *x, *y, *dy, *scale, *bias;
    const tess_tensor *saved_mean, *saved_invstd;
    tess_tensor *dx, *dresidual, *dscale, *dbias;
    tess_tensor *workspace;
} tess_batch_norm_grad_args;
TESS_API tess_status tess_batch_norm_backward(tess_batch_norm *op,
                                              const tess_batch_norm_grad_args *args);

/* Inference's batch normalisation made part of the convolution or fully connected layer before it, in host memory, computed
   in float64:
     folded_weights[r,s,c,k] = weights[r,s,c,k] f[k],   f = scale / sqrt(var + eps)
     folded_bias[k] = (bias[k] - mean[k]) f[k] + shift[k]
   weights: RSCK, rows = R S C/g of them for each of the k filters. Vectors have k values; bias NULL: zeros; scale, shift (batch
   normalisation's bias) NULL: ones, zeros. Outputs may be the inputs. var + eps must be above 0. */
typedef struct tess_batch_norm_fold_args {
    size_t rows;
    int k;
    float eps; /* as it is: 0 means 0 */
    const float *weights, *bias;
    const float *scale, *shift, *mean, *var;
    float *folded_weights, *folded_bias;
} tess_batch_norm_fold_args;
TESS_API tess_status tess_batch_norm_fold(const tess_batch_norm_fold_args *args, tess_error *error);

/* Local response normalisation across channels (Krizhevsky et al. 2012, section 3.3), NHWC, fp32:
     y[c] = x[c] / (k + alpha / size * sum of x[j]^2 over j = c - (size - 1) / 2 .. c + size / 2)^beta
   where j is a channel. alpha is divided by size, as ONNX, PyTorch and Caffe do; the paper does not: its alpha 1e-4 with size 5 and
   k 2 is alpha 5e-4 here. Even sizes have one channel more after c than before, as in ONNX (PyTorch: before). */
#define TESS_LRN_MAX_SIZE 63
typedef struct tess_lrn_desc {
    int n, c, h, w;
    int size;             /* 1 .. TESS_LRN_MAX_SIZE; 0: 5 */
    float alpha, beta, k; /* above 0; 0: 1e-4, 0.75, 1 */
} tess_lrn_desc;

typedef struct tess_lrn tess_lrn;

TESS_API tess_status tess_lrn_create(tess_context *ctx, const tess_lrn_desc *desc, tess_lrn **out);
TESS_API void tess_lrn_destroy(tess_lrn *op);
/* Reads x once, writes y once; backward reads x and dy once and writes dx once. Outputs are not inputs. */
TESS_API tess_status tess_lrn_forward(tess_lrn *op, const tess_tensor *x, tess_tensor *y);
TESS_API tess_status tess_lrn_backward(tess_lrn *op, const tess_tensor *x, const tess_tensor *dy,
                                       tess_tensor *dx);

/* ---------------------------------------------------------------- softmax and cross-entropy */

typedef struct tess_softmax tess_softmax;

/* Rows of C values: tensors N C 1 1. */
TESS_API tess_status tess_softmax_create(tess_context *ctx, int n, int c, tess_softmax **out);
TESS_API void tess_softmax_destroy(tess_softmax *softmax);

/* y[n,c] = exp(x[n,c]) / sum_c exp(x[n,c]), computed after subtracting the row's maximum; y may be x. */
TESS_API tess_status tess_softmax_forward(tess_softmax *op, const tess_tensor *x, tess_tensor *y);
/* dx = y (dy - sum_c y dy). */
TESS_API tess_status tess_softmax_backward(tess_softmax *op, const tess_tensor *y,
                                           const tess_tensor *dy, tess_tensor *dx);
/* Cross-entropy of softmax(logits) with integer labels (TESS_I32, N values; rows whose label is outside
   0 .. C - 1 count as padding: no loss, no gradient).
   result, 2 floats: sum over rows of -log p[label]; number of rows whose largest logit is their label.
   dlogits, if not NULL: (p - onehot(label)) * scale; may be logits. workspace: 2 N floats. */
typedef struct tess_xent_args {
    const tess_tensor *logits, *labels;
    float scale; /* usually 1 / number of rows with a label */
    tess_tensor *result, *dlogits, *workspace;
} tess_xent_args;
TESS_API tess_status tess_xent(tess_softmax *op, const tess_xent_args *args);

/* ---------------------------------------------------------------- squared error */

typedef struct tess_mse tess_mse;

/* n rows of c values, in tensors of n * c elements, whatever their layout. */
TESS_API tess_status tess_mse_create(tess_context *ctx, int n, int c, tess_mse **out);
TESS_API void tess_mse_destroy(tess_mse *op);
TESS_API size_t tess_mse_workspace(const tess_mse *op); /* bytes */

/* result, 1 float: sum over the first rows rows of (x - target)^2. dx, if not NULL: 2 scale (x - target), and 0 in the other rows;
   may be x or target. rows 0: all. For the mean squared error divide result by rows * c, and let scale be 1 / (rows * c).
   Reads x and target once, writes dx once; the same input gives the same bits on every run. */
typedef struct tess_mse_args {
    const tess_tensor *x, *target;
    int rows;
    float scale;
    tess_tensor *result, *dx, *workspace;
} tess_mse_args;
TESS_API tess_status tess_mse_enqueue(tess_mse *op, const tess_mse_args *args);

/* ---------------------------------------------------------------- fully connected */

typedef struct tess_fc tess_fc;

/* y[n,k] = act(sum_c x[n,c] w[c,k] + bias[k]); x has c elements a row (any N C' H' W' NHWC tensor with C' H' W' =
   c), w c * k elements, RSCK. By CLBlast (GEMM, and GEMV when n is 1) or by the convolution engine, whichever the tuning
   database says is faster on the device; without a measurement CLBlast on GPUs, on CPUs the convolution engine, or for few rows and many
   weights kernels that stream the weights unpacked ("stream"). */
typedef struct tess_fc_desc {
    int n, c, k;
    bool bias;
    tess_act act;
    bool forward_only; /* the backward passes are not prepared */
    bool repack;       /* as in tess_conv_options */
    const char *
        backend; /* "clblast", "conv" or "stream", for all passes; NULL: the planner's choice. Borrowed during creation */
} tess_fc_desc;

typedef struct tess_fc_info {
    const char *backend; /* "clblast", "conv" or "stream" */
    const char *config;  /* "clblast_gemm", the convolution's or the stream's configuration */
    const char *tier;    /* who chose the backend: "caller", "exact" (measured) or "default" */
    const char *why;     /* one line for people */
} tess_fc_info;

TESS_API tess_status tess_fc_create(tess_context *ctx, const tess_fc_desc *desc, tess_fc **out);
TESS_API void tess_fc_destroy(tess_fc *fc);
TESS_API size_t tess_fc_workspace(const tess_fc *fc); /* bytes, for each of the three calls */
/* How a pass was planned; empty strings for one that was not prepared. Strings are valid as long as fc. */
TESS_API tess_fc_info tess_fc_pass_info(const tess_fc *fc, tess_conv_pass pass);
/* weights_version: as in tess_conv_args; 0 is always right. */
TESS_API tess_status tess_fc_forward(tess_fc *fc, const tess_tensor *x, const tess_tensor *w,
                                     const tess_tensor *bias, tess_tensor *y,
                                     tess_tensor *workspace, uint64_t weights_version);
/* dy is the gradient before the activation (tess_activation_backward comes first). */
TESS_API tess_status tess_fc_backward_data(tess_fc *fc, const tess_tensor *dy, const tess_tensor *w,
                                           tess_tensor *dx, tess_tensor *workspace,
                                           uint64_t weights_version);
TESS_API tess_status tess_fc_backward_weights(tess_fc *fc, const tess_tensor *x,
                                              const tess_tensor *dy, tess_tensor *dw,
                                              tess_tensor *workspace);

/* ---------------------------------------------------------------- optimiser */

/* g = grad + weight_decay * param; v = momentum * v + g; param -= lr * (nesterov ? g + momentum * v : v).
   The rule of Sutskever et al. 2013 as PyTorch writes it. One kernel over all elements. */
typedef struct tess_sgd_desc {
    float lr, momentum, weight_decay;
    bool nesterov;
} tess_sgd_desc;

typedef struct tess_sgd tess_sgd;
TESS_API tess_status tess_sgd_create(tess_context *ctx, tess_sgd **out);
TESS_API void tess_sgd_destroy(tess_sgd *sgd);
/* Three tensors with the same number of elements. velocity starts as zeros. */
TESS_API tess_status tess_sgd_step(tess_sgd *sgd, const tess_sgd_desc *desc, tess_tensor *param,
                                   const tess_tensor *grad, tess_tensor *velocity);

/* ---------------------------------------------------------------- graphs */

/* A directed acyclic graph of layers for one image (no batch). Building functions give the node whose output the
   next layer takes; after the first error they give TESS_NODE_NONE and do nothing, so that a network
   reads as a list, and tess_graph_check tells what went wrong. names are unique; NULL: kind and number. */
typedef struct tess_graph tess_graph;
typedef int tess_node;
#define TESS_NODE_NONE (-1)

/* How a layer's weights start. */
typedef enum tess_init {
    TESS_INIT_DEFAULT, /* He for ReLU, leaky, clipped ReLU, ELU; Xavier otherwise */
    TESS_INIT_HE,      /* normal, variance 2 / fan_in: He et al. 2015 */
    TESS_INIT_XAVIER,  /* uniform +- sqrt(6 / (fan_in + fan_out)): Glorot and Bengio 2010 */
    TESS_INIT_LECUN,   /* uniform +- 2.4 / fan_in: LeCun et al. 1998, appendix A */
    TESS_INIT_FAN_IN, /* uniform +- 1 / sqrt(fan_in): smaller than He, as Torch and PyTorch start */
    TESS_INIT_GAUSSIAN /* normal, standard deviation 0.01: Krizhevsky et al. 2012 */
} tess_init;

/* By name: "he", "xavier", "lecun", "fan-in", "gaussian". TESS_NOT_FOUND lists them. */
TESS_API tess_status tess_init_parse(const char *name, tess_error *error, tess_init *out);

typedef struct tess_conv_layer {
    const char *name;
    int filters;
    int kernel_h, kernel_w; /* kernel_w 0: kernel_h */
    int stride_h, stride_w; /* 0: 1, stride_w 0: stride_h */
    int pad;                /* all four sides, added to the ones below */
    int pad_top, pad_bottom, pad_left, pad_right;
    int dilation_h, dilation_w, groups; /* 0: 1 */
    bool no_bias;
    tess_act act;
    tess_init init;
    float init_gain; /* factor on the initial weights; 0: 1 */
    float init_bias; /* of every bias */
} tess_conv_layer;

typedef struct tess_pool_layer {
    const char *name;
    tess_pool_mode mode;
    int window_h, window_w; /* window_w 0: window_h */
    int stride_h, stride_w; /* 0: the window */
    int pad;                /* all four sides, added to the ones below */
    bool ceil_mode, global;
    tess_act act; /* weighted pooling's activation, as in LeNet-5 */
    int pad_top, pad_bottom, pad_left, pad_right;
} tess_pool_layer;

typedef struct tess_fc_layer {
    const char *name;
    int outputs;
    bool no_bias;
    tess_act act;
    tess_init init;
    float init_bias; /* of every bias */
} tess_fc_layer;

/* Batch normalisation (Ioffe and Szegedy 2015), a channel at a time: with the batch's mean and variance in training steps, with running
   ones in tess_net_forward. An inference network folds it into the convolution before it where nobody else reads that.
   Parameters as in PyTorch: weight, bias; running_mean and running_var are saved and loaded, but not trained. */
typedef struct tess_batch_norm_layer {
    const char *name;
    float eps;      /* added to the variance; 0: 1e-5 */
    float momentum; /* weight of a batch in the running values; 0: 0.1 */
    tess_act act;
} tess_batch_norm_layer;

/* Local response normalisation across channels: see tess_lrn_desc. */
typedef struct tess_lrn_layer {
    const char *name;
    int size;             /* channels in a window; 0: 5 */
    float alpha, beta, k; /* as in tess_lrn_desc; 0: 1e-4, 0.75, 1 */
} tess_lrn_layer;

/* Transposed convolution: see tess_conv_transpose_desc. */
typedef struct tess_conv_transpose_layer {
    const char *name;
    int filters;
    int kernel_h, kernel_w; /* kernel_w 0: kernel_h */
    int stride_h, stride_w; /* 0: 1, stride_w 0: stride_h */
    int pad;                /* taken off all four sides, added to the ones below */
    int pad_top, pad_bottom, pad_left, pad_right;
    int out_pad_h, out_pad_w;           /* rows and columns more at the output's end */
    int dilation_h, dilation_w, groups; /* 0: 1 */
    bool no_bias;
    tess_act act;
    tess_init init;
    float init_gain; /* factor on the initial weights; 0: 1 */
} tess_conv_transpose_layer;

typedef enum tess_upsample_mode {
    TESS_UPSAMPLE_NEAREST, /* y[p,q] = x[floor(p H / P), floor(q W / Q)] */
    TESS_UPSAMPLE_BILINEAR /* between the four pixels around the same place of the image, pixels being areas */
} tess_upsample_mode;

typedef struct tess_upsample_layer {
    const char *name;
    tess_upsample_mode mode;
    int factor_h, factor_w; /* 0: 2, factor_w 0: factor_h */
    int h, w; /* output size instead of factors, smaller ones included; 0: by the factors */
    bool align_corners; /* bilinear: the corner pixels' centres stay where they are */
} tess_upsample_layer;

typedef struct tess_pad_layer {
    const char *name;
    tess_pad_mode mode;
    float value; /* TESS_PAD_CONSTANT */
    /* Negative: cut off, with zeros or a constant. */
    int pad_top, pad_bottom, pad_left, pad_right;
    int channels_before, channels_after;
} tess_pad_layer;

/* Parametric ReLU: see tess_prelu_desc. Its parameter is called weight, as in PyTorch. */
typedef struct tess_prelu_layer {
    const char *name;
    bool shared; /* one slope for all channels */
    float slope; /* initial; 0: 0.25, as in the paper */
} tess_prelu_layer;

/* Of two layers' outputs. */
typedef enum tess_binary {
    TESS_BINARY_MUL,
    TESS_BINARY_ADD,
    TESS_BINARY_SUB, /* a - b */
    TESS_BINARY_DIV, /* a / b */
    TESS_BINARY_MAX, /* as the minimum, shares the gradient among equal elements */
    TESS_BINARY_MIN
} tess_binary;

typedef enum tess_reduce_mode { TESS_REDUCE_MEAN, TESS_REDUCE_SUM } tess_reduce_mode;

/* The dimensions that become 1, at least one. */
typedef struct tess_reduce_layer {
    const char *name;
    tess_reduce_mode mode;
    bool over_c, over_h, over_w;
} tess_reduce_layer;

TESS_API tess_status tess_graph_create(const char *name, tess_error *error, tess_graph **out);
TESS_API void tess_graph_destroy(tess_graph *graph);
TESS_API tess_node tess_graph_input(tess_graph *graph, int c, int h, int w);
TESS_API tess_node tess_graph_conv(tess_graph *graph, tess_node in, const tess_conv_layer *layer);
TESS_API tess_node tess_graph_pool(tess_graph *graph, tess_node in, const tess_pool_layer *layer);
TESS_API tess_node tess_graph_fc(tess_graph *graph, tess_node in, const tess_fc_layer *layer);
TESS_API tess_node tess_graph_batch_norm(tess_graph *graph, tess_node in,
                                         const tess_batch_norm_layer *layer);
TESS_API tess_node tess_graph_lrn(tess_graph *graph, tess_node in, const tess_lrn_layer *layer);
TESS_API tess_node tess_graph_activation(tess_graph *graph, tess_node in, const char *name,
                                         tess_act act);
TESS_API tess_node tess_graph_add(tess_graph *graph, tess_node a, tess_node b, const char *name,
                                  tess_act act);
TESS_API tess_node tess_graph_concat(tess_graph *graph, const tess_node *parts, int count,
                                     const char *name);
TESS_API tess_node tess_graph_conv_transpose(tess_graph *graph, tess_node in,
                                             const tess_conv_transpose_layer *layer);
TESS_API tess_node tess_graph_upsample(tess_graph *graph, tess_node in,
                                       const tess_upsample_layer *layer);
TESS_API tess_node tess_graph_pad(tess_graph *graph, tess_node in, const tess_pad_layer *layer);
TESS_API tess_node tess_graph_prelu(tess_graph *graph, tess_node in, const tess_prelu_layer *layer);
/* Each of channels, height and width is the same in both, or 1 in one, which is then repeated: C x 1 x 1 gates scale C x H x W. For
   two outputs of one shape tess_graph_add is faster. */
TESS_API tess_node tess_graph_binary(tess_graph *graph, tess_binary kind, tess_node a, tess_node b,
                                     const char *name);
TESS_API tess_node tess_graph_reduce(tess_graph *graph, tess_node in,
                                     const tess_reduce_layer *layer);
/* The same elements, whose order is that of C H W; one of the dimensions may be -1: what the others leave. Flatten: -1, 1, 1. */
TESS_API tess_node tess_graph_reshape(tess_graph *graph, tess_node in, const char *name, int c,
                                      int h, int w);
/* Output dimension i of C, H, W is the input's dimension order[i]: {0, 2, 1} exchanges height and width. */
TESS_API tess_node tess_graph_transpose(tess_graph *graph, tess_node in, const char *name,
                                        const int order[3]);
TESS_API tess_node tess_graph_dropout(tess_graph *graph, tess_node in, const char *name,
                                      float rate);
/* An auxiliary classifier (Szegedy et al. 2015): in training steps softmax with cross-entropy on the same labels, its loss and
   gradient times weight, above 0; in inference it and what only leads to it are left out. All classifiers of a graph have as many
   classes. Nothing can follow it. */
TESS_API tess_node tess_graph_auxiliary(tess_graph *graph, tess_node in, const char *name,
                                        float weight);
/* Ends the graph: softmax with cross-entropy in training, softmax probabilities in inference. */
TESS_API tess_node tess_graph_softmax(tess_graph *graph, tess_node in);

/* Squared error: in training steps weight, above 0, times the mean of (in - targets)^2 over the elements of the valid rows, with the
   targets of tess_net_targets. Nothing can follow it. As the last layer it ends the graph, whose output in inference is in itself;
   elsewhere inference leaves it out. */
TESS_API tess_node tess_graph_mse(tess_graph *graph, tess_node in, const char *name, float weight);
/* Ends the graph: its output is in itself, without a loss. Training needs a loss elsewhere in the graph. */
TESS_API tess_node tess_graph_output(tess_graph *graph, tess_node in);

/* The first error of the building functions; also a graph without input or without an end, or with a layer
   that nothing reads. */
TESS_API tess_status tess_graph_check(const tess_graph *graph, tess_error *error);

/* What a layer looks like, for summaries. Strings are valid as long as the graph; an index outside
   0 .. count - 1 gives a NULL name. */
typedef struct tess_layer_info {
    const char *name, *kind;      /* kind: "conv", "pool", "fc", ... */
    char detail[96];              /* "96 11x11 / 4, ReLU" */
    int c, h, w;                  /* output */
    uint64_t parameters, weights; /* trained; weights: without biases and other vectors */
    uint64_t neurons;             /* c * h * w */
    double flops; /* forward, one image; a multiply-add counts as two, an epilogue as none */
} tess_layer_info;

TESS_API int tess_graph_layer_count(const tess_graph *graph);
TESS_API tess_layer_info tess_graph_layer_info(const tess_graph *graph, int index);
TESS_API const char *tess_graph_name(const tess_graph *graph);

/* ---------------------------------------------------------------- model zoo */

/* Zero means the network's own value. */
typedef struct tess_zoo_options {
    int c, h, w; /* input */
    int classes;
    /* How all weights start, instead of as the network's paper or its makers say. alexnet with TESS_INIT_GAUSSIAN starts as its paper
       does, with biases of 1 where that has them. */
    tess_init init;
    float
        width; /* factor on filters, channels and hidden units, at most 64; results are rounded to even numbers from 2 on */
} tess_zoo_options;

/* The i-th name and a line that says what it is; NULL beyond the last. */
TESS_API const char *tess_zoo_name(int index);
TESS_API const char *tess_zoo_about(int index);
/* TESS_NOT_FOUND lists the names there are. */
TESS_API tess_status tess_zoo_build(const char *name, const tess_zoo_options *options,
                                    tess_error *error, tess_graph **out);

/* ---------------------------------------------------------------- ONNX models */

/* The model in the ONNX file at path as a graph to train or to run: a classifier of images, N C H W or N C, with one input and one output,
   whose batch may be of any size. Its weights become those that tess_net_init starts with, running statistics included. options: c, h
   and w are for dimensions that the file leaves open; classes replaces the last layer with weights, which must be
   fully connected or a 1x1 convolution, by one with so many outputs, whose weights tess_net_init draws; NULL: none of it; a width is
   TESS_INVALID_ARGUMENT. Layers are called as their weights without ".weight", else as the nodes. Softmax or log-softmax at the
   end becomes the graph's own softmax, which is added where there is none. A weight that several nodes share becomes one for
   each. TESS_UNSUPPORTED: nodes that no layer can stand for, all of them in one message with names and reasons, as far as there
   is room; *list, unless list is NULL, then receives all of them, a line a node, to free(). Others as the file's
   reader: TESS_IO, TESS_BAD_FORMAT, TESS_INVALID_SHAPE. */
TESS_API tess_status tess_graph_from_onnx(const char *path, const tess_zoo_options *options,
                                          tess_error *error, char **list, tess_graph **out);

/* A network of the zoo, or, where model ends with ".onnx", that of a file. */
TESS_API tess_status tess_model_build(const char *model, const tess_zoo_options *options,
                                      tess_error *error, tess_graph **out);

/* ---------------------------------------------------------------- networks */

/* A graph planned for one batch size on one device: all memory, plans and programs. */
typedef struct tess_net tess_net;

/* Training: outputs of cheap layers (batch normalisation, activations, concatenations, additions, dropout, LRN) can be made again
   for the gradient instead of being kept. Results are the same, bit for bit. */
typedef enum tess_recompute {
    TESS_RECOMPUTE_NEEDED, /* as far as memory_limit asks for it */
    TESS_RECOMPUTE_NEVER,
    TESS_RECOMPUTE_ALWAYS /* whatever makes the peak smaller */
} tess_recompute;

typedef struct tess_net_options {
    int batch;            /* 0: 1 */
    bool training;        /* false: forward only, less memory */
    uint64_t seed;        /* of dropout; tess_net_init has its own */
    bool strict;          /* see tess_conv_options */
    bool limit_workspace; /* see tess_conv_options */
    size_t workspace_limit;
    const char *
        without; /* passes to leave out: names that tess_net_pass tells, between commas; NULL: none */
    /* Training: the layers up to and including the one of this name, in the graph's order, are frozen: their parameters stay
       as they are, running means and variances too, batch normalisation uses these and dropout is off, and no gradients are
       computed for them. NULL: none. At least one parameter must come after them. */
    const char *freeze_until;
    /* Most device bytes of the network: parameters, gradients, velocities, activations, workspaces, operators; 0: no limit.
       Algorithms are chosen, and cheap layers recomputed, so that all fits, or creation fails and says what is missing. */
    size_t memory_limit;
    tess_recompute recompute;
} tess_net_options;

/* graph is borrowed until tess_net_destroy. Weights are zero until tess_net_init or tess_net_load. */
TESS_API tess_status tess_net_create(tess_context *ctx, const tess_graph *graph,
                                     const tess_net_options *options, tess_net **out);
TESS_API void tess_net_destroy(tess_net *net);

/* Initial weights: those of the file that the graph came from, else drawn, the same on every device for a seed. Velocities become
   zero. Blocking. */
TESS_API tess_status tess_net_init(tess_net *net, uint64_t seed);

TESS_API tess_tensor *tess_net_input(tess_net *net); /* N C H W as NHWC; borrowed */
/* TESS_I32, N values; borrowed. NULL without training or without a classifier. */
TESS_API tess_tensor *tess_net_labels(tess_net *net);
/* What the squared-error layer of that name compares with, of its input's shape, NHWC; NULL: the last such layer's. Borrowed; NULL
   without training, or if there is none. */
TESS_API tess_tensor *tess_net_targets(tess_net *net, const char *layer);
TESS_API tess_tensor *
tess_net_output(tess_net *net); /* of the graph's end, e.g. N x classes; borrowed */

/* Input -> output, dropout off. */
TESS_API tess_status tess_net_forward(tess_net *net);

/* One step: forward with dropout, backward, update. valid: rows that carry a label (the others have label -1), and of targets
   the first valid rows. The others add nothing to loss and gradients, but batch normalisation counts them in the batch's statistics:
   fill them with real images. step numbers the dropout masks: the same step gives the same masks. */
TESS_API tess_status tess_net_train_step(tess_net *net, const tess_sgd_desc *sgd, int valid,
                                         uint64_t step);
/* Forward and backward only, for gradient checks: gradients of the mean loss over the valid rows. As in a step, running means and
   variances move; whoever needs the old ones reads them before (tess_net_param) and writes them back. */
TESS_API tess_status tess_net_gradients(tess_net *net, int valid, uint64_t step);

/* Loss, summed over the valid rows, and number of correct rows of the last train step or tess_net_gradients. The loss is what the step
   descends: that of every loss in the graph times its weight, where a row's squared error is the mean over its elements. correct is
   that of a softmax at the graph's end, else 0. Blocking. */
TESS_API tess_status tess_net_result(tess_net *net, float *loss_sum, int *correct);

/* Parameters, in graph order: "conv1.weight", "conv1.bias". Running means and variances are among them. */
typedef struct tess_param {
    const char *name;
    /* Borrowed. grad and velocity are NULL without training, for running means and variances, and for frozen layers. */
    tess_tensor *value, *grad, *velocity;
} tess_param;
TESS_API int tess_net_param_count(const tess_net *net);
/* An inference network keeps some weights on the device in another form alone, packed for instance; this call brings those that index
   is about back for good, and may thus block. value is NULL, with an error in the context, if there is no memory for them. */
TESS_API tess_param tess_net_param(tess_net *net, int index);

/* Device bytes: what the net uses, and what activations and gradients would use without sharing buffers, or without
   recomputation. activations: with gradients, input and output. workspace: what workspaces add to the activations' memory, which they
   share. operators: what plans hold themselves; packed and folded weights, which are parts of it, above all. staged: parameters that
   have no memory on the device, as another form of them is there (see tess_net_param). recomputed: instructions added to make
   outputs again. */
typedef struct tess_net_memory {
    size_t parameters, activations, activations_unshared, workspace, operators;
    size_t activations_kept; /* without recomputation */
    size_t packed, folded, staged;
    int recomputed;
} tess_net_memory;
TESS_API tess_net_memory tess_net_memory_info(const tess_net *net);

/* How each convolution was planned; index counts plans (layer x pass). NULL name beyond the last. */
typedef struct tess_net_plan_info {
    const char *layer; /* NULL: no such index */
    tess_conv_pass pass;
    tess_conv_desc desc;
    tess_conv_info info;
} tess_net_plan_info;
TESS_API tess_net_plan_info tess_net_plan(const tess_net *net, int index);

/* Passes merge layers into fewer instructions, or make them move less memory; results change by rounding only. Name of the index-th,
   NULL beyond the last; *what, unless what is NULL, says what it does in a few words. */
TESS_API const char *tess_net_pass(int index, const char **what);

/* What the passes did; index counts layers and passes. */
typedef struct tess_net_fusion {
    const char *pass;  /* NULL: no such index */
    const char *layer; /* that was merged */
    const char *into;  /* the layer whose instruction or memory serves it now */
} tess_net_fusion;
TESS_API tess_net_fusion tess_net_fused(const tess_net *net, int index);

/* Compiles all that a network with these options needs, for training also what it needs to run afterwards, and writes the binaries
   to path, with the plans that they belong to. A context on the same kind of device with the same driver that has
   tess_context_options.kernels = path makes and runs this network (same graph, batch, options) without calling a compiler; fully
   connected layers are not done by CLBlast, which compiles on its own. Creating the context with a bundle for
   another device or driver is TESS_UNSUPPORTED, with a damaged file TESS_BAD_FORMAT; making something that needs a
   program which is not in it is TESS_NOT_FOUND, with its name. The same inputs give the same bits as without a bundle and with the
   same plans. The bundle also holds what ctx built before. ctx must not have a bundle itself. path is replaced atomically.
   Blocking. */
TESS_API tess_status tess_kernels_build(tess_context *ctx, const tess_graph *graph,
                                        const tess_net_options *options, const char *path);

/* Saves weights as safetensors (NCHW / KCRS, as PyTorch names and orders them), and with
   optimizer the velocities too. metadata: keys and values, alternating, ended by NULL; may be NULL. The file is
   replaced atomically: at any moment path holds the old or the new contents, whole. */
TESS_API tess_status tess_net_save(tess_net *net, const char *path, bool optimizer,
                                   const char *const *metadata);
/* Saves the network as an ONNX model for inference, with a free batch size; auxiliary classifiers are left out. Replaced atomically, as
   above. TESS_UNSUPPORTED: a layer that ONNX's operator set 13 has no form for, or over 2 GB. */
TESS_API tess_status tess_net_save_onnx(tess_net *net, const char *path);
/* Loads what tess_net_save wrote, or PyTorch's state of the same names: its "num_batches_tracked" are passed over. Every parameter must
   be there with its shape, and nothing else, or nothing changes. With optimizer, velocities too. */
TESS_API tess_status tess_net_load(tess_net *net, const char *path, bool optimizer);
/* The values alone, to train on from. new_classifier: the last layers with parameters, before the graph's end and before auxiliary
   classifiers, keep what they have; the file may hold them for another number of classes. */
TESS_API tess_status tess_net_load_start(tess_net *net, const char *path, bool new_classifier);

#ifdef __cplusplus
}
#endif
#endif
