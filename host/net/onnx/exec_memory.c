/* Device memory of a run: buffers that are never in use together share it. */
#include "net/memory_plan.h"
#include "net/onnx/exec_build.h"

#include <stdlib.h>

static tess_status no_memory(struct onnx_run *run) {
    return context_fail(run->ctx, TESS_OUT_OF_HOST_MEMORY,
                        "%s: no host memory to plan it; free some memory", run->model->path);
}

static bool is_planned(const struct exec_buffer *buffer) {
    return !buffer->fixed && buffer->first >= 0 && buffer->bytes > 0;
}

static struct memory_limits limits_of(const struct onnx_run *run) {
    const tess_device_info *device = &run->ctx->device;
    struct memory_limits limits = {.align = device->base_align ? device->base_align : 128,
                                   .arena = (size_t)device->max_allocation,
                                   .share = true};
    if (limits.arena > (size_t)4 << 30) limits.arena = (size_t)4 << 30;
    return limits;
}

static tess_status arenas_create(struct onnx_run *run, const struct memory_plan *plan) {
    run->arenas = calloc((size_t)plan->arena_count + 1, sizeof *run->arenas);
    run->arena_bytes = calloc((size_t)plan->arena_count + 1, sizeof *run->arena_bytes);
    if (!run->arenas || !run->arena_bytes) return no_memory(run);
    for (int i = 0; i < plan->arena_count; i++, run->arena_count++) {
        tess_status status = context_buffer_create(run->ctx, plan->arena_bytes[i], &run->arenas[i]);
        if (status) return status;
        run->arena_bytes[i] = plan->arena_bytes[i];
    }
    return TESS_OK;
}

static tess_status buffers_create(struct onnx_run *run, const struct memory_item *items) {
    for (int i = 0, item = 0; i < run->buffer_count; i++) {
        struct exec_buffer *buffer = &run->buffers[i];
        if (!is_planned(buffer)) continue;
        tess_status status =
            context_subbuffer_create(run->ctx, run->arenas[items[item].arena], items[item].offset,
                                     buffer->bytes, &buffer->mem);
        if (status) return status;
        item++;
    }
    return TESS_OK;
}

/* Inputs, and outputs that are inputs, lie for themselves; constants have their memory already. */
static tess_status fixed_create(struct onnx_run *run) {
    for (int i = 0; i < run->buffer_count; i++) {
        struct exec_buffer *buffer = &run->buffers[i];
        if (!buffer->fixed || buffer->mem || !buffer->bytes) continue;
        tess_status status = context_buffer_create(run->ctx, buffer->bytes, &buffer->mem);
        if (status) return status;
    }
    if (!run->info.workspace) return TESS_OK;
    run->info.workspace = (run->info.workspace + 3) / 4 * 4;
    return context_buffer_create(run->ctx, run->info.workspace, &run->workspace);
}

tess_status exec_place(struct onnx_run *run) {
    struct memory_limits limits = limits_of(run);
    struct memory_plan plan = {0};
    struct memory_item *items = calloc((size_t)run->buffer_count + 1, sizeof *items);
    int count = 0, culprit = 0;
    if (!items) return no_memory(run);
    for (int i = 0; i < run->buffer_count; i++)
        if (is_planned(&run->buffers[i]))
            items[count++] = (struct memory_item){.bytes = run->buffers[i].bytes,
                                                  .first = run->buffers[i].first,
                                                  .last = run->buffers[i].last};
    tess_status status = fixed_create(run);
    if (!status)
        status = memory_plan_make(items, count, &limits, &run->ctx->error, &culprit, &plan);
    if (!status) status = arenas_create(run, &plan);
    if (!status) status = buffers_create(run, items);
    run->info.shared = plan.total;
    run->info.alone = plan.unshared;
    memory_plan_end(&plan);
    free(items);
    return status;
}

void exec_memory_release(struct onnx_run *run) {
    for (int i = 0; i < run->buffer_count; i++)
        context_buffer_release(run->ctx, run->buffers[i].mem,
                               run->buffers[i].fixed ? run->buffers[i].bytes : 0);
    for (int i = 0; i < run->arena_count; i++)
        context_buffer_release(run->ctx, run->arenas[i], run->arena_bytes[i]);
    context_buffer_release(run->ctx, run->workspace, run->info.workspace);
    free(run->buffers);
    free(run->arenas);
    free(run->arena_bytes);
}
