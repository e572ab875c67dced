/* The planner's tiers: exact before the portfolio's same problem before near before other devices before the prediction; guard, limits, stale rows. */
#include "core/context.h"
#include "db/nearness.h"
#include "db/portfolio.h"
#include "ops/conv/conv_advice.h"
#include "support/db_fixture.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Strided: only direct and what is slower do these, so that its own best is the best of all. */
#define KEY   "n8c64h56w56k64r3s3u2v2pt1pb1pl1pr1d1e1g1"
#define NEAR  "n4c64h48w48k64r3s3u2v2pt1pb1pl1pr1d1e1g1"
#define FAR   "n1c8h200w100k640r3s3u2v2pt1pb1pl1pr1d1e1g1"
#define OTHER "n8c64h56w56k64r5s5u2v2pt1pb1pl1pr1d1e1g1" /* of another class */

/* A context with a database in a folder of its own, and configurations of direct for KEY by their prediction. */
struct planner {
    tess_context *ctx;
    char *folder;
    struct db *db; /* the same file once more, to write to */
    struct conv_problem problem;
    char best[CONV_CONFIG_SIZE], good[2][CONV_CONFIG_SIZE], slow[CONV_CONFIG_SIZE];
    double best_cycles;
};

static const struct conv_algo *direct(void) {
    const struct conv_algo *algo = conv_algo_find("direct");
    assert_non_null(algo);
    return algo;
}

static int find_best(void *user, const struct conv_config *config) {
    struct planner *p = user;
    double cycles = direct()->predict(&p->problem, &p->ctx->device, config);
    if (cycles >= p->best_cycles) return 0;
    p->best_cycles = cycles;
    conv_config_print(direct(), TESS_CONV_FWD, config, p->best);
    return 0;
}

static int find_others(void *user, const struct conv_config *config) {
    struct planner *p = user;
    char text[CONV_CONFIG_SIZE];
    double ratio = direct()->predict(&p->problem, &p->ctx->device, config) / p->best_cycles;
    conv_config_print(direct(), TESS_CONV_FWD, config, text);
    char *into = NULL;
    if (ratio > 3) into = p->slow;
    if (ratio > 1.01 && ratio < 1.5) into = *p->good[0] ? p->good[1] : p->good[0];
    if (into) snprintf(into, CONV_CONFIG_SIZE, "%s", text);
    return 0;
}

static int planner_setup(void **state) {
    struct planner *p = calloc(1, sizeof *p);
    void *ctx = NULL, *folder = NULL;
    *state = p;
    if (!p || check_setup(&ctx) || folder_setup(&folder)) return -1;
    p->ctx = ctx;
    p->folder = folder;
    p->best_cycles = DBL_MAX;
    tess_conv_desc desc;
    if (tess_conv_desc_parse(KEY, NULL, &desc) ||
        conv_problem_init(&desc, NULL, NULL, &p->problem) ||
        db_open(db_fixture_path(folder), NULL, NULL, NULL, &p->db) ||
        db_advise(p->ctx, db_fixture_path(folder)) || db_set_device(p->db, &p->ctx->device, NULL))
        return -1;
    conv_config_each(direct(), &p->problem, &p->ctx->device, find_best, p);
    conv_config_each(direct(), &p->problem, &p->ctx->device, find_others, p);
    return *p->slow && *p->good[1] ? 0 : -1;
}

static int planner_teardown(void **state) {
    struct planner *p = *state;
    void *ctx = p->ctx, *folder = p->folder;
    db_close(p->db);
    free(p);
    return check_teardown(&ctx) | folder_teardown(&folder);
}

static struct conv_choice choose(struct planner *p, const char *key,
                                 const tess_conv_options *options) {
    tess_conv_desc desc;
    struct conv_problem problem;
    struct conv_choice choice;
    assert_int_equal(tess_conv_desc_parse(key, NULL, &desc), TESS_OK);
    assert_ok(p->ctx, conv_problem_init(&desc, options, &p->ctx->error, &problem));
    assert_ok(p->ctx, conv_choose(p->ctx, &problem, options, &choice));
    return choice;
}

/* Plans and fails unless this tier answered with this configuration (NULL: any) and a reason that holds text. */
static void check(struct planner *p, const char *key, const tess_conv_options *options,
                  const char *tier, const char *config, const char *text) {
    struct conv_choice choice = choose(p, key, options);
    char printed[CONV_CONFIG_SIZE];
    conv_config_print(choice.algo, options ? options->pass : TESS_CONV_FWD, &choice.config,
                      printed);
    if (strcmp(choice.tier, tier) != 0 || (config && strcmp(config, printed) != 0) ||
        !strstr(choice.why, text))
        fail_msg("%s: tier '%s', %s, '%s'; expected '%s', %s, '...%s...'", key, choice.tier,
                 printed, choice.why, tier, config ? config : "any", text);
}

