/** From coded vectors to a segment file. */
#ifndef INDEX_SEGMENT_BUILD_H
#define INDEX_SEGMENT_BUILD_H

#include "core/progress.h"
#include "index/coded.h"
#include "index/segment.h"

typedef struct dip_segment_input {
    const dip_coded *coded;
    const uint64_t *ids; /* coded->n, ascending */
    const float *vectors;
    dip_refinement refinement;
    uint32_t nprobe, depth;
    uint64_t seed;
    const char *name; /* for messages */
    const dip_progress *progress;
    /**
     * Where each row's refinement comes from, or NULL: of vector i of `vectors`. A value below the number of slots of `old`,
     * which has the same lists and code book: its record there; s more than that: of vector s.
     */
    const uint32_t *place;
    const dip_segment *old;
} dip_segment_input;

/**
 * Writes a segment (aside, then renamed). The bytes do not depend on the number of threads. `vectors` is read from
 * front to back. Expected failure: DIP_ECANCEL.
 */
dip_status dip_segment_build(const char *path, const dip_segment_input *input);

#endif
