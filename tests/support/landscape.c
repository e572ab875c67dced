#include "support/landscape.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/check.h"
#include "support/tuner_device.h"

enum { PARAMS = 6, PAIRS = 4 };

/* Logarithms of what values do, to the truth or to a prediction's error. */
struct effects {
    double level;
    double of[PARAMS][CONV_VALUES_MAX];
    int pair[PAIRS][2];
    double both[PAIRS][CONV_VALUES_MAX][CONV_VALUES_MAX];
    int cliff; /* positions of the first two parameters add up to more: twice as slow */
};

static double uniform(uint64_t *random) {
    uint64_t z = *random += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}
/* Mean 0, standard deviation 1. */
static double normal(uint64_t *random) {
    return sqrt(-2 * log(1 - uniform(random))) * cos(6.283185307179586 * uniform(random));
}

/* size: typical deviation of the sum of all effects (random walks over values add about half to it). */
static void make_effects(struct effects *e, double size, const struct conv_param *params,
                         uint64_t *random) {
    double each = 0.5 * size / sqrt(PARAMS), pairs = 0.5 * size / sqrt(PAIRS);
    e->level = 0.5 * size * normal(random);
    for (int p = 0; p < PARAMS; p++) {
        double importance = each * 2 * uniform(random), at = 0;
        for (int i = 0; i < params[p].count; i++) {
            e->of[p][i] = at;
            at += importance * normal(random);
        }
    }
    for (int k = 0; k < PAIRS; k++) {
        for (int i = 0; i < 2; i++)
            e->pair[k][i] = (int)(uniform(random) * PARAMS);
        for (int i = 0; i < CONV_VALUES_MAX; i++)
            for (int j = 0; j < CONV_VALUES_MAX; j++)
                e->both[k][i][j] = pairs * normal(random);
    }
    e->cliff = 3 + (int)(uniform(random) * 5);
}

static double effect(const struct effects *e, const int position[PARAMS]) {
    double sum = e->level;
    for (int p = 0; p < PARAMS; p++)
        sum += e->of[p][position[p]];
    for (int k = 0; k < PAIRS; k++)
        sum += e->both[k][position[e->pair[k][0]]][position[e->pair[k][1]]];
    return sum;
}

/* Value counts whose product is about size. */
static void make_table(struct landscape *l, int a, int size) {
    static const int counts[PARAMS] = {8, 4, 5, 3, 2, 2};
    static const char *const names[PARAMS] = {"wt", "kv", "ct", "st", "order", "fix"};
    for (int p = 0; p < PARAMS; p++) {
        struct conv_param *param = &l->param[a][p];
        *param = (struct conv_param){.name = names[p], .passes = CONV_IN_ALL};
        param->count = size < counts[p] ? size : counts[p];
        if (p == PARAMS - 1 && size > 2) param->count = size < 12 ? size : 12;
        if (param->count < 1) param->count = 1;
        size = (size + param->count / 2) / param->count;
        for (int i = 0; i < param->count; i++)
            param->values[i] = 1 + i;
    }
    snprintf(l->name[a], sizeof l->name[a], "algo%d", a);
    l->algo[a] =
        (struct conv_algo){.name = l->name[a], .param_count = PARAMS, .params = l->param[a]};
}

struct list {
    struct candidate *candidates;
    double *seconds;
    int count;
};

static void add_algo(struct landscape *l, const struct landscape_options *o, int a,
                     struct list *list, uint64_t *random) {
    struct effects truth, error;
    make_effects(&truth, 1, l->param[a], random);
    make_effects(&error, log(o->wrong), l->param[a], random);
    int total = 1, position[PARAMS] = {0};
    for (int p = 0; p < PARAMS; p++)
        total *= l->param[a][p].count;
    for (int i = 0; i < total; i++) {
        struct candidate *c = &list->candidates[list->count];
        *c = (struct candidate){.algo = &l->algo[a]};
        for (int p = 0, rest = i; p < PARAMS; rest /= l->param[a][p].count, p++) {
            position[p] = rest % l->param[a][p].count;
            c->config.value[p] = l->param[a][p].values[position[p]];
        }
        /* Predictions know neither the cliff nor what is particular to a candidate. */
        double time = effect(&truth, position);
        c->predicted = 1e6 * exp(time + effect(&error, position));
        if (position[0] + position[1] > truth.cliff) time += log(2);
        time += o->rough * normal(random);
        bool fails = uniform(random) < o->failures;
        list->seconds[list->count++] = fails ? INFINITY : 1e-3 * exp(time);
    }
}

struct landscape *landscape_create(const struct landscape_options *o) {
    struct landscape *l = check_alloc(sizeof *l);
    uint64_t random = o->seed;
    struct list list = {.count = 0};
    list.candidates = check_alloc(3 * ((size_t)o->size + 50) * sizeof *list.candidates);
    list.seconds = check_alloc(3 * ((size_t)o->size + 50) * sizeof *list.seconds);
    /* Each algorithm has half as many as the one before. */
    double share = 1 / (2 - pow(0.5, o->algos - 1));
    for (int a = 0; a < o->algos; a++, share /= 2) {
        make_table(l, a, (int)(o->size * share));
        add_algo(l, o, a, &list, &random);
    }
    struct conv_problem problem = tuner_problem("n1c16h8w8k16r3s3", TESS_CONV_FWD);
    tess_error error = {0};
    if (space_from_list(&problem, list.candidates, list.count, &error, &l->space))
        fail_msg("%s", error.text);
    free(list.candidates);
    l->seconds = list.seconds;
    l->best = INFINITY;
    for (int i = 0; i < list.count; i++)
        l->best = fmin(l->best, l->seconds[i]);
    return l;
}

void landscape_destroy(struct landscape *l) {
    if (!l) return;
    space_destroy(l->space);
    free(l->seconds);
    free(l);
}
