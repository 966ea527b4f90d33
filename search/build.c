/*
 * Building a generation; see build.h.
 *
 * Phases: read all embeddings of the model and the places of their tiles; build or update an index a modality; tune
 * each (probe modality -> target modality) on a sample of stored embeddings of the probe's modality; calibrate each
 * direction on random pairs; seal.
 */
#include "search/build.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/rng.h"
#include "index/recipe.h"
#include "search/calibrate.h"
#include "search/columns.h"
#include "search/engine.h"
#include "search/fit.h"
#include "search/models.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TUNING_QUERIES = 6000, ENOUGH_QUERIES = 1000, TUNING_K = 10, SEED = 1 };

static const double DEFAULT_RECALL = 0.99;

typedef struct part {
    const dip_modality *modality;
    dip_embeddings embeddings;
    uint64_t *places;     /* (embeddings.n) */
    dip_index *index;     /* the new one */
    const dip_index *old; /* of the live generation, or NULL */
} part;

typedef struct build {
    const dip_archive *archive;
    const dip_indexing_options *options;
    dip_indexing_report *report;
    char *model;
    dip_columns columns;
    dip_generation *live; /* update only; or NULL */
    dip_generation *generation;
    size_t part_count, dim;
    part parts[DIP_MAX_MODALITIES];
} build;

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double target_recall(const build *b)
{
    return b->options->recipe.recall > 0 ? b->options->recipe.recall : DEFAULT_RECALL;
}

static dip_status stop_if_asked(const build *b, const char *phase, uint64_t done, uint64_t total)
{
    if (!dip_progress_tick(b->options->progress, phase, done, total)) return DIP_OK;
    return dip_fail(DIP_ECANCEL, "stopped; the live generation is unchanged");
}

/* ---- reading ---- */

static dip_status find_places(const build *b, part *p)
{
    p->places = dip_alloc((p->embeddings.n + 1) * sizeof *p->places);
    if (!p->places) return DIP_ENOMEM;
    for (size_t i = 0; i < p->embeddings.n; i++) {
        size_t row = dip_columns_find(&b->columns, p->embeddings.ids[i]);
        if (row == SIZE_MAX)
            return dip_fail(DIP_ECORRUPT, "embedding of tile #%llu, which is not there; run verify",
                            (unsigned long long)p->embeddings.ids[i]);
        p->places[i] = b->columns.places[row];
    }
    return DIP_OK;
}

static dip_status read_part(build *b, size_t position)
{
    part *p = &b->parts[position];
    p->modality = dip_archive_modality(b->archive, position);
    dip_status status =
        dip_archive_embeddings(b->archive, b->model, (uint32_t)position, &p->embeddings);
    if (!status) status = find_places(b, p);
    if (status || !p->embeddings.n) return status;
    if (b->dim && b->dim != p->embeddings.dim)
        return dip_fail(DIP_ECORRUPT, "embeddings of model %s have %zu and %zu dimensions",
                        b->model, b->dim, p->embeddings.dim);
    b->dim = p->embeddings.dim;
    return DIP_OK;
}

static dip_status read_all(build *b)
{
    dip_status status = dip_columns_load(&b->columns, b->archive);
    b->part_count = dip_archive_modality_count(b->archive);
    for (size_t i = 0; i < b->part_count && !status; i++) {
        status = read_part(b, i);
        if (!status) status = stop_if_asked(b, "read embeddings", i + 1, b->part_count);
    }
    if (!status && !b->dim)
        status = dip_fail(DIP_ENOENT, "no tile has an embedding of model %s; run diptych encode",
                          b->model);
    return status;
}

/* ---- the live generation, for an update ---- */

static dip_status choose_model(build *b)
{
    return dip_models_choose(dip_archive_path(b->archive), b->options->model, &b->model);
}

static dip_status open_live(build *b)
{
    const char *wanted = b->options->model;
    dip_status status = dip_generation_open(&b->live, dip_archive_path(b->archive), NULL);
    if (status == DIP_ENOENT) return choose_model(b); /* the first index: nothing to update */
    if (status) return status;
    const dip_manifest *manifest = dip_generation_read_manifest(b->live);
    if (wanted && strcmp(wanted, manifest->model) != 0)
        return dip_fail(
            DIP_EMISMATCH,
            "the live index was built with model %s, not %s; leave --update out to build "
            "one with %s",
            manifest->model, wanted, wanted);
    b->model = dip_strdup(manifest->model);
    return b->model ? DIP_OK : DIP_ENOMEM;
}

/* A model that was trained again under its name: nothing of the old index is of use. */
static dip_status keep_or_forget(const build *b, uint32_t position, part *p)
{
    bool fits = dip_index_dim(p->old) == b->dim;
    dip_status status = DIP_OK;
    if (fits) status = dip_index_fits(b->archive, b->model, position, p->old, &fits);
    if (!fits) p->old = NULL;
    return status;
}

