/* tessera doctor: is everything there, and does it compute what it should? */
#include "cli/args.h"
#include "cli/child.h"
#include "cli/doctor.h"
#include "core/atomic_file.h"
#include "selftest/selftest.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void doctor_say(struct doctor *doctor, enum verdict verdict, const char *subject,
                const char *format, ...) {
    static const char *const words[] = {"ok", "warning", "FAIL"};
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++)
        if (*c == '\n' || *c == '\t') *c = ' ';
    doctor->counts[verdict]++;
    if (doctor->json)
        cli_print_json(json_pack("{s:s, s:s, s:s}", "verdict", words[verdict], "subject", subject,
                                 "text", text));
    else
        printf("%-8s %s: %s\n", words[verdict], subject, text);
    fflush(stdout);
}

void split_fields(char *line, char **fields, int count) {
    static char nothing[] = "";
    for (int i = 0; i < count; i++) {
        char *tab = line ? strchr(line, '\t') : NULL;
        fields[i] = line ? line : nothing;
        if (tab) *tab = '\0';
        line = tab ? tab + 1 : NULL;
    }
}

static int conclude(const struct doctor *doctor) {
    int failures = doctor->counts[FOUND_FAILURE], warnings = doctor->counts[FOUND_WARNING];
    if (doctor->json) {
        int status = cli_print_json(json_pack("{s:b, s:i, s:i}", "healthy", !failures, "failures",
                                              failures, "warnings", warnings));
        if (status) return status;
    } else {
        printf("\n%s: %d failure%s, %d warning%s\n", failures ? "NOT HEALTHY" : "healthy", failures,
               failures == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
    }
    return failures ? EXIT_FAILED : EXIT_DONE;
}

int cmd_doctor(const struct cli *cli, int argc, char **argv) {
    struct doctor doctor = {.cli = cli};
    double budget = 22;
    struct arg list[] = {
        {"json", ARG_FLAG, &doctor.json, NULL,
         "JSON Lines: one finding a line, then the conclusion", 0, 0, false},
        {"capsule", ARG_TEXT, &doctor.capsule, "FILE.tar.gz",
         "what the driver's authors need of the first self-test that fails", 0, 0, false},
        {"test", ARG_TEXT, &doctor.only, "NAME",
         "this self-test alone; with --capsule also if it passes", 0, 0, false},
        {"budget", ARG_REAL, &budget, "SECONDS", "for the self-tests of all devices (22)", 1, 3600,
         false},
        {0},
    };
    struct arg_table table = {
        .command = "doctor",
        .usage = "[--json] [--capsule FILE.tar.gz] [--test NAME] [--budget SECONDS]",
        .about =
            "Checks the installation: OpenCL loader and drivers, devices (all, or that of "
            "--device), "
            "the kernels of every\noperator against references on tiny shapes, program cache, "
            "tuning "
            "database, disk. A line a finding: ok, warning\nor FAIL, and what to do. Ends with "
            "status "
            "1 after a FAIL. What the time does not allow is said; compiled kernels\nare kept, so "
            "that a second run gets further.",
        .list = list,
    };
    if (argc > 1 && argv[1][0] == '@') return doctor_child(argc - 1, argv + 1);
    int words;
    int status = args_parse(&table, argc, argv, &words);
    if (status != ARGS_CONTINUE) return status;
    if (doctor.only && selftest_find(doctor.only) < 0)
        return cli_usage("--test: there is no self-test '%s'; give a name that a FAIL line tells, "
                         "such as 'conv direct fwd'",
                         doctor.only);
    tess_error error = {0};
    if (doctor.capsule && atomic_file_try(doctor.capsule, &error))
        return cli_fail("--capsule: %s", error.text);
    doctor.deadline = clock_seconds() + budget;
    doctor_drivers(&doctor);
    doctor_devices(&doctor);
    doctor_storage(&doctor);
    if (doctor.capsule) doctor_capsule(&doctor);
    return conclude(&doctor);
}
