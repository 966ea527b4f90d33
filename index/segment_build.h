/** From coded vectors to a segment file. */
#ifndef INDEX_SEGMENT_BUILD_H
#define INDEX_SEGMENT_BUILD_H

#include "core/progress.h"
#include "index/coded.h"
#include "index/segment.h"
#include "index/shelves.h"

typedef struct dip_segment_input {
    const dip_coded *coded;
    const uint64_t *ids;  /* coded->n, ascending */
    dip_shelves *shelves; /* with the refinement of each row; emptied */
    float spread;
    uint32_t nprobe, depth;
    uint64_t seed;
    const char *name; /* for messages */
    const dip_progress *progress;
} dip_segment_input;

/**
 * Writes a segment (aside, then renamed). The bytes do not depend on the number of threads. Expected failure: DIP_ECANCEL.
 */
dip_status dip_segment_build(const char *path, const dip_segment_input *input);

#endif
