/*
 * Checks the whole archive; one line a fault.
 *
 * Order: the pages of data.mdb without LMDB's help (if they are damaged nothing else is looked at), archive.ini, tiles
 * with their metadata, names, places, embeddings, the journal. Everything is read in one snapshot, so a writer does not
 * disturb. Pixels are decoded on all threads, a chunk at a time, and reported in order.
 */
#define _GNU_SOURCE
#include "core/file.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "storage/block.h"
#include "core/half.h"
#include "storage/handle.h"
#include "storage/pages.h"
#include "storage/pixels.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { CHUNK = 64, LINE = 512, NAME = 200, MAX_TRIES = 16 };

typedef struct check {
    const dip_archive *archive;
    dip_txn txn;
    void (*report)(void *payload, const char *line);
    void *payload;
    int (*tick)(void *payload, const char *phase, uint64_t done, uint64_t total);
    void *tick_payload;
    uint64_t faults;
    uint64_t done, total;
    char **set_names;
    dip_db *sets;
    size_t set_count;
    char remedy[LINE];
} check;

__attribute__((format(printf, 2, 3))) static void fault(check *c, const char *format, ...)
{
    char line[LINE];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    c->faults++;
    if (c->report) c->report(c->payload, line);
}

static dip_status tick(check *c, const char *phase, uint64_t steps)
{
    c->done += steps;
    if (c->tick && c->tick(c->tick_payload, phase, c->done, c->total))
        return dip_fail(DIP_ECANCEL, "verification was stopped; %llu faults were found so far",
                        (unsigned long long)c->faults);
    return DIP_OK;
}

static dip_status get(const check *c, dip_db db, uint64_t id, dip_bytes *value)
{
    dip_id_key key = dip_key_of(id);
    return dip_txn_get(&c->txn, db, dip_key_bytes(&key), value);
}

static unsigned long long ull(uint64_t v) { return v; }

/* What to do about a tile, which diptych remove takes as it is named here: "s1/NAME", or "'#ID'" if it has lost its name. */
static const char *again(check *c, uint64_t id)
{
    dip_bytes value;
    dip_meta meta;
    bool known = get(c, DIP_DB_META, id, &value) == DIP_OK && value.data &&
                 dip_meta_decode(&meta, value, id) == DIP_OK &&
                 meta.modality < dip_archive_modality_count(c->archive);
    if (known)
        snprintf(c->remedy, LINE, "remove %s/%.*s and import it again",
                 dip_archive_modality(c->archive, meta.modality)->name, (int)NAME, meta.name);
    else
        snprintf(c->remedy, LINE, "remove '#%llu' and import it again", ull(id));
    return c->remedy;
}

static const char *const restore = "restore the store from a copy";

/* ---- pages, archive.ini ---- */

/* A snapshot whose header is still in the file; another process's writer may overwrite it at once. */
static dip_status begin(check *c, uint64_t *page_faults)
{
    dip_status status = DIP_OK;
    for (int i = 0; i < MAX_TRIES; i++) {
        status = dip_txn_begin(&c->txn, c->archive->env);
        if (status) return status;
        status = dip_pages_check_all(dip_env_data_path(c->archive->env), dip_txn_snapshot(&c->txn),
                                     c->report, c->payload, page_faults);
        if (!status) return DIP_OK;
        dip_txn_end(&c->txn);
        if (status != DIP_EBUSY) break;
    }
    return status;
}

static dip_status check_config(check *c)
{
    dip_config config;
    dip_status status = dip_config_read(&config, c->archive->config_path);
    if (status == DIP_ENOMEM) return status;
    if (status) {
        fault(c, "archive.ini: %s; restore it from a copy", dip_last_error());
        return DIP_OK;
    }
    size_t count = dip_archive_modality_count(c->archive);
    bool same = count <= config.modality_count;
    for (size_t i = 0; same && i < count; i++) {
        const dip_modality *mine = dip_archive_modality(c->archive, i);
        same = !strcmp(mine->name, config.modalities[i]->name) &&
               mine->band_count == config.modalities[i]->band_count;
    }
    if (!same)
        fault(c, "archive.ini: its modalities changed under an open archive; restore them and "
                 "verify again");
    dip_config_fini(&config);
    return tick(c, "archive.ini", 0);
}

/* ---- tiles and metadata ---- */

