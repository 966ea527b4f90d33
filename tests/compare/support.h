/* What the tests of compare/ share: a folder of their own, files of vectors, failures with their lines. */
#ifndef TESTS_COMPARE_SUPPORT_H
#define TESTS_COMPARE_SUPPORT_H

#include "tests/checks.h"

#include <stdio.h>

/** An empty folder of this process, and a path in it; the path is borrowed until the next but seven calls. */
const char *support_folder(void);
const char *support_path(const char *name);
/** A cmocka group tear-down: removes the folder. */
int support_cleanup(void **state);

/** Writes a file and returns its path. */
const char *support_write(const char *name, const void *bytes, size_t length);
/** (rows, dim) standard normal values, the same for a seed. */
void support_normal(float *out, size_t rows, size_t dim, uint64_t seed);
/** The folder of real data, or NULL (then the test is to be skipped). */
const char *support_data(void);

#endif
