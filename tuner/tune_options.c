#include "tuner/tune_options.h"

#include "bench/fc_work.h"
#include "bench/options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: tessera tune --net MODEL --batch N | --problems FILE | --problem KEY  [options]\n"
    "Finds the fastest convolution algorithm and configuration for each problem on this device and "
    "remembers them in the\n"
    "tuning database, which every later plan asks. Interrupted at any moment, the same command "
    "goes on where it was.\n"
    "\n"
    "  --net MODEL       a network of the zoo or a .onnx file: every distinct convolution\n"
    "  --input CxHxW     the network's input instead of its own, as for train\n"
    "  --classes N, --width X  classes instead of the network's own number; factor on its filters\n"
    "  --batch N         batch size of --net (1), or of all problems\n"
    "  --problems FILE   one key a line, x3 behind a problem that occurs three times, # starts a "
    "comment\n"
    "  --problem KEY     n8c64h56w56k64r3s3pt1pb1pl1pr1; may be given several times\n"
    "  --pass LIST       of fwd,bwd_data,bwd_weights; all three by default\n"
    "  --mode MODE       how thorough, see below (normal)\n"
    "  --budget SECONDS  for all problems together, in place of the mode's; verifying the winners "
    "comes on top\n"
    "  --fc nNcCkK       a fully connected layer, e.g. n64c4096k4096: its passes by the "
    "convolution engine (tune that\n"
    "                    with --problem nNcCh1w1kKr1s1), by CLBlast and by the kernels that "
    "stream the weights, with weights\n"
    "                    that stay and that change; the fastest is taken; may be given several "
    "times\n"
    "  --clblast SECONDS search CLBlast's own parameters, measured on the first --fc, before that\n"
    "  --record DIR      write a trial log of each problem and pass, for the replay of searches\n"
    "  --strict          only algorithms that round no more than the plain sum (no Winograd)\n"
    "  --cold            operands that rotate over more memory than the last-level cache holds; a "
    "database has either\n"
    "                    cold or warm times: give another --db\n"
    "  --seed N          of the search (1)\n"
    "  --json FILE       append one JSON object a line for every trial and every problem; - for "
    "standard output\n"
    "  --device SPEC     as for tessera; --db FILE: the database "
    "($XDG_DATA_HOME/tessera/tuning.db)\n"
    "  --verbose         let the driver's messages through\n"
    "\n"
    "Time is shared by how often a problem occurs, how long it takes, and what its last turn "
    "gained. Figures are for warm\n"
    "caches but with --cold, without packing weights. Every configuration is verified against "
    "float64 before it is "
    "timed, and every winner\n"
    "again, whole and on ragged shapes.\n"
    "\n"
    "modes             seconds a problem and pass, most of the space that is tried\n";

/* As options_read gives it. */
static int print_usage(void) {
    fputs(usage, stdout);
    for (int i = 0; i < tune_mode_count; i++) {
        const struct tune_mode *m = &tune_modes[i];
        if (m->seconds_per_layer > 0)
            printf("  %-12s %4.3g s, %3.0f %% or %d configurations: %s\n", m->name,
                   m->seconds_per_layer, 100 * m->share, m->at_least, m->about);
        else
            printf("  %-12s as long as it takes, 100 %%: %s\n", m->name, m->about);
    }
    return ferror(stdout) ? 1 : -1;
}

static int set_mode(struct tune_options *options, const char *name) {
    options->mode = tune_mode_find(name);
    if (options->mode) return 0;
    return option_fail(2, "--mode: '%s' is no mode; give rapid, normal, patient or exhaustive",
                       name);
}

static int read_real(const char *option, const char *text, double low, double high, double *out) {
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= low && value <= high))
        return option_fail(2, "%s: '%s' is not a number from %g to %g", option, text, low, high);
    *out = value;
    return 0;
}

/* Whole numbers beyond int. */
static int read_seed(const char *text, double *out) {
    int status = read_real("--seed", text, 0, 9e15, out);
    if (!status && floor(*out) != *out)
        return option_fail(2, "--seed: '%s' is not a whole number", text);
    return status;
}

struct parse {
    struct tune_options *options;
    struct net_choice nets;
    double seed;
    int batch;
};

