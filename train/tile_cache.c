/* Prepared tiles in memory; see tile_cache.h. */
#include "train/tile_cache.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/status.h"
#include "encoder/prepare.h"

#include <string.h>

enum { GROUP = 128 }; /* tiles read between two looks at the memory used */

typedef struct entry {
    uint16_t *values; /* bfloat16; NULL: not in memory */
    uint32_t width, height;
} entry;

struct dip_tile_cache {
    const dip_dataset *dataset;
    entry *entries; /* one a tile */
    size_t limit, used, count;
};

dip_status dip_tile_cache_create(dip_tile_cache **out, const dip_dataset *dataset,
                                 size_t memory_bytes)
{
    dip_tile_cache *cache = dip_calloc(1, sizeof *cache);
    if (!cache) return DIP_ENOMEM;
    cache->dataset = dataset;
    cache->limit = memory_bytes;
    cache->entries = dip_calloc(dataset->tile_count + 1, sizeof *cache->entries);
    if (!cache->entries) {
        dip_tile_cache_destroy(cache);
        return DIP_ENOMEM;
    }
    *out = cache;
    return DIP_OK;
}

void dip_tile_cache_destroy(dip_tile_cache *cache)
{
    if (!cache) return;
    for (size_t i = 0; cache->entries && i < cache->dataset->tile_count; i++)
        dip_free(cache->entries[i].values);
    dip_free(cache->entries);
    dip_free(cache);
}

size_t dip_tile_cache_count(const dip_tile_cache *cache) { return cache->count; }

void dip_image_fini(dip_image *image)
{
    dip_free(image->values);
    *image = (dip_image){.values = NULL};
}

static dip_status image_reserve(dip_image *image, size_t floats)
{
    if (image->capacity >= floats) return DIP_OK;
    dip_free(image->values);
    image->capacity = 0;
    image->values = dip_alloc(floats * sizeof(float));
    if (!image->values) return DIP_ENOMEM;
    image->capacity = floats;
    return DIP_OK;
}

/* ---- bfloat16, rounded to nearest even ---- */

static uint16_t to_brain(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static float from_brain(uint16_t brain)
{
    uint32_t bits = (uint32_t)brain << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- reading ---- */

static dip_status read_tile(const dip_tile_cache *cache, uint32_t tile, dip_image *image)
{
    const dip_dataset *d = cache->dataset;
    const dip_modality *modality = &d->modality[d->tile_modality[tile]];
    dip_tile *stored = NULL;
    dip_status status = dip_archive_tile(d->archive, d->tiles[tile], &stored);
    if (status) return status;
    dip_prepare_size(stored, &image->width, &image->height);
    size_t floats = (size_t)image->width * image->height * modality->band_count;
    status = image_reserve(image, floats);
    if (!status) status = dip_prepare(stored, modality, image->values);
    for (size_t i = 0; !status && i < floats; i++)
        image->values[i] = from_brain(to_brain(image->values[i]));
    dip_tile_free(stored);
    return status;
}

dip_status dip_tile_cache_get(const dip_tile_cache *cache, uint32_t tile, dip_image *image)
{
    const entry *e = &cache->entries[tile];
    if (!e->values) return read_tile(cache, tile, image);
    uint32_t bands = cache->dataset->modality[cache->dataset->tile_modality[tile]].band_count;
    size_t floats = (size_t)e->width * e->height * bands;
    dip_status status = image_reserve(image, floats);
    if (status) return status;
    image->width = e->width;
    image->height = e->height;
    for (size_t i = 0; i < floats; i++) image->values[i] = from_brain(e->values[i]);
    return DIP_OK;
}

/* ---- filling ---- */

typedef struct fill_job {
    dip_tile_cache *cache;
    const uint32_t *tiles;
    size_t bytes[GROUP];
} fill_job;

static dip_status keep_image(entry *e, const dip_image *image, size_t floats)
{
    e->values = dip_alloc(floats * sizeof *e->values);
    if (!e->values) return DIP_ENOMEM;
    e->width = image->width;
    e->height = image->height;
    for (size_t i = 0; i < floats; i++) e->values[i] = to_brain(image->values[i]);
    return DIP_OK;
}

static dip_status fill_task(void *context, size_t task, unsigned worker)
{
    fill_job *job = context;
    const dip_dataset *d = job->cache->dataset;
    uint32_t tile = job->tiles[task], bands = d->modality[d->tile_modality[tile]].band_count;
    dip_image image = {.values = NULL};
    (void)worker;
    job->bytes[task] = 0;
    if (job->cache->entries[tile].values) return DIP_OK;
    dip_status status = read_tile(job->cache, tile, &image);
    size_t floats = (size_t)image.width * image.height * bands;
    if (!status) status = keep_image(&job->cache->entries[tile], &image, floats);
    if (!status) job->bytes[task] = floats * sizeof(uint16_t);
    dip_image_fini(&image);
    return status;
}

/* The tiles of all pairs, held-out ones first, each once. */
static size_t list_tiles(const dip_dataset *d, uint32_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < d->held_count + d->train_count; i++) {
        const dip_pair *pair = i < d->held_count ? &d->held[i] : &d->train[i - d->held_count];
        for (int side = 0; side < 2; side++)
            for (uint32_t k = 0; k < pair->count[side]; k++) out[n++] = pair->first[side] + k;
    }
    return n;
}

static size_t list_capacity(const dip_dataset *d)
{
    size_t n = 1;
    for (size_t i = 0; i < d->held_count; i++) n += d->held[i].count[0] + d->held[i].count[1];
    for (size_t i = 0; i < d->train_count; i++) n += d->train[i].count[0] + d->train[i].count[1];
    return n;
}

/* Drops later mentions of a tile (several combinations of modalities share it). */
static size_t drop_repeats(uint32_t *tiles, size_t n, uint8_t *seen)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (seen[tiles[i]]) continue;
        seen[tiles[i]] = 1;
        tiles[kept++] = tiles[i];
    }
    return kept;
}

static dip_status fill_all(dip_tile_cache *cache, const uint32_t *tiles, size_t n,
                           const dip_progress *progress)
{
    size_t largest = 0;
    for (size_t at = 0; at < n; at += GROUP) {
        fill_job job = {.cache = cache, .tiles = tiles + at};
        size_t count = n - at < GROUP ? n - at : GROUP;
        if (at && cache->used + count * largest > cache->limit) break;
        if (!cache->limit) break;
        dip_status status = dip_parallel_for(count, fill_task, &job);
        if (status) return status;
        for (size_t i = 0; i < count; i++) {
            cache->used += job.bytes[i];
            if (job.bytes[i] > largest) largest = job.bytes[i];
        }
        cache->count = at + count;
        if (dip_progress_tick(progress, "reading tiles", at + count, n))
            return dip_fail(DIP_ECANCEL, "stopped while reading tiles");
    }
    return DIP_OK;
}

dip_status dip_tile_cache_fill(dip_tile_cache *cache, const dip_progress *progress)
{
    const dip_dataset *d = cache->dataset;
    uint32_t *tiles = dip_alloc(list_capacity(d) * sizeof *tiles);
    uint8_t *seen = dip_calloc(d->tile_count + 1, 1);
    dip_status status = DIP_ENOMEM;
    if (tiles && seen) {
        size_t n = drop_repeats(tiles, list_tiles(d, tiles), seen);
        status = fill_all(cache, tiles, n, progress);
    }
    dip_free(tiles);
    dip_free(seen);
    return status;
}
