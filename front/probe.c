/*
 * Words into probes; see probe.h.
 *
 * A stored tile wins over a file of the same name. A file's bands are matched by name with those that the model's
 * encoders want: the one modality that finds all its bands is the probe's, unless --from says which.
 */
#include "front/probe.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/status.h"
#include "encoder/model.h"
#include "ingest/raster.h"
#include "storage/npy.h"
#include "front/stored.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef char band_names[DIP_MAX_BANDS][DIP_WORD_CAPACITY];

bool dip_lonlat_parse(const char *text, double *lon, double *lat)
{
    char *end;
    double x = strtod(text, &end);
    if (end == text || *end != ',') return false;
    const char *second = end + 1;
    double y = strtod(second, &end);
    if (end == second || *end || !isfinite(x) || !isfinite(y)) return false;
    *lon = x;
    *lat = y;
    return true;
}

/* ---- files ---- */

static size_t list_bands(const dip_modality *modality, char *out, size_t capacity)
{
    size_t used = 0;
    for (uint32_t b = 0; b < modality->band_count; b++) {
        int n =
            snprintf(out + used, capacity - used, "%s%s", b ? "," : "", modality->bands[b].name);
        if (n < 0 || (size_t)n >= capacity - used) break;
        used += (size_t)n;
    }
    return used;
}

/* The encoders' bands, "VV,VH (s1) or B04,B03,B02 (s2)"; only those of `count` bands if it is not 0. */
static void list_wanted(const dip_model *model, const char *from, uint32_t count, char *out,
                        size_t capacity)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < dip_model_modality_count(model); i++) {
        const dip_modality *m = dip_model_modality(model, i);
        char bands[400] = "";
        if ((count && m->band_count != count) || (from && strcmp(from, m->name) != 0)) continue;
        list_bands(m, bands, sizeof bands);
        int n =
            count ? snprintf(out + used, capacity - used, "%s%s", used ? " or --bands " : "", bands)
                  : snprintf(out + used, capacity - used, "%s%s (%s)", used ? " or " : "", bands,
                             m->name);
        if (n < 0 || (size_t)n >= capacity - used) break;
        used += (size_t)n;
    }
}

static dip_status nameless(const dip_model *model, const char *from, uint32_t count)
{
    char wanted[600];
    const char *plural = count == 1 ? "" : "s";
    list_wanted(model, from, count, wanted, sizeof wanted);
    if (*wanted)
        return dip_fail(DIP_EINVAL, "file has %u band%s without names; say --bands %s", count,
                        plural, wanted);
    list_wanted(model, from, 0, wanted, sizeof wanted);
    return dip_fail(DIP_EMISMATCH,
                    "%u band%s without names; model %s wants %s, so say --bands and name %s", count,
                    plural, dip_model_id(model), wanted, count == 1 ? "it" : "them all");
}

static dip_status split_bands(const char *text, band_names names, uint32_t count)
{
    uint32_t n = 0;
    for (const char *p = text; *p;) {
        size_t length = strcspn(p, ",");
        if (n < DIP_MAX_BANDS) snprintf(names[n], sizeof names[n], "%.*s", (int)length, p);
        n++;
        p += length + (p[length] == ',');
    }
    if (n == count) return DIP_OK;
    return dip_fail(DIP_EINVAL, "--bands names %u band%s, the file has %u", n, n == 1 ? "" : "s",
                    count);
}

/* Bands that import numbered for want of names: such a modality takes files as nameless as its own. */
static bool numbered(const dip_modality *modality)
{
    for (uint32_t b = 0; b < modality->band_count; b++) {
        char name[DIP_WORD_CAPACITY];
        snprintf(name, sizeof name, "band%u", b + 1);
        if (strcmp(modality->bands[b].name, name) != 0) return false;
    }
    return true;
}

static bool takes_numbered(const dip_model *model, const char *from, uint32_t count)
{
    for (size_t i = 0; i < dip_model_modality_count(model); i++) {
        const dip_modality *m = dip_model_modality(model, i);
        if ((!from || !strcmp(from, m->name)) && m->band_count == count && numbered(m)) return true;
    }
    return false;
}

static dip_status names_of_file(const dip_draft *draft, const dip_model *model,
                                const dip_probe_options *options, band_names names)
{
    if (options->bands) return split_bands(options->bands, names, draft->band_count);
    int from = options->from ? dip_model_find_modality(model, options->from) : -1;
    const dip_modality *only = from >= 0 ? dip_model_modality(model, (size_t)from) : NULL;
    for (uint32_t b = 0; b < draft->band_count; b++) {
        snprintf(names[b], sizeof names[b], "%s", draft->band_name[b]);
        if (names[b][0]) continue;
        if (takes_numbered(model, options->from, draft->band_count)) {
            snprintf(names[b], sizeof names[b], "band%u", b + 1);
            continue;
        }
        /* One band, one wanted: nothing to mistake. */
        if (draft->band_count != 1 || !only || only->band_count != 1)
            return nameless(model, options->from, draft->band_count);
        snprintf(names[b], sizeof names[b], "%s", only->bands[0].name);
    }
    return DIP_OK;
}

