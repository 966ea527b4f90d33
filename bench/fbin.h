/**
 * Files of vectors as the billion-scale benchmarks have them: u32 n, u32 dim, then n rows; .fbin of float32, .u8bin of bytes.
 */
#ifndef BENCH_FBIN_H
#define BENCH_FBIN_H

#include "core/file.h"

typedef struct bench_fbin {
    dip_aside file;
    size_t row_bytes;
} bench_fbin;

/** Begins a file of n rows of `dim` values of `value_bytes` each (4, or 1). */
dip_status bench_fbin_begin(bench_fbin *out, const char *path, size_t n, size_t dim,
                            size_t value_bytes);

/** Writes `count` rows from row `first` on. Any number of threads at once; every row is written once. */
dip_status bench_fbin_put(const bench_fbin *out, size_t first, const void *rows, size_t count);

/** All rows are there: the file gets its name. */
dip_status bench_fbin_commit(bench_fbin *out);
void bench_fbin_abandon(bench_fbin *out);

/** Maps a .fbin; *values are the rows, which die with the map. Expected failure: DIP_EFORMAT (not as long as it says). */
dip_status bench_fbin_map(dip_map *map, const char *path, const float **values, size_t *n,
                          size_t *dim);

#endif