static dip_status open_old_indexes(build *b)
{
    dip_status status = DIP_OK;
    for (size_t i = 0; i < b->part_count && b->live && !status; i++) {
        part *p = &b->parts[i];
        status = dip_generation_index(b->live, p->modality->name, &p->old);
        if (!status && p->old) status = keep_or_forget(b, (uint32_t)i, p);
    }
    return status;
}

typedef struct change {
    uint64_t *remove; /* in the old index, not stored any more */
    size_t remove_count;
    uint64_t *add; /* stored, not in the old index */
    float *vectors;
    size_t add_count;
    uint64_t *old; /* ids of the index as it is */
} change;

static void change_fini(change *c)
{
    dip_free(c->remove);
    dip_free(c->add);
    dip_free(c->old);
    dip_free_aligned(c->vectors);
}

static dip_status compare(const part *p, change *c)
{
    size_t n = p->embeddings.n, dim = p->embeddings.dim, i = 0, j = 0;
    size_t old_count = dip_index_count(p->old);
    const uint64_t *ids = p->embeddings.ids;
    c->remove = dip_alloc((old_count + 1) * sizeof *c->remove);
    c->add = dip_alloc((n + 1) * sizeof *c->add);
    c->vectors = dip_alloc_aligned((n * dim + 1) * sizeof *c->vectors);
    uint64_t *old = c->old = dip_alloc((old_count + 1) * sizeof *old);
    if (!c->remove || !c->add || !c->vectors || !old) return DIP_ENOMEM;
    dip_index_ids(p->old, 0, old_count, old);
    while (i < n || j < old_count) {
        if (j == old_count || (i < n && ids[i] < old[j])) {
            memcpy(c->vectors + c->add_count * dim, p->embeddings.vectors + i * dim,
                   dim * sizeof(float));
            c->add[c->add_count++] = ids[i++];
        } else if (i == n || old[j] < ids[i]) {
            c->remove[c->remove_count++] = old[j++];
        } else {
            i++;
            j++;
        }
    }
    return DIP_OK;
}

static dip_status count_changes(build *b, bool *any)
{
    *any = false;
    for (size_t i = 0; i < b->part_count; i++) {
        const part *p = &b->parts[i];
        change c = {0};
        if (!p->old) {
            *any |= p->embeddings.n > 0;
            continue;
        }
        dip_status status = compare(p, &c);
        *any |= c.add_count || c.remove_count;
        change_fini(&c);
        if (status) return status;
    }
    return DIP_OK;
}

/* ---- one index ---- */

static uint64_t files_of(const char *folder, const char *name)
{
    char **names = NULL;
    size_t count = 0, length = strlen(name);
    uint64_t bytes = 0;
    if (dip_folder_list(&names, &count, folder)) return 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t size = 0;
        char *path = dip_path_join(folder, names[i]);
        if (path && !strncmp(names[i], name, length) && names[i][length] == '.' &&
            !dip_file_size(&size, path))
            bytes += size;
        dip_free(path);
    }
    dip_names_free(names, count);
    return bytes;
}

static dip_status update_index(build *b, part *p, const char *folder, size_t row)
{
    change c = {0};
    dip_status status = compare(p, &c);
    if (!status)
        status = dip_index_update(p->old, folder, p->modality->name, c.remove, c.remove_count,
                                  c.vectors, c.add, c.add_count);
    b->report->modality[row].added = c.add_count;
    b->report->modality[row].removed = c.remove_count;
    change_fini(&c);
    return status;
}

/* Memory is shared by the numbers of vectors. */
static dip_status make_plan(const build *b, const part *p, dip_index_plan *plan)
{
    dip_index_recipe recipe = b->options->recipe;
    size_t all = 0;
    for (size_t i = 0; i < b->part_count; i++) all += b->parts[i].embeddings.n;
    recipe.recall = target_recall(b);
    if (recipe.memory && all) {
        recipe.memory = (uint64_t)((double)recipe.memory * (double)p->embeddings.n / (double)all);
        if (!recipe.memory) recipe.memory = 1;
    }
    dip_status status = dip_index_plan_make(plan, &recipe, p->embeddings.n, b->dim);
    return status ? dip_fail_prefix(status, "modality %s", p->modality->name) : DIP_OK;
}