/* Where each of the modality's bands stands in the file; false if one is missing. */
static bool match_bands(const dip_modality *modality, const band_names names, uint32_t count,
                        uint32_t *where)
{
    if (numbered(modality) && modality->band_count != count) return false;
    for (uint32_t b = 0; b < modality->band_count; b++) {
        where[b] = UINT32_MAX;
        for (uint32_t i = 0; i < count; i++)
            if (!strcasecmp(names[i], modality->bands[b].name)) where[b] = i;
        if (where[b] == UINT32_MAX) return false;
    }
    return true;
}

static dip_status no_match(const dip_model *model, const char *from, const band_names names,
                           uint32_t count)
{
    char has[400] = "", wanted[500];
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        int n = snprintf(has + used, sizeof has - used, "%s%s", i ? "," : "", names[i]);
        if (n < 0 || (size_t)n >= sizeof has - used) break;
        used += (size_t)n;
    }
    list_wanted(model, from, 0, wanted, sizeof wanted);
    return dip_fail(DIP_EMISMATCH, "it has bands %s; model %s wants %s", has, dip_model_id(model),
                    *wanted ? wanted : "another modality");
}

static dip_status choose_encoder(const dip_model *model, const char *from, const band_names names,
                                 uint32_t count, size_t *chosen, uint32_t *where)
{
    bool found = false;
    uint32_t at[DIP_MAX_BANDS];
    for (size_t i = 0; i < dip_model_modality_count(model); i++) {
        const dip_modality *m = dip_model_modality(model, i);
        if (from && strcmp(from, m->name) != 0) continue;
        if (!match_bands(m, names, count, at)) continue;
        if (found)
            return dip_fail(DIP_EINVAL, "its bands fit %s and %s; say --from",
                            dip_model_modality(model, *chosen)->name, m->name);
        found = true;
        *chosen = i;
        memcpy(where, at, sizeof at);
    }
    return found ? DIP_OK : no_match(model, from, names, count);
}

/* How the archive shows the modality, if the model does not say. */
static void borrow_display(const dip_archive *archive, dip_modality *modality)
{
    int position = dip_archive_find_modality(archive, modality->name);
    if (position < 0 || modality->display[0][0]) return;
    const dip_modality *own = dip_archive_modality(archive, (size_t)position);
    memcpy(modality->display, own->display, sizeof modality->display);
}

static void fill_tile(dip_typed_probe *p, const uint32_t *where)
{
    p->tile.meta = p->draft.meta;
    p->tile.meta.name = *dip_path_base(p->word) ? dip_path_base(p->word) : p->word;
    p->tile.plane_count = p->modality.band_count;
    for (uint32_t b = 0; b < p->modality.band_count; b++)
        p->tile.planes[b] = p->draft.planes[where[b]];
}

static dip_status file_probe(dip_typed_probe *p, const dip_archive *archive, dip_search *search,
                             const dip_probe_options *options)
{
    band_names names;
    uint32_t where[DIP_MAX_BANDS];
    size_t chosen = 0;
    const dip_model *model = dip_search_model(search);
    if (!model) return DIP_ENOENT;
    dip_status status = names_of_file(&p->draft, model, options, names);
    if (!status)
        status = choose_encoder(model, options->from, (const char(*)[DIP_WORD_CAPACITY])names,
                                p->draft.band_count, &chosen, where);
    if (status) return status;
    p->modality = *dip_model_modality(model, chosen);
    borrow_display(archive, &p->modality);
    fill_tile(p, where);
    p->probe.kind = DIP_PROBE_PIXELS;
    p->probe.tile = &p->tile;
    p->probe.modality = p->modality.name;
    return DIP_OK;
}

/* ---- vectors ---- */

/* The head that takes vectors of `dim` values; -1: none. DIP_EINVAL: several do. */
static dip_status choose_head(const dip_model *model, const dip_heads *heads, const char *from,
                              size_t dim, int *position)
{
    *position = -1;
    for (uint32_t m = 0; heads && m < heads->spec.modality_count; m++) {
        const char *name = heads->spec.modality[m].name;
        if (heads->spec.input[m].dim != dim || (from && strcmp(from, name) != 0)) continue;
        if (*position >= 0)
            return dip_fail(DIP_EINVAL, "its vector fits %s and %s; say --from",
                            dip_model_modality(model, (size_t)*position)->name, name);
        *position = (int)m;
    }
    return DIP_OK;
}

static dip_status wrong_width(const dip_model *model, const dip_heads *heads, size_t found)
{
    char takes[400] = "";
    size_t used = 0;
    for (uint32_t m = 0; heads && m < heads->spec.modality_count && used < sizeof takes; m++) {
        int n = snprintf(takes + used, sizeof takes - used, "%s%u of %s",
                         m ? ", " : "; its heads take ", heads->spec.input[m].dim,
                         heads->spec.modality[m].name);
        used += n > 0 ? (size_t)n : 0;
    }
    return dip_fail(
        DIP_EMISMATCH,
        "its vector has %zu values, embeddings of model %s have %zu%s; give a vector of "
        "that model",
        found, dip_model_id(model), dip_model_dim(model), takes);
}

