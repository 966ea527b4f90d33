/*
 * Import; see import.h.
 *
 * A source is surveyed (which modalities, what is listed twice), its modalities are declared from what the layout says
 * or from what some of its tiles have in common, and then windows of tiles go in: their files are read on all threads, and
 * one transaction adds them in the source's order. A tile's fate does not depend on where a window ends.
 */
#include "ingest/import.h"

#include "core/file.h"
#include "core/hash.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "ingest/bigearthnet.h"
#include "ingest/expect.h"
#include "ingest/folders.h"
#include "ingest/manifest.h"
#include "ingest/modality.h"
#include "ingest/statistics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_BATCH = 256, MOST_BATCH = 65536, NO_MODALITY = 255 };

/* What is known of a listed tile before its files are read. */
typedef struct entry {
    uint8_t modality; /* position in the source's list */
    bool faulty;      /* check() refuses it */
    bool twice;       /* an earlier one has its name */
} entry;

typedef struct slot {
    size_t index;
    enum { SLOT_REFUSED, SLOT_PRESENT, SLOT_READ } fate;
    char *line; /* why it is refused */
    dip_draft *draft;
} slot;

typedef struct job {
    dip_archive *archive;
    const dip_import_options *options;
    dip_import_report *report;
    const dip_source *source;
    entry *entries;
    dip_expectation expected[DIP_MAX_MODALITIES];
    uint32_t expected_count;
    bool last; /* no further source follows */
    slot *slots;
    size_t slot_count, slot_capacity;
    uint64_t *places; /* of every stored tile of the source, with repetitions */
    size_t place_count, place_capacity;
} job;

/* ---- refusing ---- */

static void refuse(job *j, size_t index, const char *why)
{
    char line[1400];
    const char *name = j->source->name(j->source, index);
    const char *modality = j->source->modality(j->source, index);
    j->report->refused++;
    if (!j->options->refused) return;
    if (*name)
        snprintf(line, sizeof line, "tile '%s' (%s): %s; skipped", name, modality, why);
    else
        snprintf(line, sizeof line, "%s; skipped", why);
    j->options->refused(j->options->payload, line);
}

/* ---- survey ---- */

static dip_status find_expectation(job *j, const char *name, uint8_t *position)
{
    for (uint32_t m = 0; m < j->expected_count; m++)
        if (!strcmp(j->expected[m].name, name)) {
            *position = (uint8_t)m;
            return DIP_OK;
        }
    if (j->expected_count == DIP_MAX_MODALITIES)
        return dip_fail(DIP_EFORMAT, "the source names more than %d modalities ('%s' is one more)",
                        (int)DIP_MAX_MODALITIES, name);
    snprintf(j->expected[j->expected_count].name, DIP_WORD_CAPACITY, "%s", name);
    *position = (uint8_t)j->expected_count++;
    return DIP_OK;
}

static bool same_tile(const job *j, size_t a, size_t b)
{
    const dip_source *s = j->source;
    return j->entries[a].modality == j->entries[b].modality &&
           !strcmp(s->name(s, a), s->name(s, b));
}

/* Open addressing; a cell holds an index + 1. */
static bool seen_before(const job *j, size_t *cells, size_t mask, size_t i)
{
    const char *name = j->source->name(j->source, i);
    size_t at = dip_hash64_seed(name, strlen(name), j->entries[i].modality) & mask;
    for (; cells[at]; at = (at + 1) & mask)
        if (same_tile(j, cells[at] - 1, i)) return true;
    cells[at] = i + 1;
    return false;
}

static dip_status survey_source(job *j)
{
    size_t n = j->source->count, size = 16;
    while (size < 2 * n) size *= 2;
    size_t *cells = dip_calloc(size, sizeof *cells);
    j->entries = dip_calloc(n, sizeof *j->entries);
    dip_status status = cells && j->entries ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < n && !status; i++) {
        entry *e = &j->entries[i];
        e->modality = NO_MODALITY;
        e->faulty = j->source->check(j->source, i) != DIP_OK;
        if (e->faulty) continue;
        status = find_expectation(j, j->source->modality(j->source, i), &e->modality);
        if (status) break;
        e->twice = seen_before(j, cells, size - 1, i);
        j->expected[e->modality].tiles++;
    }
    dip_free(cells);
    return status;
}

static void tell_found(const job *j, const char *path)
{
    if (!j->options->found) return;
    dip_import_found found = {.layout = j->source->layout, .source = path};
    found.modality_count = j->expected_count;
    for (uint32_t m = 0; m < j->expected_count; m++) {
        memcpy(found.modality[m], j->expected[m].name, DIP_WORD_CAPACITY);
        found.tiles[m] = j->expected[m].tiles;
    }
    j->options->found(j->options->payload, &found);
}