typedef struct tile_task {
    uint64_t id;
    dip_bytes value;
    bool bad, short_of_memory;
    uint32_t plane_count;
    char line[LINE];
} tile_task;

typedef struct tile_chunk {
    const dip_archive *archive;
    tile_task tasks[CHUNK];
    size_t count;
} tile_chunk;

static dip_status decode(const dip_archive *archive, tile_task *task)
{
    dip_pixels_shape shape;
    dip_status status = dip_pixels_open(&shape, task->value.data, task->value.size, task->id);
    if (status) return status;
    task->plane_count = shape.plane_count;
    char *pixels = dip_codec_borrow(archive->codec, shape.raw_bytes + 64 * DIP_MAX_BANDS);
    if (!pixels) return DIP_ENOMEM;
    size_t at = 0;
    for (uint32_t i = 0; i < shape.plane_count; i++) {
        shape.planes[i].pixels = pixels + at;
        at += (dip_plane_bytes(&shape.planes[i]) + 63) & ~(size_t)63;
    }
    status = dip_pixels_decode(&shape, task->id, archive->codec);
    dip_codec_return(archive->codec, pixels);
    return status;
}

static dip_status decode_task(void *context, size_t index, unsigned worker)
{
    (void)worker;
    tile_chunk *chunk = context;
    tile_task *task = &chunk->tasks[index];
    dip_status status = decode(chunk->archive, task);
    if (status == DIP_ENOMEM) return status;
    task->bad = status != DIP_OK;
    if (task->bad) snprintf(task->line, sizeof task->line, "%s", dip_last_error());
    return DIP_OK;
}

/* Whether a name leads to its tile or place; if not, `line` says how. */
static dip_status follow_name(check *c, int modality, const char *name, uint64_t wanted,
                              char line[LINE])
{
    dip_name_key key;
    dip_bytes value;
    uint64_t id;
    dip_name_key_make(&key, modality, name);
    dip_status status = dip_txn_get(&c->txn, DIP_DB_NAME, dip_name_key_bytes(&key), &value);
    line[0] = '\0';
    if (status) return status;
    if (!value.data)
        snprintf(line, LINE, "its name '%.80s' leads nowhere", name);
    else if (dip_name_decode(&id, value, dip_name_key_bytes(&key)))
        snprintf(line, LINE, "%s", dip_last_error());
    else if (id != wanted)
        snprintf(line, LINE, "its name '%.80s' leads to %llu", name, ull(id));
    return DIP_OK;
}

static dip_status check_names_of(check *c, const dip_meta *meta)
{
    char line[LINE];
    dip_status status = follow_name(c, (int)meta->modality, meta->name, meta->id, line);
    if (!status && line[0])
        fault(c, "tile %llu: %.200s; %s", ull(meta->id), line, again(c, meta->id));
    if (status || !meta->place_name[0]) return status;
    status = follow_name(c, DIP_NAME_OF_PLACE, meta->place_name, meta->place, line);
    if (!status && line[0])
        fault(c, "place %llu of tile %llu: %.300s; remove the place's tiles and import them again",
              ull(meta->place), ull(meta->id), line);
    return status;
}

static dip_status check_place_of(check *c, const dip_meta *meta)
{
    dip_bytes value;
    uint64_t *ids;
    size_t n;
    bool listed = false;
    dip_status status = get(c, DIP_DB_PLACE, meta->place, &value);
    if (status) return status;
    if (!value.data) {
        fault(c, "tile %llu: its place %llu is missing; %s", ull(meta->id), ull(meta->place),
              again(c, meta->id));
        return DIP_OK;
    }
    status = dip_place_decode(&ids, &n, value, meta->place);
    if (status == DIP_ENOMEM) return status;
    if (status) {
        fault(c, "tile %llu: %.200s; %s", ull(meta->id), dip_last_error(), again(c, meta->id));
        return DIP_OK;
    }
    for (size_t i = 0; i < n; i++) listed |= ids[i] == meta->id;
    dip_ids_free(ids);
    if (!listed)
        fault(c, "tile %llu: its place %llu does not list it; %s", ull(meta->id), ull(meta->place),
              again(c, meta->id));
    return DIP_OK;
}

