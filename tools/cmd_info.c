/* diptych info: what an archive holds. */
#include "tools/cmd.h"

#include <diptych/archive.h>
#include <diptych/model.h>

#include "core/format.h"
#include "core/file.h"
#include "core/mem.h"
#include "index/generation.h"
#include "search/models.h"
#include "front/json.h"
#include "tools/table.h"
#include "front/tile.h"
#include "core/when.h"

#include <stdio.h>
#include <string.h>

typedef struct extent {
    double west, south, east, north;
    int64_t first, last;
    uint64_t located;
} extent;

typedef struct contents {
    const dip_archive *archive;
    dip_archive_counts counts;
    extent extent;
    bool simulated;
    char **models; /* ids */
    size_t model_count;
    uint64_t embeddings[DIP_MAX_MODALITIES]; /* of the newest model */
    char *newest;
    dip_generation *generation; /* live; NULL: none */
} contents;

static dip_status add_extent(void *context, const dip_meta *meta)
{
    contents *c = context;
    extent *e = &c->extent;
    double lon, lat;
    c->simulated |= dip_meta_simulated(meta);
    if (meta->time != DIP_NO_TIME) {
        if (e->first == DIP_NO_TIME || meta->time < e->first) e->first = meta->time;
        if (e->last == DIP_NO_TIME || meta->time > e->last) e->last = meta->time;
    }
    if (!dip_meta_centre(meta, &lon, &lat)) return DIP_OK;
    if (!e->located++) {
        e->west = meta->west;
        e->south = meta->south;
        e->east = meta->east;
        e->north = meta->north;
    }
    if (meta->west < e->west) e->west = meta->west;
    if (meta->south < e->south) e->south = meta->south;
    if (meta->east > e->east) e->east = meta->east;
    if (meta->north > e->north) e->north = meta->north;
    return DIP_OK;
}

static dip_status count_embeddings(contents *c)
{
    if (!c->model_count) return DIP_OK;
    const char *path = dip_archive_path(c->archive);
    dip_status status = dip_models_choose(path, NULL, &c->newest);
    for (size_t i = 0; i < dip_archive_modality_count(c->archive) && !status; i++) {
        uint64_t *ids;
        size_t n;
        status = dip_archive_embedded_ids(c->archive, c->newest, (uint32_t)i, &ids, &n);
        if (status) break;
        c->embeddings[i] = n;
        dip_ids_free(ids);
    }
    return status;
}

static dip_status gather(contents *c)
{
    const char *path = dip_archive_path(c->archive);
    c->extent.first = c->extent.last = DIP_NO_TIME;
    dip_status status = dip_archive_count(c->archive, &c->counts);
    if (!status) status = dip_archive_each(c->archive, add_extent, c);
    if (!status) status = dip_models_list(path, &c->models, &c->model_count);
    if (!status) status = count_embeddings(c);
    if (status) return status;
    status = dip_generation_open(&c->generation, path, NULL);
    return status == DIP_ENOENT ? DIP_OK : status;
}

/* ---- for people ---- */

static void band_names(const dip_modality *m, char *out, size_t capacity)
{
    size_t used = 0;
    for (uint32_t b = 0; b < m->band_count; b++) {
        int n = snprintf(out + used, capacity - used, "%s%s", b ? "," : "", m->bands[b].name);
        if (n < 0 || (size_t)n >= capacity - used) break;
        used += (size_t)n;
    }
}

static double finest(const dip_modality *m)
{
    double least = 0;
    for (uint32_t b = 0; b < m->band_count; b++)
        if (m->bands[b].gsd_m > 0 && (least <= 0 || m->bands[b].gsd_m < least))
            least = m->bands[b].gsd_m;
    return least;
}

