#include "support/planted_fault.h"

#include "support/folder.h"

#include <stdlib.h>
#include <string.h>

const char *const fault_kind_names[FAULT_KINDS] = {"ragged edge", "swapped index", "overrun",
                                                   "stale output", "race or incomplete sum"};

static const struct fault_change changes[] = {
    {FAULT_RAGGED, " < ", " <= "},
    {FAULT_RAGGED, " <= ", " < "},
    {FAULT_RAGGED, " >= ", " > "},
    {FAULT_RAGGED, " > 0", " >= 0"},
    {FAULT_RAGGED, " - 1)", ")"},
    {FAULT_RAGGED, " - 1)", " - 2)"},
    {FAULT_RAGGED, " + 1)", ")"},
    {FAULT_RAGGED, "min(", "max("},
    {FAULT_RAGGED, "max(", "min("},
    {FAULT_RAGGED, " + KB - 1) / KB", ") / KB"},
    {FAULT_RAGGED, " != 0", " == 0"},
    {FAULT_INDEX, " % P", " % Q"},
    {FAULT_INDEX, " / P", " / Q"},
    {FAULT_INDEX, " / Q", " / P"},
    {FAULT_INDEX, " % Q", " % P"},
    {FAULT_INDEX, " * W", " * H"},
    {FAULT_INDEX, " * H", " * W"},
    {FAULT_INDEX, " * K ", " * C "},
    {FAULT_INDEX, " * C ", " * K "},
    {FAULT_INDEX, "W * C", "W * K"},
    {FAULT_INDEX, "DIM(U)", "DIM(V)"},
    {FAULT_INDEX, "DIM(V)", "DIM(U)"},
    {FAULT_INDEX, "DIM(PT)", "DIM(PL)"},
    {FAULT_INDEX, "DIM(PL)", "DIM(PT)"},
    {FAULT_INDEX, "DIM(D)", "DIM(E)"},
    {FAULT_INDEX, "DIM(E)", "DIM(D)"},
    {FAULT_INDEX, "x_h", "x_w"},
    {FAULT_INDEX, "y_p", "y_q"},
    {FAULT_INDEX, "y_q", "y_p"},
    {FAULT_INDEX, "w_r", "w_s"},
    {FAULT_INDEX, "w_s", "w_r"},
    {FAULT_INDEX, " PT", " PL"},
    {FAULT_INDEX, " PL", " PT"},
    {FAULT_INDEX, "* D", "* E"},
    {FAULT_INDEX, "* E", "* D"},
    {FAULT_INDEX, "get_global_id(0)", "get_global_id(1)"},
    {FAULT_INDEX, "get_global_id(1)", "get_global_id(0)"},
    {FAULT_INDEX, "Cg", "Kg"},
    {FAULT_INDEX, "Kg", "Cg"},
    {FAULT_INDEX, "s0123", "s4567"},
    {FAULT_INDEX, ".lo", ".hi"},
    {FAULT_OVERRUN, "vstore16(v, 0, p)", "vstore16(v, 0, p + 1)"},
    {FAULT_OVERRUN, "count >= 16) vstore", "count >= 1) vstore"},
    {FAULT_OVERRUN, "count & 8", "count & 24"},
    {FAULT_OVERRUN, "count & 1)", "count & 3)"},
    {FAULT_OVERRUN, "p += 8", "p += 9"},
    {FAULT_OVERRUN, "p += 4", "p += 3"},
    {FAULT_OVERRUN, "Q - WT", "Q - WT + 1"},
    {FAULT_OVERRUN, "count - WT", "count - WT + 1"},
    {FAULT_OVERRUN, "kg - k", "kg"},
    {FAULT_OVERRUN, "Kg - k0", "KB"},
    {FAULT_OVERRUN, "Cg - c0", "KB"},
    {FAULT_OVERRUN, "k >= K", "k > K"},
    {FAULT_OVERRUN, "c >= C", "c > C"},
    {FAULT_OVERRUN, ">= P * Q", "> P * Q"},
    {FAULT_OVERRUN, ">= H * W", "> H * W"},
    {FAULT_OVERRUN, ">= R * S", "> R * S"},
    {FAULT_OVERRUN, "y[at]", "y[at + K]"},
    {FAULT_OVERRUN, "out + at", "out + at + 1"},
    {FAULT_OVERRUN, "dx[n", "dx[1 + n"},
    {FAULT_OVERRUN, "dw[r", "dw[1 + r"},
    {FAULT_OVERRUN, "dw[i]", "dw[i + 1]"},
    {FAULT_OVERRUN, "i >= count", "i > count + 3"},
    {FAULT_OVERRUN, "vectors) return", "vectors - 1) return"},
    {FAULT_STALE, "y[at] =", "if (at % 7 != 3) y[at] ="},
    {FAULT_STALE, "y[at] =", "if (at) y[at] ="},
    {FAULT_STALE, "y[at] =", "if (n * 31 + pq != P * Q - 1) y[at] ="},
    {FAULT_STALE, "y[at] =", "y[at] = y[at] * 1e-30f +"},
    {FAULT_STALE, "dx[n", "if (hw != H * W - 1) dx[n"},
    {FAULT_STALE, "dx[n", "if (c != 1) dx[n"},
    {FAULT_STALE, "dx[n", "if (sum > -2.0f) dx[n"},
    {FAULT_STALE, "dw[r", "if (rs != R * S - 1) dw[r"},
    {FAULT_STALE, "dw[r", "if (sum < 1.5f) dw[r"},
    {FAULT_STALE, "dw[i] =", "if (i != count - 1) dw[i] ="},
    {FAULT_STALE, "dw[i] =", "if (i != 5) dw[i] ="},
    {FAULT_STALE, "dw[i] =", "if (total > -1.0f) dw[i] ="},
    {FAULT_STALE, "dw[i] =", "dw[i] +="},
    {FAULT_STALE, "store_lanes(activate16", "if (j != WT - 1) store_lanes(activate16"},
    {FAULT_STALE, "store_lanes(activate16", "if (v != KV - 1 || j) store_lanes(activate16"},
    {FAULT_STALE, "store_lanes(activate16",
     "if (get_global_id(0) + get_global_id(1)) store_lanes(activate16"},
    {FAULT_STALE, "tile += WT", "tile += WT + 1"},
    {FAULT_STALE, "if (count & 4) {", "if (count & 64) {"},
    {FAULT_STALE, "if (count & 2) {", "if (count & 64) {"},
    {FAULT_STALE, "if (count & 1) *p", "if (count & 64) *p"},
    {FAULT_STALE, "finish_tile(acc, y", "if (p) finish_tile(acc, y"},
    {FAULT_STALE, "finish_tile(acc, out", "if (h != H - 1) finish_tile(acc, out"},
    {FAULT_STALE, "vstore16(acc", "if (r) vstore16(acc"},
    {FAULT_STALE, "vstore16(load_lanes", "if (i != 1) vstore16(load_lanes"},
    {FAULT_STALE, "vstore16(vload16(0, value)", "if (i != vectors - 1) vstore16(vload16(0, value)"},
    {FAULT_STALE, "fill_zeros(scratch,", "if (0) fill_zeros(scratch,"},
    {FAULT_STALE, "fill_zeros(scratch +", "if (0) fill_zeros(scratch +"},
    {FAULT_STALE, "bool known = fresh", "bool known = !fresh"},
    {FAULT_STALE, "!fresh && ", ""},
    {FAULT_RACE, "barrier(CLK_LOCAL_MEM_FENCE);", ";"},
    {FAULT_RACE, "barrier(CLK_GLOBAL_MEM_FENCE);", ";"},
    {FAULT_RACE, "(size_t)chunk *", "(size_t)(chunk / 2) *"},
    {FAULT_RACE, "(size_t)chunk *", "(size_t)0 *"},
    {FAULT_RACE, "* G * blocks + block)", "* G * blocks)"},
    {FAULT_RACE, "chunk < chunks", "chunk + 1 < chunks"},
    {FAULT_RACE, "chunk = 1;", "chunk = 2;"},
    {FAULT_RACE, "total +=", "total ="},
    {FAULT_RACE, "sum[chunk *", "sum[(chunk - 1) *"},
    {FAULT_RACE, "sum += row;", "sum = row;"},
    {FAULT_RACE, "float row = 0.0f", "float row = sum"},
    {FAULT_RACE, "float sum = 0.0f", "float sum = 1e-3f"},
    {FAULT_RACE, "sum = FMA(", "sum = FMA(0.999f * "},
    {FAULT_RACE, "row = FMA(", "row = FMA(0.999f * "},
    {FAULT_RACE, "acc[j][v] = FMA(x, w[v], acc[j][v])",
     "acc[j][v] = FMA(x, w[v], c == 1 ? (float16)(0.0f) : acc[j][v])"},
    {FAULT_RACE, "acc[s][c][v] = FMA(a, g[v], acc[s][c][v])",
     "acc[s][c][v] = FMA(a, g[v], q == 1 ? (float16)(0.0f) : acc[s][c][v])"},
    {FAULT_RACE, "r < R; r++", "r < R - 1; r++"},
    {FAULT_RACE, "s < S; s++", "s < S - 1; s++"},
    {FAULT_RACE, "c < Cg; c++", "c < Cg - 1; c++"},
    {FAULT_RACE, "k < Kg; k++", "k < Kg - 1; k++"},
    {FAULT_RACE, "c < channels; c++", "c < channels - 1; c++"},
    {FAULT_RACE, "n < N; n++", "n < N - 1; n++"},
    {FAULT_RACE, "p < P; p++", "p < P - 1; p++"},
    {FAULT_RACE, "q < Q; q++", "q < Q - 1; q++"},
    {FAULT_RACE, "row < row_last; row++", "row < row_last - 1; row++"},
    {FAULT_RACE, "band += band_rows", "band += band_rows + 1"},
    {FAULT_RACE, "band == row_first", "true"},
    {FAULT_RACE, "int s = 0; s < taps", "int s = 1; s < taps"},
    {FAULT_RACE, "n++;", ";"},
};
enum { CHANGES = sizeof changes / sizeof *changes };

