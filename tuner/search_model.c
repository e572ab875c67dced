#include "tuner/search_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS_MAX = 512, TABLE_FLOATS = 1 << 24, POINTS_MIN = 16 };

/* Of the covariance, relative to its scale: see search_model.h. */
struct weights {
    double length;  /* in steps of a parameter's table */
    double product; /* share of the product; the sum has the rest */
    double slope;   /* variance of the exponent of the prediction */
    double noise;   /* variance of a measurement */
};

struct point {
    int candidate;
    double log_seconds; /* INFINITY: failed */
};

struct search_model {
    const struct space *space;
    int room, count; /* points */
    struct point *points;
    int *point_of;                                /* by candidate; -1: not told */
    unsigned char (*position)[CONV_PARAMS_MAX];   /* by candidate: in the parameter's table */
    float *prior;                                 /* by candidate: log of the prediction */
    float *slope;                                 /* the same, less the algorithm's mean */
    unsigned char *algo;                          /* by candidate */
    int varied[SPACE_ALGOS_MAX][CONV_PARAMS_MAX]; /* parameters with more than one value */
    int varied_count[SPACE_ALGOS_MAX];
    struct weights weights;
    double relation[CONV_VALUES_MAX]; /* of two values so many steps apart */
    double scale;                     /* variance */
    int factored;                     /* points that factor and table hold */
    int fit_at;                       /* number of points at which weights are fitted next */
    double *factor;                   /* room x room, lower Cholesky factor */
    double *trial_factor;             /* the same, for fitting */
    double *residual,
        *solved;              /* by point: log(measured / predicted) less centre; factor^-1 of it */
    float *table;             /* room x candidates: factor^-1 of the covariances */
    double *mean, *explained; /* by candidate; explained: share of the variance, times scale */
};

/* ---------------------------------------------------------------- covariance */

static const struct weights weights_before_fit = {2, 0.4, 0.3, 0.01};

static void set_weights(struct search_model *m, const struct weights *weights) {
    m->weights = *weights;
    for (int i = 0; i < CONV_VALUES_MAX; i++)
        m->relation[i] = exp(-i / weights->length);
}

/* Levels: all algorithms share an unknown clock, each has an error of its own. */
static const double common_level = 1, algo_level = 2;

static double covariance(const struct search_model *m, int a, int b) {
    if (m->algo[a] != m->algo[b]) return common_level;
    const int *varied = m->varied[m->algo[a]], count = m->varied_count[m->algo[a]];
    double sum = 0, product = 1;
    for (int i = 0; i < count; i++) {
        int steps = abs(m->position[a][varied[i]] - m->position[b][varied[i]]);
        sum += m->relation[steps];
        product *= m->relation[steps];
    }
    if (count) sum /= count;
    return common_level + algo_level + m->weights.slope * m->slope[a] * m->slope[b] +
           (1 - m->weights.product) * sum + m->weights.product * product;
}

/* A failure says little about how slow the candidate would be. */
static double noise_of(const struct search_model *m, const struct point *point) {
    return m->weights.noise + (isinf(point->log_seconds) ? 1.0 : 0);
}

/* Row i of factor, from the rows above it. */
static void factor_row(const struct search_model *m, double *factor, int i) {
    double *row = factor + (size_t)i * (size_t)m->room;
    for (int k = 0; k <= i; k++) {
        const double *other = factor + (size_t)k * (size_t)m->room;
        double sum = covariance(m, m->points[i].candidate, m->points[k].candidate);
        for (int l = 0; l < k; l++)
            sum -= row[l] * other[l];
        if (k < i)
            row[k] = sum / other[k];
        else
            row[i] = sqrt(fmax(sum + noise_of(m, &m->points[i]), 1e-9));
    }
}

/* solved = factor^-1 residual, for all points. */
static void solve(const struct search_model *m, const double *factor, double *solved) {
    for (int i = 0; i < m->count; i++) {
        const double *row = factor + (size_t)i * (size_t)m->room;
        double sum = m->residual[i];
        for (int k = 0; k < i; k++)
            sum -= row[k] * solved[k];
        solved[i] = sum / row[i];
    }
}

/* ---------------------------------------------------------------- residuals */

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[count / 2];
}