static dip_status build_index(build *b, part *p, const char *folder, size_t row)
{
    const dip_embeddings *e = &p->embeddings;
    b->report->modality[row].added = e->n;
    b->report->modality[row].trained = true;
    dip_index_plan plan;
    dip_status status = make_plan(b, p, &plan);
    if (status) return status;
    snprintf(b->report->modality[row].why, sizeof b->report->modality[row].why, "%s", plan.why);
    b->report->modality[row].memory = plan.memory;
    return dip_index_build(folder, p->modality->name, &plan.recipe, e->vectors, e->ids, e->n,
                           b->dim, b->options->progress);
}

static uint64_t tiles_of(const build *b, size_t position)
{
    uint64_t n = 0;
    for (size_t row = 0; row < b->columns.count; row++) n += b->columns.modalities[row] == position;
    return n;
}

static dip_status make_index(build *b, size_t position)
{
    part *p = &b->parts[position];
    const char *folder = dip_generation_folder(b->generation), *name = p->modality->name;
    if (!p->embeddings.n && !p->old) return DIP_OK;
    uint32_t row = b->report->modality_count++;
    double start = now();
    dip_status status = p->old ? update_index(b, p, folder, row) : build_index(b, p, folder, row);
    if (!status) status = dip_index_open(&p->index, folder, name);
    if (status) return status;
    snprintf(b->report->modality[row].name, sizeof b->report->modality[row].name, "%s", name);
    snprintf(b->report->modality[row].describe, sizeof b->report->modality[row].describe, "%s",
             dip_index_describe(p->index));
    b->report->modality[row].count = dip_index_count(p->index);
    b->report->modality[row].without = tiles_of(b, position) - p->embeddings.n;
    b->report->modality[row].bytes = files_of(folder, name);
    b->report->modality[row].seconds = now() - start;
    return stop_if_asked(b, "index", position + 1, b->part_count);
}

/* ---- operating points ---- */

/* Rows to ask with, (n): where they are also what is searched, those that training left out, if they are enough. */
static size_t *askable(const part *p, bool own, size_t *count)
{
    const size_t n = p->embeddings.n;
    size_t *rows = dip_alloc((n + 1) * sizeof *rows);
    *count = 0;
    for (size_t i = 0; i < n && rows; i++)
        if (own && dip_index_holds_out(p->embeddings.ids[i])) rows[(*count)++] = i;
    if (*count >= ENOUGH_QUERIES || !rows) return rows;
    for (size_t i = 0; i < n; i++) rows[i] = i;
    *count = n;
    return rows;
}

static dip_status sample_queries(const part *p, bool own, size_t dim, float **queries,
                                 size_t *count)
{
    dip_rng rng;
    size_t n, *rows = askable(p, own, &n), wanted = n < TUNING_QUERIES ? n : TUNING_QUERIES;
    size_t each = DIP_INDEX_CHOOSING; /* of so many one goes to the front */
    *queries = dip_alloc_aligned((wanted * dim + 1) * sizeof **queries);
    dip_rng_init(&rng, SEED, 0);
    for (size_t i = 0; i < wanted && rows && *queries; i++) {
        /* One from each of `wanted` stretches of equal length: without repetition, over all. */
        size_t first = i * n / wanted, end = (i + 1) * n / wanted;
        size_t at = rows[first + dip_rng_below(&rng, (uint32_t)(end - first))];
        size_t to = i % each ? (wanted + each - 1) / each + i - i / each - 1 : i / each;
        memcpy(*queries + to * dim, p->embeddings.vectors + at * dim, dim * sizeof(float));
    }
    *count = wanted;
    const bool made = rows && *queries;
    dip_free(rows);
    return made ? DIP_OK : DIP_ENOMEM;
}

/* Adds the points of one direction. */
static dip_status tune(const build *b, const part *from, const part *to, dip_manifest *m)
{
    dip_index_point points[DIP_INDEX_MAX_POINTS];
    float *queries = NULL;
    size_t n = 0, count = 0;
    dip_status status = sample_queries(from, from == to, b->dim, &queries, &n);
    dip_index_tuning how = {.vectors = to->embeddings.vectors,
                            .ids = to->embeddings.ids,
                            .n = to->embeddings.n,
                            .queries = queries,
                            .nq = n,
                            .stored = from == to,
                            .k = TUNING_K,
                            .fetched = dip_candidates_fetched(TUNING_K),
                            .target = target_recall(b)};
    if (!status) status = dip_index_tune(to->index, &how, points, &count);
    for (size_t i = 0; i < count && !status; i++) {
        dip_operating_point *point = &m->points[m->point_count++];
        *point = (dip_operating_point){.params = points[i].params,
                                       .target = how.target,
                                       .recall = points[i].recall,
                                       .us = points[i].us};
        memcpy(point->from, from->modality->name, sizeof point->from);
        memcpy(point->to, to->modality->name, sizeof point->to);
    }
    dip_free_aligned(queries);
    return status;
}

static bool searchable(const part *p) { return p->index && p->embeddings.n; }