/* A good trial on this device (or, with db, on another one's) with the kernel that we have, or (stale) an older one. */
struct trial {
    struct db *db;
    const char *problem, *config;
    double seconds;
    bool stale, not_strict;
    size_t bytes;
};
static void add(struct planner *p, struct trial t) {
    char hash[65];
    assert_ok(p->ctx, db_algo_hash(p->ctx, direct(), hash));
    if (t.stale) hash[0] ^= 1;
    db_fixture_add(t.db ? t.db : p->db, &(struct db_fixture_trial){.problem = t.problem,
                                                                   .config = t.config,
                                                                   .hash = hash,
                                                                   .seconds = t.seconds,
                                                                   .not_strict = t.not_strict,
                                                                   .bytes = t.bytes});
}

static void test_empty(void **state) {
    struct planner *p = *state;
    char tier[32];
    snprintf(tier, sizeof tier, "%s", choose(p, KEY, NULL).tier);
    assert_string_not_equal(tier, "exact");
    assert_string_not_equal(tier, "near");
    assert_ok(p->ctx, conv_advisor_set(p->ctx, NULL));
    check(p, KEY, NULL, "analytic", NULL, "million cycles predicted");
    tess_conv_options named = {.algo = "direct"};
    check(p, KEY, &named, "caller", p->best, "million cycles predicted");
}

static void test_exact(void **state) {
    struct planner *p = *state;
    add(p, (struct trial){.problem = NEAR, .config = p->good[1], .seconds = 1e-4});
    check(p, KEY, NULL, "near", p->good[1], "as " NEAR ": measured 0.1 ms there");
    add(p, (struct trial){.problem = KEY, .config = p->good[0], .seconds = 3e-3});
    add(p, (struct trial){.problem = KEY, .config = p->good[1], .seconds = 4e-3});
    check(p, KEY, NULL, "exact", p->good[0], "measured 3 ms here");
    check(p, KEY, NULL, "exact", p->good[0], "best of 2 trials");
    /* Nothing is predicted where it was measured. */
    add(p, (struct trial){.problem = KEY, .config = p->slow, .seconds = 1e-3});
    check(p, KEY, NULL, "exact", p->slow, "measured 1 ms here");
    /* Another pass is another problem; the caller's word is above all. */
    tess_conv_options backward = {.pass = TESS_CONV_BWD_DATA};
    assert_string_not_equal(choose(p, KEY, &backward).tier, "exact");
    tess_conv_options named = {.algo = "generic"};
    check(p, KEY, &named, "caller", "conv_generic_fwd", "caller");
}

static void test_near(void **state) {
    struct planner *p = *state;
    add(p, (struct trial){.problem = FAR, .config = p->good[0], .seconds = 1e-4});
    add(p, (struct trial){.problem = NEAR, .config = p->good[1], .seconds = 1e-3});
    check(p, KEY, NULL, "near", p->good[1], NEAR);
    assert_string_not_equal(choose(p, OTHER, NULL).tier, "near");
    /* The guard: not what is predicted at three times the best; then the next one is asked. */
    add(p, (struct trial){.problem = NEAR, .config = p->slow, .seconds = 1e-5});
    check(p, KEY, NULL, "near", p->good[1], NEAR);
}

static void test_guard(void **state) {
    struct planner *p = *state;
    add(p, (struct trial){.problem = NEAR, .config = p->slow, .seconds = 1e-5});
    struct conv_choice choice = choose(p, KEY, NULL);
    if (strcmp(choice.tier, "portfolio") == 0) return; /* something better is known */
    check(p, KEY, NULL, "analytic", NULL, "of a neighbour was rejected: predicted");
}

static void test_stale(void **state) {
    struct planner *p = *state;
    add(p, (struct trial){.problem = KEY, .config = p->good[0], .seconds = 1e-5, .stale = true});
    check(p, KEY, NULL, "other device", p->good[0], "older");
    add(p, (struct trial){.problem = NEAR, .config = p->good[1], .seconds = 1e-3});
    check(p, KEY, NULL, "near", p->good[1], NEAR);
}

