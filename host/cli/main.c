/* tessera: the command. Finds the subcommand and hands over. */
#include "cli/args.h"
#include "cli/cli.h"
#include "core/refused_option.h"
#include "core/std_streams.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command {
    const char *name;
    cli_command *run;
    const char *about;
} commands[] = {
    {"devices", cmd_devices, "list the OpenCL devices"},
    {"summary", cmd_summary, "layers, shapes, parameters, memory and FLOPs of a network"},
    {"train", cmd_train, "train a network"},
    {"eval", cmd_eval, "accuracy of trained weights on a data set"},
    {"predict", cmd_predict, "classify pictures"},
    {"export", cmd_export, "write a network as an ONNX model"},
    {"run", cmd_run, "run an ONNX model on arrays in .npy files"},
    {"plan", cmd_plan, "which convolution algorithm and configuration, and why"},
    {"db", cmd_db, "list, export, import, merge and prune what was measured"},
    {"kernels", cmd_kernels,
     "compile a network's kernels beforehand, for devices without a compiler"},
    {"doctor", cmd_doctor, "check drivers, devices, kernels, caches"},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

/* Commands that are programs of their own beside this one; absent where they were not built. */
static const struct {
    const char *name, *program, *about;
    bool subcommand; /* the name is one of the program's own subcommands */
} programs[] = {
    {"bench", "tessera-bench", "time convolutions and networks, compare two runs", false},
    {"report", "tessera-bench", "what is known about a device, as one HTML file", true},
    {"tune", "tessera-tune", "find the fastest convolutions on this device and remember them",
     false},
};
enum { PROGRAM_COUNT = sizeof programs / sizeof *programs };

/* The path of a program in this executable's folder; false if it is not there. */
static bool find_program(const char *program, char path[4096]) {
    ssize_t length = readlink("/proc/self/exe", path, 4000);
    if (length <= 0) return false;
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    if (!slash) return false;
    snprintf(slash + 1, 4096 - (size_t)(slash + 1 - path), "%s", program);
    return access(path, X_OK) == 0;
}

static int run_program(const struct cli *cli, const char *program, const char *path, char **argv) {
    if (cli->kernels)
        return cli_usage("--kernels: %s compiles what it measures; leave it out", program);
    if (cli->device && setenv("TESSERA_DEVICE", cli->device, 1))
        return cli_fail("%s: %s; free some memory", program, strerror(errno));
    if (cli->db && setenv("TESSERA_DB", cli->db, 1))
        return cli_fail("%s: %s; free some memory", program, strerror(errno));
    argv[0] = (char *)program;
    execv(path, argv);
    return cli_fail("%s: cannot be started: %s; install Tessera again", path, strerror(errno));
}

static void print_help(const struct arg_table *table) {
    char path[4096];
    args_help(table);
    printf("\ncommands ('tessera COMMAND --help' says more):\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        printf("  %-22s %s\n", commands[i].name, commands[i].about);
    for (int i = 0; i < PROGRAM_COUNT; i++)
        if (find_program(programs[i].program, path))
            printf("  %-22s %s\n", programs[i].name, programs[i].about);
}

static int unknown_command(const char *name) {
    const char *names[COMMAND_COUNT + PROGRAM_COUNT];
    char path[4096];
    size_t count = 0;
    for (int i = 0; i < COMMAND_COUNT; i++)
        names[count++] = commands[i].name;
    for (int i = 0; i < PROGRAM_COUNT; i++)
        if (find_program(programs[i].program, path)) names[count++] = programs[i].name;
    const char *near = nearest_name(name, names, count);
    if (near) return cli_usage("%s: no such command; did you mean '%s'?", name, near);
    return cli_usage("%s: no such command; 'tessera --help' lists them", name);
}

static int run_command(const struct cli *cli, int argc, char **argv) {
    char path[4096];
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (!strcmp(argv[0], commands[i].name)) return commands[i].run(cli, argc, argv);
    for (int i = 0; i < PROGRAM_COUNT; i++)
        if (!strcmp(argv[0], programs[i].name) && find_program(programs[i].program, path))
            /* A subcommand of the program keeps its name, behind the program's own. */
            return run_program(cli, programs[i].program, path, argv - (programs[i].subcommand));
    return unknown_command(argv[0]);
}

static bool read_log_level(const char *text, tess_log_level *out) {
    static const char *const names[] = {"error", "warn", "info", "debug"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(text, names[i])) {
            *out = (tess_log_level)i;
            return true;
        }
    return false;
}

int main(int argc, char **argv) {
    struct cli cli = {0};
    const char *log = "error";
    struct arg list[] = {
        {"device", ARG_TEXT, &cli.device, "SPEC", "P:D, gpu, cpu, or a part of a device's name", 0,
         0, false},
        {"db", ARG_TEXT, &cli.db, "FILE",
         "the tuning database (TESSERA_DB, else ~/.local/share/tessera/tuning.db)", 0, 0, false},
        {"kernels", ARG_TEXT, &cli.kernels, "BUNDLE",
         "take all kernels from this file of 'kernels build', compile none", 0, 0, false},
        {"log", ARG_TEXT, &log, "LEVEL", "error, warn, info or debug, on standard error", 0, 0,
         false},
        {0},
    };
    struct arg_table table = {
        .command = "",
        .usage = "[options] COMMAND ...",
        .about = "Convolutional networks, trained and run, on any OpenCL device.",
        .list = list,
        .stop_at_word = true,
    };
    std_streams_hold();
    setlocale(LC_CTYPE, ""); /* for the character set of pictures; numbers stay as in C */
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        print_help(&table);
        return std_streams_end(EXIT_DONE);
    }
    int word;
    int status = args_parse(&table, argc, argv, &word);
    if (status != ARGS_CONTINUE) return status;
    if (!read_log_level(log, &cli.log_level))
        return cli_usage("--log: '%s' is no level; give error, warn, info or debug", log);
    if (word >= argc) return cli_usage("no command; 'tessera --help' lists them");
    return std_streams_end(run_command(&cli, argc - word, argv + word));
}
