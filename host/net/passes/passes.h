/* Passes: what makes a network's instructions fewer, or their memory traffic less, and changes results by rounding only. Each is one file
   here and one line of passes.def, and can be switched off by name (tess_net_options.without). */
#ifndef TESSERA_NET_PASSES_PASSES_H
#define TESSERA_NET_PASSES_PASSES_H

#include "net/net.h"

enum pass_id {
#define PASS(id, ...) PASS_##id,
#include "net/passes/passes.def"
#undef PASS
    PASS_COUNT
};

struct pass {
    const char *name, *what;
    /* Before lowering: asked of each layer in order, unless another's instruction does its work already. NULL: nothing. */
    void (*merge)(struct lowering *lo, int index);
    /* After lowering, before the instructions get memory. NULL: nothing. */
    tess_status (*rewrite)(tess_net *net);
};

extern const struct pass passes[PASS_COUNT];

void fuse_activation(struct lowering *lo, int index);
void fold_batch_norm(struct lowering *lo, int index);
void fuse_addition(struct lowering *lo, int index);
void skip_dropout(struct lowering *lo, int index);
void write_slices(struct lowering *lo, int index);
tess_status reuse_input(tess_net *net);

/* Whether the pass may run. */
bool pass_is_on(const tess_net *net, enum pass_id id);

/* Notes for tess_net_fused that the pass did to layer what it does; into: the layer whose instruction or memory serves it now. */
void pass_note(tess_net *net, enum pass_id id, int layer, int into);

/* Marks layer index as done by into's instruction. */
void fold(struct lowering *lo, enum pass_id id, int index, int into);

/* Reads options.without; makes what pass_note writes to. */
tess_status passes_begin(tess_net *net);

/* Fills in what lowering knows before it starts: source, residual, norm, folded, inferred, trains, act, act_apart. */
void passes_merge(struct lowering *lo);
tess_status passes_rewrite(tess_net *net);

#endif
