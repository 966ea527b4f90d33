/*
 * Engine `faiss`: IVF lists, residual 4-bit product codes, fp16 refinement, all in a FAISS index that FAISS itself can
 * read; adapter to FAISS's C API, with faiss_ext.h for what that lacks.
 *
 * Build: lists (lists.h, out of FAISS's k-means with our assignment step), the factory's index with those centroids,
 * code books, then the vectors in slabs: lists and codes on our pool, appended in order. FAISS numbers rows 0..n-1; the
 * tile id of each row, which rows are removed, and the checksum of FAISS's file stand in `<name>.ids`. That
 * checksum is verified before FAISS sees a byte, since its reader trusts what it reads.
 *
 * Update: FAISS cannot remove from such an index, so rows are marked; when more than a fifth are, all live rows
 * are encoded again from the refinement vectors with the quantisers as they are.
 *
 * Every call that enters an OpenMP region runs on the calling thread alone (faiss_ext.h).
 */
#include "index/faiss.h"

#include "core/hash.h"
#include "core/mem.h"
#include "index/nearest.h"

#include <faiss/c_api/Clustering_c.h>
#include <faiss/c_api/IndexIVF_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/error_c.h>
#include <faiss/c_api/index_factory_c.h>
#include <faiss/c_api/index_io_c.h>

#include <limits.h>
#include <math.h>
#include <string.h>

enum {
    ITERATIONS = 10,
    CODE_ITERATIONS = 25,   /* FAISS's number, for progress */
    CODE_SAMPLE = 256 * 16, /* vectors, as many as FAISS takes for code books of 16 entries */
    SLAB = 1 << 16,         /* vectors that are appended at once */
    TOMBSTONE_PERCENT = 20,
};

dip_status dip_faiss_fail(int code, const dip_faiss_error *error, const char *what,
                          const char *name)
{
    /* FAISS puts its source file and the failed condition in front of the words that help. */
    const char *text = strstr(error->text, "Error: ");
    text = text ? text + strlen("Error: ") : error->text;
    dip_status status = code == DIP_FAISS_NO_MEMORY ? DIP_ENOMEM : DIP_EINVAL;
    return dip_fail(status, "faiss cannot %s '%s': %.*s", what, name, (int)strcspn(text, "\n"),
                    text);
}

dip_status dip_faiss_fail_c(const char *what, const char *name)
{
    dip_faiss_error error;
    const char *text = faiss_get_last_error();
    snprintf(error.text, sizeof error.text, "%s", text ? text : "unknown error");
    int code = strstr(error.text, "bad_alloc") ? DIP_FAISS_NO_MEMORY : DIP_FAISS_FAILED;
    return dip_faiss_fail(code, &error, what, name);
}

static int faiss_seed(uint64_t seed) { return (int)(dip_hash64(&seed, sizeof seed) & INT_MAX); }

static dip_status stopped(const char *name)
{
    return dip_fail(DIP_ECANCEL, "building index '%s' was stopped", name);
}

/* --- Training --- */

/* One k-means after the other, with our assignment step. */
typedef struct training {
    const char *name, *phase;
    const dip_progress *progress; /* NULL: nobody is told */
    size_t step, steps;           /* iterations */
    dip_status status;
} training;

static int assign(void *context, const float *vectors, size_t n, const float *centroids, size_t k,
                  size_t dim, int64_t *nearest, float *distances)
{
    training *t = context;
    if (dip_progress_tick(t->progress, t->phase, t->step++, t->steps))
        t->status = stopped(t->name);
    else
        t->status = dip_nearest(vectors, n, centroids, k, dim, nearest, distances);
    return t->status != DIP_OK;
}

static dip_status cluster(FaissClustering *clustering, const float *vectors, size_t n, size_t dim,
                          training *t)
{
    dip_faiss_error error;
    FaissIndex *assigner = NULL;
    int code = dip_faiss_assigner_new(&assigner, dim, assign, t, &error);
    if (code) return dip_faiss_fail(code, &error, "cluster the vectors of", t->name);
    int before = dip_omp_alone();
    int failed = faiss_Clustering_train(clustering, (idx_t)n, vectors, assigner);
    dip_omp_restore(before);
    faiss_Index_free(assigner);
    if (t->status) return t->status;
    return failed ? dip_faiss_fail_c("cluster the vectors of", t->name) : DIP_OK;
}

