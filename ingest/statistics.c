/*
 * Statistics of bands; see statistics.h.
 *
 * Each tile gives its moments, which are joined in the order of the ids; see core/moments.h.
 */
#include "ingest/statistics.h"

#include "core/mem.h"
#include "core/moments.h"

#include <math.h>
#include <string.h>

typedef struct survey {
    dip_archive *archive;
    bool wanted[DIP_MAX_MODALITIES];
    struct ids {
        uint64_t *ids;
        size_t count, capacity;
    } train[DIP_MAX_MODALITIES], all[DIP_MAX_MODALITIES];
} survey;

static dip_status append(struct ids *list, uint64_t id)
{
    if (dip_array_reserve((void **)&list->ids, &list->capacity, list->count + 1, sizeof id))
        return DIP_ENOMEM;
    list->ids[list->count++] = id;
    return DIP_OK;
}

static dip_status visit(void *context, const dip_meta *meta)
{
    survey *s = context;
    if (meta->modality >= DIP_MAX_MODALITIES || !s->wanted[meta->modality]) return DIP_OK;
    dip_status status = append(&s->all[meta->modality], meta->id);
    if (!status && !strcmp(meta->split, "train"))
        status = append(&s->train[meta->modality], meta->id);
    return status;
}

/* One loop a pixel type: two passes, the second around the mean. Pixels that are no number do not count. */
#define MOMENTS_OF(type)                                            \
    do {                                                            \
        const type *p = plane->pixels;                              \
        double sum = 0, squares = 0, count = 0;                     \
        for (size_t i = 0; i < n; i++) {                            \
            double value = (double)p[i];                            \
            if (!isfinite(value)) continue;                         \
            sum += value;                                           \
            count++;                                                \
        }                                                           \
        double mean = count > 0 ? sum / count : 0;                  \
        for (size_t i = 0; i < n; i++) {                            \
            double distance = (double)p[i] - mean;                  \
            if (isfinite(distance)) squares += distance * distance; \
        }                                                           \
        return (dip_moments){count, mean, squares};                 \
    } while (0)

static dip_moments moments_of(const dip_plane *plane)
{
    size_t n = (size_t)plane->width * plane->height;
    switch (plane->dtype) {
    case DIP_DTYPE_U8: MOMENTS_OF(uint8_t);
    case DIP_DTYPE_U16: MOMENTS_OF(uint16_t);
    case DIP_DTYPE_I16: MOMENTS_OF(int16_t);
    case DIP_DTYPE_U32: MOMENTS_OF(uint32_t);
    case DIP_DTYPE_I32: MOMENTS_OF(int32_t);
    case DIP_DTYPE_F32: MOMENTS_OF(float);
    case DIP_DTYPE_F64: MOMENTS_OF(double);
    }
    return (dip_moments){0, 0, 0};
}

typedef struct reading {
    const dip_archive *archive;
    const uint64_t *ids;
    size_t id_count, chosen;
    uint32_t bands;
} reading;

static dip_status read_tile(void *context, size_t part, dip_moments *out)
{
    const reading *r = context;
    dip_tile *tile;
    dip_status status = dip_archive_tile(r->archive, r->ids[part * r->id_count / r->chosen], &tile);
    if (status) return status;
    for (uint32_t b = 0; b < r->bands && b < tile->plane_count; b++)
        out[b] = moments_of(&tile->planes[b]);
    dip_tile_free(tile);
    return DIP_OK;
}

static dip_status fill_modality(dip_archive *archive, size_t position, const struct ids *list,
                                const dip_progress *progress)
{
    dip_modality modality = *dip_archive_modality(archive, position);
    dip_moments found[DIP_MAX_BANDS];
    reading r = {.archive = archive, .ids = list->ids, .id_count = list->count};
    r.chosen = list->count < DIP_STATISTICS_TILES ? list->count : DIP_STATISTICS_TILES;
    r.bands = modality.band_count;
    dip_status status = dip_moments_gather(found, r.bands, r.chosen, read_tile, &r, progress);
    for (uint32_t b = 0; b < r.bands && !status; b++) {
        modality.bands[b].mean = found[b].mean;
        modality.bands[b].stddev = dip_moments_deviation(&found[b]);
    }
    return status ? status : dip_archive_redeclare(archive, &modality);
}

static bool has_statistics(const dip_modality *modality)
{
    for (uint32_t b = 0; b < modality->band_count; b++)
        if (modality->bands[b].stddev > 0) return true;
    return false;
}

static dip_status fill_wanted(survey *s, size_t modalities, const dip_progress *progress)
{
    dip_status status = dip_archive_each(s->archive, visit, s);
    for (size_t m = 0; m < modalities && !status; m++) {
        const struct ids *list = s->train[m].count ? &s->train[m] : &s->all[m];
        if (!list->count || !dip_archive_modality(s->archive, m)->band_count) continue;
        status = fill_modality(s->archive, m, list, progress);
    }
    return status;
}

dip_status dip_statistics_fill(dip_archive *archive, const dip_progress *progress)
{
    size_t modalities = dip_archive_modality_count(archive);
    bool any = false;
    survey *s = dip_calloc(1, sizeof *s);
    if (!s) return DIP_ENOMEM;
    s->archive = archive;
    for (size_t m = 0; m < modalities; m++)
        any |= s->wanted[m] = !has_statistics(dip_archive_modality(archive, m));
    dip_status status = any ? fill_wanted(s, modalities, progress) : DIP_OK;
    for (size_t m = 0; m < modalities; m++) {
        dip_free(s->train[m].ids);
        dip_free(s->all[m].ids);
    }
    dip_free(s);
    return status;
}
