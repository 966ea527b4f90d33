/*
 * The data set; see dataset.h. One pass over the archive's metadata makes a row a tile; sorted by place and modality,
 * the rows of a place lie together, and the pairs are read off.
 */
#include "train/dataset.h"

#include "core/hash.h"
#include "core/mem.h"
#include "core/moments.h"
#include "core/status.h"
#include "encoder/prepare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPLIT_NONE, SPLIT_TRAIN, SPLIT_VAL, SPLIT_OTHER, MEASURED = 1024, HELD_SHARE = 10 };

typedef struct row {
    uint64_t id, place, scene; /* scene: hash of its name, 0 if it has none */
    uint64_t identity;         /* hash of everything that the fingerprint covers */
    uint32_t modality;
    uint32_t split;
} row;

typedef struct collector {
    dip_dataset *dataset;
    const dip_dataset_options *options;
    row *rows;
    size_t count, capacity;
    bool has_splits;
} collector;

/* ---- modalities ---- */

static dip_status add_modality(dip_dataset *d, const char *name, size_t length)
{
    char word[DIP_WORD_CAPACITY] = "", known[512] = "";
    if (length < sizeof word) memcpy(word, name, length);
    int position = dip_archive_find_modality(d->archive, word);
    if (position >= 0) {
        d->source[d->modality_count] = (uint32_t)position;
        d->modality[d->modality_count++] = *dip_archive_modality(d->archive, (size_t)position);
        return DIP_OK;
    }
    for (size_t i = 0; i < dip_archive_modality_count(d->archive); i++) {
        size_t at = strlen(known);
        snprintf(known + at, sizeof known - at, i ? ", %s" : "%s",
                 dip_archive_modality(d->archive, i)->name);
    }
    return dip_fail(DIP_ENOENT, "the archive has no modality '%.*s'; it has %s", (int)length, name,
                    known);
}

static dip_status choose_modalities(dip_dataset *d, const char *list)
{
    dip_status status = DIP_OK;
    for (size_t i = 0; !list && !status && i < dip_archive_modality_count(d->archive); i++) {
        const char *name = dip_archive_modality(d->archive, i)->name;
        status = add_modality(d, name, strlen(name));
    }
    while (list && *list && !status && d->modality_count < DIP_MAX_MODALITIES) {
        size_t length = strcspn(list, ",");
        status = add_modality(d, list, length);
        list += length + (list[length] == ',');
    }
    if (!status && d->modality_count < 2)
        status =
            dip_fail(DIP_EINVAL, "training needs two modalities; %s",
                     list ? "name them with --modalities a,b"
                          : "the archive has fewer; import tiles of the same places in another");
    return status;
}

/* ---- rows ---- */

static uint32_t split_of(const char *word)
{
    if (!*word) return SPLIT_NONE;
    if (!strcmp(word, "train")) return SPLIT_TRAIN;
    return !strcmp(word, "val") ? SPLIT_VAL : SPLIT_OTHER;
}

static uint64_t hash_text(const char *text, uint64_t seed)
{
    return dip_hash64_seed(text, strlen(text), seed);
}

static dip_status collect(void *context, const dip_meta *meta)
{
    collector *c = context;
    uint32_t modality = 0;
    while (modality < c->dataset->modality_count && c->dataset->source[modality] != meta->modality)
        modality++;
    if (modality == c->dataset->modality_count) return DIP_OK;
    if (c->options->wanted && !c->options->wanted(c->options->context, modality, meta->id))
        return DIP_OK;
    if (dip_array_reserve((void **)&c->rows, &c->capacity, c->count + 1, sizeof *c->rows))
        return DIP_ENOMEM;
    uint32_t split = split_of(meta->split);
    c->has_splits |= split != SPLIT_NONE;
    c->rows[c->count++] =
        (row){.id = meta->id,
              .place = meta->place,
              .scene = *meta->scene ? hash_text(meta->scene, 0) | 1 : 0,
              .identity = hash_text(meta->name, hash_text(meta->place_name, modality)),
              .modality = modality,
              .split = split};
    return DIP_OK;
}

