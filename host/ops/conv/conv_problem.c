#include "ops/conv/conv_problem.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/activation.h"

/* The fields of a key, in canonical order; m, the last, is printed only for mirror padding. */
static const struct key_field {
    const char *letters;
    size_t offset;
    int missing; /* the value of a field that is left out; -1: it must be there */
    int least;
} key_fields[] = {
#define FIELD(letters, member, missing, least)                                                     \
    { letters, offsetof(tess_conv_desc, member), missing, least }
    FIELD("n", n, -1, 1),         FIELD("c", c, -1, 1),          FIELD("h", h, -1, 1),
    FIELD("w", w, -1, 1),         FIELD("k", k, -1, 1),          FIELD("r", r, -1, 1),
    FIELD("s", s, -1, 1),         FIELD("u", stride_h, 1, 1),    FIELD("v", stride_w, 1, 1),
    FIELD("pt", pad_top, 0, 0),   FIELD("pb", pad_bottom, 0, 0), FIELD("pl", pad_left, 0, 0),
    FIELD("pr", pad_right, 0, 0), FIELD("d", dilation_h, 1, 1),  FIELD("e", dilation_w, 1, 1),
    FIELD("g", groups, 1, 1),     FIELD("m", pad_mode, 0, 0),
#undef FIELD
};
enum { KEY_FIELDS = sizeof key_fields / sizeof *key_fields };

static int *field_of(tess_conv_desc *desc, int i) {
    return (int *)(void *)((char *)desc + key_fields[i].offset);
}

/* Zero means one for strides, dilations and groups. */
static tess_conv_desc with_defaults(const tess_conv_desc *desc) {
    tess_conv_desc full = *desc;
    for (int i = 0; i < KEY_FIELDS; i++) {
        int *value = field_of(&full, i);
        if (*value == 0 && key_fields[i].missing == 1) *value = 1;
    }
    return full;
}

void tess_conv_desc_key(const tess_conv_desc *desc, char key[TESS_CONV_KEY_SIZE]) {
    if (key) key[0] = '\0';
    if (!desc || !key) return;
    tess_conv_desc full = with_defaults(desc);
    size_t used = 0;
    for (int i = 0; i < KEY_FIELDS - (full.pad_mode == TESS_PAD_ZERO); i++)
        used += (size_t)snprintf(key + used, TESS_CONV_KEY_SIZE - used, "%s%d",
                                 key_fields[i].letters, *field_of(&full, i));
}

/* The index of the field whose letters are text[0 .. length-1], or -1. */
static int field_named(const char *text, size_t length) {
    for (int i = 0; i < KEY_FIELDS; i++)
        if (key_fields[i].letters[0] == text[0] &&
            strncmp(key_fields[i].letters, text, length) == 0 && !key_fields[i].letters[length])
            return i;
    return -1;
}

static tess_status bad_key(tess_error *error, const char *key, const char *why) {
    return error_set(error, TESS_INVALID_ARGUMENT,
                     "problem key '%.120s': %s; write it like "
                     "n8c64h56w56k64r3s3u1v1pt1pb1pl1pr1d1e1g1 (from u on fields may be left out)",
                     key, why);
}

/* Reads one field at *at into desc and moves *at behind it; says why not, or gives NULL. The tuning database reads thousands of
   keys in a search: strspn, which makes a table first, would take a third of that. */
static const char *parse_field(const char **at, tess_conv_desc *desc, bool seen[KEY_FIELDS]) {
    size_t length = 0;
    while ((*at)[length] >= 'a' && (*at)[length] <= 'z')
        length++;
    int field = field_named(*at, length);
    if (field < 0) return "it has an unknown field";
    if (seen[field]) return "it has a field twice";
    if (!isdigit((unsigned char)(*at)[length])) return "a field has no number";
    char *end = NULL;
    errno = 0;
    long value = strtol(*at + length, &end, 10);
    if (errno || value > INT_MAX) return "a number is too large";
    if (value < key_fields[field].least) return "a number is too small";
    *field_of(desc, field) = (int)value;
    seen[field] = true;
    *at = end;
    return NULL;
}

