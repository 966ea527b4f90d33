/**
 * A table of vectors, read row by row, wherever it comes from:
 *
 *   .fvecs .bvecs .ivecs         each row: int32 dim, then dim float32, uint8 or int32 (TEXMEX)
 *   .fbin .u8bin .i8bin .ibin    uint32 rows, uint32 dim, then rows * dim float32, uint8, int8 or int32 (big-ann-benchmarks)
 *   .npy                         NumPy, float32 or float16
 *   .hdf5 .h5                    a dataset of an HDF5 file (ann-benchmarks: "train", "test")
 *   an archive                   the embeddings of one model and modality
 *
 * All little-endian. Files but HDF5 are mapped, not loaded. Any number of threads may read, except from HDF5.
 */
#ifndef COMPARE_POINTS_H
#define COMPARE_POINTS_H

#include <diptych/archive.h>

#include "core/status.h"

#include <stdbool.h>

typedef struct dip_points dip_points;

struct dip_points {
    size_t rows, dim;
    uint64_t identity;  /* of the source: other bytes, another number */
    const float *plain; /* all values, mapped, of an .fbin file; else NULL */
    char name[96];      /* the file's name without its ending, for people */
    char *path;         /* of the file; NULL if it is none */
    void *state;
    dip_status (*read)(const dip_points *points, size_t first, size_t count, float *out);
    void (*close)(dip_points *points);
};

/**
 * Opens a file by its ending; `part` names the dataset of an HDF5 file and is else not used.
 * Expected failures: DIP_ENOENT, DIP_ENOTSUP (the ending is none of the above), DIP_EFORMAT (its sizes make no sense),
 * DIP_ECORRUPT (cut off).
 */
dip_status dip_points_open(dip_points *out, const char *path, const char *part);

/**
 * Embeddings of an archive. With `every` > 0, of each `every` rows one: the first (`held`) or the others (not `held`), so
 * that two calls give queries that are not among the base. DIP_ENOENT: there are none; says what to run.
 */
dip_status dip_points_embedded(dip_points *out, const dip_archive *archive, const char *model,
                               uint32_t modality, size_t every, bool held);

void dip_points_close(dip_points *points);

/** Rows `first` .. `first + count - 1` as (count, dim). */
dip_status dip_points_read(const dip_points *points, size_t first, size_t count, float *out);

/** Whole numbers of an .ivecs or .ibin file, exactly: (rows, dim); free with dip_free(). */
dip_status dip_points_whole(const char *path, int32_t **out, size_t *rows, size_t *dim);

/** Writes an .fbin or .ibin file: values of four bytes, (rows, dim). Aside, then renamed. */
dip_status dip_points_write(const char *path, const void *values, size_t rows, size_t dim);

#endif
