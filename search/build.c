/*
 * Building a generation; see build.h.
 *
 * Phases: find the embeddings of the model and the places of their tiles; build or update an index a modality, from vectors that are
 * read in pieces and, as they go by, compared with the queries of all modalities; tune and calibrate each direction; seal.
 */
#include "search/build.h"

#include "core/file.h"
#include "core/mem.h"
#include "index/recipe.h"
#include "search/columns.h"
#include "search/directions.h"
#include "search/fit.h"
#include "search/models.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const double DEFAULT_RECALL = 0.99;

typedef struct build {
    const dip_archive *archive;
    const dip_indexing_options *options;
    dip_indexing_report *report;
    char *model;
    dip_columns columns;
    dip_generation *live; /* update only; or NULL */
    dip_generation *generation;
    size_t part_count, dim;
    dip_part parts[DIP_MAX_MODALITIES];
    float *queries; /* (query_count, dim): of all parts */
    size_t query_count;
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

static dip_status find_places(const build *b, dip_part *p)
{
    const size_t n = p->stored.supply.n;
    p->places = dip_alloc((n + 1) * sizeof *p->places);
    if (!p->places) return DIP_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        size_t row = dip_columns_find(&b->columns, p->stored.ids[i]);
        if (row == SIZE_MAX)
            return dip_fail(DIP_ECORRUPT, "embedding of tile #%llu, which is not there; run verify",
                            (unsigned long long)p->stored.ids[i]);
        p->places[i] = b->columns.places[row];
    }
    return DIP_OK;
}

static dip_status read_part(build *b, size_t position)
{
    dip_part *p = &b->parts[position];
    p->modality = dip_archive_modality(b->archive, position);
    dip_status status = dip_stored_open(&p->stored, b->archive, b->model, (uint32_t)position);
    if (!status) status = find_places(b, p);
    if (status || !p->stored.supply.n) return status;
    if (b->dim && b->dim != p->stored.supply.dim)
        return dip_fail(DIP_ECORRUPT, "embeddings of model %s have %zu and %zu dimensions",
                        b->model, b->dim, p->stored.supply.dim);
    b->dim = p->stored.supply.dim;
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
static dip_status keep_or_forget(const build *b, uint32_t position, dip_part *p)
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
        dip_part *p = &b->parts[i];
        status = dip_generation_index(b->live, p->modality->name, &p->old);
        if (!status && p->old) status = keep_or_forget(b, (uint32_t)i, p);
    }
    return status;
}

typedef struct change {
    uint64_t *remove; /* in the old index, not stored any more */
    size_t remove_count;
    size_t *add; /* rows that are stored, not in the old index */
    size_t add_count;
    uint64_t *old; /* ids of the index as it is */
} change;

static void change_fini(change *c)
{
    dip_free(c->remove);
    dip_free(c->add);
    dip_free(c->old);
}

