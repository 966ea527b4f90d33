/**
 * Prepared tiles of a data set: brought to their finest grid, normalised, kept in memory as bfloat16.
 *
 * What does not fit the memory given is read from the archive each time, with the same rounding, so that results do
 * not depend on the memory. After dip_tile_cache_fill() any number of threads may read.
 */
#ifndef TRAIN_TILE_CACHE_H
#define TRAIN_TILE_CACHE_H

#include "train/dataset.h"

typedef struct dip_tile_cache dip_tile_cache;

/** The data set is borrowed; its statistics must be final. */
dip_status dip_tile_cache_create(dip_tile_cache **out, const dip_dataset *dataset,
                                 size_t memory_bytes);
void dip_tile_cache_destroy(dip_tile_cache *cache);

/**
 * Reads the tiles of held-out and training pairs, in this order, until the memory is used up. A tile that cannot be
 * read or has a NaN is refused by name.
 */
dip_status dip_tile_cache_fill(dip_tile_cache *cache, const dip_progress *progress);
/** Tiles in memory. */
size_t dip_tile_cache_count(const dip_tile_cache *cache);

/** A tile as (height, width, bands) float32 in `image`, which grows as needed; see dip_image_fini(). */
typedef struct dip_image {
    float *values;
    size_t capacity; /* floats */
    uint32_t width, height;
} dip_image;

dip_status dip_tile_cache_get(const dip_tile_cache *cache, uint32_t tile, dip_image *image);
void dip_image_fini(dip_image *image);

#endif
