/**
 * Vectors of an archive's tiles: what heads learn from. They are the stored embeddings of a model, or the rows of a .npy
 * file, which stays on disk and is mapped.
 */
#ifndef TRAIN_VECTORS_H
#define TRAIN_VECTORS_H

#include <diptych/archive.h>

#include "core/progress.h"
#include "encoder/heads.h"
#include "storage/npy.h"

/** Of one modality. Any number of threads may read. */
typedef struct dip_vectors {
    char modality[DIP_WORD_CAPACITY];
    dip_modality
        bands; /* of the tiles, as the model that made the vectors knows them, or as the archive does */
    dip_heads_input input;
    size_t rows;
    uint64_t *ids;         /* (rows), ascending: tiles that have a vector */
    uint32_t *row_of;      /* (rows): the row of ids[i]; NULL: row i */
    dip_npy npy;           /* rows of a file, or */
    dip_embeddings stored; /* embeddings of a model */
} dip_vectors;

/**
 * Opens the vectors of a modality and reads them once. word: a .npy file, or the id of a model. ids_path: a text file whose
 * line i names the tile of row i of the .npy file; NULL: the rows are the modality's tiles in the order of the archive.
 * Expected failures: DIP_ENOENT (no such file, modality, model, tile), DIP_EMISMATCH (other number of rows than tiles or names;
 * embeddings of an older state of the model), DIP_EINVAL (a value that is not finite: names the row, from 0; a tile named
 * twice), those of dip_npy_open().
 */
dip_status dip_vectors_open(dip_vectors *out, const dip_archive *archive, const char *modality,
                            const char *word, const char *ids_path, const dip_progress *progress);
void dip_vectors_close(dip_vectors *vectors);

/** Row of a tile's vector; SIZE_MAX: it has none. */
size_t dip_vectors_find(const dip_vectors *vectors, uint64_t id);
/** Copies `count` rows from row `first` on to out (count, input.dim). */
void dip_vectors_read(const dip_vectors *vectors, size_t first, size_t count, float *out);

#endif
