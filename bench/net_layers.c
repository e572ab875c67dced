#include "bench/net_layers.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bench/timing.h"
#include "core/context.h"

struct row {
    const char *op, *layer, *kind;
    double ms;
    size_t bytes;     /* of the tensors, each once */
    int instructions; /* what it adds up */
};

/* One step's markers; instructions[i] ends with markers[i + 1]. */
struct marks {
    tess_net *net;
    cl_event *markers;
    const struct instruction **instructions;
    int count;
};

static tess_status mark(struct marks *marks) {
    cl_int code =
        clEnqueueMarkerWithWaitList(marks->net->ctx->queue, 0, NULL, &marks->markers[marks->count]);
    if (code != CL_SUCCESS)
        return context_fail_opencl(marks->net->ctx, code, "clEnqueueMarkerWithWaitList");
    marks->count++;
    return TESS_OK;
}

static tess_status after(void *user, const struct instruction *in) {
    struct marks *marks = user;
    marks->instructions[marks->count - 1] = in;
    return mark(marks);
}

/* Milliseconds between consecutive markers; how many there are. Releases the markers. */
static tess_status intervals(struct marks *marks, double *ms) {
    cl_ulong last = 0, now = 0;
    cl_int code = CL_SUCCESS;
    for (int i = 0; i < marks->count; i++) {
        if (code == CL_SUCCESS)
            code = clGetEventProfilingInfo(marks->markers[i], CL_PROFILING_COMMAND_END, sizeof now,
                                           &now, NULL);
        if (i > 0) ms[i - 1] = 1e-6 * (double)(now - last);
        last = now;
        clReleaseEvent(marks->markers[i]);
    }
    return code == CL_SUCCESS
               ? TESS_OK
               : context_fail_opencl(marks->net->ctx, code, "clGetEventProfilingInfo");
}

/* ms: of each instruction, and last of what comes behind them. */
static tess_status step(const struct net_layers_request *request, struct marks *marks, double *ms) {
    const struct net_watch watch = {after, marks};
    marks->count = 0;
    tess_status status = mark(marks);
    request->net->watch = &watch;
    if (!status) status = request->step(request->user);
    request->net->watch = NULL;
    if (!status) status = mark(marks);
    if (!status) status = tess_context_finish(request->net->ctx);
    if (!status) return intervals(marks, ms);
    for (int i = 0; i < marks->count; i++)
        clReleaseEvent(marks->markers[i]);
    return status;
}

static size_t instruction_bytes(const struct instruction *in) {
    size_t bytes = 0;
    for (int i = 0; i < OPERANDS; i++) {
        bool known = !in->t[i];
        for (int k = 0; k < i; k++)
            known = known || in->t[k] == in->t[i];
        if (!known) bytes += tess_tensor_desc_bytes(tess_tensor_get_desc(in->t[i]));
    }
    return bytes;
}

static struct row row_of(const tess_net *net, const struct instruction *in, double ms) {
    if (!in)
        return (struct row){
            .op = "update",
            .layer = "",
            .kind = "update",
            .ms = ms,
            .instructions = 1,
            .bytes =
                net->values ? 5 * tess_tensor_desc_bytes(tess_tensor_get_desc(net->values)) : 0};
    const struct layer *layer = &net->graph->layers[in->layer];
    const char *kind = layer_kinds[layer->kind].name, *op = instruction_name(in);
    return (struct row){.op = op ? op : kind,
                        .layer = layer->name,
                        .kind = kind,
                        .ms = ms,
                        .instructions = 1,
                        .bytes = instruction_bytes(in)};
}

/* Adds rows of one operation up, longest first; their number. sums has room for count. */
static int sum_up(const struct row *rows, int count, struct row *sums) {
    int used = 0;
    for (int i = 0; i < count; i++) {
        int k = 0;
        while (k < used && strcmp(sums[k].op, rows[i].op) != 0)
            k++;
        if (k == used) sums[used++] = (struct row){.op = rows[i].op};
        sums[k].ms += rows[i].ms;
        sums[k].bytes += rows[i].bytes;
        sums[k].instructions++;
    }
    for (int i = 1; i < used; i++)
        for (int k = i; k > 0 && sums[k].ms > sums[k - 1].ms; k--) {
            struct row swap = sums[k];
            sums[k] = sums[k - 1];
            sums[k - 1] = swap;
        }
    return used;
}

