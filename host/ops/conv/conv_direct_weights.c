/* Backward-weights of conv_direct: how it is cut into bands, chunks and parts of the channels, and how long it takes. */
#include "ops/conv/conv_direct.h"
#include "ops/conv/conv_tile.h"

static const int64_t KIB = 1024;

static int at_most(int a, int b) {
    return a < b ? a : b;
}
/* The size of parts of all, as even as they can be with at most most in each. */
static int even(int all, int most) {
    return ceil_div(all, ceil_div(all, most));
}

static bool is_rows(const struct conv_problem *p) {
    return p->pass != TESS_CONV_BWD_WEIGHTS;
}

/* Columns that are enough for a long loop; narrower bands of more rows read fewer rows of x twice. */
enum { BAND_COLUMNS = 64 };

struct direct_band direct_band_size(const struct conv_problem *p,
                                    const struct conv_config *config) {
    int pixels = config->value[BAND];
    struct direct_band band = {.images = 1, .columns = even(p->q, BAND_COLUMNS)};
    band.rows = even(p->p, ceil_div(pixels, band.columns));
    /* Several taps in a tile follow each other only within an image. */
    if (p->p * p->q <= pixels && config->value[ST] == 1)
        band.images = even(p->d.n, pixels / (p->p * p->q));
    return band;
}
static int bands(const struct conv_problem *p, const struct conv_config *config) {
    struct direct_band band = direct_band_size(p, config);
    return ceil_div(p->d.n, band.images) * ceil_div(p->p, band.rows) * ceil_div(p->q, band.columns);
}
int direct_chunks(const struct conv_problem *p, const struct conv_config *config) {
    return at_most(config->value[CHUNKS], bands(p, config));
}

static int channel_tiles(const struct conv_problem *p, const struct conv_config *config) {
    return ceil_div(p->cg, config->value[CT]);
}
static int group_blocks(const struct conv_problem *p, const struct conv_config *config) {
    return ceil_div(p->kg, LANES * config->value[KV]);
}

int64_t direct_x_panel(const struct conv_problem *p, const struct conv_config *config) {
    const tess_conv_desc *d = &p->d;
    struct direct_band band = direct_band_size(p, config);
    int phases = config->value[ST] > 1 ? 1 : d->stride_w;
    int64_t rows = (int64_t)(band.rows - 1) * d->stride_h + (int64_t)(d->r - 1) * d->dilation_h + 1;
    int64_t columns =
        (int64_t)(band.columns - 1) * d->stride_w + (int64_t)(d->s - 1) * d->dilation_w + 1;
    columns = (columns + phases - 1) / phases * phases;
    int64_t floats = rows * columns * band.images * config->value[CT];
    return (floats + LANES - 1) / LANES * LANES + LANES;
}
/* Floats of a panel of 16 KV channels of dy. */
static int64_t dy_panel(const struct conv_problem *p, const struct conv_config *config) {
    struct direct_band band = direct_band_size(p, config);
    return (int64_t)band.images * band.rows * band.columns * LANES * config->value[KV];
}

/* The larger of the two is split. */
struct direct_parts direct_least_parts(const struct conv_problem *p,
                                       const struct conv_config *config) {
    int tiles = channel_tiles(p, config), all = group_blocks(p, config);
    int64_t tile = direct_x_panel(p, config) * (int64_t)sizeof(float);
    int64_t block = dy_panel(p, config) * (int64_t)sizeof(float);
    struct direct_parts parts = {1, 1, 0};
    for (;;) {
        int64_t of_x = ceil_div(tiles, parts.c) * tile, of_dy = ceil_div(all, parts.k) * block;
        parts.bytes = of_x + of_dy;
        if (parts.bytes <= KIB * config->value[PANELS]) return parts;
        if (parts.c < tiles && (of_x > of_dy || parts.k == all))
            parts.c++;
        else if (parts.k < all)
            parts.k++;
        else
            return parts;
    }
}

