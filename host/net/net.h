/* The network's inside. tess_net_create lowers the graph to a list of instructions, each a call of one operator on
   numbered slots (virtual buffers). Who touches a slot from when to when follows from the list; the memory
   plan turns slots into views of a few arenas; a step runs down the list.

       graph --passes/, lower.c, backward.c--> instructions, slots --passes/--> --memory_plan.c--> arenas, tensors --run--> queue

   Instructions of a training network: forward | softmax | cross-entropy | backward, in this order. Inference runs those of
   PHASE_INFER, a training step those of PHASE_TRAIN; the forward part belongs to both. */
#ifndef TESSERA_NET_NET_H
#define TESSERA_NET_NET_H

#include "core/tensor.h"
#include "net/layer.h"
#include "net/memory_plan.h"

enum { PHASE_INFER = 1, PHASE_TRAIN = 2, PHASE_BOTH = 3 };

enum { SLOT_NONE = 0 }; /* slot 0 is no buffer */

struct conv_choice; /* ops/conv/conv_algo.h */

struct slot {
    tess_tensor_desc desc;
    int layer;           /* whose output or gradient; for messages */
    int first, last;     /* the instructions that touch it */
    bool fixed;          /* has memory of its own: input, output, parameters */
    tess_tensor *tensor; /* owned unless fixed */
    int arena;
    size_t offset;
};

enum operand {
    OP_X,
    OP_Y,
    OP_AUX, /* a residual, an addition's second summand, max pooling's positions, the loss's labels */
    OP_W,
    OP_BIAS,
    OP_DX,
    OP_DY,
    OP_DW,
    OP_DBIAS,
    /* batch normalisation: */
    OP_DAUX, /* the residual's gradient */
    OP_RUNNING_MEAN,
    OP_RUNNING_VAR,
    OP_SAVED_MEAN,
    OP_SAVED_INVSTD,
    OPERANDS
};

struct instruction {
    tess_status (*run)(const tess_net *net, const struct instruction *in);
    int layer;
    unsigned phases;
    int slots[OPERANDS];
    size_t workspace_bytes;
    union {
        tess_conv_plan *
            conv; /* borrowed from the network's layer_ops, as the next five. NULL while lowering */
        tess_pool *pool;
        tess_fc *fc;
        tess_batch_norm *norm;
        tess_lrn *lrn;
        struct folded_norm *folded;
        tess_act act;
        int first_channel;
        struct {
            struct slice_activation *op; /* borrowed, too */
            int y_first, dy_first;
        } slice;
        float rate;
        float weight; /* of a loss */
    } as;
    tess_tensor *t[OPERANDS]; /* of the slots; NULL for SLOT_NONE */
    tess_tensor *workspace;   /* a view of an arena, owned; NULL: none needed */
};

/* The operators of one layer; owned. */
struct layer_ops {
    struct conv_request {
        tess_conv_options options;
        int y_channels, y_first; /* forward: y is a part of a tensor of y_channels, unless 0 */
        bool wanted;
    } requests[3];           /* by tess_conv_pass, as the next */
    tess_conv_plan *conv[3]; /* made when the whole network is known */
    tess_pool *pool;
    tess_fc *fc;
    tess_batch_norm *norm;
    tess_lrn *lrn;
    struct folded_norm *folded; /* a convolution's, with a batch normalisation in its weights */
    tess_conv_transpose *conv_transpose[3]; /* by tess_conv_pass */
    tess_prelu *prelu;
    struct nd_binary *binary;
    struct nd_pad *pad;
    struct nd_resize *resize;
    struct nd_reduce *reduce;
    struct nd_move *move[2];
    struct slice_activation *slice; /* a convolution's, that makes a part of a concatenation */
    /* Losses, in training: */
    tess_tensor
        *result; /* as the loss's operator writes it: sum, and for classifiers the correct rows */
    tess_tensor *targets; /* squared error */
    tess_mse *mse;
};

struct param {
    char name[LAYER_NAME_SIZE + 16];
    struct param_spec spec;
    int layer;
    /* Views of net->values or states ...; owned. Running values and what is frozen have neither gradient nor velocity. */
    tess_tensor *value, *grad, *velocity;
    int value_slot, grad_slot;
    bool staged; /* value is NULL: see staged_weights.h */
    struct param_source {
        float *
            own; /* K C R S; owned. NULL: the values that it starts with for a seed, or, before any, zeros */
        bool started;
        uint64_t seed;
    } source;
};

struct tess_net {
    tess_context *ctx;       /* borrowed */
    const tess_graph *graph; /* borrowed */
    tess_net_options options;
    const char *conv_algo; /* as in struct net_debug */
    bool repack;           /* plans of layers that are not frozen keep no packed weights */
    unsigned passes_off;   /* bit 1u << enum pass_id */
    int *merged;           /* [layer][pass]: 1 + the layer that pass merged it into, or 0 */
    int classes;           /* of the classifiers; 0: none */
    int frozen;            /* layers 0 .. frozen - 1 run as in inference, and are not trained */

