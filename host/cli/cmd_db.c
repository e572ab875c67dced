/* tessera db: what is in the tuning database, and its way to and from other machines. */
#include "cli/args.h"
#include "cli/cli.h"
#include "core/refused_option.h"
#include "db/db.h"

#include <stdio.h>
#include <string.h>

struct request {
    const char
        *file; /* the action's argument: a file, or a device class; NULL where it takes none */
    const char *out;
    bool json;
};

/* Does it; the one line of a failure is in *error. */
typedef tess_status action_run(struct db *db, const struct request *request, tess_error *error);

static int print_row(void *user, const struct db_row *row, long trials) {
    const struct request *request = user;
    bool good = row->status == DB_OK;
    if (request->json)
        return cli_print_json(json_pack(
            "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:I}", "device", row->device, "driver",
            row->driver, "operation", row->operation, "problem", row->problem, "algo", row->algo,
            "config", row->config, "status", db_status_name(row->status), "ms",
            good ? json_real(1e3 * row->seconds) : json_null(), "trials", (json_int_t)trials));
    printf("%s  %s\n", row->problem, row->operation);
    if (good)
        printf("    %.4g ms, %s, best of %ld trials\n", 1e3 * row->seconds, row->config, trials);
    else
        printf("    no good one of %ld trials, e.g. %s: %s\n", trials, row->config,
               db_status_name(row->status));
    printf("    on %s, driver %s\n", row->device, row->driver);
    return 0;
}

static tess_status list(struct db *db, const struct request *request, tess_error *error) {
    return db_list(db, print_row, (void *)request, error);
}

static void print_count(const char *format, long rows, const char *file) {
    char text[CLI_COUNT_SIZE];
    printf(format, cli_count((uint64_t)rows, text), rows == 1 ? "" : "s", file);
}

static tess_status export(struct db *db, const struct request *request, tess_error *error) {
    long rows = 0;
    tess_status status = db_export(db, request->file, error, &rows);
    if (!status) print_count("%s trial%s written to %s\n", rows, request->file);
    return status;
}

static tess_status take_in(struct db *db, const struct request *request, bool replace,
                           tess_error *error) {
    long rows = 0;
    tess_status status = db_import(db, request->file, replace, error, &rows);
    if (!status) print_count("%s trial%s added from %s\n", rows, request->file);
    return status;
}

static tess_status import(struct db *db, const struct request *request, tess_error *error) {
    return take_in(db, request, true, error);
}

static tess_status merge(struct db *db, const struct request *request, tess_error *error) {
    return take_in(db, request, false, error);
}

static tess_status prune(struct db *db, const struct request *request, tess_error *error) {
    (void)request;
    long rows = 0;
    tess_status status = db_prune(db, error, &rows);
    if (!status) print_count("%s trial%s dropped from %s\n", rows, db_path(db));
    return status;
}

static tess_status portfolio(struct db *db, const struct request *request, tess_error *error) {
    long rows = 0;
    tess_status status = db_portfolio(db, request->file, request->out, error, &rows);
    if (!status) print_count("%s configuration%s written to %s\n", rows, request->out);
    return status;
}

static const struct action {
    const char *name;
    action_run *run;
    bool takes_file;
} actions[] = {
    {"list", list, false},  {"export", export, true}, {"import", import, true},
    {"merge", merge, true}, {"prune", prune, false},  {"portfolio", portfolio, true},
};
enum { ACTION_COUNT = sizeof actions / sizeof *actions };

static const struct action *find_action(const char *name) {
    for (int i = 0; i < ACTION_COUNT; i++)
        if (strcmp(actions[i].name, name) == 0) return &actions[i];
    return NULL;
}

static int unknown_action(const char *name) {
    const char *names[ACTION_COUNT];
    for (int i = 0; i < ACTION_COUNT; i++)
        names[i] = actions[i].name;
    const char *near = nearest_name(name, names, ACTION_COUNT);
    return cli_usage("db: '%s' is no action; %s%s%s", name, near ? "did you mean '" : "see ",
                     near ? near : "'tessera db --help", near ? "'?" : "'");
}

/* Warnings about a damaged file are shown whatever the level: its owner should know where it went. */
static void log_line(void *user, tess_log_level level, const char *line) {
    (void)user;
    if (level <= TESS_LOG_WARN) fprintf(stderr, "[warn] %s\n", line);
}

int cmd_db(const struct cli *cli, int argc, char **argv) {
    struct request request = {0};
    struct arg list_of_args[] = {
        {"out", ARG_TEXT, &request.out, "FILE", "portfolio: where to write it", 0, 0, false},
        {"json", ARG_FLAG, &request.json, NULL, "list: JSON Lines, one problem a line", 0, 0,
         false},
        {0},
    };
    struct arg_table table = {
        .command = "db",
        .usage =
            "list | export FILE | import FILE | merge FILE | prune | portfolio CLASS --out FILE",
        .about =
            "The tuning database (--db FILE before the command): what was measured, on which "
            "device.\n"
            "  list         each problem with its best configuration\n"
            "  export FILE  all trials as JSON Lines\n"
            "  import FILE  an exported file in place of what is there, all or nothing\n"
            "  merge FILE   the same, added to what is there; what is there already is left out\n"
            "  prune        drop other drivers' and kernels' trials, and all but each problem's "
            "best\n"
            "  portfolio    condense what devices of a class have measured into a file for "
            "host/db/portfolio/",
        .list = list_of_args,
        .min_words = 1,
        .max_words = 2,
    };
    int words;
    int status = args_parse(&table, argc, argv, &words);
    if (status != ARGS_CONTINUE) return status;
    const struct action *action = find_action(argv[words]);
    if (!action) return unknown_action(argv[words]);
    if (argc - words != 1 + action->takes_file)
        return cli_usage("db %s: %s", action->name,
                         action->takes_file ? "no FILE (or CLASS); give one"
                                            : "takes no argument; give none");
    if (action->run == portfolio && !request.out)
        return cli_usage("db portfolio: no --out; give a file");
    if (action->takes_file) request.file = argv[words + 1];
    tess_error error = {0};
    struct db *db = NULL;
    if (db_open(cli->db, log_line, NULL, &error, &db) || action->run(db, &request, &error))
        status = cli_fail("%s", error.text);
    else
        status = EXIT_DONE;
    db_close(db);
    return status;
}
