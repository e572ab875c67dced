/* Platforms, devices and their self-tests, seen through children. */
#include "cli/child.h"
#include "cli/doctor.h"
#include "core/program_cache.h"
#include "selftest/selftest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEVICES = 32, MAX_CRASHES = 3 };
#define LIST_SECONDS 10.0
#define GRACE        4.0 /* for the last self-test, which has begun in time */

struct device {
    char index[16], name[256], unusable[512];
    bool chosen;
};

struct listing {
    struct doctor *doctor;
    struct device devices[MAX_DEVICES];
    int count, platforms;
    bool complete, none_matches;
};

/* ---------------------------------------------------------------- platforms and devices */

static void add_device(struct listing *listing, char **field) {
    if (listing->count == MAX_DEVICES) return;
    struct device *device = &listing->devices[listing->count++];
    snprintf(device->index, sizeof device->index, "%s", field[1]);
    snprintf(device->name, sizeof device->name, "%s", field[2]);
    snprintf(device->unusable, sizeof device->unusable, "%s", field[3]);
    device->chosen = *field[4] == '1';
}

static void take_listing(void *user, char *line) {
    struct listing *listing = user;
    char *field[5];
    split_fields(line, field, 5);
    if (strcmp(field[0], "loader") == 0)
        doctor_say(listing->doctor, FOUND_OK, "loader", "%s", field[1]);
    else if (strcmp(field[0], "platform") == 0) {
        listing->platforms++;
        if (strcmp(field[1], POCL_PLATFORM) == 0) listing->doctor->pocl = true;
        char subject[160];
        snprintf(subject, sizeof subject, "platform %.140s", field[1]);
        if (atoi(field[2]) > 0)
            doctor_say(listing->doctor, FOUND_OK, subject, "%s device%s, %s", field[2],
                       atoi(field[2]) == 1 ? "" : "s", field[3]);
        else
            doctor_say(listing->doctor, FOUND_WARNING, subject,
                       "it has no device; if one was expected, look at its driver's requirements "
                       "(permission for /dev/dri, kernel module), else ignore this");
    } else if (strcmp(field[0], "device") == 0)
        add_device(listing, field);
    else if (strcmp(field[0], "nothing") == 0)
        listing->none_matches = true;
    else if (strcmp(field[0], "end") == 0)
        listing->complete = true;
}

static bool list(struct doctor *doctor, struct listing *listing) {
    const char *spec = doctor->cli->device ? doctor->cli->device : "";
    const char *const args[] = {"tessera", "doctor", "@devices", spec, NULL};
    bool loud = doctor->cli->log_level > TESS_LOG_ERROR;
    struct child_end end = child_run(args, LIST_SECONDS, loud, take_listing, listing);
    if (!end.started)
        doctor_say(doctor, FOUND_FAILURE, "devices",
                   "not checked: no process could be started; free some memory");
    else if (end.signal || end.timed_out)
        doctor_say(
            doctor, FOUND_FAILURE, "devices",
            "a driver %s while devices are listed; install the drivers above again, one after "
            "the other, or remove the one that does it",
            end.timed_out ? "hangs" : strsignal(end.signal));
    else if (!listing->platforms)
        doctor_say(
            doctor, FOUND_FAILURE, "devices",
            "the loader finds no OpenCL platform; install an OpenCL driver: your GPU vendor's, "
            "or pocl-opencl-icd, which serves any CPU");
    else if (!listing->count)
        doctor_say(
            doctor, FOUND_FAILURE, "devices",
            "no platform has a device; install your GPU vendor's driver, or pocl-opencl-icd, "
            "which serves any CPU");
    else if (listing->none_matches)
        doctor_say(doctor, FOUND_FAILURE, "devices",
                   "none is '%s'; 'tessera devices' lists what there is", spec);
    return listing->complete;
}

/* ---------------------------------------------------------------- self-tests */

struct session {
    struct doctor *doctor;
    const struct device *device;
    int passed, wrong, left_out;
    int next; /* the first self-test that has not begun */
    char running[SELFTEST_NAME_SIZE], first[SELFTEST_NAME_SIZE], why[1024];
    bool opened;
    char refused[1024]; /* why no context could be made */
};

static void note_sick(struct session *s, const char *test, const char *why) {
    struct doctor *doctor = s->doctor;
    if (!*s->first) {
        snprintf(s->first, sizeof s->first, "%s", test);
        snprintf(s->why, sizeof s->why, "%s", why);
    }
    if (*doctor->sick_test) return;
    snprintf(doctor->sick_device, sizeof doctor->sick_device, "%s", s->device->index);
    snprintf(doctor->sick_test, sizeof doctor->sick_test, "%s", test);
    snprintf(doctor->sick_why, sizeof doctor->sick_why, "%s", why);
}