    tess_eltwise *eltwise;
    tess_softmax *softmax;
    tess_sgd *sgd;
    struct layer_ops *ops; /* one a layer */

    tess_tensor *input, *output;
    tess_tensor *labels; /* training with a classifier */
    /* All parameters one after the other, each at a multiple of base_align; the gaps hold zeros, and an update leaves
       them zero. NULL: no parameters, or no training. */
    tess_tensor *values, *grads, *velocities;
    /* What a step updates, all that grads and velocities belong to: values, or with frozen layers a view of its end. */
    tess_tensor *trained;
    tess_tensor *states; /* running means and variances, likewise; NULL: none */
    struct param *params;
    int *first_param; /* by layer */
    int param_count;
    bool keep_weights; /* as in struct net_debug */
    bool packs_due;    /* staged weights that were not packed since they changed */

    struct instruction *instructions;
    int instruction_count, instruction_capacity;
    struct slot *slots;
    int slot_count, slot_capacity;

    tess_tensor **arenas;
    int arena_count;
    tess_net_memory memory;

    const struct net_watch *watch; /* borrowed; NULL: nobody watches */
    float loss_scale;              /* of the step that is being enqueued, as the next three */
    int valid;
    uint64_t step;
    bool training_now; /* dropout is on */
    bool has_result;
};

/* For benchmarks: after is called when an instruction of a run has been enqueued. */
struct net_watch {
    tess_status (*after)(void *user, const struct instruction *in);
    void *user;
};

/* For tests. Zero means the default. */
struct net_debug {
    bool no_sharing;       /* every slot has memory of its own */
    const char *conv_algo; /* of every convolution, for few programs; NULL: the planner's choice */
    size_t arena_limit;    /* most bytes of one allocation; 0: the device's */
    /* No network, but each convolution's kernels built and run once, the last layer's first: for a process that fills the
       driver's and our own cache from the other end. It stops early when go_on(user) says so. *out becomes NULL. */
    bool (*go_on)(void *user);
    void *go_on_user;
    bool keep_weights; /* no weights are staged */
};

/* tess_net_create with wishes. debug may be NULL. */
tess_status net_create(tess_context *ctx, const tess_graph *graph, const tess_net_options *options,
                       const struct net_debug *debug, tess_net **out);

/* ---- freeze.c */

/* Sets net->frozen from options.freeze_until. TESS_NOT_FOUND names layers that are called much like it. */
tess_status net_freeze(tess_net *net);

/* ---- net_params.c */

/* Makes params, without memory. Needs ctx, graph and options. */
tess_status net_params_list(tess_net *net);
/* Whether a parameter has gradient and velocity. */
bool net_trains(const tess_net *net, const struct param *param);
/* Bytes of all buffers of net_params_create, but for what the plans decide: weights of an inference network's convolutions. */
size_t net_params_bytes(const tess_net *net);
/* What the weights of a convolution layer take on the device as they are. */
size_t net_weight_bytes(const tess_net *net, int layer);
/* Makes the buffers, filled with zeros, of all that is not staged, and gives them to the slots. */
tess_status net_params_create(tess_net *net);
void net_params_destroy(tess_net *net);
/* The values that a parameter starts with for a seed, K C R S: in data, which has room for them, or the graph's. */
const float *net_param_start(const tess_net *net, int index, uint64_t seed, float *data);

/* ---- passes/: which layers merge; lower.c: forward; backward.c: the rest */

/* What lowering knows about the layers so far. */
struct lowering {
    tess_net *net;
    struct lowered {
        int value;  /* the slot of its output */
        int source; /* the layer whose instruction makes that output: itself, unless it was folded */
        int grad; /* source layers: the slot of the output's gradient, SLOT_NONE before the first share */
        int residual; /* convolutions, batch norm: the source layer that is added to their output, or -1 */
        int norm; /* convolutions: the batch normalisation in their weights, or -1 */
        int saved_mean, saved_invstd; /* batch norm in training */
        int positions;                /* max pooling in training */
        int whole;         /* convolutions: the concatenation that alone reads the output, or -1 */
        int first_channel; /* of its part of that */
        bool in_whole;     /* value is the whole's */
        bool act_done;     /* backward: grad has gone through the activation already */
        bool folded;       /* its work is done by source's instruction */
        bool inferred;     /* the graph's end depends on it: inference needs it */
        bool trains;    /* its output's gradient is of use: a trained parameter stands before it */
        tess_act act;   /* what its output goes through */
        bool act_apart; /* in an instruction of its own, in place */
    } * layers;
    int logits; /* the softmax's input */
};

/* What a layer's own instruction applies; any other activation has one of its own. */
tess_act fused_act(const struct lowered *low);

/* ---- passes/fold_batch_norm.c */

