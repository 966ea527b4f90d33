/*
 * Reading embeddings.
 *
 * A block's bytes are checked once a call, however many of its vectors are wanted: ids are looked up in ascending
 * order. Reading all of a set goes over the blocks once to count, then decodes them on all threads.
 */
#define _GNU_SOURCE
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "storage/block.h"
#include "core/half.h"
#include "storage/handle.h"

#include <math.h>
#include <stdlib.h>

/* float16 has moved the norm a little. Four sums, in a fixed order. */
static void unpack(float *out, const void *halves, size_t dim)
{
    double sum[4] = {0};
    size_t i = 0;
    dip_half_unpack(out, halves, dim);
    for (; i + 4 <= dim; i += 4)
        for (size_t k = 0; k < 4; k++) sum[k] += (double)out[i + k] * out[i + k];
    for (; i < dim; i++) sum[0] += (double)out[i] * out[i];
    double total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    if (!(total > 0)) return;
    float scale = (float)(1 / sqrt(total));
    for (i = 0; i < dim; i++) out[i] *= scale;
}

static dip_status find_set(const dip_archive *archive, const char *model, uint32_t modality,
                           char name[DIP_SET_NAME_CAPACITY], dip_db *set, bool *found)
{
    dip_status status = dip_set_name(name, archive, model, modality);
    return status ? status : dip_env_find_db(archive->env, name, set, found);
}

static dip_status damaged(dip_status status, const char *set, uint64_t number)
{
    return dip_fail_prefix(status, "'%s', ids %llu to %llu (encode again to heal it)", set,
                           (unsigned long long)number * DIP_BLOCK_IDS,
                           (unsigned long long)number * DIP_BLOCK_IDS + DIP_BLOCK_IDS - 1);
}

/* ---- all of a set ---- */

typedef struct piece {
    uint64_t number;
    size_t first; /* vector of the whole */
    dip_block block;
} piece;

typedef struct gathering {
    const dip_archive *archive;
    const char *name;
    piece *pieces;
    size_t count, capacity;
    dip_embeddings *out;
} gathering;

static dip_status add_piece(gathering *g, const dip_cursor *cursor)
{
    if (dip_array_reserve((void **)&g->pieces, &g->capacity, g->count + 1, sizeof *g->pieces))
        return DIP_ENOMEM;
    piece *p = &g->pieces[g->count];
    if (!dip_key_id(cursor->key, &p->number))
        return dip_fail(DIP_ECORRUPT, "'%s' has a damaged key; run verify", g->name);
    dip_status status =
        dip_block_open(&p->block, cursor->value.data, cursor->value.size, p->number);
    if (status) return damaged(status, g->name, p->number);
    if (g->count && p->block.dim != g->out->dim)
        return damaged(
            dip_fail(DIP_ECORRUPT, "%u dimensions, the others have %zu", p->block.dim, g->out->dim),
            g->name, p->number);
    g->out->dim = p->block.dim;
    p->first = g->out->n;
    g->out->n += p->block.count;
    g->count++;
    return DIP_OK;
}

static dip_status gather(gathering *g, const dip_txn *txn, dip_db set)
{
    dip_cursor cursor;
    dip_status status = dip_cursor_open(&cursor, txn, set, NULL);
    if (status) return status;
    while (!status && !(status = dip_cursor_next(&cursor)) && cursor.key.data)
        status = add_piece(g, &cursor);
    dip_cursor_close(&cursor);
    return status;
}

static void list_ids(const gathering *g, const piece *p)
{
    uint64_t *ids = g->out->ids + p->first;
    for (unsigned slot = 0; slot < DIP_BLOCK_IDS; slot++)
        if (dip_block_has(&p->block, slot)) *ids++ = p->number * DIP_BLOCK_IDS + slot;
}

static dip_status decode_piece(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const gathering *g = context;
    const piece *p = &g->pieces[task];
    size_t dim = p->block.dim;
    list_ids(g, p);
    if (!g->out->vectors) return DIP_OK;
    const void *halves;
    void *scratch =
        dip_codec_borrow(g->archive->codec, (size_t)p->block.count * dim * sizeof(uint16_t));
    if (!scratch) return DIP_ENOMEM;
    dip_status status = dip_block_halves(&p->block, &halves, scratch, g->archive->codec);
    if (status) status = damaged(status, g->name, p->number);
    for (size_t i = 0; i < p->block.count && !status; i++)
        unpack(g->out->vectors + (p->first + i) * dim,
               (const char *)halves + i * dim * sizeof(uint16_t), dim);
    dip_codec_return(g->archive->codec, scratch);
    return status;
}

static dip_status read_set(gathering *g, dip_db set, bool vectors)
{
    dip_txn txn;
    dip_embeddings *out = g->out;
    dip_status status = dip_txn_begin(&txn, g->archive->env);
    if (status) return status;
    status = gather(g, &txn, set);
    if (!status) {
        out->ids = dip_alloc(out->n * sizeof *out->ids);
        if (vectors) out->vectors = dip_alloc_aligned(out->n * out->dim * sizeof *out->vectors);
        if (!out->ids || (vectors && !out->vectors)) status = DIP_ENOMEM;
    }
    if (!status) status = dip_parallel_for(g->count, decode_piece, g);
    dip_txn_end(&txn);
    return status;
}