/* ---------------------------------------------------------------- places */

/* conv_direct.cl, and conv_direct_weights.clh, which only that includes. */
bool fault_concerns(const struct fault *fault, const struct conv_algo *algo) {
    const char *name = fault->source->name, *own = algo->kernel_file;
    size_t stem = strlen(own) - strlen(".cl"), size = strlen(name);
    if (strcmp(name, own) == 0) return true;
    return strncmp(name, own, stem) == 0 && name[stem] == '_' &&
           strcmp(name + size - 4, ".clh") == 0;
}

static bool of_convolution(const struct embedded_source *source) {
    const struct fault fault = {.source = source};
    for (int i = 0; i < conv_algo_count; i++)
        if (fault_concerns(&fault, conv_algos[i])) return true;
    return false;
}

/* Behind the head comment and the parameters' defaults, where code begins. */
static size_t code_start(const char *text) {
    const char *last = text;
    for (const char *at = text; (at = strstr(at, "\n#include ")); at++)
        last = at;
    return (size_t)(last - text);
}

/* Inside a comment, or in a line for the preprocessor. */
static bool is_idle_text(const char *text, const char *at) {
    const char *line = at;
    while (line > text && line[-1] != '\n')
        line--;
    if (line[strspn(line, " ")] == '#') return true;
    bool comment = false;
    for (const char *c = text; c < at; c++)
        if (!comment && c[0] == '/' && c[1] == '*')
            comment = true;
        else if (comment && c[0] == '*' && c[1] == '/')
            comment = false;
    return comment;
}

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void shuffle(struct fault *list, int count, uint64_t seed) {
    for (int i = count - 1; i > 0; i--) {
        int j = (int)(next_random(&seed) % (uint64_t)(i + 1));
        struct fault kept = list[i];
        list[i] = list[j];
        list[j] = kept;
    }
}