static dip_status print_modalities(const contents *c)
{
    dip_text_table *t;
    dip_status status = dip_text_table_create(&t, "lrrlll");
    if (status) return status;
    static const char *const heads[] = {"modality", "tiles", "embedded", "unit", "m/px", "bands"};
    for (size_t i = 0; i < 6; i++) dip_text_table_add(t, "%s", heads[i]);
    for (size_t i = 0; i < dip_archive_modality_count(c->archive); i++) {
        const dip_modality *m = dip_archive_modality(c->archive, i);
        char bands[400] = "", count[40];
        band_names(m, bands, sizeof bands);
        dip_text_table_add(t, "%s", m->name);
        dip_format_count(c->counts.tiles_of[i], count, sizeof count);
        dip_text_table_add(t, "%s", count);
        dip_format_count(c->embeddings[i], count, sizeof count);
        dip_text_table_add(t, "%s", count);
        dip_text_table_add(t, "%s", m->bands[0].unit[0] ? m->bands[0].unit : "?");
        if (finest(m) > 0)
            dip_text_table_add(t, "%g", finest(m));
        else
            dip_text_table_add(t, "?");
        dip_text_table_add(t, "%s", bands);
    }
    status = dip_text_table_print(t, stdout);
    dip_text_table_destroy(t);
    return status;
}

static double ratio(const dip_archive_counts *counts)
{
    return counts->tile_bytes ? (double)counts->raw_bytes / (double)counts->tile_bytes : 0;
}

static void print_extent(const extent *e)
{
    char first[DIP_WHEN_CAPACITY], last[DIP_WHEN_CAPACITY];
    dip_when_format_short(e->first, first, sizeof first);
    dip_when_format_short(e->last, last, sizeof last);
    if (e->located)
        printf("extent       %.4f,%.4f to %.4f,%.4f\n", e->west, e->south, e->east, e->north);
    if (*first) printf("time         %s to %s\n", first, last);
}

static void print_models(const contents *c)
{
    for (size_t i = 0; i < c->model_count; i++)
        printf("%s%s%s\n", i ? "             " : "models       ", c->models[i],
               c->model_count > 1 && !strcmp(c->models[i], c->newest) ? " (newest)" : "");
    if (!c->model_count) puts("models       none; run diptych train");
    if (!c->generation) {
        puts("index        none; run diptych index");
        return;
    }
    const dip_manifest *m = dip_generation_read_manifest(c->generation);
    printf("index        generation %s, model %s, %u dimensions\n", m->generation, m->model,
           m->dim);
    for (uint32_t i = 0; i < m->modality_count; i++) {
        char count[40];
        dip_format_count(m->modality[i].count, count, sizeof count);
        printf("             %s: %s, %s vectors\n", m->modality[i].name, m->modality[i].describe,
               count);
    }
}

static dip_status print_text(const contents *c)
{
    char tiles[40], places[40], stored[40], raw[40], store[40];
    const dip_archive_counts *n = &c->counts;
    dip_format_count(n->tiles, tiles, sizeof tiles);
    dip_format_things(n->places, "place", places, sizeof places);
    dip_format_bytes(n->tile_bytes, stored, sizeof stored);
    dip_format_bytes(n->raw_bytes, raw, sizeof raw);
    dip_format_bytes(n->store_bytes, store, sizeof store);
    printf("archive      %s%s\n", dip_archive_title(c->archive),
           c->simulated ? " (simulated data)" : "");
    printf("tiles        %s of %s\n", tiles, places);
    print_extent(&c->extent);
    printf("pixels       %s, stored in %s", raw, stored);
    if (n->tile_bytes) printf(" (%.2f : 1)", ratio(n));
    printf("\nstore        %s on disk\n", store);
    print_models(c);
    putchar('\n');
    return print_modalities(c);
}

/* ---- for programs ---- */

static void json_modality(dip_json *j, const contents *c, size_t position)
{
    const dip_modality *m = dip_archive_modality(c->archive, position);
    dip_json_object(j, NULL);
    dip_json_text(j, "name", m->name);
    dip_json_count(j, "tiles", c->counts.tiles_of[position]);
    dip_json_count(j, "embedded", c->embeddings[position]);
    dip_json_array(j, "bands");
    for (uint32_t b = 0; b < m->band_count; b++) {
        const dip_band *band = &m->bands[b];
        dip_json_object(j, NULL);
        dip_json_text(j, "name", band->name);
        dip_json_text(j, "unit", band->unit);
        dip_json_real(j, "gsd_m", band->gsd_m, 3);
        if (band->stddev > 0) {
            dip_json_real(j, "mean", band->mean, 6);
            dip_json_real(j, "stddev", band->stddev, 6);
        }
        dip_json_end(j);
    }
    dip_json_end(j);
    dip_json_end(j);
}

