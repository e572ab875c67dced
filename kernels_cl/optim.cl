/* Stochastic gradient descent with momentum, in one pass over all elements of a parameter.

   g = grad + weight_decay param;  v = momentum v + g;  param -= lr (nesterov ? g + momentum v : v)

   Layout: three arrays of count floats. Work-item i takes elements 4 i .. 4 i + 3; work-item count / 4 takes what is
   left over when count is not a multiple of 4.

       element     0 1 2 3 | 4 5 6 7 | ... | rest
       work-item   0       | 1       | ... | count / 4 (integer division); those beyond do nothing

   No tuning parameters: the kernel reads 12 and writes 8 bytes an element for 8 operations. */
#include "common.clh"

/* The rule for one element or a vector of them; updates p and v. */
#define SGD_RULE(type, p, grad, v)                                                                 \
    const type g = FMA((type)weight_decay, p, grad);                                               \
    v = FMA((type)momentum, v, g);                                                                 \
    p = FMA((type)(-lr), nesterov ? FMA((type)momentum, v, g) : v, p);

__kernel void sgd_step(const uint count, const float lr, const float momentum,
                       const float weight_decay, const int nesterov, __global float *param,
                       __global const float *grad, __global float *velocity)
{
    const size_t i = get_global_id(0);
    const size_t vectors = count / 4;
    if (i < vectors) {
        float4 p = vload4(i, param);
        float4 v = vload4(i, velocity);
        SGD_RULE(float4, p, vload4(i, grad), v)
        vstore4(v, i, velocity);
        vstore4(p, i, param);
    } else if (i == vectors) {
        for (size_t rest = 4 * vectors; rest < count; rest++) {
            float p = param[rest];
            float v = velocity[rest];
            SGD_RULE(float, p, grad[rest], v)
            velocity[rest] = v;
            param[rest] = p;
        }
    }
}
