/** cmocka, and the two checks of a call that says what happened by a dip_status and a line. */
#ifndef TESTS_CHECKS_H
#define TESTS_CHECKS_H

#include "core/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/** Fails with the line of what failed unless the call returned DIP_OK. */
#define assert_ok(call)                                                                         \
    do {                                                                                        \
        dip_status status_ = (call);                                                            \
        if (status_) fail_msg("%s: %s: %s", #call, dip_status_name(status_), dip_last_error()); \
    } while (0)

/** Fails unless the call returned `code`, with a line that holds `words`. */
#define assert_fails(call, code, words)                                 \
    do {                                                                \
        dip_error_clear();                                              \
        assert_int_equal((call), (code));                               \
        if (!strstr(dip_last_error(), (words)))                         \
            fail_msg("'%s' is not in '%s'", (words), dip_last_error()); \
    } while (0)

#endif
