/**
 * A source: a numbered list of tiles in outside files, whatever their layout.
 *
 * The list is known when a source is open; files are read one tile at a time, by any number of threads.
 */
#ifndef INGEST_SOURCE_H
#define INGEST_SOURCE_H

#include <diptych/tile.h>

#include "core/status.h"
#include "ingest/import.h"

#include <stdbool.h>
#include <stddef.h>

enum { DIP_DRAFT_TEXTS = 8 };

/** A tile as its files have it, before it meets the archive's modality. */
typedef struct dip_draft {
    /** Texts are borrowed from the source or kept in `texts`. */
    dip_meta meta;
    uint32_t band_count;
    char band_name[DIP_MAX_BANDS][DIP_WORD_CAPACITY]; /* "" = not known */
    double gsd_m[DIP_MAX_BANDS];                      /* 0 = not known */
    dip_plane planes[DIP_MAX_BANDS];
    char *texts[DIP_DRAFT_TEXTS]; /* freed with the draft */
    unsigned text_count;
} dip_draft;

/** Everything not known: no time, no footprint, empty texts. */
void dip_draft_init(dip_draft *draft);
void dip_draft_fini(dip_draft *draft);
/** Hands a text of dip_alloc() over to the draft and returns it. */
const char *dip_draft_keep(dip_draft *draft, char *text);

/** The grids that a modality's bands must have. */
typedef struct dip_grids {
    uint32_t count;
    struct {
        dip_dtype dtype;
        uint32_t width, height;
    } band[DIP_MAX_BANDS];
} dip_grids;

typedef struct dip_source dip_source;
struct dip_source {
    dip_layout layout;
    size_t count;
    void *state;
    /** Names of tile i; borrowed, never NULL. "" if the list does not give a usable one (check() then fails). */
    const char *(*modality)(const dip_source *source, size_t i);
    const char *(*name)(const dip_source *source, size_t i);
    /** What can be said against tile i without opening its files. */
    dip_status (*check)(const dip_source *source, size_t i);
    /** Reads tile i. Thread-safe. The draft is initialised by the caller and freed by it also on failure. */
    dip_status (*read)(const dip_source *source, size_t i, dip_draft *out);
    /** What the layout itself says of a modality; false: nothing. NULL: never anything. */
    bool (*describe)(const dip_source *source, const char *modality, dip_modality *out,
                     dip_grids *grids);
    void (*close)(dip_source *source);
};

#endif
