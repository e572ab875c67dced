#include "tuner/workbench.h"

#include <stdlib.h>
#include <string.h>

#include "bench/timing.h"
#include "core/tensor.h"
#include "tuner/float64.h"
#include "tuner/rotation.h"

/* ---------------------------------------------------------------- random numbers */

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static float *random_floats(size_t count, uint64_t seed) {
    float *data = malloc(count * sizeof *data);
    for (size_t i = 0; data && i < count; i++)
        data[i] = (float)(next_random(&seed) >> 40) * 0x1p-23f - 1.0f;
    return data;
}

/* ---------------------------------------------------------------- sample */

int workbench_result(const struct workbench *bench) {
    static const int made[] = {OPERAND_Y, OPERAND_X, OPERAND_W};
    return made[bench->problem.pass];
}

/* The result's dimensions, outermost first. */
static void result_shape(const struct conv_problem *p, int shape[4]) {
    const tess_conv_desc *d = &p->d;
    const int shapes[3][4] = {
        {d->n, p->p, p->q, d->k}, {d->n, d->h, d->w, d->c}, {d->r, d->s, p->cg, d->k}};
    memcpy(shape, shapes[p->pass], sizeof shapes[0]);
}

/* A position that is likely to lie at an edge, where kernels differ from their inner loops. */
static int edgy(int size, uint64_t *state) {
    uint64_t random = next_random(state);
    int kind = (int)(random >> 60), near = (int)(random % 3);
    if (kind < 4) return near < size ? near : size - 1;
    if (kind < 8) return near < size ? size - 1 - near : 0;
    return (int)((random >> 8) % (uint64_t)size);
}

static void choose_samples(struct workbench *bench, size_t elements) {
    int shape[4];
    result_shape(&bench->problem, shape);
    uint64_t state = 7;
    for (size_t i = 0; i < bench->sample_count; i++) {
        if (bench->sample_count == elements) {
            bench->sample[i] = i;
            continue;
        }
        size_t at = 0;
        for (int j = 0; j < 4; j++)
            at = at * (size_t)shape[j] + (size_t)edgy(shape[j], &state);
        bench->sample[i] = i == 0 ? elements - 1 : at;
    }
}

enum { SAMPLES_MIN = 32 };

static tess_status make_samples(struct workbench *bench, double macs) {
    size_t elements = float64_elements(&bench->problem);
    double affordable = macs / float64_length(&bench->problem);
    size_t count = elements;
    if (affordable < (double)elements) count = (size_t)affordable;
    if (count < SAMPLES_MIN) count = elements < SAMPLES_MIN ? elements : SAMPLES_MIN;
    bench->sample_count = count;
    bench->sample = malloc(count * sizeof *bench->sample);
    bench->answer = malloc(count * sizeof *bench->answer);
    if (!bench->sample || !bench->answer)
        return context_fail(bench->ctx, TESS_OUT_OF_HOST_MEMORY, "tune: no memory for answers");
    choose_samples(bench, elements);
    const struct float64_operands operands = {&bench->problem, bench->host[OPERAND_X],
                                              bench->host[OPERAND_W], bench->host[OPERAND_Y]};
    for (size_t i = 0; i < count; i++)
        bench->answer[i] = float64_at(&operands, bench->sample[i]);
    return TESS_OK;
}

/* ---------------------------------------------------------------- operands */

static tess_status make_operands(struct workbench *bench) {
    const struct conv_problem *p = &bench->problem;
    const tess_conv_desc *d = &p->d;
    const tess_tensor_desc descs[] = {
        [OPERAND_X] = {TESS_F32, TESS_NHWC, d->n, d->c, d->h, d->w},
        [OPERAND_W] = {TESS_F32, TESS_RSCK, d->k, p->cg, d->r, d->s},
        [OPERAND_Y] = {TESS_F32, TESS_NHWC, d->n, d->k, p->p, p->q},
    };
    for (int i = 0; i < 3; i++) {
        tess_status status = guarded_create(bench->ctx, &descs[i], (uint32_t)i, &bench->operand[i]);
        if (status) return status;
        if (i == workbench_result(bench)) continue;
        bench->host[i] = random_floats(bench->operand[i].elements, 100 + (uint64_t)i);
        if (!bench->host[i])
            return context_fail(bench->ctx, TESS_OUT_OF_HOST_MEMORY,
                                "tune: no memory for operands");
        status = guarded_write(&bench->operand[i], bench->host[i]);
        if (status) return status;
    }
    return guarded_write(&bench->operand[workbench_result(bench)], NULL);
}

/* The result's copies too: what is written is not in a cache either. */
static tess_status make_copies(struct workbench *bench) {
    size_t bytes = 0;
    for (int i = 0; i < 3; i++)
        bytes += bench->operand[i].elements * sizeof(float);
    int sets = rotation_sets(&bench->ctx->device, bytes);
    tess_status status = TESS_OK;
    for (int i = 0; i < 3 && !status; i++)
        status =
            rotation_open(bench->ctx, &bench->operand[i], sets, bench->host[i], &bench->copies[i]);
    return status;
}

tess_status workbench_create(tess_context *ctx, const struct conv_problem *problem, double macs,
                             bool cold, struct workbench **out) {
    struct workbench *bench = calloc(1, sizeof *bench);
    if (!bench) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "tune: no memory");
    bench->ctx = ctx;
    bench->problem = *problem;
    bench->cold = cold;
    tess_status status = make_operands(bench);
    if (!status && cold) status = make_copies(bench);
    if (!status) status = make_samples(bench, macs);
    if (status) {
        workbench_destroy(bench);
        return status;
    }
    *out = bench;
    return TESS_OK;
}