dip_status dip_faiss_cluster(const float *vectors, size_t n, size_t dim, size_t k, uint64_t seed,
                             float *centroids, const char *name)
{
    training t = {.name = name, .phase = "clustering", .steps = ITERATIONS};
    FaissClustering *clustering = NULL;
    FaissClusteringParameters parameters;
    faiss_ClusteringParameters_init(&parameters);
    parameters.niter = ITERATIONS;
    parameters.min_points_per_centroid = 1; /* or FAISS prints advice */
    parameters.seed = faiss_seed(seed);
    if (faiss_Clustering_new_with_params(&clustering, (int)dim, (int)k, &parameters))
        return dip_faiss_fail_c("cluster the vectors of", name);
    dip_status status = cluster(clustering, vectors, n, dim, &t);
    if (!status) {
        float *found;
        size_t size;
        faiss_Clustering_centroids(clustering, &found, &size);
        memcpy(centroids, found, k * dim * sizeof *found);
    }
    faiss_Clustering_free(clustering);
    return status;
}

/* Trains on vectors (n, dim). */
static dip_status train_codes(FaissIndex *index, const float *centroids, const float *vectors,
                              size_t n, const dip_build *b)
{
    size_t codes = b->recipe.code_count;
    training t = {.name = b->name,
                  .phase = "training codes",
                  .progress = b->progress,
                  .steps = codes * CODE_ITERATIONS};
    dip_faiss_error error;
    FaissIndex *assigner = NULL;
    int code = dip_faiss_assigner_new(&assigner, b->supply->dim / codes, assign, &t, &error),
        failed = 0;
    if (!code)
        code = dip_faiss_prepare(index, centroids, faiss_seed(b->recipe.seed), assigner, &error);
    if (!code) {
        int before = dip_omp_alone();
        failed = faiss_Index_train(index, (idx_t)n, vectors);
        dip_omp_restore(before);
        code = dip_faiss_release(index, &error);
    }
    faiss_Index_free(assigner);
    if (t.status) return t.status;
    if (code) return dip_faiss_fail(code, &error, "train", b->name);
    return failed ? dip_faiss_fail_c("train", b->name) : DIP_OK;
}

static void describe(char *out, size_t room, size_t lists, size_t codes)
{
    snprintf(out, room, "IVF%zu,PQ%zux4fsr,Refine(SQfp16)", lists, codes);
}

/* One from each of equal stretches. */
static dip_status train_on_sample(FaissIndex *index, const float *centroids, const dip_build *b)
{
    const dip_supply *s = b->supply;
    size_t n = s->n < CODE_SAMPLE ? s->n : CODE_SAMPLE;
    size_t *rows = dip_alloc(n * sizeof *rows);
    float *sample = dip_alloc_aligned(n * s->dim * sizeof *sample);
    dip_status status = rows && sample ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < n && !status; i++) rows[i] = i * s->n / n;
    if (!status) status = dip_supply_pick(s, rows, n, sample);
    if (!status) status = train_codes(index, centroids, sample, n, b);
    dip_free(rows);
    dip_free_aligned(sample);
    return status;
}

static dip_status train_index(FaissIndex **out, const float *centroids, const dip_build *b)
{
    char recipe[96];
    FaissIndex *index = NULL;
    describe(recipe, sizeof recipe, b->recipe.lists, b->recipe.code_count);
    if (faiss_index_factory(&index, (int)b->supply->dim, recipe, METRIC_L2))
        return dip_faiss_fail_c("make", recipe);
    dip_status status = train_on_sample(index, centroids, b);
    if (!status)
        *out = index;
    else
        faiss_Index_free(index);
    return status;
}

/* --- Filling --- */

/* FAISS's order is (code, 16, sub), ours (code, sub, 16): sixteen entries side by side. */
static dip_status take_codebook(dip_coded *c, const dip_faiss_shape *shape)
{
    size_t sub = shape->dim / shape->code_count;
    c->code_count = shape->code_count;
    c->codebook = dip_alloc_aligned(shape->dim * 16 * sizeof *c->codebook);
    if (!c->codebook) return DIP_ENOMEM;
    for (size_t m = 0; m < shape->code_count; m++)
        for (size_t j = 0; j < 16; j++)
            for (size_t t = 0; t < sub; t++)
                c->codebook[(m * sub + t) * 16 + j] = shape->codebook[(m * 16 + j) * sub + t];
    return DIP_OK;
}

