/**
 * The archive: tiles, their metadata and their embeddings, zstd-compressed in LMDB.
 *
 * Layout on disk: docs/formats.md. One process writes at a time, any number read; readers never wait.
 * A handle may be used by any number of threads, except that a batch belongs to the thread that began it.
 * Every write happens in a batch, one LMDB transaction: after a crash it is there whole or not at all.
 */
#ifndef DIPTYCH_ARCHIVE_H
#define DIPTYCH_ARCHIVE_H

#include <diptych/status.h>
#include <diptych/tile.h>

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dip_archive dip_archive;
typedef struct dip_batch dip_batch;

typedef enum dip_archive_mode { DIP_ARCHIVE_READ, DIP_ARCHIVE_WRITE } dip_archive_mode;

/**
 * Makes a new, empty archive at `path` and opens it for writing.
 * Expected failures: DIP_EEXIST (something other than an empty folder is there), DIP_ENOTSUP (network file system).
 */
dip_status dip_archive_create(dip_archive **out, const char *path, const char *title);

/**
 * Expected failures: DIP_ENOENT, DIP_EFORMAT (no archive of ours, or a newer version), DIP_EBUSY (another
 * writer), DIP_ENOTSUP (writing on a network file system; reading there works, without locks), DIP_ECORRUPT.
 */
dip_status dip_archive_open(dip_archive **out, const char *path, dip_archive_mode mode);
void dip_archive_close(dip_archive *archive);

const char *dip_archive_path(const dip_archive *archive);
const char *dip_archive_title(const dip_archive *archive);

/** Modalities, in order of declaration; the pointer lives as long as the archive. */
size_t dip_archive_modality_count(const dip_archive *archive);
const dip_modality *dip_archive_modality(const dip_archive *archive, size_t position);
/** Position of a modality, or -1. */
int dip_archive_find_modality(const dip_archive *archive, const char *name);

/**
 * Adds a modality; one of the same name with the same band names is fine and keeps the first. A modality's name has
 * letters, digits, '_' and '-'.
 * Expected failures: DIP_EMISMATCH (the same name with other bands), DIP_EINVAL (names, too many), DIP_EBUSY (a
 * batch is open).
 */
dip_status dip_archive_declare(dip_archive *archive, const dip_modality *modality);
/**
 * Replaces units, gsd, display and statistics of a declared modality (band names must be equal). Pointers to the old
 * state stay valid and keep showing it.
 */
dip_status dip_archive_redeclare(dip_archive *archive, const dip_modality *modality);

/* ---- writing ---- */

/**
 * Begins a transaction; waits for another batch of this process to end. Not inside dip_archive_each() of the same
 * archive, nor while the thread has a batch of it open: DIP_EINVAL.
 */
dip_status dip_batch_begin(dip_batch **out, dip_archive *archive);
/**
 * Makes it durable and frees the batch, also on failure (then nothing of it is stored).
 * Expected failures: DIP_ENOSPC, DIP_EIO.
 */
dip_status dip_batch_commit(dip_batch *batch);
/** Drops it. NULL is fine. */
void dip_batch_abort(dip_batch *batch);

/**
 * Stores a tile. In: everything but meta.id and meta.place; tiles of one place give the same
 * meta.place_name, a tile without one has its place to itself. The pixels are copied. A NULL text is "".
 * Out: meta.id, meta.place.
 * Expected failures: DIP_EEXIST (modality and name are there already), DIP_EMISMATCH (number of planes is not
 * the modality's), DIP_EINVAL (no name; a plane without type, size or pixels, or 256 MiB of them). After another
 * failure the batch must be aborted.
 */
dip_status dip_batch_add_tile(dip_batch *batch, dip_tile *tile);
/**
 * Removes a tile, its metadata, its names and its embeddings of every model, and its place if it was the last tile
 * there. Works on damaged records too, and on what is left of a tile. Its id is never given again.
 * Expected failure: DIP_ENOENT.
 */
dip_status dip_batch_remove_tile(dip_batch *batch, uint64_t id);

/**
 * Stores n embeddings of one model and modality; an id that has one gets the new one.
 * vectors: (n, dim) row-major, unit norm, finite. ids: in any order. They are kept as float16: each component
 * comes back within 2^-11 of itself (below 6e-5: within 3e-8), and the vector with unit norm again; the same vectors
 * stored again come back as the same bits.
 * Expected failures: DIP_ENOENT (no such tile), DIP_EMISMATCH (tile of another modality; other dim than the model's
 * stored embeddings), DIP_EINVAL (norm not 1; model's name); then nothing of the call is stored and the batch
 * may go on.
 */
dip_status dip_batch_add_embeddings(dip_batch *batch, const char *model, uint32_t modality,
                                    const uint64_t *ids, const float *vectors, size_t n,
                                    size_t dim);
