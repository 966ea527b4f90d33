/**
 * NumPy's .npy files: a table of float32 or float16 vectors, mapped, and the heading of such a table to write.
 *
 *   "\x93NUMPY", u8 major, u8 minor; u16 LE (major 1) or u32 LE length of the header; the header, a Python dict:
 *   {'descr': '<f4', 'fortran_order': False, 'shape': (rows, dim), }   padded with spaces, ending in a line break
 *   rows * dim values, little-endian, row after row
 *
 * The reader trusts nothing; what it accepts can be read without further checks. A shape (dim,) is one row.
 */
#ifndef STORAGE_NPY_H
#define STORAGE_NPY_H

#include "core/file.h"

#include <stdbool.h>

typedef struct dip_npy {
    size_t rows, dim;
    bool half;             /* float16, else float32 */
    const uint8_t *values; /* in the map; need not be aligned */
    dip_map map;
} dip_npy;

/**
 * Expected failures: DIP_ENOENT, DIP_EFORMAT (not .npy, or a header that we cannot read), DIP_ENOTSUP (another type, big-endian,
 * column order, more dimensions: says how to save it), DIP_ECORRUPT (shorter than its header says).
 */
dip_status dip_npy_open(dip_npy *out, const char *path);
/** The same from memory, which is borrowed; `name` appears in failure lines. */
dip_status dip_npy_parse(dip_npy *out, const void *bytes, size_t length, const char *name);
void dip_npy_close(dip_npy *npy);

/** Copies `count` rows from row `first` on to out (count, dim). */
void dip_npy_read(const dip_npy *npy, size_t first, size_t count, float *out);

/** The heading of a float32 table; the values begin at a multiple of 64. */
void dip_npy_heading(FILE *out, size_t rows, size_t dim);

#endif