/* ---- modalities ---- */

static dip_status prepare_modality(job *j, uint32_t m)
{
    size_t *indices = dip_alloc(j->source->count * sizeof *indices), count = 0;
    if (!indices) return DIP_ENOMEM;
    for (size_t i = 0; i < j->source->count; i++)
        if (j->entries[i].modality == m && !j->entries[i].faulty && !j->entries[i].twice)
            indices[count++] = i;
    dip_status status =
        dip_expect(&j->expected[m], j->archive, j->source, indices, count, j->options);
    dip_free(indices);
    return status;
}

/* ---- windows of tiles ---- */

static void clear_slots(job *j)
{
    for (size_t s = 0; s < j->slot_count; s++) {
        if (j->slots[s].draft) dip_draft_fini(j->slots[s].draft);
        dip_free(j->slots[s].draft);
        dip_free(j->slots[s].line);
    }
    j->slot_count = 0;
}

static dip_status refuse_slot(slot *s, const char *why)
{
    s->fate = SLOT_REFUSED;
    s->line = dip_strdup(why);
    return s->line ? DIP_OK : DIP_ENOMEM;
}

static dip_status remember_place(job *j, uint64_t place)
{
    if (dip_array_reserve((void **)&j->places, &j->place_capacity, j->place_count + 1,
                          sizeof place))
        return DIP_ENOMEM;
    j->places[j->place_count++] = place;
    return DIP_OK;
}

/* Decides a tile's fate as far as it can be without its files. */
static dip_status judge(job *j, slot *s)
{
    const entry *e = &j->entries[s->index];
    uint64_t id;
    if (e->faulty) {
        j->source->check(j->source, s->index);
        return refuse_slot(s, dip_last_error());
    }
    if (e->twice) return refuse_slot(s, "it is listed twice; the first one counts");
    s->fate = SLOT_READ;
    const dip_expectation *x = &j->expected[e->modality];
    if (!x->ready) return DIP_OK;
    dip_status status =
        dip_archive_find_tile(j->archive, x->position, j->source->name(j->source, s->index), &id);
    if (status) return status == DIP_ENOENT ? DIP_OK : status;
    dip_meta *meta;
    status = dip_archive_meta(j->archive, id, &meta);
    if (status) return status;
    s->fate = SLOT_PRESENT;
    status = remember_place(j, meta->place);
    dip_meta_free(meta);
    return status;
}

/* Fills slots from tile `next` on, until `batch` of them are to be read. */
static dip_status gather(job *j, size_t *next, size_t batch)
{
    size_t to_read = 0;
    dip_status status = DIP_OK;
    while (*next < j->source->count && to_read < batch && j->slot_count < j->slot_capacity &&
           !status) {
        slot *s = &j->slots[j->slot_count++];
        *s = (slot){.index = (*next)++};
        status = judge(j, s);
        to_read += s->fate == SLOT_READ;
    }
    return status;
}

static dip_status read_draft(job *j, slot *s)
{
    const dip_expectation *e = &j->expected[j->entries[s->index].modality];
    dip_status status = j->source->read(j->source, s->index, s->draft);
    if (status) return status;
    if (!e->ready)
        return dip_fail(DIP_EMISMATCH, "no tile of modality '%s' could be read at the beginning",
                        e->name);
    const dip_modality *modality = dip_archive_modality(j->archive, e->position);
    status = dip_modality_name_bands(s->draft, e->name, modality, j->options);
    if (!status) status = dip_modality_fit(s->draft, modality, &e->grids);
    s->draft->meta.modality = e->position;
    return status;
}

/* A bad file is no failure of the import; too little memory is. */
static dip_status read_slot(void *context, size_t task, unsigned worker)
{
    job *j = context;
    slot *s = &j->slots[task];
    (void)worker;
    if (s->fate != SLOT_READ) return DIP_OK;
    s->draft = dip_alloc(sizeof *s->draft);
    if (!s->draft) return DIP_ENOMEM;
    dip_draft_init(s->draft);
    dip_status status = read_draft(j, s);
    if (status == DIP_ENOMEM) return status;
    return status ? refuse_slot(s, dip_last_error()) : DIP_OK;
}

static dip_status add_draft(job *j, dip_batch *batch, slot *s)
{
    dip_tile *tile = dip_alloc(sizeof *tile);
    if (!tile) return DIP_ENOMEM;
    tile->meta = s->draft->meta;
    tile->plane_count = s->draft->band_count;
    memcpy(tile->planes, s->draft->planes, sizeof tile->planes);
    dip_status status = dip_batch_add_tile(batch, tile);
    if (!status) {
        status = remember_place(j, tile->meta.place);
    } else if (status == DIP_EEXIST || status == DIP_EMISMATCH) {
        status = refuse_slot(s, dip_last_error());
    }
    dip_free(tile);
    return status;
}