static void test_other_device(void **state) {
    struct planner *p = *state;
    struct db *db = db_fixture_open(p->folder, "another cpu", "9");
    add(p, (struct trial){.db = db, .problem = KEY, .config = p->good[0], .seconds = 1e-5});
    check(p, KEY, NULL, "other device", p->good[0], "another cpu");
    add(p, (struct trial){.problem = KEY, .config = p->good[1], .seconds = 1e-2, .stale = true});
    check(p, KEY, NULL, "other device", p->good[1], "older");
    /* A GPU's figures say nothing about a CPU. */
    tess_device_info gpu = db_fixture_device("gpu", "1");
    gpu.type = CL_DEVICE_TYPE_GPU;
    assert_int_equal(db_set_device(db, &gpu, NULL), TESS_OK);
    add(p, (struct trial){.db = db, .problem = OTHER, .config = p->good[0], .seconds = 1e-5});
    assert_string_not_equal(choose(p, OTHER, NULL).tier, "other device");
    db_close(db);
}

static void test_limits(void **state) {
    struct planner *p = *state;
    add(p, (struct trial){.problem = KEY, .config = p->good[0], .seconds = 1e-3, .bytes = 1000});
    add(p,
        (struct trial){.problem = KEY, .config = p->good[1], .seconds = 2e-3, .not_strict = true});
    tess_conv_options strict = {.strict = true}, tight = {.limit_workspace = true};
    check(p, KEY, NULL, "exact", p->good[0], "");
    check(p, KEY, &strict, "exact", p->good[0], "");
    /* Whatever the database says, direct packs weights. */
    check(p, KEY, &tight, "generic", "conv_generic_fwd", "within the workspace limit");
    add(p,
        (struct trial){.problem = KEY, .config = p->good[1], .seconds = 1e-4, .not_strict = true});
    check(p, KEY, NULL, "exact", p->good[1], "");
    check(p, KEY, &strict, "exact", p->good[0], "");
}

/* An advisor that knows one thing. */
static int say(void *user, const struct conv_problem *problem, bool strict, size_t limit,
               struct conv_advice *out, int max) {
    (void)problem, (void)strict, (void)limit;
    *out = *(const struct conv_advice *)user;
    return max == 1 ? 0 : 1;
}

static void test_portfolio(void **state) {
    struct planner *p = *state;
    struct conv_advice advice = {
        .nearness = CONV_PORTFOLIO, .problem = FAR, .origin = "portfolio test"};
    const struct conv_advisor advisor = {.user = &advice, .advise = say};
    assert_ok(p->ctx, conv_advisor_set(p->ctx, &advisor));
    snprintf(advice.config, sizeof advice.config, "%s", p->good[0]);
    check(p, KEY, NULL, "portfolio", p->good[0], "reasoned (portfolio test); predicted 1");
    advice.seconds = 2e-3;
    check(p, KEY, NULL, "portfolio", p->good[0], "measured 2 ms there (portfolio test)");
    snprintf(advice.config, sizeof advice.config, "%s", p->slow);
    check(p, KEY, NULL, "analytic", NULL, "of the portfolio was rejected");
    /* Advice is about NHWC. */
    tess_conv_desc desc;
    struct conv_problem problem;
    struct conv_choice choice;
    assert_int_equal(tess_conv_desc_parse(KEY, NULL, &desc), TESS_OK);
    desc.layout = TESS_NCHW;
    snprintf(advice.config, sizeof advice.config, "conv_generic_fwd");
    assert_ok(p->ctx, conv_problem_init(&desc, NULL, &p->ctx->error, &problem));
    assert_ok(p->ctx, conv_choose(p->ctx, &problem, NULL, &choice));
    assert_string_not_equal(choice.tier, "portfolio");
}

/* The first measured entry for a forward pass, or NULL. */
static const struct portfolio_entry *measured_entry(const struct portfolio *portfolio) {
    for (int i = 0; portfolio && i < portfolio->count; i++)
        if (portfolio->list[i].seconds > 0 && strcmp(portfolio->list[i].operation, "conv_fwd") == 0)
            return &portfolio->list[i];
    return NULL;
}