tess_status tess_conv_desc_parse(const char *key, tess_error *error, tess_conv_desc *out) {
    if (!key || !out) return error_set(error, TESS_INVALID_ARGUMENT, "problem key: NULL; give one");
    tess_conv_desc desc = {0};
    bool seen[KEY_FIELDS] = {false};
    for (const char *at = key; *at;) {
        const char *why = parse_field(&at, &desc, seen);
        if (why) return bad_key(error, key, why);
    }
    for (int i = 0; i < KEY_FIELDS; i++) {
        if (seen[i]) continue;
        if (key_fields[i].missing < 0)
            return bad_key(error, key, "one of n c h w k r s is missing");
        *field_of(&desc, i) = key_fields[i].missing;
    }
    int p, q;
    tess_status status = tess_conv_out_size(&desc, error, &p, &q);
    if (status == TESS_OK) *out = desc;
    return status;
}

/* The problem's key in the message, whatever is wrong with it. */
static tess_status impossible(tess_error *error, const tess_conv_desc *desc, tess_status status,
                              const char *why) {
    char key[TESS_CONV_KEY_SIZE];
    tess_conv_desc_key(desc, key);
    return error_set(error, status, "convolution %s: %s", key, why);
}

/* (size - dilation (filter - 1) - 1 + padding) / stride + 1, or 0 if no window fits. */
static int64_t windows(int size, int filter, int stride, int before, int after, int dilation) {
    int64_t room = (int64_t)size + before + after - (int64_t)dilation * (filter - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
}

/* n * a * b * c fits a tensor (2^31 - 1 elements). */
static bool fits(int64_t n, int64_t a, int64_t b, int64_t c) {
    int64_t product = n;
    const int64_t factors[] = {a, b, c};
    for (int i = 0; i < 3; i++) {
        if (product > INT32_MAX || factors[i] > INT32_MAX) return false;
        product *= factors[i];
    }
    return product <= INT32_MAX;
}

static tess_status check(const tess_conv_desc *d, tess_error *error, int *p, int *q) {
    tess_conv_desc copy = *d;
    for (int i = 0; i < KEY_FIELDS; i++)
        if (*field_of(&copy, i) < key_fields[i].least)
            return impossible(error, d, TESS_INVALID_SHAPE,
                              "a dimension, stride, dilation or number of groups is below 1, or a "
                              "padding below 0; give positive sizes");
    if (d->pad_mode > TESS_PAD_MIRROR)
        return impossible(error, d, TESS_INVALID_SHAPE,
                          "unknown padding mode; m is 0 (zeros) or 1 (mirror)");
    if (d->pad_mode == TESS_PAD_MIRROR && (d->pad_top >= d->h || d->pad_bottom >= d->h ||
                                           d->pad_left >= d->w || d->pad_right >= d->w))
        return impossible(
            error, d, TESS_INVALID_SHAPE,
            "mirror padding must be less than the image's height and width; pad less");
    if (d->c % d->groups || d->k % d->groups)
        return impossible(error, d, TESS_INVALID_SHAPE,
                          "c and k must be multiples of g; choose another number of groups");
    int64_t p64 = windows(d->h, d->r, d->stride_h, d->pad_top, d->pad_bottom, d->dilation_h);
    int64_t q64 = windows(d->w, d->s, d->stride_w, d->pad_left, d->pad_right, d->dilation_w);
    if (p64 < 1 || q64 < 1)
        return impossible(error, d, TESS_INVALID_SHAPE,
                          "the dilated filter is larger than the padded input, so there is no "
                          "output; use a smaller filter or more padding");
    if (!fits(d->n, d->c, d->h, d->w) || !fits(d->k, d->c / d->groups, d->r, d->s) ||
        !fits(d->n, d->k, p64, q64) || !fits(1, 1, 1, (int64_t)d->h + d->pad_top + d->pad_bottom) ||
        !fits(1, 1, 1, (int64_t)d->w + d->pad_left + d->pad_right))
        return impossible(error, d, TESS_UNSUPPORTED,
                          "a tensor has more than 2^31 - 1 elements; use a smaller batch");
    *p = (int)p64;
    *q = (int)q64;
    return TESS_OK;
}

tess_status tess_conv_out_size(const tess_conv_desc *desc, tess_error *error, int *p, int *q) {
    if (!desc || !p || !q)
        return error_set(error, TESS_INVALID_ARGUMENT, "convolution: a NULL argument; give all");
    tess_conv_desc full = with_defaults(desc);
    return check(&full, error, p, q);
}

double tess_conv_flops(const tess_conv_desc *desc) {
    int p = 0, q = 0;
    if (tess_conv_out_size(desc, NULL, &p, &q)) return 0;
    tess_conv_desc d = with_defaults(desc);
    return 2.0 * d.n * p * q * d.k * (d.c / d.groups) * d.r * d.s;
}

/* What the options ask for must make sense for the pass. */
static tess_status check_options(const struct conv_problem *problem, tess_error *error) {
    const tess_conv_desc *d = &problem->d;
    if (d->dtype != TESS_F32)
        return impossible(error, d, TESS_UNSUPPORTED, "only fp32 is built; use TESS_F32");
    if (d->layout != TESS_NHWC && d->layout != TESS_NCHW)
        return impossible(error, d, TESS_INVALID_ARGUMENT,
                          "activations are NHWC or NCHW; choose one of these layouts");
    if ((unsigned)problem->pass > TESS_CONV_BWD_WEIGHTS)
        return impossible(error, d, TESS_INVALID_ARGUMENT,
                          "unknown pass; use a value of enum tess_conv_pass");
    if ((unsigned)problem->act.kind >= ACTIVATION_COUNT)
        return impossible(error, d, TESS_INVALID_ARGUMENT,
                          "unknown activation; use a value of enum tess_activation");
    bool epilogue = problem->bias || problem->residual || problem->act.kind != TESS_ACT_NONE;
    if (problem->pass != TESS_CONV_FWD && epilogue)
        return impossible(
            error, d, TESS_INVALID_ARGUMENT,
            "bias, residual and activation belong to the forward pass; leave them out");
    return TESS_OK;
}

tess_status conv_problem_slice(struct conv_problem *problem, const struct conv_slice *slice,
                               tess_error *error) {
    const tess_conv_desc *d = &problem->d;
    if (slice->channels == 0) return TESS_OK;
    if (problem->pass != TESS_CONV_FWD || d->layout != TESS_NHWC || problem->residual)
        return impossible(error, d, TESS_INVALID_ARGUMENT,
                          "only a forward pass in layout NHWC without residual writes to a part of "
                          "a tensor; leave the slice out");
    if (slice->first < 0 || slice->channels < d->k || slice->first > slice->channels - d->k)
        return impossible(error, d, TESS_INVALID_SHAPE,
                          "the slice's channels do not fit into the tensor's; choose others");
    if (!fits(d->n, slice->channels, problem->p, problem->q))
        return impossible(error, d, TESS_UNSUPPORTED,
                          "a tensor has more than 2^31 - 1 elements; use a smaller batch");
    problem->sliced = true;
    problem->y_channels = slice->channels;
    problem->y_first = slice->first;
    return TESS_OK;
}

tess_status conv_problem_init(const tess_conv_desc *desc, const tess_conv_options *options,
                              tess_error *error, struct conv_problem *out) {
    if (!desc)
        return error_set(error, TESS_INVALID_ARGUMENT, "convolution: no descriptor; give one");
    struct conv_problem problem = {.d = with_defaults(desc)};
    if (options) {
        problem.pass = options->pass;
        problem.bias = options->bias;
        problem.residual = options->residual;
        problem.act = options->act;
    }
    tess_status status = check(&problem.d, error, &problem.p, &problem.q);
    if (!status) status = check_options(&problem, error);
    if (status) return status;
    problem.act.alpha = activation_alpha(problem.act);
    problem.cg = problem.d.c / problem.d.groups;
    problem.kg = problem.d.k / problem.d.groups;
    *out = problem;
    return TESS_OK;
}

size_t conv_problem_x(const struct conv_problem *problem) {
    const tess_conv_desc *d = &problem->d;
    return (size_t)d->n * (size_t)d->c * (size_t)d->h * (size_t)d->w;
}

size_t conv_problem_w(const struct conv_problem *problem) {
    const tess_conv_desc *d = &problem->d;
    return (size_t)d->k * (size_t)problem->cg * (size_t)d->r * (size_t)d->s;
}

size_t conv_problem_y(const struct conv_problem *problem) {
    const tess_conv_desc *d = &problem->d;
    int channels = problem->sliced ? problem->y_channels : d->k;
    return (size_t)d->n * (size_t)channels * (size_t)problem->p * (size_t)problem->q;
}

const char *conv_pass_name(tess_conv_pass pass) {
    static const char *const names[] = {"fwd", "bwd_data", "bwd_weights"};
    return names[pass];
}