/* Adds what was read; nothing is counted before it is durable. */
static dip_status store_window(job *j)
{
    dip_batch *batch = NULL;
    size_t places = j->place_count;
    dip_status status = DIP_OK;
    for (size_t i = 0; i < j->slot_count && !status; i++) {
        if (j->slots[i].fate != SLOT_READ) continue;
        if (!batch) status = dip_batch_begin(&batch, j->archive);
        if (!status) status = add_draft(j, batch, &j->slots[i]);
    }
    if (status) {
        j->place_count = places;
        dip_batch_abort(batch);
        return status;
    }
    return batch ? dip_batch_commit(batch) : DIP_OK;
}

static void count_window(job *j)
{
    for (size_t i = 0; i < j->slot_count; i++) {
        const slot *s = &j->slots[i];
        j->report->added += s->fate == SLOT_READ;
        j->report->present += s->fate == SLOT_PRESENT;
        if (s->fate == SLOT_REFUSED) refuse(j, s->index, s->line);
    }
}

static dip_status import_tiles(job *j)
{
    size_t batch = j->options->batch ? j->options->batch : DEFAULT_BATCH, next = 0;
    if (batch > MOST_BATCH) batch = MOST_BATCH;
    j->slot_capacity = 4 * batch;
    j->slots = dip_calloc(j->slot_capacity, sizeof *j->slots);
    if (!j->slots) return DIP_ENOMEM;
    while (next < j->source->count) {
        if (dip_progress_tick(j->options->progress, "import", next, j->source->count))
            return dip_fail(DIP_ECANCEL, "stopped after %zu of %zu tiles", next, j->source->count);
        dip_status status = gather(j, &next, batch);
        if (!status) status = dip_parallel_for(j->slot_count, read_slot, j);
        if (!status) status = store_window(j);
        if (!status) count_window(j);
        clear_slots(j);
        if (status) return status;
    }
    dip_progress_tick(j->options->progress, "import", next, j->source->count);
    return DIP_OK;
}

/* ---- places ---- */

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static dip_status count_places(job *j)
{
    qsort(j->places, j->place_count, sizeof *j->places, by_number);
    for (size_t i = 0; i < j->place_count;) {
        size_t end = i + 1;
        while (end < j->place_count && j->places[end] == j->places[i]) end++;
        j->report->places++;
        if (end - i == 1) {
            uint64_t *ids;
            size_t n;
            dip_status status = dip_archive_place(j->archive, j->places[i], &ids, &n);
            if (status) return status;
            dip_ids_free(ids);
            j->report->alone += n == 1;
        }
        i = end;
    }
    return DIP_OK;
}

/* ---- sources ---- */

static bool knows_modality(const job *j, const char *name, size_t length)
{
    char word[DIP_WORD_CAPACITY];
    if (length >= sizeof word) return false;
    snprintf(word, sizeof word, "%.*s", (int)length, name);
    for (uint32_t m = 0; m < j->expected_count; m++)
        if (!strcmp(j->expected[m].name, word)) return true;
    return dip_archive_find_modality(j->archive, word) >= 0;
}

/* "s1=...;s2=...": of each there are tiles, here or in the archive already. */
static dip_status check_named(const job *j, const char *option, const char *text)
{
    while (text && *text) {
        size_t length = strcspn(text, ";"), key = strcspn(text, "=;");
        if (key < length && !knows_modality(j, text, key))
            return dip_fail(DIP_EINVAL,
                            "--%s names modality '%.*s', of which there are no tiles; the first "
                            "modality here is '%s'",
                            option, (int)key, text, j->expected_count ? j->expected[0].name : "");
        text += length + (text[length] == ';');
    }
    return DIP_OK;
}

static dip_status import_source(job *j, const char *path)
{
    dip_status status = survey_source(j);
    if (status) return status;
    tell_found(j, path);
    if (j->last) status = check_named(j, "bands", j->options->bands);
    if (j->last && !status) status = check_named(j, "units", j->options->units);
    for (uint32_t m = 0; m < j->expected_count && !status; m++) status = prepare_modality(j, m);
    if (!status) status = import_tiles(j);
    dip_status counted = j->place_count ? count_places(j) : DIP_OK;
    return status ? status : counted;
}

static dip_status run_source(dip_archive *archive, dip_source *source, const char *path,
                             const dip_import_options *options, bool last,
                             dip_import_report *report)
{
    job *j = dip_calloc(1, sizeof *j);
    dip_status status = DIP_ENOMEM;
    if (j) {
        j->archive = archive;
        j->options = options;
        j->report = report;
        j->source = source;
        j->last = last;
        status = import_source(j, path);
        clear_slots(j);
        dip_free(j->slots);
        dip_free(j->entries);
        dip_free(j->places);
        dip_free(j);
    }
    source->close(source);
    return status;
}