static int add_fc(struct tune_options *options, const char *text) {
    struct tune_fc_options *fc = &options->fc;
    tess_error error = {0};
    tess_fc_desc desc;
    if (fc_problem_parse(text, &error, &desc)) return option_fail(2, "--fc: %s", error.text);
    if (fc->count == TUNE_FC_MAX)
        return option_fail(2, "--fc: more than %d; run it twice", TUNE_FC_MAX);
    snprintf(fc->problems[fc->count++], sizeof fc->problems[0], "n%dc%dk%d", desc.n, desc.c,
             desc.k);
    return 0;
}

static int set_option(void *user, int option, char *text) {
    struct parse *parse = user;
    struct tune_options *o = parse->options;
    switch (option) {
    case 'n':
    case 'I':
    case 'K':
    case 'W':
        return option_net(option, text, &parse->nets);
    case 'p':
    case 'f':
        return option_problem(option == 'f', text, &o->problems);
    case 'd':
        return option_passes(text, o->passes);
    case 'm':
        return set_mode(o, text);
    case 'b':
        return option_number("batch", text, 1, 1 << 20, &parse->batch);
    case 's':
        return read_seed(text, &parse->seed);
    case 't':
        return read_real("--budget", text, 0.1, 1e9, &o->budget);
    case 'F':
        return add_fc(o, text);
    case 'C':
        return read_real("--clblast", text, 0, 1e9, &o->fc.clblast_seconds);
    case 'r':
        o->record = text;
        return 0;
    case 'j':
        o->json = text;
        return 0;
    case 'D':
        o->device = text;
        return 0;
    case 'B':
        o->db = text;
        return 0;
    case 'S':
        o->strict = true;
        return 0;
    case 'c':
        o->cold = true;
        return 0;
    case 'v':
        o->verbose = true;
        return 0;
    default:
        return print_usage();
    }
}

static int finish(struct parse *parse) {
    struct tune_options *o = parse->options;
    tess_error error = {0};
    if (o->fc.clblast_seconds > 0 && o->fc.count == 0)
        return option_fail(2, "--clblast: nothing to measure it on; give --fc n64c4096k4096");
    int status = option_problems_end(&parse->nets, parse->batch, &o->problems);
    if (status) return status;
    if (o->problems.count == 0 && o->fc.count == 0)
        return option_fail(
            2,
            "tune: nothing to tune; give --net MODEL, --problems FILE or --problem KEY, or --fc");
    for (int i = 0; i < o->problems.count; i++) {
        struct conv_problem problem;
        if (conv_problem_init(&o->problems.entries[i].desc, NULL, &error, &problem))
            return option_fail(2, "%s", error.text);
    }
    o->seed = (uint64_t)parse->seed;
    o->fc.seed = o->seed;
    memcpy(o->fc.passes, o->passes, sizeof o->passes);
    return -1;
}

int tune_options_parse(struct tune_options *options, int argc, char **argv) {
    static const struct option list[] = {
        {"problem", required_argument, NULL, 'p'}, {"problems", required_argument, NULL, 'f'},
        {"net", required_argument, NULL, 'n'},     {"batch", required_argument, NULL, 'b'},
        {"pass", required_argument, NULL, 'd'},    {"mode", required_argument, NULL, 'm'},
        {"budget", required_argument, NULL, 't'},  {"fc", required_argument, NULL, 'F'},
        {"clblast", required_argument, NULL, 'C'}, {"record", required_argument, NULL, 'r'},
        {"json", required_argument, NULL, 'j'},    {"device", required_argument, NULL, 'D'},
        {"db", required_argument, NULL, 'B'},      {"seed", required_argument, NULL, 's'},
        {"input", required_argument, NULL, 'I'},   {"classes", required_argument, NULL, 'K'},
        {"width", required_argument, NULL, 'W'},   {"strict", no_argument, NULL, 'S'},
        {"cold", no_argument, NULL, 'c'},          {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    *options =
        (struct tune_options){.passes = {true, true, true}, .mode = tune_mode_find("normal")};
    struct parse parse = {.options = options, .seed = 1};
    int status = options_read(&(struct options){.command = "tune", .list = list, .set = set_option},
                              argc, argv, &parse);
    if (status) return status < 0 ? 0 : status;
    return finish(&parse);
}
