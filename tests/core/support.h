/* What the tests of core/ share. */
#ifndef TESTS_CORE_SUPPORT_H
#define TESTS_CORE_SUPPORT_H

#include "tests/checks.h"

#include <stdio.h>

/** An empty folder of this process, made on first use and removed by support_cleanup(). Borrowed. */
const char *support_folder(void);
/** A path in it; borrowed until the next but three calls. */
const char *support_path(const char *name);
void support_write(const char *path, const char *text);
/** Content of a file as a string; borrowed until the next call; NULL if it is not there. */
const char *support_read(const char *path);
/** A cmocka group tear-down. */
int support_cleanup(void **state);

#endif