static dip_status read_embeddings(const dip_archive *archive, const char *model, uint32_t modality,
                                  bool vectors, dip_embeddings *out)
{
    char name[DIP_SET_NAME_CAPACITY];
    dip_db set = 0;
    bool found = false;
    dip_embeddings result = {.n = 0};
    gathering g = {.archive = archive, .name = name, .out = &result};
    dip_status status = find_set(archive, model, modality, name, &set, &found);
    if (!status && found) status = read_set(&g, set, vectors);
    dip_free(g.pieces);
    if (status)
        dip_embeddings_fini(&result);
    else
        *out = result;
    return status;
}

dip_status dip_archive_embeddings(const dip_archive *archive, const char *model, uint32_t modality,
                                  dip_embeddings *out)
{
    return read_embeddings(archive, model, modality, true, out);
}

dip_status dip_archive_embedding_rows(const dip_archive *archive, const char *model,
                                      uint32_t modality, dip_embeddings *out)
{
    return read_embeddings(archive, model, modality, false, out);
}

void dip_embeddings_fini(dip_embeddings *embeddings)
{
    dip_free(embeddings->ids);
    dip_free_aligned(embeddings->vectors);
    *embeddings = (dip_embeddings){.n = 0};
}

/* ---- some of a set ---- */

typedef struct wanted {
    uint64_t id;
    size_t at;
} wanted;

static int by_id(const void *a, const void *b)
{
    const wanted *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

typedef struct lookup {
    const dip_archive *archive;
    const char *model, *name;
    size_t dim;
    float *vectors;
    bool *found;
} lookup;

static dip_status missing(const lookup *l, uint64_t id, size_t at)
{
    if (!l->found)
        return dip_fail(DIP_ENOENT,
                        "tile %llu has no embedding of model '%s'; diptych encode makes it",
                        (unsigned long long)id, l->model);
    l->found[at] = false;
    return DIP_OK;
}

static dip_status copy_vectors(const lookup *l, const dip_block *block, const char *halves,
                               const wanted *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned slot = (unsigned)(list[i].id % DIP_BLOCK_IDS);
        if (!dip_block_has(block, slot)) {
            dip_status status = missing(l, list[i].id, list[i].at);
            if (status) return status;
            continue;
        }
        const char *from = halves + dip_block_rank(block, slot) * l->dim * sizeof(uint16_t);
        unpack(l->vectors + list[i].at * l->dim, from, l->dim);
        if (l->found) l->found[list[i].at] = true;
    }
    return DIP_OK;
}

/* Its checksum is computed once a snapshot. */
static dip_status open_block(const lookup *l, const dip_txn *txn, dip_db set, dip_bytes value,
                             uint64_t number, dip_block *block)
{
    dip_checked_record record = {dip_txn_snapshot(txn), set, number};
    if (dip_checked_has(l->archive->checked, &record))
        return dip_block_peek(block, value.data, value.size);
    dip_status status = dip_block_open(block, value.data, value.size, number);
    if (!status) dip_checked_add(l->archive->checked, &record);
    return status;
}

/* n wanted ids of one block. */
static dip_status read_block(const lookup *l, const dip_txn *txn, dip_db set, const wanted *list,
                             size_t n)
{
    uint64_t number = list[0].id / DIP_BLOCK_IDS;
    dip_id_key key = dip_key_of(number);
    dip_bytes value;
    dip_block block;
    const void *halves;
    dip_status status = dip_txn_get(txn, set, dip_key_bytes(&key), &value);
    if (status) return status;
    if (!value.data) {
        for (size_t i = 0; !status && i < n; i++) status = missing(l, list[i].id, list[i].at);
        return status;
    }
    status = open_block(l, txn, set, value, number, &block);
    if (status) return damaged(status, l->name, number);
    if (block.dim != l->dim)
        return dip_fail(DIP_EMISMATCH, "'%s' has %u dimensions, %zu are asked for", l->name,
                        block.dim, l->dim);
    void *scratch = dip_codec_borrow(l->archive->codec, DIP_BLOCK_IDS * l->dim * sizeof(uint16_t));
    if (!scratch) return DIP_ENOMEM;
    status = dip_block_halves(&block, &halves, scratch, l->archive->codec);
    status = status ? damaged(status, l->name, number) : copy_vectors(l, &block, halves, list, n);
    dip_codec_return(l->archive->codec, scratch);
    return status;
}

static dip_status read_sorted(const lookup *l, const dip_txn *txn, dip_db set, const wanted *list,
                              size_t n)
{
    dip_status status = DIP_OK;
    for (size_t i = 0, end; !status && i < n; i = end) {
        uint64_t number = list[i].id / DIP_BLOCK_IDS;
        for (end = i + 1; end < n && list[end].id / DIP_BLOCK_IDS == number;) end++;
        status = read_block(l, txn, set, list + i, end - i);
    }
    return status;
}

