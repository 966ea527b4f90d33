/**
 * HDF5 as ann-benchmarks uses it: data sets to read, results to write. The one file of this folder that sees the
 * library; one thread at a time.
 *
 * A data set: float tables `train` and `test`, `neighbors` (queries, 100) and `distances`, and the attribute `distance`
 * ("angular", "euclidean", ...). A result: `times` (queries), `neighbors` and `distances` (queries, count), attributes.
 */
#ifndef COMPARE_HDF5_H
#define COMPARE_HDF5_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dip_hdf5_table dip_hdf5_table;

/**
 * Opens a two-dimensional dataset of numbers. Expected failures: DIP_ENOENT (no file, or no such dataset), DIP_EFORMAT (not
 * HDF5, damaged, or another shape).
 */
dip_status dip_hdf5_open(dip_hdf5_table **out, const char *path, const char *name, size_t *rows,
                         size_t *dim);
void dip_hdf5_close(dip_hdf5_table *table);
dip_status dip_hdf5_read(const dip_hdf5_table *table, size_t first, size_t count, float *out);
/** As whole numbers: (count, dim). */
dip_status dip_hdf5_read_whole(const dip_hdf5_table *table, size_t first, size_t count,
                               int32_t *out);

/** The text attribute `name` of the file's root; "" if there is none. */
void dip_hdf5_text(const char *path, const char *name, char *out, size_t capacity);

typedef struct dip_hdf5_result {
    const char *algorithm, *name, *dataset, *distance;
    size_t queries, count;
    const float *times;       /* (queries), seconds */
    const int32_t *neighbors; /* (queries, count), -1: none */
    const float *distances;   /* (queries, count) */
    double build_s, best_search_s, index_kb, candidates;
    int64_t runs;
    bool batch;
} dip_hdf5_result;

/** Writes a result, aside, then renamed. */
dip_status dip_hdf5_write(const char *path, const dip_hdf5_result *result);

#endif
