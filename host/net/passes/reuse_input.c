/* In place: an instruction that makes each element of its output from the same element of its input writes over that, if nobody reads the
   input afterwards. Applies to activations, dropout, additions (over either summand) and batch normalisation (over its input or
   its residual). Saves the output's memory, and the memory traffic of fetching what is about to be overwritten. */
#include "net/passes/passes.h"

/* Which inputs of which instructions may be overwritten. */
static const struct elementwise {
    tess_status (*run)(const tess_net *net, const struct instruction *in);
    enum operand inputs[2];
} elementwise[] = {
    {run_activation, {OP_X, OP_X}},
    {run_dropout, {OP_X, OP_X}},
    {run_add, {OP_X, OP_AUX}},
    {run_batch_norm, {OP_X, OP_AUX}},
};

static bool can_reuse(const tess_net *net, int now, int input, int output) {
    const struct slot *x = &net->slots[input], *y = &net->slots[output];
    return input != SLOT_NONE && input != output && !x->fixed && !y->fixed && x->last == now &&
           y->first == now && tess_tensor_desc_bytes(&x->desc) == tess_tensor_desc_bytes(&y->desc);
}

/* Whatever touches slot from touches slot to instead. */
static void replace(tess_net *net, int from, int to) {
    for (int i = 0; i < net->instruction_count; i++)
        for (int k = 0; k < OPERANDS; k++)
            if (net->instructions[i].slots[k] == from) net->instructions[i].slots[k] = to;
    net->slots[to].last = net->slots[from].last;
    net->slots[from].first = -1;
}

static void reuse(tess_net *net, int now, const enum operand inputs[2]) {
    const struct instruction *in = &net->instructions[now];
    int output = in->slots[OP_Y];
    for (int i = 0; i < 2; i++) {
        int input = in->slots[inputs[i]];
        if (!can_reuse(net, now, input, output)) continue;
        pass_note(net, PASS_IN_PLACE, net->slots[output].layer, net->slots[input].layer);
        replace(net, output, input);
        return;
    }
}

tess_status reuse_input(tess_net *net) {
    for (int i = 0; i < net->instruction_count; i++)
        for (size_t k = 0; k < sizeof elementwise / sizeof elementwise[0]; k++)
            if (net->instructions[i].run == elementwise[k].run)
                reuse(net, i, elementwise[k].inputs);
    return TESS_OK;
}