static void take_result(void *user, char *line) {
    struct session *s = user;
    char *field[3];
    split_fields(line, field, 3);
    if (strcmp(field[0], "opened") == 0) {
        s->opened = true;
    } else if (strcmp(field[0], "refused") == 0) {
        snprintf(s->refused, sizeof s->refused, "%s", field[1]);
    } else if (strcmp(field[0], "begin") == 0) {
        snprintf(s->running, sizeof s->running, "%s", field[1]);
        s->next++;
    } else {
        s->running[0] = '\0';
        if (strcmp(field[0], "passed") == 0) s->passed++;
        if (strcmp(field[0], "left out") == 0) s->left_out++;
        if (strcmp(field[0], "wrong") == 0) {
            s->wrong++;
            note_sick(s, field[1], field[2]);
        }
    }
}

static void report(struct session *s, double seconds) {
    char subject[300];
    int tests = s->doctor->only ? 1 : selftest_count();
    int left = tests - s->next;
    snprintf(subject, sizeof subject, "device %s %s", s->device->index, s->device->name);
    if (s->wrong)
        doctor_say(
            s->doctor, FOUND_FAILURE, subject,
            "%d of %d self-tests fail, first '%s': %s; update the driver or use another device "
            "(--device); for its authors: tessera --device %s doctor --capsule FILE.tar.gz",
            s->wrong, s->wrong + s->passed, s->first, s->why, s->device->index);
    else if (s->passed)
        doctor_say(s->doctor, FOUND_OK, subject, "%d self-test%s passed in %.1f s", s->passed,
                   s->passed == 1 ? "" : "s", seconds);
    if (left > 0)
        doctor_say(
            s->doctor, FOUND_WARNING, subject,
            "not tested: %d of %d self-tests, because the time was over; run it again (what is "
            "compiled is kept), or give --budget more seconds",
            left, tests);
}

/* The child has ended; true: crashed, and another one should go on behind that self-test. */
static bool crashed(struct session *s, const struct child_end *end) {
    char subject[300], why[128];
    snprintf(subject, sizeof subject, "device %s %s", s->device->index, s->device->name);
    if (*s->refused) {
        doctor_say(s->doctor, FOUND_FAILURE, subject, "cannot be used: %s", s->refused);
        return false;
    }
    if (end->timed_out && *s->running)
        doctor_say(
            s->doctor, FOUND_WARNING, subject,
            "self-test '%s' had not ended when the time was over; if it never does, update the "
            "driver or use another device (--device)",
            s->running);
    if (end->timed_out || !end->signal) return false;
    snprintf(why, sizeof why, "the driver crashes: %s", strsignal(end->signal));
    const char *where = *s->running ? s->running : s->opened ? "(its end)" : "(its start)";
    if (*s->running) note_sick(s, s->running, why);
    doctor_say(s->doctor, FOUND_FAILURE, subject,
               "%s in self-test '%s'; update the driver or use another device (--device)", why,
               where);
    return *s->running != '\0';
}

static void test_device(struct doctor *doctor, const struct device *device, double deadline) {
    struct session s = {.doctor = doctor, .device = device};
    double start = clock_seconds();
    bool loud = doctor->cli->log_level > TESS_LOG_ERROR;
    for (int i = 0; i < MAX_CRASHES; i++) {
        char first[16], seconds[32];
        double left = deadline - clock_seconds();
        if (left < 0.5) left = 0.5;
        int from = doctor->only ? selftest_find(doctor->only) : s.next;
        snprintf(first, sizeof first, "%d", from);
        snprintf(seconds, sizeof seconds, "%.3f", left);
        const char *const args[] = {
            "tessera", "doctor", "@test", device->index, first, seconds, doctor->only ? "1" : "0",
            NULL};
        s.running[0] = '\0';
        struct child_end end = child_run(args, left + GRACE, loud, take_result, &s);
        if (!end.started)
            doctor_say(doctor, FOUND_WARNING, "self-tests",
                       "not run: no process could be started; free some memory");
        if (!end.started || !crashed(&s, &end)) break;
        if (doctor->only || s.next >= selftest_count()) break;
    }
    if (doctor->only && !*doctor->sick_test && s.passed) note_sick(&s, doctor->only, "passed");
    if (!*s.refused) report(&s, clock_seconds() - start);
}

void doctor_devices(struct doctor *doctor) {
    struct listing listing = {.doctor = doctor};
    int chosen = 0;
    if (!list(doctor, &listing)) return;
    for (int i = 0; i < listing.count; i++)
        chosen += listing.devices[i].chosen;
    for (int i = 0; i < listing.count; i++) {
        const struct device *device = &listing.devices[i];
        char subject[300];
        if (!device->chosen) continue;
        snprintf(subject, sizeof subject, "device %s %s", device->index, device->name);
        double share = (doctor->deadline - clock_seconds()) / chosen--;
        if (*device->unusable)
            doctor_say(doctor, FOUND_WARNING, subject, "not tested: %s", device->unusable);
        else
            test_device(doctor, device, clock_seconds() + share);
    }
}
