/* The files by which the ICD loader finds drivers. */
#include "cli/child.h"
#include "cli/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOAD_SECONDS 5.0
#define ADVICE                                                                                     \
    "install an OpenCL driver: your GPU vendor's, or pocl-opencl-icd, which serves any CPU"

static void keep_line(void *user, char *line) {
    snprintf(user, 512, "%s", line);
}

/* library as the loader would load it. */
static void check_library(struct doctor *doctor, const char *subject, const char *library,
                          const char *file) {
    char why[512] = "";
    const char *const args[] = {"tessera", "doctor", "@library", library, NULL};
    struct child_end end = child_run(args, LOAD_SECONDS, false, keep_line, why);
    if (!end.started)
        doctor_say(doctor, FOUND_WARNING, subject, "not checked: no process could be started");
    else if (end.signal)
        doctor_say(doctor, FOUND_FAILURE, subject,
                   "%s crashes when it is loaded (%s); install this driver again, or remove %s",
                   library, strsignal(end.signal), file);
    else if (end.timed_out || end.status)
        doctor_say(doctor, FOUND_FAILURE, subject,
                   "names %s, which cannot be loaded: %s; install this driver again, or remove %s",
                   library, end.timed_out ? "it does not end" : why, file);
    else
        doctor_say(doctor, FOUND_OK, subject, "%s loads", library);
}

/* The library's name is the file's first line. */
static void check_file(struct doctor *doctor, const char *path) {
    char subject[300], library[1024] = "";
    const char *slash = strrchr(path, '/');
    snprintf(subject, sizeof subject, "driver %.255s", slash ? slash + 1 : path);
    FILE *file = fopen(path, "r");
    if (!file) {
        doctor_say(doctor, FOUND_FAILURE, subject,
                   "%s cannot be read: %s; make it readable, or install this driver again", path,
                   strerror(errno));
        return;
    }
    if (!fgets(library, sizeof library, file)) library[0] = '\0';
    fclose(file);
    library[strcspn(library, "\r\n")] = '\0';
    if (!*library)
        doctor_say(doctor, FOUND_FAILURE, subject,
                   "%s names no library; install this driver again, or remove it", path);
    else
        check_library(doctor, subject, library, path);
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* Gives the number of .icd files. */
static int check_folder(struct doctor *doctor, const char *folder) {
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, NULL, alphasort), found = 0;
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (ends_with(entries[i]->d_name, ".icd")) {
            check_file(doctor, path);
            found++;
        }
        free(entries[i]);
    }
    free(entries);
    return found;
}

/* OCL_ICD_VENDORS of ocl-icd names a folder, an .icd file or a library; OPENCL_VENDOR_PATH of the others a folder. Empty is unset. */
void doctor_drivers(struct doctor *doctor) {
    const char *place = getenv("OCL_ICD_VENDORS"), *from = " (OCL_ICD_VENDORS)";
    struct stat info;
    if (!place || !*place) {
        place = getenv("OPENCL_VENDOR_PATH");
        from = " (OPENCL_VENDOR_PATH)";
    }
    if (!place || !*place) {
        place = "/etc/OpenCL/vendors";
        from = "";
    }
    bool there = stat(place, &info) == 0;
    if (there && S_ISREG(info.st_mode) && ends_with(place, ".icd"))
        check_file(doctor, place);
    else if (there ? !S_ISDIR(info.st_mode)
                   : ends_with(place, ".icd") || strstr(place, ".so") != NULL)
        check_library(doctor, "driver", place, from + 1);
    else if (!there)
        doctor_say(doctor, FOUND_FAILURE, "drivers",
                   "the folder %s%s, in which OpenCL drivers (ICDs) are registered, is not there; "
                   "%s%s",
                   place, from, *from ? "correct or unset the variable, or " : "", ADVICE);
    else if (!check_folder(doctor, place))
        doctor_say(doctor, FOUND_FAILURE, "drivers", "no driver (.icd file) in %s%s; %s", place,
                   from, ADVICE);
}