static dip_status append(FaissIndex *index, const dip_coded *c, const dip_supply *supply)
{
    dip_faiss_error error;
    float *room = dip_supply_room(supply, c->n < SLAB ? c->n : SLAB);
    dip_status status = room ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; i < c->n && !status; i += SLAB) {
        const float *vectors;
        size_t n = c->n - i < SLAB ? c->n - i : SLAB;
        status = dip_supply_read(supply, i, n, room, &vectors);
        int code = status ? 0
                          : dip_faiss_append(index, vectors, n, c->list + i,
                                             c->codes + i * c->code_bytes, &error);
        if (code) status = dip_faiss_fail(code, &error, "add to", "the index");
    }
    dip_free_aligned(room);
    return status;
}

/* Appends vectors in their order to a trained index. */
static dip_status add(FaissIndex *index, const dip_faiss_shape *shape, const float *vectors,
                      size_t n, const char *name)
{
    const dip_supply supply = {.n = n, .dim = shape->dim, .values = vectors};
    dip_coded c = {.code_count = 0};
    dip_status status =
        dip_lists_copy(&c.lists, shape->centroids, shape->lists, shape->dim, NULL, 0);
    if (!status) status = take_codebook(&c, shape);
    if (!status) status = dip_coded_add(&c, &supply, NULL, NULL, name);
    if (!status) status = append(index, &c, &supply);
    dip_coded_fini(&c);
    return status;
}

/* --- Files --- */

static dip_status write_faiss(const FaissIndex *index, const char *path)
{
    dip_aside file;
    dip_status status = dip_file_begin(&file, path);
    if (status) return status;
    if (faiss_write_index(index, file.stream)) {
        status = ferror(file.stream) ? dip_fail_errno("write", file.partial)
                                     : dip_faiss_fail_c("write", path);
        dip_file_abandon(&file);
        return status;
    }
    return dip_file_commit(&file);
}

static dip_status hash_file(const char *path, uint64_t *bytes, uint64_t *hash)
{
    dip_map map;
    dip_status status = dip_file_map(&map, path);
    if (status) return status;
    *bytes = map.length;
    *hash = dip_hash64(map.bytes, map.length);
    dip_file_unmap(&map);
    return DIP_OK;
}

/* Both files; the ids last, since an index is there when its ids are. */
static dip_status seal(FaissIndex *index, const char *folder, const char *name, dip_layout *layout,
                       const uint64_t *ids, const uint64_t *removed)
{
    dip_faiss_error error;
    char *data = dip_index_path(folder, name, dip_engine_faiss.data_suffix);
    char *path = dip_index_path(folder, name, dip_engine_faiss.suffix);
    dip_status status = data && path ? DIP_OK : DIP_ENOMEM;
    int code = dip_faiss_set_defaults(index, layout->nprobe, (float)layout->depth, &error);
    if (!status && code) status = dip_faiss_fail(code, &error, "write", name);
    if (!status) status = write_faiss(index, data);
    if (!status) status = hash_file(data, &layout->faiss_bytes, &layout->faiss_hash);
    if (!status) status = dip_layout_write(path, layout, ids, removed, NULL);
    dip_free(data);
    dip_free(path);
    return status;
}

static dip_status check_recipe(const dip_build *b)
{
    if (b->supply->n < DIP_FAISS_LEAST)
        return dip_fail(DIP_EINVAL,
                        "%zu vectors are too few for lists and codes, which need %d to train; "
                        "use engine exact or auto",
                        b->supply->n, DIP_FAISS_LEAST);
    return DIP_OK;
}

static dip_status shape_of(const FaissIndex *index, dip_faiss_shape *shape, const char *name)
{
    dip_faiss_error error;
    int code = dip_faiss_shape_get(index, shape, &error);
    return code ? dip_faiss_fail(code, &error, "use", name) : DIP_OK;
}