static int by_place(const void *a, const void *b)
{
    const row *x = a, *y = b;
    if (x->place != y->place) return x->place < y->place ? -1 : 1;
    if (x->modality != y->modality) return x->modality < y->modality ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* ---- held-out places ---- */

static int by_hash(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static size_t distinct(uint64_t *values, size_t n)
{
    size_t kept = 0;
    if (n) qsort(values, n, sizeof *values, by_hash);
    for (size_t i = 0; i < n; i++)
        if (!kept || values[i] != values[kept - 1]) values[kept++] = values[i];
    return kept;
}

/* What is held out together: the scene, or the place where scenes are not known. */
static uint64_t group_of(const row *r, bool by_scene)
{
    const uint64_t place = r->place;
    return by_scene && r->scene ? r->scene : dip_hash64(&place, sizeof place) | 1;
}

static size_t list_groups(const collector *c, bool by_scene, uint64_t *groups)
{
    size_t n = 0;
    for (size_t i = 0; i < c->count; i++)
        if (c->rows[i].split == SPLIT_TRAIN) groups[n++] = group_of(&c->rows[i], by_scene);
    return distinct(groups, n);
}

static bool knows_scenes(const collector *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->rows[i].split == SPLIT_TRAIN && !c->rows[i].scene) return false;
    return true;
}

/* Moves the first tenth of the groups, in order of their hashes, from train to val. */
static dip_status hold_out(collector *c)
{
    enum { FEWEST_SCENES = 5 };
    uint64_t *groups = dip_alloc((c->count ? c->count : 1) * sizeof *groups);
    if (!groups) return DIP_ENOMEM;
    bool by_scene = knows_scenes(c) && list_groups(c, true, groups) >= FEWEST_SCENES;
    size_t n = list_groups(c, by_scene, groups), held = (n + HELD_SHARE / 2) / HELD_SHARE;
    for (size_t i = 0; held && i < c->count; i++) {
        row *r = &c->rows[i];
        if (r->split == SPLIT_TRAIN && group_of(r, by_scene) <= groups[held - 1])
            r->split = SPLIT_VAL;
    }
    dip_free(groups);
    snprintf(c->dataset->held_note, sizeof c->dataset->held_note,
             "no split 'val': %zu of %zu %s are held out of training", held, n,
             by_scene ? "scenes" : "places");
    return DIP_OK;
}

/* ---- a share of the training places ---- */

static uint64_t draw_of(const row *r, uint64_t seed)
{
    return dip_hash64_seed(&r->place, sizeof r->place, seed);
}

/* Keeps the training places whose draws are smallest; the others belong to no split that is looked at. */
static dip_status take_share(collector *c, double share, uint64_t seed)
{
    uint64_t *draws = dip_alloc((c->count + 1) * sizeof *draws);
    if (!draws) return DIP_ENOMEM;
    size_t n = 0;
    for (size_t i = 0; i < c->count; i++)
        if (c->rows[i].split == SPLIT_TRAIN) draws[n++] = draw_of(&c->rows[i], seed);
    n = distinct(draws, n);
    size_t kept = (size_t)llround(share * (double)n);
    for (size_t i = 0; i < c->count; i++) {
        row *r = &c->rows[i];
        if (r->split == SPLIT_TRAIN && (!kept || draw_of(r, seed) > draws[kept - 1]))
            r->split = SPLIT_OTHER;
    }
    dip_free(draws);
    return DIP_OK;
}

/* One split a place: test before val before train, so that nothing leaks into training. */
static void settle_splits(collector *c)
{
    for (size_t i = 0, end; i < c->count; i = end) {
        uint32_t split = SPLIT_NONE;
        for (end = i; end < c->count && c->rows[end].place == c->rows[i].place; end++) {
            if (!c->has_splits) c->rows[end].split = SPLIT_TRAIN;
            if (c->rows[end].split > split) split = c->rows[end].split;
        }
        for (size_t k = i; k < end; k++) c->rows[k].split = split;
    }
}

/* ---- pairs ---- */

typedef struct pair_list {
    dip_pair *pairs;
    size_t count, capacity;
} pair_list;

/* All combinations of two modalities of the place whose rows are first..end-1. */
static dip_status add_pairs(const row *rows, size_t first, size_t end, pair_list *list)
{
    for (size_t a = first, a_end; a < end; a = a_end) {
        for (a_end = a; a_end < end && rows[a_end].modality == rows[a].modality;) a_end++;
        for (size_t b = a_end, b_end; b < end; b = b_end) {
            for (b_end = b; b_end < end && rows[b_end].modality == rows[b].modality;) b_end++;
            if (dip_array_reserve((void **)&list->pairs, &list->capacity, list->count + 1,
                                  sizeof *list->pairs))
                return DIP_ENOMEM;
            list->pairs[list->count++] = (dip_pair){{rows[a].modality, rows[b].modality},
                                                    {(uint32_t)a, (uint32_t)b},
                                                    {(uint32_t)(a_end - a), (uint32_t)(b_end - b)}};
        }
    }
    return DIP_OK;
}

static dip_status make_pairs(collector *c)
{
    pair_list train = {.count = 0}, held = {.count = 0};
    dip_status status = DIP_OK;
    for (size_t i = 0, end; !status && i < c->count; i = end) {
        uint32_t split = c->rows[i].split;
        for (end = i; end < c->count && c->rows[end].place == c->rows[i].place;) end++;
        if (split == SPLIT_TRAIN) status = add_pairs(c->rows, i, end, &train);
        if (split == SPLIT_VAL) status = add_pairs(c->rows, i, end, &held);
    }
    c->dataset->train = train.pairs;
    c->dataset->train_count = train.count;
    c->dataset->held = held.pairs;
    c->dataset->held_count = held.count;
    return status;
}

static dip_status keep_rows(collector *c)
{
    dip_dataset *d = c->dataset;
    d->tiles = dip_alloc((c->count + 1) * sizeof *d->tiles);
    d->tile_modality = dip_alloc((c->count + 1) * sizeof *d->tile_modality);
    if (!d->tiles || !d->tile_modality) return DIP_ENOMEM;
    d->tile_count = c->count;
    for (size_t i = 0; i < c->count; i++) {
        const uint64_t words[2] = {c->rows[i].identity, c->rows[i].split};
        d->tiles[i] = c->rows[i].id;
        d->tile_modality[i] = c->rows[i].modality;
        d->fingerprint = dip_hash64_seed(words, sizeof words, d->fingerprint);
    }
    for (uint32_t m = 0; m < d->modality_count; m++)
        for (uint32_t b = 0; b < d->modality[m].band_count; b++)
            d->fingerprint = hash_text(d->modality[m].bands[b].name, d->fingerprint);
    return DIP_OK;
}

static bool has_held(const collector *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->rows[i].split == SPLIT_VAL) return true;
    return false;
}