static dip_status check_meta(check *c, uint64_t id, dip_bytes value, const tile_task *task)
{
    dip_meta meta;
    if (dip_meta_decode(&meta, value, id)) {
        fault(c, "%.250s; %s", dip_last_error(), again(c, id));
        return DIP_OK;
    }
    if (meta.modality >= dip_archive_modality_count(c->archive)) {
        fault(c, "tile %llu: archive.ini has no modality %u; restore archive.ini", ull(id),
              meta.modality);
    } else if (task && !task->bad) {
        const dip_modality *m = dip_archive_modality(c->archive, meta.modality);
        if (task->plane_count != m->band_count)
            fault(c, "tile %llu: it has %u planes, modality '%s' has %u bands; restore archive.ini",
                  ull(id), task->plane_count, m->name, m->band_count);
    }
    dip_status status = check_names_of(c, &meta);
    return status ? status : check_place_of(c, &meta);
}

/* Metadata with ids up to and including `limit`, set against the chunk's tiles. */
static dip_status check_metas(check *c, dip_cursor *metas, const tile_chunk *chunk, uint64_t limit)
{
    size_t at = 0;
    dip_status status = DIP_OK;
    while (!status && metas->key.data) {
        uint64_t id;
        if (!dip_key_id(metas->key, &id)) {
            fault(c, "metadata with a damaged key of %zu bytes; restore the store from a copy",
                  metas->key.size);
            status = dip_cursor_next(metas);
            continue;
        }
        if (id > limit) break;
        for (; at < chunk->count && chunk->tasks[at].id < id; at++)
            fault(c, "tile %llu: it has no metadata; %s", ull(chunk->tasks[at].id),
                  again(c, chunk->tasks[at].id));
        bool has_pixels = at < chunk->count && chunk->tasks[at].id == id;
        if (!has_pixels) fault(c, "tile %llu: it has no pixels; %s", ull(id), again(c, id));
        status = check_meta(c, id, metas->value, has_pixels ? &chunk->tasks[at] : NULL);
        at += has_pixels;
        if (!status) status = dip_cursor_next(metas);
    }
    for (; !status && at < chunk->count; at++)
        fault(c, "tile %llu: it has no metadata; %s", ull(chunk->tasks[at].id),
              again(c, chunk->tasks[at].id));
    return status;
}

static dip_status fill_chunk(check *c, tile_chunk *chunk, dip_cursor *tiles)
{
    dip_status status = DIP_OK;
    chunk->count = 0;
    while (chunk->count < CHUNK && !(status = dip_cursor_next(tiles)) && tiles->key.data) {
        tile_task *task = &chunk->tasks[chunk->count];
        task->value = tiles->value;
        if (dip_key_id(tiles->key, &task->id))
            chunk->count++;
        else
            fault(c, "pixels with a damaged key of %zu bytes; restore the store from a copy",
                  tiles->key.size);
    }
    return status;
}

static dip_status check_chunks(check *c, tile_chunk *chunk, dip_cursor *tiles, dip_cursor *metas)
{
    dip_status status = dip_cursor_next(metas);
    while (!status) {
        status = fill_chunk(c, chunk, tiles);
        if (!status) status = dip_parallel_for(chunk->count, decode_task, chunk);
        for (size_t i = 0; !status && i < chunk->count; i++)
            if (chunk->tasks[i].bad)
                fault(c, "%.250s; %s", chunk->tasks[i].line, again(c, chunk->tasks[i].id));
        bool last = chunk->count < CHUNK;
        uint64_t limit = last ? UINT64_MAX : chunk->tasks[chunk->count - 1].id;
        if (!status) status = check_metas(c, metas, chunk, limit);
        if (!status) status = tick(c, "tiles", chunk->count);
        if (last) break;
    }
    return status;
}

static dip_status check_tiles(check *c)
{
    dip_cursor tiles = {.cursor = NULL}, metas = {.cursor = NULL};
    tile_chunk *chunk = dip_calloc(1, sizeof *chunk);
    if (!chunk) return DIP_ENOMEM;
    chunk->archive = c->archive;
    dip_status status = dip_cursor_open(&tiles, &c->txn, DIP_DB_TILE, NULL);
    if (!status) status = dip_cursor_open(&metas, &c->txn, DIP_DB_META, NULL);
    if (!status) status = check_chunks(c, chunk, &tiles, &metas);
    dip_cursor_close(&tiles);
    dip_cursor_close(&metas);
    dip_free(chunk);
    return status;
}