/* Fills residual and returns the centre. */
static double set_residuals(struct search_model *m, double *spare) {
    int good = 0;
    for (int i = 0; i < m->count; i++)
        if (!isinf(m->points[i].log_seconds)) spare[good++] = m->points[i].log_seconds;
    /* A failure stands for a time that is twice the usual. */
    double failed = (good ? median(spare, good) : 0) + log(2);
    good = 0;
    for (int i = 0; i < m->count; i++) {
        const struct point *point = &m->points[i];
        bool ok = !isinf(point->log_seconds);
        m->residual[i] = (ok ? point->log_seconds : failed) - m->prior[point->candidate];
        if (ok) spare[good++] = m->residual[i];
    }
    double centre = good ? median(spare, good) : m->residual[0];
    for (int i = 0; i < m->count; i++)
        m->residual[i] -= centre;
    return centre;
}

/* The likeliest scale given solved; a belief worth four points says a quarter of a factor e. */
static double likely_scale(const struct search_model *m, const double *solved) {
    double sum = 4 * 0.0625;
    for (int i = 0; i < m->count; i++)
        sum += solved[i] * solved[i];
    return sum / (m->count + 4);
}

/* ---------------------------------------------------------------- fitting */

static double log_likelihood(const struct search_model *m, double *factor, double *solved) {
    double log_determinant = 0;
    for (int i = 0; i < m->count; i++) {
        factor_row(m, factor, i);
        log_determinant += 2 * log(factor[(size_t)i * (size_t)m->room + (size_t)i]);
    }
    solve(m, factor, solved);
    return -0.5 * (m->count + 4) * log(likely_scale(m, solved)) - 0.5 * log_determinant;
}

/* The grid: lengths x products x slopes x noises. */
static struct weights grid_point(int index) {
    static const double length[] = {0.7, 2, 6}, product[] = {0.15, 0.6}, slope[] = {0.03, 0.5},
                        noise[] = {0.003, 0.05};
    return (struct weights){length[index % 3], product[index / 3 % 2], slope[index / 6 % 2],
                            noise[index / 12]};
}
enum { GRID_POINTS = 24 };

static void fit(struct search_model *m) {
    struct weights best = m->weights;
    double most = -INFINITY;
    for (int i = 0; i < GRID_POINTS; i++) {
        struct weights weights = grid_point(i);
        set_weights(m, &weights);
        double likelihood = log_likelihood(m, m->trial_factor, m->solved);
        if (!(likelihood > most)) continue;
        most = likelihood;
        best = weights;
    }
    set_weights(m, &best);
    m->factored = 0;
}

/* ---------------------------------------------------------------- update */

/* Appends point i to factor and table. */
static void take_in(struct search_model *m, int i) {
    factor_row(m, m->factor, i);
    const double *row = m->factor + (size_t)i * (size_t)m->room;
    size_t candidates = (size_t)m->space->count;
    float *restrict out = m->table + (size_t)i * candidates;
    for (size_t j = 0; j < candidates; j++)
        out[j] = (float)covariance(m, (int)j, m->points[i].candidate);
    for (int k = 0; k < i; k++) {
        const float *restrict above = m->table + (size_t)k * candidates;
        float by = (float)row[k];
        for (size_t j = 0; j < candidates; j++)
            out[j] -= by * above[j];
    }
    float by = (float)(1 / row[i]);
    for (size_t j = 0; j < candidates; j++) {
        out[j] *= by;
        m->explained[j] += (double)out[j] * out[j];
    }
}

void search_model_update(struct search_model *m) {
    if (m->count == 0) return;
    double centre = set_residuals(m, m->solved);
    if (m->count >= m->fit_at) {
        fit(m);
        m->fit_at = m->count + m->count / 3 + 1;
    }
    size_t candidates = (size_t)m->space->count;
    if (m->factored == 0) memset(m->explained, 0, candidates * sizeof *m->explained);
    for (; m->factored < m->count; m->factored++)
        take_in(m, m->factored);
    solve(m, m->factor, m->solved);
    m->scale = likely_scale(m, m->solved);
    for (size_t j = 0; j < candidates; j++)
        m->mean[j] = m->prior[j] + centre;
    for (int i = 0; i < m->count; i++) {
        const float *row = m->table + (size_t)i * candidates;
        for (size_t j = 0; j < candidates; j++)
            m->mean[j] += m->solved[i] * row[j];
    }
}

void search_model_tell(struct search_model *m, int candidate, double seconds) {
    double log_seconds = seconds > 0 && seconds < INFINITY ? log(seconds) : INFINITY;
    int known = m->point_of[candidate];
    if (known < 0) {
        if (m->count == m->room) return;
        m->point_of[candidate] = m->count;
        m->points[m->count++] = (struct point){candidate, log_seconds};
        return;
    }
    struct point *point = &m->points[known];
    /* The factor depends on which points failed, not on their times. */
    if (isinf(point->log_seconds) != isinf(log_seconds)) m->factored = 0;
    point->log_seconds = log_seconds;
}