/* What was measured on this very problem for the portfolio goes before a neighbour here, and behind what was measured on it here. */
static void test_portfolio_of_same(void **state) {
    struct planner *p = *state;
    struct portfolio *portfolio;
    assert_ok(p->ctx, portfolio_for_device(&p->ctx->device, &p->ctx->error, &portfolio));
    const struct portfolio_entry *entry = measured_entry(portfolio);
    if (!entry) {
        portfolio_free(portfolio);
        skip(); /* no device of ours was measured */
    }
    struct conv_problem problem;
    struct conv_advice advice[8];
    const struct conv_advisor *advisor = p->ctx->advisor;
    tess_conv_desc near = entry->desc;
    char near_key[TESS_CONV_KEY_SIZE];
    near.n *= 2;
    tess_conv_desc_key(&near, near_key);
    add(p, (struct trial){.problem = near_key, .config = p->good[0], .seconds = 1e-3});
    assert_ok(p->ctx, conv_problem_init(&entry->desc, NULL, &p->ctx->error, &problem));
    int count = advisor->advise(advisor->user, &problem, false, SIZE_MAX, advice, 8), at = 0;
    assert_true(count >= 2);
    assert_int_equal(advice[0].nearness, CONV_PORTFOLIO);
    assert_string_equal(advice[0].problem, entry->problem);
    while (at < count && advice[at].nearness == CONV_PORTFOLIO)
        at++;
    assert_true(at < count && advice[at].nearness == CONV_NEAR);
    assert_string_equal(advice[at].problem, near_key);

    add(p, (struct trial){.problem = entry->problem, .config = p->good[1], .seconds = 1e-3});
    assert_true(advisor->advise(advisor->user, &problem, false, SIZE_MAX, advice, 8) >= 3);
    assert_int_equal(advice[0].nearness, CONV_EXACT);
    assert_int_equal(advice[1].nearness, CONV_PORTFOLIO);

    /* Of any other problem the neighbour knows more. */
    near.n *= 2;
    assert_ok(p->ctx, conv_problem_init(&near, NULL, &p->ctx->error, &problem));
    assert_true(advisor->advise(advisor->user, &problem, false, SIZE_MAX, advice, 8) >= 2);
    assert_int_equal(advice[0].nearness, CONV_NEAR);
    portfolio_free(portfolio);
}

/* What no longer parses, or does not fit, is passed over. */
static void test_unusable(void **state) {
    struct planner *p = *state;
    static const char *const bad[] = {"conv_direct_fwd__nonsense3", "conv_direct_bwd_data__wt1",
                                      "conv_gone_fwd__wt1", "", "conv_direct_fwd__wt28_kv4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        add(p, (struct trial){.problem = KEY, .config = bad[i], .seconds = 1e-6 * (double)(i + 1)});
    assert_string_not_equal(choose(p, KEY, NULL).tier, "exact");
    /* It lies behind more bad ones than are looked at, so a better one helps. */
    add(p, (struct trial){.problem = KEY, .config = p->good[0], .seconds = 1e-7});
    check(p, KEY, NULL, "exact", p->good[0], "");
}

static void test_nearness(void **state) {
    (void)state;
    tess_conv_desc a, b;
    char of_a[NEARNESS_CLASS_SIZE], of_b[NEARNESS_CLASS_SIZE];
    assert_int_equal(tess_conv_desc_parse("n8c64h56w56k64r3s3", NULL, &a), TESS_OK);
    assert_int_equal(tess_conv_desc_parse("n2c32h56w112k64r3s3", NULL, &b), TESS_OK);
    assert_true(nearness_distance(&a, &a) == 0);
    assert_true(fabs(nearness_distance(&a, &b) - 3) < 1e-12);
    assert_true(fabs(nearness_size(&a) - nearness_size(&b)) <= nearness_distance(&a, &b));
    nearness_class(&a, of_a);
    nearness_class(&b, of_b);
    assert_string_equal(of_a, of_b);
    assert_int_equal(tess_conv_desc_parse("n2c32h56w112k64r3s3u2", NULL, &b), TESS_OK);
    nearness_class(&b, of_b);
    assert_string_not_equal(of_a, of_b);
    assert_int_equal(tess_conv_desc_parse("n8c64h56w56k64r3s3g64", NULL, &a), TESS_OK);
    assert_int_equal(tess_conv_desc_parse("n8c32h56w56k32r3s3g32", NULL, &b), TESS_OK);
    nearness_class(&a, of_a);
    nearness_class(&b, of_b);
    assert_string_equal(of_a, of_b);
}

#define PLANNER(test) cmocka_unit_test_setup_teardown(test, planner_setup, planner_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        PLANNER(test_empty),
        PLANNER(test_exact),
        PLANNER(test_near),
        PLANNER(test_guard),
        PLANNER(test_stale),
        PLANNER(test_other_device),
        PLANNER(test_limits),
        PLANNER(test_unusable),
        PLANNER(test_portfolio),
        PLANNER(test_portfolio_of_same),
        cmocka_unit_test(test_nearness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
