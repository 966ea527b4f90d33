/** What the tiles of a source's modality must look like, and where it stands in the archive. */
#ifndef INGEST_EXPECT_H
#define INGEST_EXPECT_H

#include "ingest/source.h"

typedef struct dip_expectation {
    char name[DIP_WORD_CAPACITY];
    uint64_t tiles;    /* of the source */
    bool ready;        /* false: no tile could be read, so the modality is not declared */
    uint32_t position; /* in the archive */
    dip_grids grids;
} dip_expectation;

/**
 * Declares the modality e->name and fills `e`. The measure is what the layout says; else the archive's first tile of
 * it; else what most of a few tiles of the source agree on, the first ones if there is a draw, so that one odd file
 * does not set it. `indices`: the source's usable tiles of the modality, `count` long, in order.
 * Expected failures: DIP_EMISMATCH (the archive's modality has other bands, --bands names not as many as there are),
 * DIP_EINVAL (--units).
 */
dip_status dip_expect(dip_expectation *e, dip_archive *archive, const dip_source *source,
                      const size_t *indices, size_t count, const dip_import_options *options);

#endif