/* ---- names and places: what leads nowhere ---- */

/* The record that a name leads to: of a tile its metadata, of a place any of its tiles' metadata. */
static dip_status check_target(check *c, const dip_cursor *cursor, bool place, uint64_t id)
{
    dip_name_key key = {.size = 0};
    dip_bytes value;
    dip_meta meta;
    int shown = cursor->key.size > 80 ? 80 : (int)cursor->key.size;
    uint64_t tile = id, *ids = NULL;
    size_t n = 0;
    dip_status status = get(c, place ? DIP_DB_PLACE : DIP_DB_META, id, &value);
    if (status) return status;
    if (!value.data) {
        fault(c, "name '%.*s': it leads to %s %llu, which is missing; %s", shown,
              (const char *)cursor->key.data, place ? "place" : "tile", ull(id), restore);
        return DIP_OK;
    }
    /* What cannot be read here was reported with the tiles. */
    if (place) {
        if (dip_place_decode(&ids, &n, value, id) || n == 0) return DIP_OK;
        tile = ids[0];
        dip_ids_free(ids);
        status = get(c, DIP_DB_META, tile, &value);
        if (status || !value.data) return status;
    }
    if (dip_meta_decode(&meta, value, tile)) return DIP_OK;
    dip_name_key_make(&key, place ? DIP_NAME_OF_PLACE : (int)meta.modality,
                      place ? meta.place_name : meta.name);
    if (key.size != cursor->key.size || memcmp(key.bytes, cursor->key.data, key.size) != 0)
        fault(c, "name '%.*s': tile %llu, to which it leads, has another name; %s", shown,
              (const char *)cursor->key.data, ull(tile), again(c, tile));
    return DIP_OK;
}

