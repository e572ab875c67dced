#include "ops/nd/nd_product.h"

#include <stdio.h>

/* As struct nd_matmul in kernels_cl/nd_matmul.cl. */
struct nd_matmul_geometry {
    cl_ulong by_columns, by_rows, by_batch[ND_OUTER];
    cl_int batch[ND_OUTER], a_batch[ND_OUTER], b_batch[ND_OUTER];
    cl_int rank;
    cl_int m, n, k;
    cl_int a_row, a_k, b_k, b_row;
    cl_int c_row, c_column;
    cl_int columns, rows, items;
    cl_int row_tiles;
};

/* Rows of b in local memory: with 32 columns, 32 KiB. */
enum { DEPTH = 256 };

/* A kernel, the parameters of its program, and what a work-item does of y. */
struct choice {
    const char *entry;
    int vector, mt, nt, dots, depth;
    int row_tiles;
    int64_t rows, columns;
};

/* The widest vector that the count fills. */
static int fill_vector(const tess_context *ctx, int64_t count) {
    int vector = launch_vector(ctx);
    while (vector > 1 && vector > count)
        vector = vector > 4 ? vector / 2 : 1;
    return vector;
}

static struct choice choose(const tess_context *ctx, const struct nd_product_desc *desc,
                            bool trans_a, bool trans_b) {
    bool cpu = nd_on_cpu(ctx), any = trans_a && trans_b;
    int vector = any ? 1 : fill_vector(ctx, trans_b ? desc->k : desc->n);
    bool wide = cpu && vector == launch_vector(ctx) && (trans_b || desc->n >= 2 * vector);
    struct choice choice = {.vector = vector, .mt = cpu ? 6 : 4, .nt = wide ? 2 : 1};
    choice.dots = cpu ? 4 : 2;
    choice.depth = cpu ? DEPTH : 0;
    choice.row_tiles = 1;
    choice.entry = any ? "nd_matmul_any" : trans_b ? "nd_matmul_nt" : "nd_matmul_nn";
    choice.columns = any ? 1 : trans_b ? choice.dots : choice.nt * vector;
    if (cpu && !any && !trans_b) {
        /* As many as leave each core some work-items. */
        int64_t down = (desc->m + choice.mt - 1) / choice.mt;
        int64_t across = (desc->n + choice.columns - 1) / choice.columns;
        int64_t tiles = down * across * nd_elements(&desc->batch);
        int64_t each = tiles / (4 * (int64_t)ctx->device.compute_units + 1);
        if (each > down) each = down;
        choice.row_tiles = each > 32 ? 32 : each < 1 ? 1 : (int)each;
    }
    choice.rows = any ? 1 : trans_b ? choice.dots : choice.mt * choice.row_tiles;
    return choice;
}

/* All kernels of a vector's width come from one program, or two. */
static tess_status make_kernel(struct nd_product *product, const struct choice *choice) {
    tess_context *ctx = product->ctx;
    struct program *program = NULL;
    char options[80], config[80];
    snprintf(options, sizeof options, "-DVEC=%d -DMT=%d -DNT=%d -DMT2=%d -DNT2=%d -DDEPTH=%d",
             choice->vector, choice->mt, choice->nt, choice->dots, choice->dots, choice->depth);
    snprintf(config, sizeof config, "%s__vec%d_mt%d_nt%d", choice->entry, choice->vector,
             choice->mt, choice->nt);
    tess_status status = program_get(ctx, "nd_matmul.cl", options, config, &program);
    if (status) return status;
    return program_kernel(ctx, program, choice->entry, &product->kernel);
}

static void set_batch(const struct nd_product_desc *desc, struct nd_matmul_geometry *g) {
    struct nd_space space = nd_space_of(&desc->batch);
    nd_space_add(&space, &desc->a_batch);
    nd_space_add(&space, &desc->b_batch);
    nd_collapse(&space);
    g->rank = space.rank;
    for (int d = 0; d < space.rank; d++) {
        g->batch[d] = (cl_int)space.dims[d];
        g->by_batch[d] = fastdiv((int)space.dims[d]);
        g->a_batch[d] = (cl_int)(space.stride[0][d] * desc->m * desc->k);
        g->b_batch[d] = (cl_int)(space.stride[1][d] * desc->k * desc->n);
    }
}

tess_status nd_product_create(tess_context *ctx, const struct nd_product_desc *desc,
                              struct nd_product *out) {
    struct nd_product product = {.ctx = ctx};
    int64_t batches = nd_elements(&desc->batch);
    if (batches * desc->m * desc->n == 0) {
        *out = product;
        return TESS_OK;
    }
    /* A single row or column is the same either way. */
    bool trans_a = desc->trans_a && desc->m != 1;
    bool trans_b = (desc->trans_b && desc->n != 1) || (desc->n == 1 && desc->k > 1);
    struct choice choice = choose(ctx, desc, trans_a, trans_b);
    struct nd_matmul_geometry g = {.m = (cl_int)desc->m,
                                   .n = (cl_int)desc->n,
                                   .k = (cl_int)desc->k,
                                   .c_row = (cl_int)desc->c_row,
                                   .c_column = (cl_int)desc->c_column,
                                   .row_tiles = choice.row_tiles};
    g.a_row = trans_a ? 1 : g.k;
    g.a_k = trans_a ? g.m : 1;
    g.b_k = trans_b ? 1 : g.n;
    g.b_row = trans_b ? g.k : 1;
    g.rows = (cl_int)((desc->m + choice.rows - 1) / choice.rows);
    g.columns = (cl_int)((desc->n + choice.columns - 1) / choice.columns);
    g.items = (cl_int)(batches * g.rows * g.columns);
    g.by_rows = fastdiv(g.rows);
    g.by_columns = fastdiv(g.columns);
    set_batch(desc, &g);
    product.range = launch_range(ctx, (size_t)g.items, nd_on_cpu(ctx) ? 1 : 64);
    tess_status status = make_kernel(&product, &choice);
    if (!status) status = nd_upload(ctx, &g, sizeof g, desc->what, &product.memory);
    if (status)
        nd_product_destroy(&product);
    else
        *out = product;
    return status;
}

void nd_product_destroy(struct nd_product *product) {
    kernel_release(product->kernel);
    context_buffer_release(product->ctx, product->memory, sizeof(struct nd_matmul_geometry));
}

tess_status nd_product_enqueue(const struct nd_product *product, cl_mem a, cl_mem b, cl_mem c,
                               cl_mem y, float alpha, float beta, const char *what) {
    if (!product->memory) return TESS_OK;
    const struct kernel_arg args[] = {
        ARG_MEM(product->memory), ARG_MEM(a),     ARG_MEM(b), ARG_MEM(c), ARG_MEM(y),
        ARG_FLOAT(alpha),         ARG_FLOAT(beta)};
    return kernel_enqueue(product->ctx, product->kernel, &product->range, args, 7, what);
}