static dip_status build(dip_dataset *d, const dip_dataset_options *options)
{
    collector c = {.dataset = d, .options = options};
    dip_status status = choose_modalities(d, options->modalities);
    if (!status) status = dip_archive_each(d->archive, collect, &c);
    if (!status && c.count > UINT32_MAX)
        status = dip_fail(DIP_ENOTSUP, "more than 4 billion tiles");
    if (!status && c.count) qsort(c.rows, c.count, sizeof *c.rows, by_place);
    if (!status) {
        settle_splits(&c);
        strcpy(d->held_note, "held-out pairs: split 'val'");
        if (!has_held(&c)) status = hold_out(&c);
    }
    if (!status && options->share > 0 && options->share < 1)
        status = take_share(&c, options->share, options->seed);
    if (!status) status = keep_rows(&c);
    if (!status) status = make_pairs(&c);
    dip_free(c.rows);
    if (!status && d->train_count < 2)
        status =
            dip_fail(DIP_ENOENT,
                     "the archive has %zu training pairs%s; at least 2 places with two "
                     "modalities in split 'train' are needed",
                     d->train_count,
                     options->share > 0 && options->share < 1 ? " in the share asked for" : "");
    return status;
}

dip_status dip_dataset_open(dip_dataset **out, const dip_archive *archive,
                            const dip_dataset_options *options)
{
    static const dip_dataset_options everything = {.share = 1};
    dip_dataset *dataset = dip_calloc(1, sizeof *dataset);
    if (!dataset) return DIP_ENOMEM;
    dataset->archive = archive;
    dip_status status = build(dataset, options ? options : &everything);
    if (status)
        dip_dataset_close(dataset);
    else
        *out = dataset;
    return status;
}

