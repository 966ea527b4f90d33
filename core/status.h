/** Inside view of the status codes: who notices a failure writes its line with dip_fail(). */
#ifndef CORE_STATUS_H
#define CORE_STATUS_H

#include <diptych/status.h>

/** Writes the thread's failure line and returns `status`, so that `return dip_fail(...)` does both. */
dip_status dip_fail(dip_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Puts "`prefix`: " in front of the thread's failure line and returns `status`. */
dip_status dip_fail_prefix(dip_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** dip_fail() with errno's text: "cannot `what` '`path`': reason". Maps ENOENT, ENOSPC, ENOMEM, EEXIST. */
dip_status dip_fail_errno(const char *what, const char *path);

/** Forgets the thread's failure line (tests; a loop that reports failures one by one). */
void dip_error_clear(void);

#endif
