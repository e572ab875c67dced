#include "core/file_error.h"

#include <errno.h>
#include <string.h>

static const struct {
    int code;
    const char *advice;
} advice_table[] = {
    {ENOENT, "check the name, and that the folder exists"},
    {ENOTDIR, "a part of the path is a file, not a folder"},
    {EISDIR, "this is a folder; name a file"},
    {EACCES, "check the permissions of the file and of its folder"},
    {EPERM, "check the permissions of the file and of its folder"},
    {EROFS, "choose a folder on a writable file system"},
    {ENOSPC, "free some space, or choose another folder"},
    {EDQUOT, "free some of your quota, or choose another folder"},
    {EFBIG, "raise the file size limit (ulimit -f), or choose another file system"},
    {ENAMETOOLONG, "choose a shorter name"},
    {EMFILE, "close some files, or raise the limit (ulimit -n)"},
    {ENOMEM, "free some memory"},
};

tess_status error_file(tess_error *error, int code, const char *path, const char *action) {
    const char *advice = "check the file and the disk";
    for (size_t i = 0; i < sizeof advice_table / sizeof *advice_table; i++)
        if (advice_table[i].code == code) advice = advice_table[i].advice;
    return error_set(error, TESS_IO, "%s: cannot be %s: %s; %s", path, action, strerror(code),
                     advice);
}

char *printable(const char *text, char *out, size_t size) {
    size_t used = 0;
    for (; text[used] && used + 1 < size; used++) {
        char c = text[used];
        out[used] = c >= ' ' && c <= '~' ? c : '?';
    }
    out[used] = '\0';
    if (text[used] && size > 3) memcpy(out + used - 3, "...", 3);
    return out;
}