/* The instruction that makes convolution conv's weights and bias, when they changed, and the slots in which they then are. */
tess_status lower_folded_norm(struct lowering *lo, int conv, int *weight, int *bias);
void folded_norm_destroy(struct folded_norm *folded);
/* Gives the folded weights memory, if they have none, and their slot. */
tess_status folded_norm_keep(tess_net *net, struct folded_norm *folded);
/* From now on the weights to fold are the convolution's parameter, which has memory now, and each run asks whether they changed. */
tess_status folded_norm_follow(tess_net *net, struct folded_norm *folded);
/* Folds into the bias and into the weights to, NULL: those of folded_norm_keep. */
tess_status folded_norm_run(const tess_net *net, struct folded_norm *folded, tess_tensor *from,
                            tess_tensor *to);

/* Fills instructions and slots and makes every operator. Errors name the layer. */
tess_status net_lower(tess_net *net);
tess_status lower_backward(struct lowering *lo);

tess_status slot_add(tess_net *net, const tess_tensor_desc *desc, int layer, int *out);
/* A slot for a tensor that has its memory. */
tess_status slot_add_fixed(tess_net *net, tess_tensor *tensor, int *out);
/* A slot for a tensor that will have memory of its own. */
tess_status slot_add_later(tess_net *net, const tess_tensor_desc *desc, int *out);
/* Appends a copy. */
tess_status emit(tess_net *net, const struct instruction *instruction);
/* The output of a layer, for the network's batch. */
tess_tensor_desc layer_desc(const tess_net *net, int layer);

/* ---- instructions.c: what an instruction's run may be */

tess_status run_conv_forward(const tess_net *net, const struct instruction *in);
tess_status run_conv_backward_data(const tess_net *net, const struct instruction *in);
tess_status run_conv_backward_weights(const tess_net *net, const struct instruction *in);
tess_status run_pool_forward(const tess_net *net, const struct instruction *in);
tess_status run_pool_backward(const tess_net *net, const struct instruction *in);
tess_status run_fc_forward(const tess_net *net, const struct instruction *in);
tess_status run_fc_backward_data(const tess_net *net, const struct instruction *in);
tess_status run_fc_backward_weights(const tess_net *net, const struct instruction *in);
tess_status run_batch_norm(const tess_net *net, const struct instruction *in);
tess_status run_batch_norm_inference(const tess_net *net, const struct instruction *in);
tess_status run_batch_norm_backward(const tess_net *net, const struct instruction *in);
tess_status run_lrn(const tess_net *net, const struct instruction *in);
tess_status run_lrn_backward(const tess_net *net, const struct instruction *in);
tess_status run_activation(const tess_net *net, const struct instruction *in);
tess_status run_activation_backward(const tess_net *net, const struct instruction *in);
tess_status run_add(const tess_net *net, const struct instruction *in);
tess_status run_bias_backward(const tess_net *net, const struct instruction *in);
tess_status run_concat(const tess_net *net, const struct instruction *in);
tess_status run_slice(const tess_net *net, const struct instruction *in);
tess_status run_slice_activation(const tess_net *net, const struct instruction *in);
tess_status run_dropout(const tess_net *net, const struct instruction *in);
tess_status run_softmax(const tess_net *net, const struct instruction *in);
tess_status run_loss(const tess_net *net, const struct instruction *in);

/* What an instruction does, for tables of times: "conv forward". NULL: one that is not from instructions.c. */
const char *instruction_name(const struct instruction *in);

/* ---- net_convs.c */

/* Whether a layer's plans keep no packed weights: see tess_conv_options.repack. What is frozen keeps them. */
bool net_repacks(const tess_net *net, int layer);
/* Lowering: a convolution layer's pass will need a plan. Of options, pass and epilogue count. */
void conv_request(tess_net *net, int layer, const tess_conv_options *options);
/* Whether the algorithm that the planner has for a requested forward pass can write to a part of a wider tensor. */
bool conv_can_slice(tess_net *net, int layer);
/* The pass of a convolution's instruction; false: it is no such instruction. */
bool conv_pass_of(const struct instruction *in, tess_conv_pass *pass);
/* Makes the plans that were requested and gives them to the instructions. choices: [layer][pass], NULL where the planner decides;
   may be NULL. */
tess_status convs_create(tess_net *net, const struct conv_choice *const *choices);
/* Instead of that, as go_on in struct net_debug says. */
tess_status convs_warm(tess_net *net, const struct net_debug *debug);

/* ---- net_memory.c */

/* Of the device, less what debug asks for, which may be NULL. */
struct memory_limits net_memory_limits(const tess_net *net, const struct net_debug *debug);
/* What the arenas would take. */
tess_status net_memory_total(tess_net *net, const struct memory_limits *limits, size_t *bytes);
/* What activations and gradients alone would take in arenas. */
tess_status net_memory_bare(tess_net *net, const struct memory_limits *limits, size_t *bytes);

/* Gives every slot and every workspace its memory and binds the instructions to it. */
tess_status net_memory_create(tess_net *net, const struct net_debug *debug);
/* Gives the instructions the tensors that are in the slots now. */
void net_memory_bind(tess_net *net);
void net_memory_destroy(tess_net *net);

#endif