/* The manifest that lies in a folder, the caller's; *out is NULL if there is none. */
static dip_status manifest_inside(char **out, const char *folder)
{
    static const char *const names[] = {"manifest.csv", "manifest.geojson", "manifest.json"};
    *out = NULL;
    for (int i = 0; i < 3; i++) {
        char *inside = dip_path_join(folder, names[i]);
        if (!inside) return DIP_ENOMEM;
        if (dip_file_exists(inside)) {
            *out = inside;
            return DIP_OK;
        }
        dip_free(inside);
    }
    return DIP_OK;
}

/* What lists the tiles of a source: a manifest, or the folder itself. *out is the caller's. */
static dip_status find_listing(char **out, dip_layout *layout, const char *path)
{
    bool folder = dip_file_is_folder(path), folders = false;
    dip_status status = DIP_OK;
    *out = NULL;
    if (folder && *layout != DIP_LAYOUT_FOLDERS) status = manifest_inside(out, path);
    if (status || *out) return status;
    if (folder && *layout != DIP_LAYOUT_MANIFEST) status = dip_folders_recognise(&folders, path);
    if (status) return status;
    if (folder && !folders)
        return dip_fail(DIP_ENOENT,
                        "'%s' holds no manifest.csv, no manifest.geojson, no folder of rasters for "
                        "each modality and no BigEarthNet patches; docs/import.md tells how to "
                        "write a manifest",
                        path);
    *layout = folders ? DIP_LAYOUT_FOLDERS : DIP_LAYOUT_MANIFEST;
    *out = dip_strdup(path);
    return *out ? DIP_OK : DIP_ENOMEM;
}

static dip_status import_listed(dip_archive *archive, const char *path,
                                const dip_import_options *options, bool last,
                                dip_import_report *report)
{
    char *listing;
    dip_source source;
    dip_layout layout = options->layout;
    dip_status status = find_listing(&listing, &layout, path);
    if (status) return status;
    report->layout = layout == DIP_LAYOUT_FOLDERS ? DIP_LAYOUT_FOLDERS : DIP_LAYOUT_MANIFEST;
    status = report->layout == DIP_LAYOUT_FOLDERS ? dip_manifest_open_folders(&source, listing)
                                                  : dip_manifest_open(&source, listing);
    if (!status) status = run_source(archive, &source, listing, options, last, report);
    dip_free(listing);
    return status;
}

static dip_status choose_layout(dip_layout *layout, const char *const *sources, size_t count)
{
    size_t trees = 0;
    if (*layout != DIP_LAYOUT_AUTO) return DIP_OK;
    for (size_t i = 0; i < count; i++) {
        bool recognised;
        dip_status status = dip_bigearthnet_recognise(&recognised, sources[i]);
        if (status) return status;
        trees += recognised;
    }
    if (trees && trees < count)
        return dip_fail(DIP_EINVAL,
                        "some sources are BigEarthNet folders and some are not; import them one "
                        "after the other");
    if (trees) *layout = DIP_LAYOUT_BIGEARTHNET;
    return DIP_OK;
}

dip_status dip_import_check(const char *const *sources, size_t source_count,
                            const dip_import_options *options)
{
    dip_layout layout = options->layout;
    dip_status status = dip_modality_check_options(options);
    if (!status) status = choose_layout(&layout, sources, source_count);
    for (size_t i = 0; i < source_count && !status; i++) {
        char *listing = NULL;
        dip_layout one = layout;
        if (layout != DIP_LAYOUT_BIGEARTHNET) status = find_listing(&listing, &one, sources[i]);
        dip_free(listing);
    }
    return status;
}

dip_status dip_import(dip_archive *archive, const char *const *sources, size_t source_count,
                      const dip_import_options *options, dip_import_report *report)
{
    static const dip_import_options defaults = {.labels19 = 1};
    dip_source tree;
    if (!options) options = &defaults;
    memset(report, 0, sizeof *report);
    report->layout = options->layout;
    dip_status status = dip_modality_check_options(options);
    if (!status) status = choose_layout(&report->layout, sources, source_count);
    if (status) return status;
    if (report->layout == DIP_LAYOUT_BIGEARTHNET) {
        status = dip_bigearthnet_open(&tree, sources, source_count, options->labels19 != 0);
        if (!status) status = run_source(archive, &tree, sources[0], options, true, report);
    } else {
        for (size_t i = 0; i < source_count && !status; i++)
            status = import_listed(archive, sources[i], options, i + 1 == source_count, report);
    }
    return status ? status : dip_statistics_fill(archive, options->progress);
}