static dip_status embed_vector(dip_typed_probe *p, dip_model *model, const dip_npy *npy,
                               const char *from)
{
    dip_heads *heads = dip_model_heads(model);
    int position;
    dip_status status = choose_head(model, heads, from, npy->dim, &position);
    if (status) return status;
    if (position < 0 && npy->dim != dip_model_dim(model))
        return wrong_width(model, heads, npy->dim);
    float *row = dip_alloc(npy->dim * sizeof *row);
    p->vector = dip_alloc_aligned(dip_model_dim(model) * sizeof *p->vector);
    status = row && p->vector ? DIP_OK : DIP_ENOMEM;
    if (!status) dip_npy_read(npy, 0, 1, row);
    if (!status && position >= 0)
        status = dip_heads_encode(heads, (size_t)position, row, 1, p->vector);
    else if (!status)
        memcpy(p->vector, row, npy->dim * sizeof *row);
    dip_free(row);
    const char *name = position >= 0 ? heads->spec.modality[position].name : from;
    if (name) snprintf(p->modality.name, sizeof p->modality.name, "%s", name);
    return status;
}

static dip_status vector_probe(dip_typed_probe *p, dip_search *search, const char *from)
{
    dip_npy npy;
    dip_model *model = dip_search_model(search);
    if (!model) return DIP_ENOENT;
    dip_status status = dip_npy_open(&npy, p->word);
    if (status) return status;
    status = npy.rows == 1
                 ? embed_vector(p, model, &npy, from)
                 : dip_fail(DIP_EFORMAT, "it holds %zu vectors; a probe is one", npy.rows);
    dip_npy_close(&npy);
    if (status) return status;
    fill_tile(p, NULL);
    p->probe.kind = DIP_PROBE_VECTOR;
    p->probe.vector = p->vector;
    p->probe.modality = p->modality.name[0] ? p->modality.name : NULL;
    return DIP_OK;
}

static bool is_npy(const char *word)
{
    size_t length = strlen(word);
    return length > 4 && !strcmp(word + length - 4, ".npy");
}

/* ---- the word ---- */

static dip_status init(dip_typed_probe *p, const dip_archive *archive, dip_search *search,
                       const dip_probe_options *options)
{
    bool found = false;
    if (dip_lonlat_parse(p->word, &p->probe.lon, &p->probe.lat)) {
        p->probe.kind = DIP_PROBE_LONLAT;
        p->probe.modality = options->from;
        return DIP_OK;
    }
    p->probe.kind = DIP_PROBE_TILE;
    dip_status status = dip_stored_find(archive, p->word, options->from, &p->probe.id, &found);
    if (status || found) return status;
    if (is_npy(p->word) && dip_file_exists(p->word)) {
        status = vector_probe(p, search, options->from);
        return status ? dip_fail_prefix(status, "file '%s'", p->word) : DIP_OK;
    }
    if (dip_file_exists(p->word) || !strncmp(p->word, "/vsi", 4)) {
        dip_raster_init();
        status = dip_file_is_folder(p->word) ? dip_draft_read_folder(&p->draft, p->word)
                                             : dip_draft_read_raster(&p->draft, p->word);
        if (status) return status;
        status = file_probe(p, archive, search, options);
        return status ? dip_fail_prefix(status, "file '%s'", p->word) : DIP_OK;
    }
    return dip_fail(DIP_ENOENT, "'%s' is neither a tile of the archive (MODALITY/NAME) nor a file",
                    p->word);
}

dip_status dip_typed_probe_init(dip_typed_probe *out, const dip_archive *archive,
                                dip_search *search, const char *word,
                                const dip_probe_options *options)
{
    *out = (dip_typed_probe){.word = word};
    dip_draft_init(&out->draft);
    dip_status status = init(out, archive, search, options);
    if (status) dip_typed_probe_fini(out);
    return status;
}

dip_status dip_typed_probe_init_sent(dip_typed_probe *out, const dip_archive *archive,
                                     dip_search *search, const char *word, const uint8_t *bytes,
                                     size_t length, size_t most_bytes,
                                     const dip_probe_options *options)
{
    *out = (dip_typed_probe){.word = word};
    dip_draft_init(&out->draft);
    dip_status status = dip_draft_read_sent(&out->draft, bytes, length, most_bytes);
    if (!status) status = file_probe(out, archive, search, options);
    if (status) dip_typed_probe_fini(out);
    return status;
}

void dip_typed_probe_fini(dip_typed_probe *probe)
{
    dip_draft_fini(&probe->draft);
    dip_free_aligned(probe->vector);
    probe->vector = NULL;
}
