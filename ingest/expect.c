/*
 * Expectations; see expect.h.
 *
 * Without a layout that knows better and without tiles in the archive, up to SAMPLES tiles spread over the source are
 * read and vote: those of the same bands and grids count together. Only what they look like is kept.
 */
#include "ingest/expect.h"

#include "core/mem.h"
#include "ingest/modality.h"

#include <stdio.h>
#include <string.h>

enum { SAMPLES = 7 };

typedef struct sample {
    dip_modality modality;
    dip_grids grids;
    size_t index;
    unsigned votes;
    bool made_up; /* the bands' names */
} sample;

typedef struct election {
    sample samples[SAMPLES];
    unsigned count;
    dip_status failure; /* of the first tile that was read but does not fit the options */
    char line[1024];
} election;

static dip_status declare(dip_expectation *e, dip_archive *archive, const dip_modality *modality)
{
    dip_status status = dip_archive_declare(archive, modality);
    if (status) return status;
    e->position = (uint32_t)dip_archive_find_modality(archive, e->name);
    e->ready = true;
    return DIP_OK;
}

/* A modality that has tiles: its first one is the measure. */
static dip_status expect_stored(dip_expectation *e, const dip_archive *archive)
{
    uint64_t *ids;
    size_t n;
    dip_tile *tile;
    dip_status status = dip_archive_ids(archive, (int)e->position, &ids, &n);
    if (status) return status;
    if (n) {
        status = dip_archive_tile(archive, ids[0], &tile);
        if (!status) {
            dip_grids_of_tile(&e->grids, tile);
            dip_tile_free(tile);
            e->ready = true;
        }
    }
    dip_ids_free(ids);
    return status;
}

static bool agree(const sample *a, const sample *b)
{
    if (a->grids.count != b->grids.count) return false;
    for (uint32_t i = 0; i < a->grids.count; i++) {
        if (strcmp(a->modality.bands[i].name, b->modality.bands[i].name)) return false;
        if (a->grids.band[i].width != b->grids.band[i].width ||
            a->grids.band[i].height != b->grids.band[i].height ||
            a->grids.band[i].dtype != b->grids.band[i].dtype)
            return false;
    }
    return true;
}

static void vote(election *v)
{
    sample *s = &v->samples[v->count];
    s->votes = 1;
    for (unsigned i = 0; i < v->count; i++)
        if (agree(&v->samples[i], s)) {
            v->samples[i].votes++;
            return;
        }
    v->count++;
}

/* What a tile would make of the modality. `declared`: as the archive has it, or NULL. */
static dip_status judge_draft(sample *s, dip_draft *draft, const char *name,
                              const dip_modality *declared, const dip_import_options *options)
{
    s->made_up = dip_modality_makes_up_names(draft, name, declared, options);
    dip_status status = dip_modality_name_bands(draft, name, declared, options);
    if (!status && declared) {
        dip_grids_of_draft(&s->grids, draft);
        s->modality = *declared;
        status = dip_modality_fit(draft, declared, &s->grids);
    } else if (!status) {
        status = dip_modality_of_draft(&s->modality, name, draft, options);
    }
    dip_grids_of_draft(&s->grids, draft);
    return status;
}

static dip_status take_sample(election *v, const dip_expectation *e, const dip_source *source,
                              size_t index, const dip_modality *declared,
                              const dip_import_options *options)
{
    dip_draft *draft = dip_alloc(sizeof *draft);
    if (!draft) return DIP_ENOMEM;
    dip_draft_init(draft);
    dip_status status = source->read(source, index, draft);
    if (!status) {
        sample *s = &v->samples[v->count];
        s->index = index;
        dip_status judged = judge_draft(s, draft, e->name, declared, options);
        if (!judged) {
            vote(v);
        } else if (!v->failure) {
            v->failure = judged;
            snprintf(v->line, sizeof v->line, "tile '%s' of modality '%s': %s",
                     source->name(source, index), e->name, dip_last_error());
        }
    }
    dip_draft_fini(draft);
    dip_free(draft);
    return status == DIP_ENOMEM ? status : DIP_OK;
}

/* Spread samples; if none of them can be read, the first tile that can. */
static dip_status hold_election(election *v, const dip_expectation *e, const dip_source *source,
                                const size_t *indices, size_t count, const dip_modality *declared,
                                const dip_import_options *options)
{
    size_t samples = count < SAMPLES ? count : SAMPLES;
    dip_status status = DIP_OK;
    for (size_t i = 0; i < samples && !status; i++)
        status = take_sample(v, e, source, indices[i * count / samples], declared, options);
    for (size_t i = 0; i < count && !v->count && !v->failure && !status; i++)
        status = take_sample(v, e, source, indices[i], declared, options);
    return status;
}

static dip_status expect_elected(dip_expectation *e, dip_archive *archive, const dip_source *source,
                                 const size_t *indices, size_t count, const dip_modality *declared,
                                 const dip_import_options *options)
{
    election *v = dip_calloc(1, sizeof *v);
    if (!v) return DIP_ENOMEM;
    dip_status status = hold_election(v, e, source, indices, count, declared, options);
    const sample *best = &v->samples[0];
    for (unsigned i = 1; i < v->count; i++)
        if (v->samples[i].votes > best->votes) best = &v->samples[i];
    if (!status && !v->count) {
        if (v->failure) status = dip_fail(v->failure, "%s", v->line);
    } else if (!status) {
        e->grids = best->grids;
        status = declare(e, archive, &best->modality);
        if (!status && best->made_up && options->named)
            options->named(options->payload, &best->modality);
    }
    dip_free(v);
    return status;
}

dip_status dip_expect(dip_expectation *e, dip_archive *archive, const dip_source *source,
                      const size_t *indices, size_t count, const dip_import_options *options)
{
    dip_modality told;
    const dip_modality *declared = NULL;
    if (source->describe && source->describe(source, e->name, &told, &e->grids))
        return declare(e, archive, &told);
    int position = dip_archive_find_modality(archive, e->name);
    if (position >= 0) {
        e->position = (uint32_t)position;
        declared = dip_archive_modality(archive, e->position);
        dip_status status = expect_stored(e, archive);
        if (status || e->ready) return status;
    }
    return expect_elected(e, archive, source, indices, count, declared, options);
}