static dip_status check_names(check *c)
{
    dip_cursor cursor;
    dip_status status = dip_cursor_open(&cursor, &c->txn, DIP_DB_NAME, NULL);
    if (status) return status;
    while (!status && !(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        uint64_t id;
        bool place = *(const char *)cursor.key.data == 'p';
        /* A damaged name was reported with its tile or place. */
        if (dip_name_decode(&id, cursor.value, cursor.key)) continue;
        status = check_target(c, &cursor, place, id);
        if (!status) status = tick(c, "names", 1);
    }
    dip_cursor_close(&cursor);
    return status;
}

static dip_status check_members(check *c, uint64_t place, const uint64_t *ids, size_t n)
{
    dip_status status = DIP_OK;
    if (n == 0) fault(c, "place %llu: it has no tiles; restore the store from a copy", ull(place));
    for (size_t i = 0; !status && i < n; i++) {
        dip_bytes value;
        dip_meta meta;
        if (i && ids[i] <= ids[i - 1])
            fault(c, "place %llu: its tiles are out of order; restore the store from a copy",
                  ull(place));
        status = get(c, DIP_DB_META, ids[i], &value);
        if (status) break;
        if (!value.data)
            fault(c, "place %llu: it lists tile %llu, which is missing; %s", ull(place),
                  ull(ids[i]), restore);
        else if (!dip_meta_decode(&meta, value, ids[i]) && meta.place != place)
            fault(c, "place %llu: it lists tile %llu, which is of place %llu; %s", ull(place),
                  ull(ids[i]), ull(meta.place), again(c, ids[i]));
    }
    return status;
}

static dip_status check_places(check *c)
{
    dip_cursor cursor;
    dip_status status = dip_cursor_open(&cursor, &c->txn, DIP_DB_PLACE, NULL);
    if (status) return status;
    while (!status && !(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        uint64_t place, *ids;
        size_t n;
        if (!dip_key_id(cursor.key, &place)) {
            fault(c, "a place with a damaged key; restore the store from a copy");
            continue;
        }
        status = dip_place_decode(&ids, &n, cursor.value, place);
        if (status == DIP_ENOMEM) break;
        if (status) { /* reported with its tiles */
            status = DIP_OK;
            continue;
        }
        status = check_members(c, place, ids, n);
        dip_ids_free(ids);
        if (!status) status = tick(c, "places", 1);
    }
    dip_cursor_close(&cursor);
    return status;
}

/* ---- embeddings ---- */

static dip_status check_vectors(check *c, const char *set, uint64_t number, const dip_block *block)
{
    dip_codec *codec = c->archive->codec;
    size_t dim = block->dim;
    const void *halves;
    float *vector = dip_codec_borrow(codec, dim * sizeof *vector);
    void *scratch = dip_codec_borrow(codec, DIP_BLOCK_IDS * dim * sizeof(uint16_t));
    dip_status status =
        vector && scratch ? dip_block_halves(block, &halves, scratch, codec) : DIP_ENOMEM;
    if (status && status != DIP_ENOMEM)
        fault(c, "'%s', ids from %llu: %s; encode again", set, ull(number * DIP_BLOCK_IDS),
              dip_last_error());
    for (uint32_t i = 0; !status && i < block->count; i++) {
        double sum = 0;
        dip_half_unpack(vector, (const char *)halves + i * dim * sizeof(uint16_t), dim);
        for (size_t k = 0; k < dim; k++) sum += (double)vector[k] * vector[k];
        if (fabs(sum - 1) < 0.02) continue;
        fault(c, "'%s', ids from %llu: a vector has the norm %g, expected 1; encode again", set,
              ull(number * DIP_BLOCK_IDS), sqrt(sum));
    }
    dip_codec_return(codec, vector);
    dip_codec_return(codec, scratch);
    return status == DIP_ENOMEM ? status : DIP_OK;
}

static dip_status check_owners(check *c, const char *set, uint32_t modality, uint64_t number,
                               const dip_block *block)
{
    dip_status status = DIP_OK;
    for (unsigned slot = 0; !status && slot < DIP_BLOCK_IDS; slot++) {
        dip_bytes value;
        dip_meta meta;
        if (!dip_block_has(block, slot)) continue;
        uint64_t id = number * DIP_BLOCK_IDS + slot;
        status = get(c, DIP_DB_META, id, &value);
        if (status) break;
        if (!value.data)
            fault(c, "'%s': it has an embedding of tile %llu, which is missing; %s", set, ull(id),
                  restore);
        else if (!dip_meta_decode(&meta, value, id) && meta.modality != modality)
            fault(c, "'%s': it has an embedding of tile %llu, which is of another modality; %s",
                  set, ull(id), again(c, id));
    }
    return status;
}

static dip_status check_set(check *c, const char *name, dip_db set)
{
    char model[DIP_MODEL_CAPACITY];
    uint32_t modality, dim = 0;
    if (!dip_set_split(c->archive, name, model, &modality)) {
        fault(c, "'%s': no embeddings of a modality of archive.ini; restore archive.ini", name);
        return DIP_OK;
    }
    dip_cursor cursor;
    dip_status status = dip_cursor_open(&cursor, &c->txn, set, NULL);
    if (status) return status;
    while (!status && !(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        uint64_t number;
        dip_block block;
        if (!dip_key_id(cursor.key, &number)) {
            fault(c, "'%s': a block with a damaged key; restore the store from a copy", name);
            continue;
        }
        if (dip_block_open(&block, cursor.value.data, cursor.value.size, number)) {
            fault(c, "'%s', ids from %llu: %s; encode again", name, ull(number * DIP_BLOCK_IDS),
                  dip_last_error());
            continue;
        }
        if (!dim) dim = block.dim;
        if (block.dim != dim)
            fault(c,
                  "'%s', ids from %llu: %u dimensions, others have %u; drop the model's "
                  "embeddings and encode again",
                  name, ull(number * DIP_BLOCK_IDS), block.dim, dim);
        status = check_vectors(c, name, number, &block);
        if (!status) status = check_owners(c, name, modality, number, &block);
        if (!status) status = tick(c, "embeddings", block.count);
    }
    dip_cursor_close(&cursor);
    return status;
}

static dip_status check_sets(check *c)
{
    dip_status status = DIP_OK;
    for (size_t i = 0; !status && i < c->set_count; i++)
        status = check_set(c, c->set_names[i], c->sets[i]);
    return status;
}

/* ---- the journal ---- */

static bool same_totals(const dip_totals *a, const dip_totals *b)
{
    return a->tiles == b->tiles && a->places == b->places &&
           !memcmp(a->tiles_of, b->tiles_of, sizeof a->tiles_of) &&
           a->tile_bytes == b->tile_bytes && a->raw_bytes == b->raw_bytes &&
           a->embeddings == b->embeddings && a->embedding_bytes == b->embedding_bytes;
}

/* Ids are never given twice: the next ones are above all that there are. */
static dip_status check_next(check *c, dip_db db, uint64_t next, const char *what)
{
    dip_cursor cursor;
    uint64_t id;
    dip_status status = dip_cursor_open(&cursor, &c->txn, db, NULL);
    if (status) return status;
    status = dip_cursor_last(&cursor);
    if (!status && cursor.key.data && dip_key_id(cursor.key, &id) && id >= next)
        fault(c,
              "journal: the next %s would get the id %llu, but %llu is there; restore the store "
              "from a copy",
              what, ull(next), ull(id));
    dip_cursor_close(&cursor);
    return status;
}

static dip_status check_entries(check *c, dip_totals *last)
{
    dip_cursor cursor;
    uint64_t expected = 0, number;
    dip_status status = dip_cursor_open(&cursor, &c->txn, DIP_DB_JOURNAL, NULL);
    if (status) return status;
    while (!(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        if (!dip_key_id(cursor.key, &number) || number != expected) {
            fault(c, "journal: entry %llu is missing; restore the store from a copy",
                  ull(expected));
            break;
        }
        if (dip_totals_decode(last, cursor.value, number))
            fault(c, "%s; restore the store from a copy", dip_last_error());
        expected++;
    }
    dip_cursor_close(&cursor);
    return status;
}

static dip_status check_journal(check *c)
{
    dip_totals last = {.time = 0};
    uint64_t before = c->faults;
    dip_status status = check_entries(c, &last);
    if (status || c->faults != before) return status;
    status = check_next(c, DIP_DB_META, last.next_tile, "tile");
    if (!status) status = check_next(c, DIP_DB_TILE, last.next_tile, "tile");
    if (!status) status = check_next(c, DIP_DB_PLACE, last.next_place, "place");
    /* With other faults about, sums cannot agree; they follow when those are mended. */
    if (status || c->faults) return status;
    dip_totals counted = last;
    status = dip_totals_count_tiles(&c->txn, &counted);
    if (!status) status = dip_totals_count_sets(&c->txn, c->sets, c->set_count, &counted);
    if (!status && !same_totals(&last, &counted))
        fault(c,
              "journal: it says %llu tiles, %llu places, %llu embeddings, but there are %llu, "
              "%llu, %llu, or their bytes differ; restore the store from a copy",
              ull(last.tiles), ull(last.places), ull(last.embeddings), ull(counted.tiles),
              ull(counted.places), ull(counted.embeddings));
    return status;
}

/* ---- all of it ---- */

static dip_status count_steps(check *c)
{
    static const dip_db counted[] = {DIP_DB_TILE, DIP_DB_NAME, DIP_DB_PLACE};
    dip_totals totals;
    uint64_t n, batch;
    dip_status status = DIP_OK;
    for (size_t i = 0; !status && i < sizeof counted / sizeof *counted; i++) {
        status = dip_txn_count(&c->txn, counted[i], &n);
        c->total += n;
    }
    if (!status && dip_totals_read(&c->txn, &totals, &batch) == DIP_OK)
        c->total += totals.embeddings;
    return status;
}

static dip_status check_all(check *c)
{
    dip_status status = count_steps(c);
    if (!status) status = check_config(c);
    if (!status) status = check_tiles(c);
    if (!status) status = check_names(c);
    if (!status) status = check_places(c);
    if (!status) status = check_sets(c);
    return status ? status : check_journal(c);
}

dip_status dip_archive_verify(const dip_archive *archive,
                              void (*report)(void *payload, const char *line), void *payload,
                              int (*tick_fn)(void *payload, const char *phase, uint64_t done,
                                             uint64_t total),
                              void *tick_payload, uint64_t *faults)
{
    check c = {.archive = archive,
               .report = report,
               .payload = payload,
               .tick = tick_fn,
               .tick_payload = tick_payload};
    uint64_t page_faults = 0;
    dip_status status = dip_env_list_dbs(archive->env, &c.set_names, &c.sets, &c.set_count);
    if (status) return status;
    status = begin(&c, &page_faults);
    if (!status) {
        if (!page_faults) status = check_all(&c);
        dip_txn_end(&c.txn);
    }
    dip_names_free(c.set_names, c.set_count);
    dip_free(c.sets);
    *faults = c.faults + page_faults;
    return status;
}
