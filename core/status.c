/* Per-thread failure line; see status.h. */
#include "core/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINE_CAPACITY = 1024 };

static _Thread_local char error_line[LINE_CAPACITY];

static const char *const names[DIP_STATUS_COUNT] = {
    "ok",      "invalid", "not-found", "exists", "io",        "no-space",    "no-memory",
    "corrupt", "format",  "mismatch",  "busy",   "cancelled", "unsupported",
};

const char *dip_status_name(dip_status status)
{
    return (unsigned)status < DIP_STATUS_COUNT ? names[status] : "unknown";
}

const char *dip_last_error(void) { return error_line; }

void dip_error_clear(void) { error_line[0] = '\0'; }

dip_status dip_fail(dip_status status, const char *format, ...)
{
    /* Through a copy: the arguments may contain the present line. */
    char line[LINE_CAPACITY];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    memcpy(error_line, line, sizeof line);
    return status;
}

dip_status dip_fail_prefix(dip_status status, const char *format, ...)
{
    char prefix[LINE_CAPACITY / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    return dip_fail(status, "%s: %s", prefix, error_line);
}

static dip_status status_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR: return DIP_ENOENT;
    case EEXIST: return DIP_EEXIST;
    case ENOSPC:
    case EDQUOT: return DIP_ENOSPC;
    case ENOMEM: return DIP_ENOMEM;
    default: return DIP_EIO;
    }
}

static const char *remedy_of_errno(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT: return "; make room and run the same command again";
    case EFBIG: return "; raise the limit on the size of files (ulimit -f)";
    case EACCES:
    case EPERM: return "; ask its owner for the permission";
    case EMFILE: return "; raise the limit on open files (ulimit -n)";
    default: return "";
    }
}

dip_status dip_fail_errno(const char *what, const char *path)
{
    int error = errno;
    return dip_fail(status_of_errno(error), "cannot %s '%s': %s%s", what, path, strerror(error),
                    remedy_of_errno(error));
}