dip_status dip_faiss_code(dip_coded *out, FaissIndex **kept, dip_shelves *shelves,
                          const dip_build *b)
{
    FaissIndex *index = NULL;
    dip_faiss_shape shape;
    *out = (dip_coded){.code_count = 0};
    dip_status status = check_recipe(b);
    if (!status)
        status = dip_lists_train(&out->lists, b->supply, b->recipe.lists, b->recipe.seed,
                                 b->progress, b->name);
    if (!status) status = train_index(&index, out->lists.centroids, b);
    if (!status) status = shape_of(index, &shape, b->name);
    if (!status) status = take_codebook(out, &shape);
    if (!status) status = dip_coded_add(out, b->supply, shelves, b->progress, b->name);
    if (status) dip_coded_fini(out);
    if (!status && kept)
        *kept = index;
    else
        faiss_Index_free(index);
    return status;
}

uint32_t dip_faiss_first_nprobe(uint32_t lists)
{
    uint32_t nprobe = (uint32_t)ceil(2 * sqrt(lists));
    return nprobe < lists ? nprobe : lists;
}

static dip_status build(const dip_build *b)
{
    dip_coded coded;
    FaissIndex *index = NULL;
    dip_status status = dip_faiss_code(&coded, &index, NULL, b);
    if (status) return status;
    dip_layout layout = {.kind = DIP_LAYOUT_IDS,
                         .count = b->supply->n,
                         .live = b->supply->n,
                         .dim = (uint32_t)b->supply->dim,
                         .lists = b->recipe.lists,
                         .code_count = b->recipe.code_count,
                         .nprobe = dip_faiss_first_nprobe(b->recipe.lists),
                         .depth = DIP_FIRST_DEPTH,
                         .seed = b->recipe.seed};
    uint64_t *removed = dip_calloc(dip_bit_words(b->supply->n), sizeof *removed);
    status = removed ? append(index, &coded, b->supply) : DIP_ENOMEM;
    if (!status) status = seal(index, b->folder, b->name, &layout, b->supply->ids, removed);
    dip_free(removed);
    faiss_Index_free(index);
    dip_coded_fini(&coded);
    return status;
}

static dip_status read_faiss(FaissIndex **out, const dip_map *file, dip_faiss_shape *shape,
                             const char *path)
{
    dip_faiss_error error;
    FaissIndex *index = NULL;
    int code = dip_faiss_read(&index, file->bytes, file->length, &error);
    if (code) {
        dip_status status = dip_faiss_fail(code, &error, "read", path);
        return status == DIP_ENOMEM ? status : dip_fail_prefix(DIP_ECORRUPT, "damaged index file");
    }
    dip_status status = shape_of(index, shape, path);
    if (status) {
        faiss_Index_free(index);
        return status;
    }
    *out = index;
    return DIP_OK;
}

/* The FAISS file as the ids file knows it, else nothing of it is read. */
static dip_status map_verified(dip_map *map, const dip_layout *layout, const char *path)
{
    dip_status status = dip_file_map(map, path);
    if (status)
        return status == DIP_ENOENT ? dip_fail_prefix(DIP_ECORRUPT, "incomplete index") : status;
    if (map->length == layout->faiss_bytes &&
        dip_hash64(map->bytes, map->length) == layout->faiss_hash)
        return DIP_OK;
    dip_file_unmap(map);
    return dip_fail(DIP_ECORRUPT, "'%s' is damaged: its checksum is wrong; run diptych index again",
                    path);
}

static dip_status check_shape(const dip_faiss_shape *shape, const dip_layout *layout,
                              const char *path)
{
    if (shape->dim == layout->dim && shape->count == layout->count &&
        shape->lists == layout->lists && shape->code_count == layout->code_count &&
        layout->nprobe > 0 && layout->depth > 0)
        return DIP_OK;
    return dip_fail(DIP_ECORRUPT,
                    "'%s' does not belong to the ids beside it; run diptych index again", path);
}

static dip_status open_faiss(dip_index *index, const char *folder, const char *name)
{
    const dip_layout *layout = &index->view.layout;
    dip_faiss *f = dip_calloc(1, sizeof *f);
    char *path = dip_index_path(folder, name, dip_engine_faiss.data_suffix);
    index->state = f; /* closed with the index, whatever happens */
    dip_status status = f && path ? map_verified(&f->file, layout, path) : DIP_ENOMEM;
    if (!status) status = read_faiss(&f->index, &f->file, &f->shape, path);
    if (!status) status = check_shape(&f->shape, layout, path);
    if (!status)
        describe(index->describe, sizeof index->describe, f->shape.lists, f->shape.code_count);
    dip_free(path);
    return status;
}

