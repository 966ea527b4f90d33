/*
 * The front of an index: building, opening, updating; see index.h. What is particular to an engine stands
 * behind engine.h.
 */
#include "index/engine.h"

#include "core/mem.h"
#include "index/dot.h"
#include "index/recipe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const dip_engine_ops *const engines[] = {&dip_engine_exact, &dip_engine_native,
                                                &dip_engine_faiss};
enum { ENGINES = sizeof engines / sizeof *engines };

static const dip_engine_ops *find_engine(dip_engine engine)
{
    for (size_t i = 0; i < ENGINES; i++)
        if (engines[i]->engine == engine) return engines[i];
    return NULL;
}

const char *dip_engine_name(size_t i) { return i < ENGINES ? engines[i]->name : NULL; }

dip_engine dip_engine_find(const char *name)
{
    for (size_t i = 0; i < ENGINES; i++)
        if (!strcmp(engines[i]->name, name)) return engines[i]->engine;
    return DIP_ENGINE_AUTO;
}

char *dip_index_path(const char *folder, const char *name, const char *suffix)
{
    return dip_sprintf("%s/%s%s", folder, name, suffix);
}

static dip_status check_sizes(size_t n, size_t dim)
{
    if (dim == 0 || dim > DIP_LAYOUT_MAX_DIM)
        return dip_fail(DIP_EINVAL,
                        "an index cannot have %zu dimensions; from 1 to %d are possible", dim,
                        DIP_LAYOUT_MAX_DIM);
    if (n > DIP_LAYOUT_MAX_COUNT)
        return dip_fail(DIP_EINVAL, "an index cannot hold %zu vectors; at most %lu are possible", n,
                        (unsigned long)DIP_LAYOUT_MAX_COUNT);
    return DIP_OK;
}

static dip_status check_build(const dip_build *b)
{
    const dip_supply *s = b->supply;
    dip_status status = check_sizes(s->n, s->dim);
    if (status) return status;
    for (size_t i = 0; i < s->n; i++)
        if (s->ids[i] == DIP_NO_ID || (i && s->ids[i - 1] >= s->ids[i]))
            return dip_fail(DIP_EINVAL, "the ids of index '%s' are not ascending at position %zu",
                            b->name, i);
    return DIP_OK;
}

/* Files of an earlier build by another engine would answer in the place of the new ones. */
static dip_status remove_others(const dip_engine_ops *ops, const char *folder, const char *name)
{
    dip_status status = DIP_OK;
    for (size_t i = 0; i < ENGINES && !status; i++) {
        const char *suffixes[] = {engines[i]->suffix, engines[i]->data_suffix};
        for (size_t j = 0; j < 2 && !status && engines[i] != ops; j++) {
            if (!suffixes[j]) continue;
            char *path = dip_index_path(folder, name, suffixes[j]);
            status = path ? dip_file_remove(path) : DIP_ENOMEM;
            dip_free(path);
        }
    }
    return status;
}

dip_status dip_index_build(const char *folder, const char *name, const dip_index_recipe *recipe,
                           const float *vectors, const uint64_t *ids, size_t n, size_t dim,
                           const dip_progress *progress)
{
    const dip_supply supply = {.n = n, .dim = dim, .ids = ids, .values = vectors};
    return dip_index_build_from(folder, name, recipe, &supply, progress);
}

dip_status dip_index_build_from(const char *folder, const char *name,
                                const dip_index_recipe *recipe, const dip_supply *supply,
                                const dip_progress *progress)
{
    dip_build b = {.folder = folder, .name = name, .supply = supply, .progress = progress};
    if (recipe) b.recipe = *recipe;
    dip_index_plan plan;
    dip_status status = check_build(&b);
    if (!status) status = dip_index_plan_make(&plan, &b.recipe, supply->n, supply->dim);
    if (status) return status;
    b.recipe = plan.recipe;
    const dip_engine_ops *ops = find_engine(b.recipe.engine);
    if (!ops) return dip_fail(DIP_EINVAL, "there is no search engine number %d", b.recipe.engine);
    status = ops->build(&b);
    return status ? status : remove_others(ops, folder, name);
}