static dip_status compare(const dip_part *p, change *c)
{
    const uint64_t *ids = p->stored.ids;
    size_t n = p->stored.supply.n, i = 0, j = 0, old_count = dip_index_count(p->old);
    c->remove = dip_alloc((old_count + 1) * sizeof *c->remove);
    c->add = dip_alloc((n + 1) * sizeof *c->add);
    uint64_t *old = c->old = dip_alloc((old_count + 1) * sizeof *old);
    if (!c->remove || !c->add || !old) return DIP_ENOMEM;
    dip_index_ids(p->old, 0, old_count, old);
    while (i < n || j < old_count) {
        if (j == old_count || (i < n && ids[i] < old[j])) {
            c->add[c->add_count++] = i++;
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
        const dip_part *p = &b->parts[i];
        change c = {0};
        if (!p->old) {
            *any |= p->stored.supply.n > 0;
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

static dip_status apply(const build *b, const dip_part *p, const char *folder, const change *c)
{
    const size_t n = c->add_count;
    float *vectors = dip_alloc_aligned((n * b->dim + 1) * sizeof *vectors);
    uint64_t *ids = dip_alloc((n + 1) * sizeof *ids);
    dip_status status = vectors && ids ? DIP_OK : DIP_ENOMEM;
    if (!status) status = dip_supply_pick(&p->stored.supply, c->add, n, vectors);
    for (size_t i = 0; i < n && !status; i++) ids[i] = p->stored.ids[c->add[i]];
    if (!status)
        status = dip_index_update(p->old, folder, p->modality->name, c->remove, c->remove_count,
                                  vectors, ids, n);
    dip_free_aligned(vectors);
    dip_free(ids);
    return status;
}

static dip_status update_index(build *b, dip_part *p, const char *folder, size_t row)
{
    change c = {0};
    dip_status status = compare(p, &c);
    if (!status) status = apply(b, p, folder, &c);
    b->report->modality[row].added = c.add_count;
    b->report->modality[row].removed = c.remove_count;
    change_fini(&c);
    return status;
}

/* Memory is shared by the numbers of vectors. */
static dip_status make_plan(const build *b, const dip_part *p, dip_index_plan *plan)
{
    dip_index_recipe recipe = b->options->recipe;
    size_t all = 0;
    for (size_t i = 0; i < b->part_count; i++) all += b->parts[i].stored.supply.n;
    recipe.recall = target_recall(b);
    if (recipe.memory && all) {
        recipe.memory =
            (uint64_t)((double)recipe.memory * (double)p->stored.supply.n / (double)all);
        if (!recipe.memory) recipe.memory = 1;
    }
    dip_status status = dip_index_plan_make(plan, &recipe, p->stored.supply.n, b->dim);
    return status ? dip_fail_prefix(status, "modality %s", p->modality->name) : DIP_OK;
}

/* Truth of all queries in this part; where all are compared anyway there are only the queries, to time them. */
static dip_status watch(const build *b, dip_part *p, dip_engine engine)
{
    p->truth = (dip_truth){.queries = b->queries, .nq = b->query_count, .dim = b->dim};
    if (engine == DIP_ENGINE_EXACT) return DIP_OK;
    p->stored.truth = &p->truth;
    return dip_truth_init(&p->truth, b->queries, b->query_count, b->dim);
}

static dip_status build_index(build *b, dip_part *p, const char *folder, size_t row)
{
    b->report->modality[row].added = p->stored.supply.n;
    b->report->modality[row].trained = true;
    dip_index_plan plan;
    dip_status status = make_plan(b, p, &plan);
    if (!status) status = watch(b, p, plan.recipe.engine);
    if (status) return status;
    snprintf(b->report->modality[row].why, sizeof b->report->modality[row].why, "%s", plan.why);
    b->report->modality[row].memory = plan.memory;
    return dip_index_build_from(folder, p->modality->name, &plan.recipe, &p->stored.supply,
                                b->options->progress);
}

static uint64_t tiles_of(const build *b, size_t position)
{
    uint64_t n = 0;
    for (size_t row = 0; row < b->columns.count; row++) n += b->columns.modalities[row] == position;
    return n;
}

static dip_status make_index(build *b, size_t position)
{
    dip_part *p = &b->parts[position];
    const char *folder = dip_generation_folder(b->generation), *name = p->modality->name;
    if (!p->stored.supply.n && !p->old) return DIP_OK;
    uint32_t row = b->report->modality_count++;
    double start = now();
    dip_status status = p->old ? update_index(b, p, folder, row) : build_index(b, p, folder, row);
    if (!status) status = dip_index_open(&p->index, folder, name);
    if (!status && p->old) status = watch(b, p, dip_index_engine(p->index));
    if (!status) status = dip_stored_tell_all(&p->stored);
    if (status) return status;
    snprintf(b->report->modality[row].name, sizeof b->report->modality[row].name, "%s", name);
    snprintf(b->report->modality[row].describe, sizeof b->report->modality[row].describe, "%s",
             dip_index_describe(p->index));
    b->report->modality[row].count = dip_index_count(p->index);
    b->report->modality[row].without = tiles_of(b, position) - p->stored.supply.n;
    b->report->modality[row].bytes = files_of(folder, name);
    b->report->modality[row].seconds = now() - start;
    return stop_if_asked(b, "index", position + 1, b->part_count);
}

/* ---- directions ---- */

static bool searchable(const dip_part *p) { return p->index && p->stored.supply.n; }

static dip_status tune_all(build *b, dip_manifest *m)
{
    size_t room = b->part_count * b->part_count, done = 0;
    m->points = dip_calloc(room * DIP_INDEX_MAX_POINTS, sizeof *m->points);
    if (!m->points) return DIP_ENOMEM;
    for (size_t i = 0; i < b->part_count; i++) {
        for (size_t j = 0; j < b->part_count; j++) {
            const dip_part *from = &b->parts[i], *to = &b->parts[j];
            dip_status status = stop_if_asked(b, "tune", done++, room);
            if (!status && searchable(from) && searchable(to))
                status = dip_direction_tune(from, to, target_recall(b), m);
            if (status) return status;
        }
    }
    return DIP_OK;
}

static dip_status calibrate_all(build *b, dip_manifest *m)
{
    size_t room = b->part_count * b->part_count, done = 0;
    m->calibrations = dip_calloc(room, sizeof *m->calibrations);
    if (!m->calibrations) return DIP_ENOMEM;
    for (size_t i = 0; i < b->part_count; i++) {
        for (size_t j = 0; j < b->part_count; j++) {
            dip_status status = stop_if_asked(b, "calibrate", done++, room);
            if (!status) status = dip_direction_calibrate(&b->parts[i], &b->parts[j], m);
            if (status) return status;
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
    status = dip_parts_ask(b->parts, b->part_count, b->dim, &b->queries, &b->query_count);
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
        dip_stored_close(&b->parts[i].stored);
        dip_truth_fini(&b->parts[i].truth);
        dip_free(b->parts[i].places);
        dip_index_close(b->parts[i].index);
    }
    dip_free_aligned(b->queries);
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