static dip_status tune_all(build *b, dip_manifest *m)
{
    size_t room = b->part_count * b->part_count, done = 0;
    m->points = dip_calloc(room * DIP_INDEX_MAX_POINTS, sizeof *m->points);
    if (!m->points) return DIP_ENOMEM;
    for (size_t i = 0; i < b->part_count; i++) {
        for (size_t j = 0; j < b->part_count; j++) {
            const part *from = &b->parts[i], *to = &b->parts[j];
            dip_status status = stop_if_asked(b, "tune", done++, room);
            if (!status && searchable(from) && searchable(to)) status = tune(b, from, to, m);
            if (status) return status;
        }
    }
    return DIP_OK;
}

/* ---- calibration ---- */

static dip_status calibrate_all(build *b, dip_manifest *m)
{
    size_t room = b->part_count * b->part_count, done = 0;
    m->calibrations = dip_calloc(room, sizeof *m->calibrations);
    if (!m->calibrations) return DIP_ENOMEM;
    for (size_t i = 0; i < b->part_count; i++) {
        for (size_t j = 0; j < b->part_count; j++) {
            const part *from = &b->parts[i], *to = &b->parts[j];
            dip_calibration_side x = {from->embeddings.vectors, from->places, from->embeddings.n};
            dip_calibration_side y = {to->embeddings.vectors, to->places, to->embeddings.n};
            dip_calibration *c = &m->calibrations[m->calibration_count];
            size_t pairs;
            dip_status status = stop_if_asked(b, "calibrate", done++, room);
            if (!status) status = dip_calibrate(&x, &y, b->dim, SEED, c, &pairs);
            if (status) return status;
            if (!pairs) continue;
            memcpy(c->from, from->modality->name, sizeof c->from);
            memcpy(c->to, to->modality->name, sizeof c->to);
            m->calibration_count++;
        }
    }
    return DIP_OK;
}

/* ---- the whole ---- */

static void fill_manifest(const build *b, dip_manifest *m)
{
    m->modality_count = b->report->modality_count;
    for (uint32_t i = 0; i < m->modality_count; i++) {
        memcpy(m->modality[i].name, b->report->modality[i].name, sizeof m->modality[i].name);
        memcpy(m->modality[i].describe, b->report->modality[i].describe,
               sizeof m->modality[i].describe);
        m->modality[i].count = b->report->modality[i].count;
    }
}

static dip_status make_generation(build *b)
{
    const char *path = dip_archive_path(b->archive);
    dip_status status = dip_generation_begin(&b->generation, path, b->model, (uint32_t)b->dim);
    if (status) return status;
    dip_manifest *manifest = dip_generation_manifest(b->generation);
    snprintf(b->report->generation, sizeof b->report->generation, "%s", manifest->generation);
    for (size_t i = 0; i < b->part_count && !status; i++) status = make_index(b, i);
    if (!status) status = tune_all(b, manifest);
    if (!status) status = calibrate_all(b, manifest);
    if (status) return status;
    fill_manifest(b, manifest);
    for (size_t i = 0; i < b->part_count; i++) { /* before its files are renamed */
        dip_index_close(b->parts[i].index);
        b->parts[i].index = NULL;
    }
    status = dip_generation_seal(b->generation);
    b->generation = NULL;
    return status ? status : dip_generation_prune(path, b->options->keep);
}

static void fini(build *b)
{
    for (size_t i = 0; i < b->part_count; i++) {
        dip_embeddings_fini(&b->parts[i].embeddings);
        dip_free(b->parts[i].places);
        dip_index_close(b->parts[i].index);
    }
    dip_generation_abort(b->generation);
    dip_generation_close(b->live);
    dip_columns_fini(&b->columns);
    dip_free(b->model);
}

static dip_status run(build *b)
{
    bool changed = true;
    dip_status status = b->options->update ? open_live(b)
                                           : dip_models_choose(dip_archive_path(b->archive),
                                                               b->options->model, &b->model);
    if (!status) {
        snprintf(b->report->model, sizeof b->report->model, "%s", b->model);
        status = read_all(b);
    }
    if (!status) status = open_old_indexes(b);
    if (!status && b->live) status = count_changes(b, &changed);
    if (status) return status;
    if (changed) return make_generation(b);
    b->report->unchanged = true;
    snprintf(b->report->generation, sizeof b->report->generation, "%s",
             dip_generation_read_manifest(b->live)->generation);
    return DIP_OK;
}

dip_status dip_index_archive(const dip_archive *archive, const dip_indexing_options *options,
                             dip_indexing_report *report)
{
    *report = (dip_indexing_report){0};
    build b = {.archive = archive, .options = options, .report = report};
    dip_status status = run(&b);
    fini(&b);
    return status;
}
