/**
 * A generation: one sealed index per modality of one model, with a manifest.
 *
 *   <archive>/index/<generation>/manifest.json   model, dim, counts, recipe, operating points, calibration, checksums
 *   <archive>/index/<generation>/<modality>.*    the indexes
 *   <archive>/index/CURRENT                      names the live generation; switched by an atomic rename
 *
 * A generation is written in index/<generation>.partial and renamed when complete; after that nothing in it changes.
 */
#ifndef INDEX_GENERATION_H
#define INDEX_GENERATION_H

#include "index/index.h"

enum { DIP_CALIBRATION_STEPS = 1001 };

/** What the archive's random cross-modal pairs score: quantiles 0, 0.001, ... 1 of the cosine. */
typedef struct dip_calibration {
    char from[32], to[32]; /* modalities */
    float quantile[DIP_CALIBRATION_STEPS];
} dip_calibration;

/** Operating point of one (probe modality -> target modality). */
typedef struct dip_operating_point {
    char from[32], to[32];
    dip_index_params params;
    double target, recall; /* recall@10 asked for and measured on held-out queries */
} dip_operating_point;

typedef struct dip_manifest {
    char generation[64];
    char model[128];
    uint32_t dim;
    uint32_t modality_count;
    struct {
        char name[32];
        uint64_t count;
        char describe[96];
    } modality[16];
    uint32_t point_count;
    dip_operating_point *points;
    uint32_t calibration_count;
    dip_calibration *calibrations;
} dip_manifest;

typedef struct dip_generation dip_generation;

/** Begins a new generation of an archive folder; the next free number names it ("000001"). */
dip_status dip_generation_begin(dip_generation **out, const char *archive_path, const char *model,
                                uint32_t dim);
/** Folder to build indexes into; borrowed. */
const char *dip_generation_folder(const dip_generation *generation);
/** The manifest being written; the caller fills modality counts, points, calibrations (arrays from dip_alloc). */
dip_manifest *dip_generation_manifest(dip_generation *generation);
/** Checksums all files, writes the manifest, renames into place, switches CURRENT; frees the handle. */
dip_status dip_generation_seal(dip_generation *generation);
/** Drops it; NULL is fine. Leftovers of a killed build are removed by the next dip_generation_begin(). */
void dip_generation_abort(dip_generation *generation);

/** Opens the live generation (name NULL) or a named one. DIP_ENOENT: "... run diptych index". */
dip_status dip_generation_open(dip_generation **out, const char *archive_path, const char *name);
void dip_generation_close(dip_generation *generation);
const dip_manifest *dip_generation_read_manifest(const dip_generation *generation);
/** Index of a modality; borrowed; NULL if the generation has none. Opens on first use; thread-safe. */
dip_status dip_generation_index(dip_generation *generation, const char *modality,
                                const dip_index **out);

/** Checks the checksums of all files of all generations and CURRENT; as dip_archive_verify(). */
dip_status dip_generation_verify(const char *archive_path,
                                 void (*report)(void *payload, const char *line), void *payload,
                                 uint64_t *faults);

/** Removes all generations but the live one and the `keep` before it. */
dip_status dip_generation_prune(const char *archive_path, size_t keep);

#endif
