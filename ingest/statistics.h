/** Mean and standard deviation of each band over an archive's own tiles. */
#ifndef INGEST_STATISTICS_H
#define INGEST_STATISTICS_H

#include <diptych/archive.h>

#include "core/progress.h"

/** Tiles that are looked at, a modality; spread evenly over all of them. */
enum { DIP_STATISTICS_TILES = 4096 };

/**
 * Gives every modality that has none its statistics: of tiles of split "train", or of all if there is none. The
 * result depends on the archive's content alone, not on the number of threads or on how the tiles got there.
 */
dip_status dip_statistics_fill(dip_archive *archive, const dip_progress *progress);

#endif