static dip_status look_up(const lookup *l, dip_db set, bool there, const uint64_t *ids, size_t n)
{
    dip_txn txn;
    dip_status status = DIP_OK;
    if (!there) {
        for (size_t i = 0; !status && i < n; i++) status = missing(l, ids[i], i);
        return status;
    }
    wanted *list = dip_alloc(n * sizeof *list);
    if (!list) return DIP_ENOMEM;
    for (size_t i = 0; i < n; i++) list[i] = (wanted){ids[i], i};
    if (n) qsort(list, n, sizeof *list, by_id);
    status = dip_txn_begin(&txn, l->archive->env);
    if (!status) {
        status = read_sorted(l, &txn, set, list, n);
        dip_txn_end(&txn);
    }
    dip_free(list);
    return status;
}

dip_status dip_archive_embeddings_of(const dip_archive *archive, const char *model,
                                     uint32_t modality, const uint64_t *ids, size_t n, size_t dim,
                                     float *vectors, bool *found)
{
    char name[DIP_SET_NAME_CAPACITY];
    dip_db set = 0;
    bool there = false;
    lookup l = {archive, model, name, dim, vectors, found};
    if (dim == 0 || dim > DIP_DIM_MAX)
        return dip_fail(DIP_EINVAL, "embeddings of %zu dimensions; 1 to %d can be stored", dim,
                        DIP_DIM_MAX);
    dip_status status = find_set(archive, model, modality, name, &set, &there);
    return status ? status : look_up(&l, set, there, ids, n);
}

/* ---- what there is ---- */

/* Calls `each` for the blocks of a set that can be read; the others get a warning. */
static dip_status visit_blocks(const dip_archive *archive, const char *name, dip_db set,
                               dip_status (*each)(void *context, uint64_t number,
                                                  const dip_block *block),
                               void *context)
{
    dip_txn txn;
    dip_cursor cursor = {.cursor = NULL};
    dip_status status = dip_txn_begin(&txn, archive->env);
    if (status) return status;
    status = dip_cursor_open(&cursor, &txn, set, NULL);
    while (!status && !(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        dip_block block;
        uint64_t number;
        if (!dip_key_id(cursor.key, &number)) continue;
        if (dip_block_open(&block, cursor.value.data, cursor.value.size, number) == DIP_OK)
            status = each(context, number, &block);
        else
            dip_log(DIP_LOG_WARN, "storage", "damaged embeddings set=%s block=%llu reason=%s", name,
                    (unsigned long long)number, dip_last_error());
    }
    dip_cursor_close(&cursor);
    dip_txn_end(&txn);
    return status;
}

typedef struct id_list {
    uint64_t *ids;
    size_t n, capacity;
} id_list;

static dip_status add_ids(void *context, uint64_t number, const dip_block *block)
{
    id_list *list = context;
    if (dip_array_reserve((void **)&list->ids, &list->capacity, list->n + block->count,
                          sizeof *list->ids))
        return DIP_ENOMEM;
    for (unsigned slot = 0; slot < DIP_BLOCK_IDS; slot++)
        if (dip_block_has(block, slot)) list->ids[list->n++] = number * DIP_BLOCK_IDS + slot;
    return DIP_OK;
}

dip_status dip_archive_embedded_ids(const dip_archive *archive, const char *model,
                                    uint32_t modality, uint64_t **ids, size_t *n)
{
    char name[DIP_SET_NAME_CAPACITY];
    dip_db set = 0;
    bool found = false;
    id_list list = {.ids = NULL};
    dip_status status = find_set(archive, model, modality, name, &set, &found);
    if (!status && found) status = visit_blocks(archive, name, set, add_ids, &list);
    if (status) {
        dip_free(list.ids);
        return status;
    }
    *ids = list.ids;
    *n = list.n;
    return DIP_OK;
}

static dip_status add_count(void *context, uint64_t number, const dip_block *block)
{
    (void)number;
    dip_embedding_set *set = context;
    set->count += block->count;
    set->dim = block->dim;
    return DIP_OK;
}

dip_status dip_archive_embedding_sets(const dip_archive *archive, dip_embedding_set **sets,
                                      size_t *n)
{
    char **names;
    dip_db *dbs;
    size_t count, used = 0;
    dip_status status = dip_env_list_dbs(archive->env, &names, &dbs, &count);
    if (status) return status;
    dip_embedding_set *list = dip_calloc(count, sizeof *list);
    if (!list) status = DIP_ENOMEM;
    for (size_t i = 0; !status && i < count; i++) {
        dip_embedding_set *set = &list[used];
        if (!dip_set_split(archive, names[i], set->model, &set->modality)) continue;
        set->count = 0;
        status = visit_blocks(archive, names[i], dbs[i], add_count, set);
        if (set->count) used++;
    }
    dip_names_free(names, count);
    dip_free(dbs);
    if (status) {
        dip_free(list);
        return status;
    }
    *sets = list;
    *n = used;
    return DIP_OK;
}

void dip_embedding_sets_free(dip_embedding_set *sets) { dip_free(sets); }
