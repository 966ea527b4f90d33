/* What the tests of bench/ share: a folder of their own, files in it, outcomes made of a few numbers. */
#ifndef TESTS_BENCH_SUPPORT_H
#define TESTS_BENCH_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/status.h"

/** A path in an empty folder of this process; borrowed until the next but seven calls. */
const char *support_path(const char *name);
/** A cmocka group tear-down: removes the folder. */
int support_cleanup(void **state);

/** Writes a file of this folder and returns its path. */
const char *support_file(const char *name, const char *text);
/** A whole file, NUL-terminated; free with dip_free(). */
char *support_read(const char *path);

#endif
