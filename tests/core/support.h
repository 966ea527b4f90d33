/* What the tests of core/ share. */
#ifndef TESTS_CORE_SUPPORT_H
#define TESTS_CORE_SUPPORT_H

#include "core/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/** An empty folder of this process, made on first use and removed by support_cleanup(). Borrowed. */
const char *support_folder(void);
/** A path in it; borrowed until the next but three calls. */
const char *support_path(const char *name);
void support_write(const char *path, const char *text);
/** Content of a file as a string; borrowed until the next call; NULL if it is not there. */
const char *support_read(const char *path);
/** A cmocka group tear-down. */
int support_cleanup(void **state);

/** `call` fails with `code`, and its line has `words`. */
#define assert_fails(call, code, words)                               \
    do {                                                              \
        dip_error_clear();                                            \
        assert_int_equal(call, code);                                 \
        if (!strstr(dip_last_error(), words))                         \
            fail_msg("'%s' is not in '%s'", words, dip_last_error()); \
    } while (0)

#endif