/* Opens the file of one engine; DIP_ENOENT without a line's worth of meaning if it is not there. */
static dip_status open_with(dip_index *index, const char *folder, const char *name)
{
    if (!index->ops->kind) return index->ops->open(index, folder, name);
    char *path = dip_index_path(folder, name, index->ops->suffix);
    if (!path) return DIP_ENOMEM;
    dip_status status = dip_layout_open(&index->view, &index->map, path);
    const dip_layout *layout = &index->view.layout;
    if (!status && layout->kind != index->ops->kind)
        status = dip_fail(DIP_ECORRUPT,
                          "'%s' holds the wrong kind of index; run diptych index again", path);
    if (!status)
        status = dip_id_table_init(&index->table, index->view.ids, index->view.removed,
                                   (size_t)layout->count, (size_t)layout->live, path);
    dip_free(path);
    return status ? status : index->ops->open(index, folder, name);
}

static dip_status choose_engine(const dip_engine_ops **ops, const char *folder, const char *name)
{
    for (size_t i = 0; i < ENGINES; i++) {
        char *path = dip_index_path(folder, name, engines[i]->suffix);
        if (!path) return DIP_ENOMEM;
        bool there = dip_file_exists(path);
        dip_free(path);
        *ops = engines[i];
        if (there) return DIP_OK;
    }
    return dip_fail(DIP_ENOENT, "there is no index '%s' in '%s'; run diptych index", name, folder);
}

dip_status dip_index_open(dip_index **out, const char *folder, const char *name)
{
    const dip_engine_ops *ops;
    dip_status status = choose_engine(&ops, folder, name);
    if (status) return status;
    dip_index *index = dip_calloc(1, sizeof *index);
    if (!index) return DIP_ENOMEM;
    index->ops = ops;
    status = open_with(index, folder, name);
    if (status)
        dip_index_close(index);
    else
        *out = index;
    return status;
}

void dip_index_close(dip_index *index)
{
    if (!index) return;
    index->ops->close(index);
    dip_id_table_fini(&index->table);
    dip_file_unmap(&index->map);
    dip_free(index);
}

size_t dip_index_count(const dip_index *index) { return index->table.live; }
size_t dip_index_dim(const dip_index *index) { return index->view.layout.dim; }
dip_engine dip_index_engine(const dip_index *index) { return index->ops->engine; }
const char *dip_index_describe(const dip_index *index) { return index->describe; }

size_t dip_index_ids(const dip_index *index, size_t first, size_t n, uint64_t *ids)
{
    return dip_id_table_copy(&index->table, first, n, ids);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static dip_status sorted_copy(uint64_t **out, const uint64_t *ids, size_t n)
{
    *out = dip_alloc(n * sizeof **out);
    if (!*out) return DIP_ENOMEM;
    if (n) memcpy(*out, ids, n * sizeof **out);
    if (n) qsort(*out, n, sizeof **out, by_value);
    return DIP_OK;
}

static dip_status check_added(const dip_index *base, const uint64_t *added, size_t n,
                              const uint64_t *remove, size_t remove_count)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t id = added[i];
        size_t at = dip_ids_lower_bound(remove, remove_count, id);
        bool removed = at < remove_count && remove[at] == id;
        if (id == DIP_NO_ID || (i && added[i - 1] == id))
            return dip_fail(DIP_EINVAL, "tile %llu is added to an index twice",
                            (unsigned long long)id);
        if (!removed && dip_id_table_find(&base->table, id) != DIP_NO_LOCAL)
            return dip_fail(
                DIP_EEXIST,
                "tile %llu is in the index already; name it among the removed to replace it",
                (unsigned long long)id);
    }
    return DIP_OK;
}

dip_status dip_index_update(const dip_index *base, const char *folder, const char *name,
                            const uint64_t *remove, size_t remove_count, const float *vectors,
                            const uint64_t *ids, size_t n)
{
    size_t dim = dip_index_dim(base);
    uint64_t *removed = NULL, *added = NULL;
    dip_status status = check_sizes((size_t)base->view.layout.count + n, dim);
    if (!status) status = dip_supply_check(vectors, ids, n, dim);
    if (!status) status = sorted_copy(&removed, remove, remove_count);
    if (!status) status = sorted_copy(&added, ids, n);
    if (!status) status = check_added(base, added, n, removed, remove_count);
    if (!status) {
        dip_change change = {folder, name, removed, remove_count, vectors, ids, n};
        status = base->ops->update(base, &change);
    }
    dip_free(removed);
    dip_free(added);
    return status ? status : remove_others(base->ops, folder, name);
}