/** Removes all embeddings of a model. None is fine. */
dip_status dip_batch_drop_embeddings(dip_batch *batch, const char *model);

/* ---- reading: each call sees one consistent state ---- */

/** Id of a tile by outside name. DIP_ENOENT if there is none. */
dip_status dip_archive_find_tile(const dip_archive *archive, uint32_t modality, const char *name,
                                 uint64_t *id);
/** Tiles of a place; *ids is the caller's (dip_ids_free). */
dip_status dip_archive_place(const dip_archive *archive, uint64_t place, uint64_t **ids, size_t *n);
/** Ids in ascending order, of one modality or of all (-1). */
dip_status dip_archive_ids(const dip_archive *archive, int modality, uint64_t **ids, size_t *n);
void dip_ids_free(uint64_t *ids);

/** Metadata of one tile; freed with dip_meta_free(). */
dip_status dip_archive_meta(const dip_archive *archive, uint64_t id, dip_meta **out);
void dip_meta_free(dip_meta *meta);

/** A tile with pixels; freed with dip_tile_free(). DIP_ECORRUPT if a checksum fails. */
dip_status dip_archive_tile(const dip_archive *archive, uint64_t id, dip_tile **out);
void dip_tile_free(dip_tile *tile);
/**
 * Types and sizes of a tile's planes (pixels NULL) without reading them: plane_count and planes of *out, the rest is left
 * alone. The head of the record is checked, its checksum is not.
 */
dip_status dip_archive_shape(const dip_archive *archive, uint64_t id, dip_tile *out);

/**
 * Calls `visit` with every tile's metadata in ascending id, until it returns other than DIP_OK, and returns that.
 * The metadata is valid during the call. `visit` may read the archive, but not write it.
 */
dip_status dip_archive_each(const dip_archive *archive,
                            dip_status (*visit)(void *context, const dip_meta *meta),
                            void *context);

/** What embeddings there are: one entry a model and modality that has any, by model, then modality's name. */
enum { DIP_MODEL_CAPACITY = 200 }; /* of a model's id, with the 0 byte */
typedef struct dip_embedding_set {
    char model[DIP_MODEL_CAPACITY];
    uint32_t modality;
    uint64_t count;
    size_t dim;
} dip_embedding_set;

/** *sets is the caller's (dip_embedding_sets_free). */
dip_status dip_archive_embedding_sets(const dip_archive *archive, dip_embedding_set **sets,
                                      size_t *n);
void dip_embedding_sets_free(dip_embedding_set *sets);

/** All embeddings of one model and modality, ascending id; n = 0, dim = 0 if there are none. */
typedef struct dip_embeddings {
    size_t n, dim;
    uint64_t *ids;  /* (n) */
    float *vectors; /* (n, dim), 64-byte aligned */
} dip_embeddings;

dip_status dip_archive_embeddings(const dip_archive *archive, const char *model, uint32_t modality,
                                  dip_embeddings *out);
/** Which ones there are, without reading them: `vectors` stays NULL. */
dip_status dip_archive_embedding_rows(const dip_archive *archive, const char *model,
                                      uint32_t modality, dip_embeddings *out);
void dip_embeddings_fini(dip_embeddings *embeddings);
/**
 * Embeddings of given ids, (n, dim) into `vectors`. found[i] tells whether ids[i] has one (may be NULL: then
 * a missing one is DIP_ENOENT).
 */
dip_status dip_archive_embeddings_of(const dip_archive *archive, const char *model,
                                     uint32_t modality, const uint64_t *ids, size_t n, size_t dim,
                                     float *vectors, bool *found);
/** Ids that have an embedding, ascending; what `encode` skips. Damaged ones do not count, so encoding heals them. */
dip_status dip_archive_embedded_ids(const dip_archive *archive, const char *model,
                                    uint32_t modality, uint64_t **ids, size_t *n);

typedef struct dip_archive_counts {
    uint64_t tiles, places;
    uint64_t tiles_of[DIP_MAX_MODALITIES];
    uint64_t tile_bytes, raw_bytes; /* stored, and uncompressed pixels */
    uint64_t embeddings, embedding_bytes;
    uint64_t store_bytes; /* size of the LMDB file */
    uint64_t next_tile;   /* id that the next new tile will get: it grows whenever tiles come */
} dip_archive_counts;

dip_status dip_archive_count(const dip_archive *archive, dip_archive_counts *counts);

/**
 * Checks every checksum and cross-reference of the store. Each fault is told to `report` in one line
 * that says what is wrong and what to do; *faults counts them. `tick` (may be NULL) returns non-zero to stop.
 */
dip_status dip_archive_verify(const dip_archive *archive,
                              void (*report)(void *payload, const char *line), void *payload,
                              int (*tick)(void *payload, const char *phase, uint64_t done,
                                          uint64_t total),
                              void *tick_payload, uint64_t *faults);

#ifdef __cplusplus
}
#endif
#endif
