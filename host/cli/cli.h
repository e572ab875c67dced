/* What every subcommand shares: global options, exit status, one-line errors, the device. */
#ifndef TESSERA_CLI_CLI_H
#define TESSERA_CLI_CLI_H

#include "core/status.h"
#include <jansson.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* The options before the command's name. */
struct cli {
    const char *device;  /* SPEC, or NULL: the default device */
    const char *db;      /* path of the tuning database, or NULL: the default one */
    const char *kernels; /* path of a bundle of kernels compiled beforehand, or NULL */
    tess_log_level log_level;
};

/* Each takes argv with the command's own name first, and gives the exit status. */
typedef int cli_command(const struct cli *cli, int argc, char **argv);

cli_command cmd_devices, cmd_summary, cmd_train, cmd_eval, cmd_predict, cmd_export, cmd_plan,
    cmd_db, cmd_run, cmd_doctor, cmd_kernels;

/* Print "tessera: " and the message as one line on standard error (line breaks in it become " | "), and give
   EXIT_FAILED and EXIT_USAGE. The message reads "what: why; what to do". */
int cli_fail(const char *format, ...) PRINTF_LIKE(1, 2);
int cli_usage(const char *format, ...) PRINTF_LIKE(1, 2);

/* A context on the chosen device, with its log lines on standard error, that plans with the tuning database. A database that was
   named must be usable; the default one is a warning in the log if it is not. The caller destroys *out. */
tess_status cli_context(const struct cli *cli, tess_error *error, tess_context **out);

/* Prints object as one line of JSON on standard output and drops the reference to it. NULL is out of memory.
   Gives EXIT_DONE or, with a message, EXIT_FAILED. */
int cli_print_json(json_t *object);

/* A device as `tessera devices --json` prints it; NULL without memory. */
json_t *device_json(const tess_device_info *device, bool chosen);

/* 1234567 -> "1,234,567"; gives text. */
#define CLI_COUNT_SIZE 32
const char *cli_count(uint64_t value, char text[CLI_COUNT_SIZE]);

/* 12345678 -> "11.8 MiB"; gives text. */
const char *cli_bytes(double bytes, char text[CLI_COUNT_SIZE]);

/* True where standard output's character set is UTF-8. */
bool cli_utf8(void);

#endif