void dip_dataset_close(dip_dataset *dataset)
{
    if (!dataset) return;
    dip_free(dataset->tiles);
    dip_free(dataset->tile_modality);
    dip_free(dataset->train);
    dip_free(dataset->held);
    dip_free(dataset);
}

/* ---- statistics ---- */

typedef struct measure_job {
    const dip_dataset *dataset;
    const uint32_t *tiles;
} measure_job;

static void sum_tile(const float *image, size_t pixels, uint32_t bands, dip_moments *out)
{
    for (uint32_t b = 0; b < bands; b++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < pixels; i++) sum += image[i * bands + b];
        double mean = sum / (double)pixels;
        for (size_t i = 0; i < pixels; i++)
            squares += (image[i * bands + b] - mean) * (image[i * bands + b] - mean);
        out[b] = (dip_moments){(double)pixels, mean, squares};
    }
}

static dip_status measure_tile(void *context, size_t part, dip_moments *out)
{
    const measure_job *job = context;
    const dip_dataset *d = job->dataset;
    uint32_t at = job->tiles[part], width, height;
    dip_modality plain = d->modality[d->tile_modality[at]];
    dip_tile *tile = NULL;
    for (uint32_t b = 0; b < plain.band_count; b++) plain.bands[b].mean = plain.bands[b].stddev = 0;
    dip_status status = dip_archive_tile(d->archive, d->tiles[at], &tile);
    if (status) return status;
    dip_prepare_size(tile, &width, &height);
    float *image = dip_alloc((size_t)width * height * plain.band_count * sizeof *image);
    status = image ? dip_prepare(tile, &plain, image) : DIP_ENOMEM;
    if (!status) sum_tile(image, (size_t)width * height, plain.band_count, out);
    dip_free(image);
    dip_tile_free(tile);
    return status;
}

/* Up to MEASURED training tiles of a modality, spread evenly over the pairs. */
static size_t sample(const dip_dataset *d, uint32_t modality, uint32_t *out)
{
    size_t n = 0, taken = 0, seen = 0;
    for (size_t i = 0; i < d->train_count; i++)
        n += d->train[i].modality[0] == modality || d->train[i].modality[1] == modality;
    size_t wanted = n < MEASURED ? n : MEASURED;
    for (size_t i = 0; i < d->train_count; i++) {
        const dip_pair *pair = &d->train[i];
        if (pair->modality[0] != modality && pair->modality[1] != modality) continue;
        if (seen++ * wanted / n == taken && taken < wanted)
            out[taken++] = pair->first[pair->modality[0] == modality ? 0 : 1];
    }
    return taken;
}

static dip_status measure_modality(dip_dataset *d, uint32_t modality, const dip_progress *progress)
{
    uint32_t tiles[MEASURED];
    dip_band *bands = d->modality[modality].bands;
    dip_moments found[DIP_MAX_BANDS];
    measure_job job = {d, tiles};
    size_t n = sample(d, modality, tiles), band_count = d->modality[modality].band_count;
    dip_status status = dip_moments_gather(found, band_count, n, measure_tile, &job, progress);
    for (size_t b = 0; !status && n && b < band_count; b++) {
        double deviation = dip_moments_deviation(&found[b]);
        bands[b].mean = found[b].mean;
        bands[b].stddev = deviation > 0 ? deviation : 1;
    }
    return status;
}

dip_status dip_dataset_measure(dip_dataset *dataset, const dip_progress *progress)
{
    dip_status status = DIP_OK;
    for (uint32_t m = 0; !status && m < dataset->modality_count; m++)
        status = measure_modality(dataset, m, progress);
    return status;
}

dip_status dip_dataset_check_statistics(const dip_dataset *dataset)
{
    for (uint32_t m = 0; m < dataset->modality_count; m++)
        for (uint32_t b = 0; b < dataset->modality[m].band_count; b++)
            if (!(dataset->modality[m].bands[b].stddev > 0))
                return dip_fail(
                    DIP_EINVAL,
                    "the archive has no statistics of band '%s' of '%s'; use --statistics measure",
                    dataset->modality[m].bands[b].name, dataset->modality[m].name);
    return DIP_OK;
}