static void json_index(dip_json *j, const contents *c)
{
    if (!c->generation) {
        dip_json_null(j, "index");
        return;
    }
    const dip_manifest *m = dip_generation_read_manifest(c->generation);
    dip_json_object(j, "index");
    dip_json_text(j, "generation", m->generation);
    dip_json_text(j, "model", m->model);
    dip_json_count(j, "dim", m->dim);
    dip_json_array(j, "modalities");
    for (uint32_t i = 0; i < m->modality_count; i++) {
        dip_json_object(j, NULL);
        dip_json_text(j, "name", m->modality[i].name);
        dip_json_text(j, "index", m->modality[i].describe);
        dip_json_count(j, "vectors", m->modality[i].count);
        dip_json_end(j);
    }
    dip_json_end(j);
    dip_json_end(j);
}

static void json_extent(dip_json *j, const extent *e)
{
    char first[DIP_WHEN_CAPACITY], last[DIP_WHEN_CAPACITY];
    dip_when_format(e->first, first, sizeof first);
    dip_when_format(e->last, last, sizeof last);
    if (e->located) {
        const double box[4] = {e->west, e->south, e->east, e->north};
        dip_json_array(j, "bbox");
        for (int i = 0; i < 4; i++) dip_json_real(j, NULL, box[i], 6);
        dip_json_end(j);
    }
    if (!*first) return;
    dip_json_text(j, "start_datetime", first);
    dip_json_text(j, "end_datetime", last);
}

static void print_json(const contents *c)
{
    dip_json j;
    dip_json_start(&j, stdout);
    dip_json_object(&j, NULL);
    dip_json_text(&j, "title", dip_archive_title(c->archive));
    dip_json_flag(&j, "simulated", c->simulated);
    dip_json_count(&j, "tiles", c->counts.tiles);
    dip_json_count(&j, "places", c->counts.places);
    json_extent(&j, &c->extent);
    dip_json_count(&j, "raw_bytes", c->counts.raw_bytes);
    dip_json_count(&j, "tile_bytes", c->counts.tile_bytes);
    dip_json_real(&j, "compression_ratio", ratio(&c->counts), 4);
    dip_json_count(&j, "store_bytes", c->counts.store_bytes);
    dip_json_count(&j, "embeddings", c->counts.embeddings);
    dip_json_count(&j, "embedding_bytes", c->counts.embedding_bytes);
    dip_json_array(&j, "modalities");
    for (size_t i = 0; i < dip_archive_modality_count(c->archive); i++) json_modality(&j, c, i);
    dip_json_end(&j);
    dip_json_array(&j, "models");
    for (size_t i = 0; i < c->model_count; i++) dip_json_text(&j, NULL, c->models[i]);
    dip_json_end(&j);
    json_index(&j, c);
    dip_json_end(&j);
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    dip_archive *archive = NULL;
    contents c = {0};
    (void)values, (void)argc;
    dip_status status = dip_archive_open(&archive, argv[0], DIP_ARCHIVE_READ);
    c.archive = archive;
    if (!status) status = gather(&c);
    if (!status && tool->json)
        print_json(&c);
    else if (!status)
        status = print_text(&c);
    dip_generation_close(c.generation);
    dip_names_free(c.models, c.model_count);
    dip_free(c.newest);
    dip_archive_close(archive);
    return status;
}

const dip_command dip_cmd_info = {
    .name = "info",
    .summary = "tell what an archive holds",
    .usage = "ARCHIVE",
    .least_args = 1,
    .most_args = 1,
    .json = true,
    .run = run,
};