static bool write_json(const struct net_layers_request *request, const struct row *row,
                       double total) {
    json_t *line = json_pack("{s:s, s:i, s:s, s:s, s:f, s:I}", "net", request->name, "batch",
                             request->batch, "mode", request->mode, "op", row->op, "ms", row->ms,
                             "bytes", (json_int_t)row->bytes);
    int failed = !line;
    if (row->layer) {
        failed |= json_object_set_new(line, "layer", json_string(row->layer));
        failed |= json_object_set_new(line, "kind", json_string(row->kind));
    } else {
        failed |= json_object_set_new(line, "share", json_real(row->ms / total));
        failed |= json_object_set_new(line, "instructions", json_integer(row->instructions));
    }
    bool written = !failed &&
                   json_dumpf(line, request->json, JSON_COMPACT | JSON_REAL_PRECISION(6)) == 0 &&
                   fputc('\n', request->json) != EOF;
    json_decref(line);
    return written;
}

static tess_status print(const struct net_layers_request *request, const struct row *rows,
                         int count, struct row *sums) {
    double total = 0;
    int used = sum_up(rows, count, sums);
    for (int i = 0; i < used; i++)
        total += sums[i].ms;
    for (int i = 0; i < used && request->text; i++)
        fprintf(request->text, "%-24s %4d %10.3f ms %5.1f %% %7.1f GB/s\n", sums[i].op,
                sums[i].instructions, sums[i].ms, 100 * sums[i].ms / total,
                1e-6 * (double)sums[i].bytes / sums[i].ms);
    for (int i = 0; i < count && request->text; i++)
        fprintf(request->text, "  %-26s %-24s %10.3f ms %7.1f GB/s\n", rows[i].layer, rows[i].op,
                rows[i].ms, 1e-6 * (double)rows[i].bytes / rows[i].ms);
    bool written = true;
    for (int i = 0; i < used && request->json; i++)
        written = written && write_json(request, &sums[i], total);
    for (int i = 0; i < count && request->json; i++)
        written = written && write_json(request, &rows[i], total);
    return written ? TESS_OK
                   : context_fail(request->net->ctx, TESS_IO,
                                  "bench net: the JSON file cannot be written; is the disk full?");
}

/* What a measurement needs; count: instructions and one more, for what follows them. */
struct buffers {
    struct marks marks;
    double *ms, *column; /* samples x count; samples */
    struct row *rows;    /* 2 x count */
};

static tess_status measure(const struct net_layers_request *request, struct buffers *buffers,
                           int most) {
    struct marks *marks = &buffers->marks;
    tess_status status = step(request, marks, buffers->ms);
    for (int s = 0; s < request->samples && !status; s++)
        status = step(request, marks, buffers->ms + (size_t)s * (size_t)most);
    if (status) return status;
    int count = marks->count - 1;
    for (int i = 0; i < count; i++) {
        for (int s = 0; s < request->samples; s++)
            buffers->column[s] = buffers->ms[(size_t)s * (size_t)most + (size_t)i];
        const struct instruction *in = i < count - 1 ? marks->instructions[i] : NULL;
        buffers->rows[i] =
            row_of(request->net, in, timing_median(buffers->column, request->samples));
    }
    if (strcmp(request->mode, "infer") == 0) count--; /* nothing follows */
    return print(request, buffers->rows, count, buffers->rows + most);
}

tess_status net_layers_print(const struct net_layers_request *request) {
    tess_net *net = request->net;
    size_t most = (size_t)net->instruction_count + 2, samples = (size_t)request->samples;
    struct buffers buffers = {
        .marks = {.net = net,
                  .markers = calloc(most, sizeof(cl_event)),
                  .instructions = calloc(most, sizeof *buffers.marks.instructions)},
        .ms = calloc(most * (samples ? samples : 1), sizeof *buffers.ms),
        .column = calloc(samples ? samples : 1, sizeof *buffers.column),
        .rows = calloc(2 * most, sizeof *buffers.rows)};
    tess_status status = buffers.marks.markers && buffers.marks.instructions && buffers.ms &&
                                 buffers.column && buffers.rows
                             ? measure(request, &buffers, (int)most)
                             : context_fail(net->ctx, TESS_OUT_OF_HOST_MEMORY,
                                            "bench net: no host memory; free some and try again");
    free(buffers.marks.markers);
    free((void *)buffers.marks.instructions);
    free(buffers.ms);
    free(buffers.column);
    free(buffers.rows);
    return status;
}