struct estimate search_model_estimate(const struct search_model *m, int candidate) {
    double left = covariance(m, candidate, candidate) - m->explained[candidate];
    return (struct estimate){m->mean[candidate], sqrt(m->scale * fmax(left, 1e-6))};
}

/* ---------------------------------------------------------------- making */

static int position_of(const struct conv_param *param, int value) {
    for (int i = 0; i < param->count && i < CONV_VALUES_MAX; i++)
        if (param->values[i] == value) return i;
    return 0;
}

/* Positions, and which parameters vary, of the candidates [first, end) of one algorithm. */
static void describe_algo(struct search_model *m, int index, int first, int end) {
    const struct conv_algo *algo = m->space->algo[index];
    for (int p = 0; p < algo->param_count; p++) {
        bool varies = false;
        for (int j = first; j < end; j++) {
            int value = m->space->list[j].config.value[p];
            m->position[j][p] = (unsigned char)position_of(&algo->params[p], value);
            varies |= m->position[j][p] != m->position[first][p];
        }
        if (varies) m->varied[index][m->varied_count[index]++] = p;
    }
    double sum = 0;
    int known = 0;
    for (int j = first; j < end; j++) {
        m->algo[j] = (unsigned char)index;
        double predicted = m->space->list[j].predicted;
        if (!(predicted > 0 && predicted < INFINITY)) continue;
        sum += log(predicted);
        known++;
    }
    double mean = known ? sum / known : 0;
    for (int j = first; j < end; j++) {
        double predicted = m->space->list[j].predicted;
        bool usable = predicted > 0 && predicted < INFINITY;
        m->prior[j] = (float)(usable ? log(predicted) : mean);
        m->slope[j] = m->prior[j] - (float)mean;
        m->mean[j] = m->prior[j];
    }
}

static bool allocate(struct search_model *m, size_t candidates, size_t room) {
    m->points = calloc(room, sizeof *m->points);
    m->point_of = malloc(candidates * sizeof *m->point_of);
    m->position = calloc(candidates, sizeof *m->position);
    m->prior = calloc(candidates, sizeof *m->prior);
    m->slope = calloc(candidates, sizeof *m->slope);
    m->algo = calloc(candidates, sizeof *m->algo);
    m->factor = calloc(room * room, sizeof *m->factor);
    m->trial_factor = calloc(room * room, sizeof *m->trial_factor);
    m->residual = calloc(room, sizeof *m->residual);
    m->solved = calloc(room, sizeof *m->solved);
    m->table = malloc(room * candidates * sizeof *m->table);
    m->mean = calloc(candidates, sizeof *m->mean);
    m->explained = calloc(candidates, sizeof *m->explained);
    return m->points && m->point_of && m->position && m->prior && m->slope && m->algo &&
           m->factor && m->trial_factor && m->residual && m->solved && m->table && m->mean &&
           m->explained;
}

tess_status search_model_create(const struct space *space, tess_error *error,
                                struct search_model **out) {
    struct search_model *m = calloc(1, sizeof *m);
    if (!m) goto fail;
    m->space = space;
    m->room = TABLE_FLOATS / space->count;
    if (m->room < POINTS_MIN) m->room = POINTS_MIN;
    if (m->room > POINTS_MAX) m->room = POINTS_MAX;
    if (m->room > space->count) m->room = space->count;
    if (!allocate(m, (size_t)space->count, (size_t)m->room)) goto fail;
    for (int j = 0; j < space->count; j++)
        m->point_of[j] = -1;
    for (int i = 0; i < space->algo_count; i++)
        describe_algo(m, i, space->algo_first[i],
                      i + 1 < space->algo_count ? space->algo_first[i + 1] : space->count);
    set_weights(m, &weights_before_fit);
    m->scale = 0.0625;
    m->fit_at = 6;
    *out = m;
    return TESS_OK;
fail:
    search_model_destroy(m);
    return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                     "search: no memory for its model of %d candidates; free some", space->count);
}

void search_model_destroy(struct search_model *m) {
    if (!m) return;
    free(m->points);
    free(m->point_of);
    free(m->position);
    free(m->prior);
    free(m->slope);
    free(m->algo);
    free(m->factor);
    free(m->trial_factor);
    free(m->residual);
    free(m->solved);
    free(m->table);
    free(m->mean);
    free(m->explained);
    free(m);
}