static void close_faiss(dip_index *index)
{
    dip_faiss *f = index->state;
    if (!f) return;
    faiss_Index_free(f->index);
    dip_file_unmap(&f->file);
    dip_free(f);
}

/* --- Update --- */

/* What the new files are made of. */
typedef struct draft {
    FaissIndex *index;
    dip_faiss_shape shape;
    dip_layout layout;
    uint64_t *ids, *removed;
} draft;

/* The base's rows with those to be removed marked, the new ones behind them. */
static dip_status append_rows(draft *d, const dip_index *base, const dip_change *change)
{
    const dip_id_table *table = &base->table;
    size_t old = table->count;
    memcpy(d->ids, table->ids, old * sizeof *d->ids);
    if (table->removed) memcpy(d->removed, table->removed, dip_bit_words(old) * sizeof *d->removed);
    d->layout.count = old + change->n;
    d->layout.live = table->live + change->n;
    for (size_t i = 0; i < change->remove_count; i++) {
        uint32_t row = dip_id_table_find(table, change->remove[i]);
        if (row == DIP_NO_LOCAL || dip_bit(d->removed, row)) continue;
        dip_bit_set(d->removed, row);
        d->layout.live--;
    }
    if (change->n) memcpy(d->ids + old, change->ids, change->n * sizeof *d->ids);
    return add(d->index, &d->shape, change->vectors, change->n, change->name);
}

/* Encodes the live rows again, in the order of their ids, and forgets the removed ones. */
static dip_status compact(draft *d)
{
    size_t live = (size_t)d->layout.live, dim = d->shape.dim;
    dip_id_table table = {0};
    dip_faiss_error error;
    uint64_t *ids = dip_alloc(live * sizeof *ids);
    float *vectors = dip_alloc(live * dim * sizeof *vectors);
    dip_status status = ids && vectors ? DIP_OK : DIP_ENOMEM;
    if (!status)
        status =
            dip_id_table_init(&table, d->ids, d->removed, (size_t)d->layout.count, live, "update");
    for (size_t i = 0; i < live && !status; i++) {
        size_t row = table.locals ? table.locals[i] : i;
        int code = dip_faiss_decode(d->index, row, 1, vectors + i * dim, &error);
        if (code) status = dip_faiss_fail(code, &error, "decode", "a vector");
        ids[i] = table.sorted[i];
    }
    if (!status && faiss_Index_reset(d->index)) status = dip_faiss_fail_c("empty", "the index");
    if (!status) status = add(d->index, &d->shape, vectors, live, "update");
    if (!status) {
        if (live) memcpy(d->ids, ids, live * sizeof *ids);
        memset(d->removed, 0, dip_bit_words((size_t)d->layout.count) * sizeof *d->removed);
        d->layout.count = live;
    }
    dip_id_table_fini(&table);
    dip_free(ids);
    dip_free(vectors);
    return status;
}

static dip_status update(const dip_index *base, const dip_change *change)
{
    const dip_faiss *f = base->state;
    size_t room = base->table.count + change->n;
    draft d = {.layout = base->view.layout};
    d.ids = dip_alloc(room * sizeof *d.ids);
    d.removed = dip_calloc(dip_bit_words(room) + 1, sizeof *d.removed);
    dip_status status = d.ids && d.removed ? DIP_OK : DIP_ENOMEM;
    if (!status) status = read_faiss(&d.index, &f->file, &d.shape, change->name);
    if (!status) status = append_rows(&d, base, change);
    uint64_t gone = d.layout.count - d.layout.live;
    if (!status && gone * 100 > d.layout.count * TOMBSTONE_PERCENT) status = compact(&d);
    if (!status) status = seal(d.index, change->folder, change->name, &d.layout, d.ids, d.removed);
    faiss_Index_free(d.index);
    dip_free(d.ids);
    dip_free(d.removed);
    return status;
}

const dip_engine_ops dip_engine_faiss = {
    .engine = DIP_ENGINE_FAISS,
    .name = "faiss",
    .kind = DIP_LAYOUT_IDS,
    .suffix = ".ids",
    .data_suffix = ".ivfpq",
    .build = build,
    .open = open_faiss,
    .close = close_faiss,
    .scores = dip_faiss_row_scores,
    .search = dip_faiss_search,
    .update = update,
};
