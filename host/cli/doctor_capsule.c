/* A driver-bug capsule: what a self-test gave to the driver and what came back, as a tar.gz for the driver's authors. */
#include "cli/child.h"
#include "cli/doctor.h"
#include "cli/tar.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD_SECONDS 30.0

static const char readme[] =
    "Driver-bug capsule, made by 'tessera doctor --capsule'.\n"
    "\n"
    "self-test  %s\n"
    "device     %s (device.json)\n"
    "finding    %s\n"
    "\n"
    "result.txt            what this recording of the self-test found; missing: the process ended "
    "before\n"
    "program_N.cl          source of the N-th program, as given to clCreateProgramWithSource\n"
    "program_N.options     options, as given to clBuildProgram\n"
    "program_N.log         what the compiler said; missing: the process ended in the compiler\n"
    "input_NAME.npy        what the kernels read (numpy.load)\n"
    "expected_NAME.npy     what they should write, computed on the host in float64\n"
    "actual_NAME.npy       what they wrote, float32; missing: the kernels did not end\n"
    "\n"
    "Images are stored as n h w c, filters as r s c k.\n"
    "\n"
    "To reproduce, with Tessera:   tessera --device %s doctor --test '%s' --capsule again.tar.gz\n"
    "The compiler alone:           build program_N.cl with the options in program_N.options, for "
    "instance\n"
    "                              clang -x cl -cl-std=CL1.2 -Xclang -finclude-default-header "
    "$(cat program_1.options) \\\n"
    "                                    --target=spir64 -c program_1.cl\n";

static void write_readme(const struct doctor *doctor, const char *folder) {
    char path[4096];
    snprintf(path, sizeof path, "%s/README.txt", folder);
    FILE *file = fopen(path, "w");
    if (!file) return;
    fprintf(file, readme, doctor->sick_test, doctor->sick_device, doctor->sick_why,
            doctor->sick_device, doctor->sick_test);
    fclose(file);
}

/* As child_run calls it. NOLINTNEXTLINE(readability-non-const-parameter) */
static void ignore_line(void *user, char *line) {
    (void)user, (void)line;
}

static void remove_folder(const char *folder) {
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.') (void)unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir) closedir(dir);
    rmdir(folder);
}

static tess_status record(const struct doctor *doctor, const char *folder, tess_error *error) {
    const char *const args[] = {"tessera",         "doctor", "@record", doctor->sick_device,
                                doctor->sick_test, folder,   NULL};
    bool loud = doctor->cli->log_level > TESS_LOG_ERROR;
    struct child_end end = child_run(args, RECORD_SECONDS, loud, ignore_line, NULL);
    if (!end.started)
        return error_set(error, TESS_OUT_OF_HOST_MEMORY,
                         "no process could be started; free some memory");
    write_readme(doctor, folder);
    return tar_folder(folder, "capsule", doctor->capsule, error);
}

void doctor_capsule(struct doctor *doctor) {
    tess_error error = {0};
    const char *temporary = getenv("TMPDIR");
    char folder[3000];
    if (!*doctor->sick_test) {
        doctor_say(
            doctor, FOUND_OK, "capsule",
            "not made: no self-test failed; --test NAME makes one of a self-test that passes");
        return;
    }
    snprintf(folder, sizeof folder, "%s/tessera-capsule-XXXXXX",
             temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(folder)) {
        doctor_say(doctor, FOUND_FAILURE, "capsule",
                   "not made: %s cannot be created: %s; set TMPDIR to a folder with room", folder,
                   strerror(errno));
        return;
    }
    if (record(doctor, folder, &error))
        doctor_say(doctor, FOUND_FAILURE, "capsule", "not made: %s", error.text);
    else
        doctor_say(doctor, FOUND_OK, "capsule",
                   "'%s' on device %s in %s; send it to the driver's authors", doctor->sick_test,
                   doctor->sick_device, doctor->capsule);
    remove_folder(folder);
}