struct direct_parts direct_device_parts(const struct conv_problem *p,
                                        const tess_device_info *device,
                                        const struct conv_config *config) {
    struct direct_parts parts = direct_least_parts(p, config);
    int64_t others = (int64_t)parts.k * p->d.groups * direct_chunks(p, config);
    int64_t wanted =
        (4 * (int64_t)(device->compute_units ? device->compute_units : 1) + others - 1) / others;
    int tiles = channel_tiles(p, config);
    if (parts.c < wanted) parts.c = wanted < tiles ? (int)wanted : tiles;
    return parts;
}

/* Each chunk costs memory for its sums and time to add them. */
bool direct_chunks_fit(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    int count = config->value[CHUNKS];
    int64_t units = device->compute_units ? device->compute_units : 1;
    if (is_rows(p) || count == 1) return true;
    return count <= bands(p, config) && count <= 8 * units &&
           conv_problem_w(p) * (size_t)count <= (size_t)1 << 24;
}
/* Limits that do not limit anything would give one plan several names. */
bool direct_band_fits(const struct conv_problem *p, const tess_device_info *device,
                      const struct conv_config *config) {
    (void)device;
    int pixels = config->value[BAND];
    return is_rows(p) || pixels == conv_direct.params[BAND].values[0] ||
           pixels / 2 < (int64_t)p->d.n * p->p * p->q;
}
/* The smallest limit that can be kept, and larger ones that cut otherwise; the largest where none can be. */
bool direct_panels_fit(const struct conv_problem *p, const tess_device_info *device,
                       const struct conv_config *config) {
    (void)device;
    if (is_rows(p)) return true;
    const struct conv_param *limits = &conv_direct.params[PANELS];
    int i = 0;
    while (limits->values[i] != config->value[PANELS])
        i++;
    int64_t bytes = direct_least_parts(p, config).bytes;
    if (i < limits->count - 1 && bytes > KIB * config->value[PANELS]) return false;
    if (i == 0) return true;
    struct conv_config smaller = *config;
    smaller.value[PANELS] = limits->values[i - 1];
    int64_t before = direct_least_parts(p, &smaller).bytes;
    return before > KIB * smaller.value[PANELS] || before != bytes;
}

double direct_predict_weights(const struct conv_problem *p, const tess_device_info *device,
                              const struct conv_config *config) {
    const int *v = config->value;
    struct direct_band band = direct_band_size(p, config);
    struct direct_parts parts = direct_device_parts(p, device, config);
    int scalars = v[CT] * v[ST], vectors = v[KV] * register_parts(device);
    double runs = (double)p->d.n / band.images * p->p * ceil_div(p->q, band.columns);
    /* dy's panels come from the second-level cache. */
    double body = tile_step_cycles(device, scalars, v[KV], 0.15) + 0.35 * vectors;
    if (body < 4) body = 4; /* between two multiply-adds on the same sum */
    double run = (double)band.columns * band.images * body + 15;
    double tile = runs * run + bands(p, config) * (3.0 * scalars * vectors + 40);
    double taps = (double)p->d.r * p->d.s / v[ST];
    int tiles = ceil_div(channel_tiles(p, config), parts.c);
    int all = ceil_div(group_blocks(p, config), parts.k);
    /* Panels of x are narrow and not whole lines. */
    double copy = bands(p, config) * (1.2 * tiles * (double)direct_x_panel(p, config) +
                                      0.5 * all * (double)dy_panel(p, config));
    double items = (double)parts.c * parts.k * p->d.groups * direct_chunks(p, config);
    double units = device->compute_units ? device->compute_units : 1;
    /* Sums are written once and read once, at about 8 bytes a cycle. */
    double reduce = direct_chunks(p, config) > 1
                        ? (double)direct_chunks(p, config) * (double)conv_problem_w(p)
                        : 0;
    return spread((tile * taps * tiles * all + copy) / direct_chunks(p, config), items, device) +
           reduce / units;
}
