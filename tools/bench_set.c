/* The data that engines are compared on; see bench_set.h. */
#include "tools/bench_set.h"

#include "compare/hdf5.h"
#include "core/mem.h"
#include "search/models.h"

#include <math.h>
#include <string.h>
#include <strings.h>

enum { OWN_QUERIES = 1000 }; /* of a modality that asks itself, unless told otherwise */

static bool is_hdf5(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (!strcasecmp(dot, ".hdf5") || !strcasecmp(dot, ".h5"));
}

/* ---- archives ---- */

static dip_status find_modality(const dip_archive *archive, const char *name, const char *option,
                                uint32_t *out)
{
    if (!name)
        return dip_fail(DIP_EINVAL,
                        "an archive needs --base and --queries, the modality that is searched and "
                        "the one that asks");
    int m = dip_archive_find_modality(archive, name);
    if (m < 0)
        return dip_fail(DIP_ENOENT,
                        "there is no modality '%s' in the archive; see diptych info (%s)", name,
                        option);
    *out = (uint32_t)m;
    return DIP_OK;
}

/* Of how many rows one is a query, if the modality asks itself; else 0. */
static dip_status choose_every(const dip_archive *archive, const char *model, uint32_t base,
                               uint32_t queries, size_t most, size_t *every)
{
    uint64_t *ids;
    size_t n;
    *every = 0;
    if (base != queries) return DIP_OK;
    dip_status status = dip_archive_embedded_ids(archive, model, base, &ids, &n);
    if (status) return status;
    dip_ids_free(ids);
    size_t wanted = most && most < OWN_QUERIES ? most : OWN_QUERIES;
    *every = n / wanted < 2 ? 2 : n / wanted;
    return DIP_OK;
}

static dip_status open_embedded(const dip_archive *archive, const dip_bench_source *s,
                                dip_points *base, dip_points *queries)
{
    char *model = NULL;
    uint32_t from = 0, to = 0;
    size_t every = 0;
    dip_status status = find_modality(archive, s->base, "--base", &to);
    if (!status) status = find_modality(archive, s->queries, "--queries", &from);
    if (!status) status = dip_models_choose(dip_archive_path(archive), s->model, &model);
    if (!status) status = choose_every(archive, model, to, from, s->most_queries, &every);
    if (!status) status = dip_points_embedded(base, archive, model, to, every, false);
    if (!status) status = dip_points_embedded(queries, archive, model, from, every, true);
    dip_free(model);
    return status;
}

static dip_status open_archive(const dip_bench_source *s, dip_points *base, dip_points *queries)
{
    dip_archive *archive = NULL;
    dip_status status = dip_archive_open(&archive, s->data, DIP_ARCHIVE_READ);
    if (!status) status = open_embedded(archive, s, base, queries);
    dip_archive_close(archive);
    return status;
}

/* ---- files ---- */

static dip_status open_files(const dip_bench_source *s, dip_points *base, dip_points *queries)
{
    const char *asking = s->queries ? s->queries : is_hdf5(s->data) ? s->data : NULL;
    if (s->base || s->model)
        return dip_fail(DIP_EINVAL, "--base and --model are for archives; '%s' is a file", s->data);
    if (!asking && dip_file_exists(s->data))
        return dip_fail(DIP_EINVAL, "'%s' holds no queries; name a file of them with --queries",
                        s->data);
    dip_status status = dip_points_open(base, s->data, "train");
    return status ? status : dip_points_open(queries, asking, "test");
}

/* ---- all ---- */

static void name_set(dip_set *set, const dip_bench_source *s, const dip_points *base,
                     const dip_points *queries)
{
    const char *arrow = s->base ? " \xe2\x86\x92 " : ", ";
    const char *first = s->base ? queries->name : base->name;
    const char *second = s->base ? base->name : queries->name;
    if (s->name)
        snprintf(set->name, sizeof set->name, "%s", s->name);
    else if (s->base)
        snprintf(set->name, sizeof set->name, "%.40s %.20s%s%.20s", dip_path_base(s->data), first,
                 arrow, second);
    else if (s->queries)
        snprintf(set->name, sizeof set->name, "%.44s%s%.44s", first, arrow, second);
    else
        snprintf(set->name, sizeof set->name, "%s", base->name);
}

/* The file's own neighbours are those of its vectors as they are, all of them, by its own distance. */
static dip_status check_truth(dip_set *set, const dip_bench_source *s, const dip_points *base)
{
    if (!is_hdf5(s->data) || s->queries) return DIP_OK;
    dip_hdf5_text(s->data, "distance", set->distance, sizeof set->distance);
    bool same = !strcmp(set->distance, "angular") || !set->base.changed;
    return same && set->base.rows == base->rows ? dip_set_compare_with(set, s->data) : DIP_OK;
}

dip_status dip_bench_set_open(dip_set *out, const dip_bench_source *source, const char *cache,
                              const dip_progress *progress)
{
    dip_set set = {.k = 0};
    dip_points base = {.rows = 0}, queries = {.rows = 0};
    dip_status status = dip_folder_create(cache);
    if (!status)
        status = dip_file_is_folder(source->data) ? open_archive(source, &base, &queries)
                                                  : open_files(source, &base, &queries);
    if (!status) status = dip_unit_table_make(&set.base, &base, cache, source->rows, progress);
    if (!status)
        status = dip_unit_table_make(&set.queries, &queries, cache, source->most_queries, progress);
    if (!status) status = dip_set_find_truth(&set, cache, source->k, progress);
    if (!status) status = check_truth(&set, source, &base);
    if (!status) name_set(&set, source, &base, &queries);
    dip_points_close(&base);
    dip_points_close(&queries);
    if (status)
        dip_set_close(&set);
    else
        *out = set;
    return status;
}