void workbench_destroy(struct workbench *bench) {
    if (!bench) return;
    for (int i = 0; i < 3; i++) {
        rotation_close(&bench->copies[i]);
        guarded_destroy(&bench->operand[i]);
        free(bench->host[i]);
    }
    free(bench->sample);
    free(bench->answer);
    free(bench);
}

/* ---------------------------------------------------------------- instances */

tess_status config_read(const char *printed, tess_conv_pass pass, tess_error *error,
                        const struct conv_algo **algo, struct conv_config *config) {
    const char *part = strstr(printed, "__");
    size_t length = part ? (size_t)(part - printed) : strlen(printed);
    for (int i = 0; i < conv_algo_count; i++) {
        char name[CONV_CONFIG_SIZE];
        struct conv_config none = {{0}};
        conv_config_print(conv_algos[i], pass, &none, name);
        char *end = strstr(name, "__");
        if (end) *end = '\0';
        if (strlen(name) != length || strncmp(name, printed, length) != 0) continue;
        tess_status status =
            conv_config_parse(conv_algos[i], pass, part ? part + 2 : "", error, config);
        if (!status) *algo = conv_algos[i];
        return status;
    }
    return error_set(error, TESS_NOT_FOUND,
                     "configuration %.100s: no algorithm of this name does %s; use a printed one",
                     printed, conv_pass_name(pass));
}

static tess_status make_scratch(tess_context *ctx, size_t bytes, uint32_t salt,
                                struct guarded *out) {
    if (!bytes) return TESS_OK;
    if (bytes / 4 >= INT32_MAX)
        return context_fail(ctx, TESS_OUT_OF_DEVICE_MEMORY, "tune: %zu bytes of scratch", bytes);
    tess_tensor_desc desc = {TESS_F32, TESS_NHWC, 1, (int)((bytes + 3) / 4), 1, 1};
    tess_status status = guarded_create(ctx, &desc, salt, out);
    return status ? status : guarded_write(out, NULL);
}

static tess_status build(struct instance *instance) {
    struct workbench *bench = instance->bench;
    const struct conv_problem *p = &bench->problem;
    tess_context *ctx = bench->ctx;
    if (!conv_algo_applicable(instance->algo, p, &ctx->device) ||
        !conv_config_valid(instance->algo, p, &ctx->device, &instance->config))
        return context_fail(ctx, TESS_UNSUPPORTED, "%s: does not fit the problem or the device",
                            instance->printed);
    double start = timing_now();
    tess_status status =
        instance->algo->create(ctx, p, &instance->config, instance->printed, &instance->state);
    size_t packed = conv_algo_packed(instance->algo, p, &instance->config);
    size_t workspace = conv_algo_workspace(instance->algo, p, &instance->config);
    if (!status) status = make_scratch(ctx, packed, 3, &instance->packed);
    if (!status) status = make_scratch(ctx, workspace, 4, &instance->workspace);
    if (!status && bench->cold)
        status = rotation_open(ctx, &instance->packed, rotation_sets(&ctx->device, packed), NULL,
                               &instance->packed_copies);
    instance->bytes = packed + workspace;
    instance->build_seconds = timing_now() - start;
    return status;
}

tess_status instance_create(struct workbench *bench, const char *printed, struct instance **out) {
    tess_context *ctx = bench->ctx;
    struct instance *instance = calloc(1, sizeof *instance);
    if (!instance) return context_fail(ctx, TESS_OUT_OF_HOST_MEMORY, "tune: no memory");
    instance->bench = bench;
    tess_status status =
        config_read(printed, bench->problem.pass, &ctx->error, &instance->algo, &instance->config);
    if (!status) {
        conv_config_print(instance->algo, bench->problem.pass, &instance->config,
                          instance->printed);
        status = build(instance);
    }
    if (status) {
        instance_destroy(instance);
        return status;
    }
    *out = instance;
    return TESS_OK;
}

void instance_destroy(struct instance *instance) {
    if (!instance) return;
    if (instance->algo) instance->algo->destroy(instance->state);
    rotation_close(&instance->packed_copies);
    guarded_destroy(&instance->packed);
    guarded_destroy(&instance->workspace);
    free(instance);
}

tess_status instance_pack(struct instance *instance) {
    if (!instance->packed.tensor) return TESS_OK;
    const struct conv_algo *algo = instance->algo;
    tess_tensor *weights = instance->bench->operand[OPERAND_W].tensor;
    tess_status status = algo->pack(instance->state, weights, instance->packed.tensor);
    for (int i = 0; i < instance->packed_copies.count && !status; i++)
        status = algo->pack(instance->state, weights, instance->packed_copies.copies[i].tensor);
    return status;
}

static tess_status run(struct instance *instance, long turn) {
    struct workbench *bench = instance->bench;
    tess_tensor *operand[3];
    for (int i = 0; i < 3; i++)
        operand[i] = rotation_tensor(&bench->copies[i], &bench->operand[i], turn);
    const tess_conv_args args = {.x = operand[OPERAND_X],
                                 .w = operand[OPERAND_W],
                                 .y = operand[OPERAND_Y],
                                 .workspace = instance->workspace.tensor};
    return instance->algo->enqueue(
        instance->state, &args, rotation_tensor(&instance->packed_copies, &instance->packed, turn));
}

tess_status instance_run(struct instance *instance) {
    return run(instance, 0);
}

tess_status instance_run_timed(void *user) {
    struct instance *instance = user;
    return run(instance, instance->bench->turn++);
}