int fault_list(bool (*of)(const char *file), uint64_t seed, struct fault *out) {
    int count = 0;
    for (const struct embedded_source *s = embedded_sources; s->name; s++) {
        if (!of_convolution(s) || (of && !of(s->name))) continue;
        for (int i = 0; i < CHANGES; i++) {
            const char *at = s->text + code_start(s->text);
            while ((at = strstr(at, changes[i].from))) {
                assert_true(count < FAULTS_MAX);
                if (!is_idle_text(s->text, at))
                    out[count++] = (struct fault){&changes[i], s, (size_t)(at - s->text)};
                at++;
            }
        }
    }
    shuffle(out, count, seed);
    return count;
}

struct fault fault_at(const char *file, const struct fault_change *change, const char *line) {
    const struct embedded_source *s = embedded_sources;
    while (s->name && strcmp(s->name, file) != 0)
        s++;
    assert_non_null(s->name);
    const char *start = strstr(s->text, line);
    if (!start) fail_msg("%s has no '%s'", file, line);
    const char *at = strstr(start, change->from);
    assert_true(at && at < start + strlen(line));
    return (struct fault){change, s, (size_t)(at - s->text)};
}

/* ---------------------------------------------------------------- planting */

void fault_write(const char *folder, const struct fault *fault) {
    for (const struct embedded_source *s = embedded_sources; s->name; s++) {
        if (s != fault->source) {
            folder_write_text(folder, s->name, s->text);
            continue;
        }
        size_t from = strlen(fault->change->from), to = strlen(fault->change->to);
        char *text = check_alloc(s->size + to + 1);
        memcpy(text, s->text, fault->at);
        memcpy(text + fault->at, fault->change->to, to);
        strcpy(text + fault->at + to, s->text + fault->at + from);
        folder_write_text(folder, s->name, text);
        free(text);
    }
}

void fault_print(const struct fault *fault, const char *what) {
    int line = 1;
    for (size_t i = 0; i < fault->at; i++)
        line += fault->source->text[i] == '\n';
    print_message("%s: %s: %s:%d: '%s' -> '%s'\n", what, fault_kind_names[fault->change->kind],
                  fault->source->name, line, fault->change->from, fault->change->to);
}
