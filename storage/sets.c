/*
 * Sets of embeddings: their names, and writing them.
 *
 * Vectors given in one call are sorted by id, so that every block of ids is read, merged and put once. A block that
 * turns out to be damaged is dropped with a warning: its other ids then have no embedding, and encoding again fills
 * them in.
 */
#define _GNU_SOURCE
#include "core/log.h"
#include "core/mem.h"
#include "storage/block.h"
#include "core/half.h"
#include "storage/handle.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- names ---- */

#define PREFIX "embedding."

static bool good_model(const char *model)
{
    size_t length = strlen(model);
    if (length == 0 || length >= DIP_MODEL_CAPACITY || strchr(model, '/')) return false;
    for (const char *at = model; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 127) return false;
    return true;
}

dip_status dip_set_name(char name[DIP_SET_NAME_CAPACITY], const dip_archive *archive,
                        const char *model, uint32_t modality)
{
    dip_status status = dip_archive_check_modality(archive, modality);
    if (status) return status;
    if (!good_model(model))
        return dip_fail(DIP_EINVAL, "'%.40s' cannot be a model's id: 1 to %d characters, no slash",
                        model, DIP_MODEL_CAPACITY - 1);
    snprintf(name, DIP_SET_NAME_CAPACITY, PREFIX "%s.%s", model,
             dip_archive_modality(archive, modality)->name);
    return DIP_OK;
}

bool dip_set_split(const dip_archive *archive, const char *name, char model[DIP_MODEL_CAPACITY],
                   uint32_t *modality)
{
    size_t head = strlen(PREFIX);
    if (strncmp(name, PREFIX, head)) return false;
    const char *dot = strrchr(name + head, '.'); /* a modality's name has none */
    if (!dot || (size_t)(dot - name) - head >= DIP_MODEL_CAPACITY || dot == name + head)
        return false;
    int position = dip_archive_find_modality(archive, dot + 1);
    if (position < 0) return false;
    memcpy(model, name + head, (size_t)(dot - name) - head);
    model[(size_t)(dot - name) - head] = '\0';
    *modality = (uint32_t)position;
    return true;
}

/* ---- adding ---- */

typedef struct place_in_call {
    uint64_t id;
    size_t at;
} place_in_call;

static int by_id(const void *a, const void *b)
{
    const place_in_call *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static dip_status check_vector(uint64_t id, const float *vector, size_t dim)
{
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (double)vector[i] * vector[i];
    if (fabs(sum - 1) < 0.01) return DIP_OK; /* false for NaN and infinity */
    return dip_fail(DIP_EINVAL, "embedding of tile %llu has the norm %g, expected 1",
                    (unsigned long long)id, sqrt(sum));
}

static dip_status check_owner(const dip_batch *batch, uint64_t id, uint32_t modality)
{
    dip_id_key key = dip_key_of(id);
    dip_bytes value;
    dip_meta meta;
    dip_status status =
        dip_txn_get(dip_write_txn(batch->write), DIP_DB_META, dip_key_bytes(&key), &value);
    if (!status && !value.data)
        status = dip_fail(DIP_ENOENT, "an embedding is for tile %llu, which archive '%s' has not",
                          (unsigned long long)id, batch->archive->path);
    if (!status) status = dip_meta_decode(&meta, value, id);
    if (!status && meta.modality != modality)
        status = dip_fail(
            DIP_EMISMATCH, "an embedding of modality '%s' is for tile %llu, which is of another",
            dip_archive_modality(batch->archive, modality)->name, (unsigned long long)id);
    return status;
}

/* Dimension of the first block that can be read; 0 if there is none. */
static dip_status find_dim(const dip_txn *txn, dip_db set, size_t *dim)
{
    dip_cursor cursor;
    dip_status status = dip_cursor_open(&cursor, txn, set, NULL);
    *dim = 0;
    if (status) return status;
    while (!*dim && !(status = dip_cursor_next(&cursor)) && cursor.key.data) {
        dip_block block;
        uint64_t number;
        if (dip_key_id(cursor.key, &number) &&
            !dip_block_open(&block, cursor.value.data, cursor.value.size, number))
            *dim = block.dim;
    }
    dip_cursor_close(&cursor);
    return status;
}

static int known_set(const dip_batch *batch, const char *name)
{
    for (size_t i = 0; i < batch->set_count; i++)
        if (!strcmp(batch->set_names[i], name)) return (int)i;
    return -1;
}

/* A new set: room in the batch's list first, so that nothing can fail after it was made. */
static dip_status make_set(dip_batch *batch, const char *name, dip_db *set)
{
    char *copy = dip_strdup(name);
    char **names = dip_realloc(batch->set_names, (batch->set_count + 1) * sizeof *names);
    if (names) batch->set_names = names;
    dip_db *sets = dip_realloc(batch->sets, (batch->set_count + 1) * sizeof *sets);
    if (sets) batch->sets = sets;
    dip_status status = copy && names && sets ? DIP_OK : DIP_ENOMEM;
    if (!status) status = dip_batch_broken(batch, dip_write_db(batch->write, name, set));
    if (status) {
        dip_free(copy);
        return status;
    }
    batch->set_names[batch->set_count] = copy;
    batch->sets[batch->set_count++] = *set;
    return DIP_OK;
}

static dip_status check_call(dip_batch *batch, uint32_t modality, const place_in_call *order,
                             const float *vectors, size_t n, size_t dim)
{
    dip_status status = DIP_OK;
    if (dim == 0 || dim > DIP_DIM_MAX)
        return dip_fail(DIP_EINVAL, "embeddings of %zu dimensions; 1 to %d can be stored", dim,
                        DIP_DIM_MAX);
    for (size_t i = 0; !status && i < n; i++) {
        status = check_owner(batch, order[i].id, modality);
        if (!status) status = check_vector(order[i].id, vectors + order[i].at * dim, dim);
    }
    return status;
}

static dip_status check_dim(const dip_batch *batch, dip_db set, const char *name, size_t dim)
{
    size_t there;
    dip_status status = find_dim(dip_write_txn(batch->write), set, &there);
    if (!status && there && there != dim)
        status = dip_fail(DIP_EMISMATCH,
                          "'%s' has %zu dimensions, not %zu; give the other model another name",
                          name, there, dim);
    return status;
}

/* A block being changed: float16 vectors by slot. */
typedef struct editing {
    uint64_t number;
    dip_block block;
    uint16_t *slots;  /* (DIP_BLOCK_IDS, dim) */
    uint16_t *packed; /* (DIP_BLOCK_IDS, dim), scratch */
} editing;

/* Opens the stored block, which may be missing or damaged: then *opened is false. */
static dip_status open_stored(dip_batch *batch, dip_db set, uint64_t number, dip_block *block,
                              bool *there, bool *opened, size_t *size)
{
    dip_id_key key = dip_key_of(number);
    dip_bytes value;
    dip_status status = dip_txn_get(dip_write_txn(batch->write), set, dip_key_bytes(&key), &value);
    *there = value.data != NULL;
    *opened = false;
    *size = value.size;
    if (status || !*there) return status;
    if (dip_block_open(block, value.data, value.size, number) == DIP_OK) {
        *opened = true;
        return DIP_OK;
    }
    dip_log(DIP_LOG_WARN, "storage", "dropping damaged embeddings ids=%llu..%llu reason=%s",
            (unsigned long long)number * DIP_BLOCK_IDS,
            (unsigned long long)number * DIP_BLOCK_IDS + DIP_BLOCK_IDS - 1, dip_last_error());
    batch->recount_sets = true;
    return DIP_OK;
}

/* Fills the slots of what is there. */
static dip_status load_slots(dip_batch *batch, editing *e)
{
    const void *halves;
    dip_status status = dip_block_halves(&e->block, &halves, e->packed, batch->archive->codec);
    if (status) return status;
    const uint8_t *at = halves;
    size_t bytes = e->block.dim * sizeof(uint16_t);
    for (unsigned slot = 0; slot < DIP_BLOCK_IDS; slot++) {
        if (!dip_block_has(&e->block, slot)) continue;
        memcpy(e->slots + slot * e->block.dim, at, bytes);
        at += bytes;
    }
    return DIP_OK;
}

/* Encodes the present slots into the batch's record and puts it. */
static dip_status store_slots(dip_batch *batch, dip_db set, editing *e)
{
    size_t dim = e->block.dim, count = 0;
    for (unsigned slot = 0; slot < DIP_BLOCK_IDS; slot++)
        if (dip_block_has(&e->block, slot))
            memcpy(e->packed + count++ * dim, e->slots + slot * dim, dim * sizeof(uint16_t));
    e->block.count = (uint32_t)count;
    dip_id_key key = dip_key_of(e->number);
    if (count == 0) return dip_batch_delete(batch, set, dip_key_bytes(&key));
    dip_status status =
        dip_block_encode(&batch->record, e->number, &e->block, e->packed, batch->archive->codec);
    if (status) return dip_batch_broken(batch, status);
    batch->totals.embedding_bytes += batch->record.size;
    batch->totals.embeddings += count;
    return dip_batch_put(batch, set, dip_key_bytes(&key), &batch->record);
}

static dip_status begin_edit(dip_batch *batch, editing *e, uint64_t number, size_t dim)
{
    size_t bytes = DIP_BLOCK_IDS * dim * sizeof(uint16_t);
    e->number = number;
    e->slots = dip_codec_borrow(batch->archive->codec, 2 * bytes);
    if (!e->slots) return DIP_ENOMEM;
    e->packed = e->slots + DIP_BLOCK_IDS * dim;
    return DIP_OK;
}

/* Puts n vectors, all of one block and sorted. */
static dip_status merge(dip_batch *batch, dip_db set, const place_in_call *order, size_t n,
                        const float *vectors, size_t dim)
{
    editing e;
    bool there, opened;
    size_t size;
    uint64_t number = order[0].id / DIP_BLOCK_IDS;
    dip_status status = begin_edit(batch, &e, number, dim);
    if (status) return status;
    status = open_stored(batch, set, number, &e.block, &there, &opened, &size);
    if (!status && opened && e.block.dim != dim)
        status = dip_fail(DIP_EMISMATCH, "stored embeddings have %u dimensions, not %zu",
                          e.block.dim, dim);
    if (!status && opened) {
        status = load_slots(batch, &e);
        batch->totals.embedding_bytes -= size;
        batch->totals.embeddings -= e.block.count;
    } else if (!status) {
        e.block = (dip_block){.dim = (uint32_t)dim};
    }
    for (size_t i = 0; !status && i < n; i++) {
        unsigned slot = (unsigned)(order[i].id % DIP_BLOCK_IDS);
        dip_half_pack(e.slots + slot * dim, vectors + order[i].at * dim, dim);
        e.block.present[slot >> 3] |= (uint8_t)(1u << (slot & 7));
    }
    if (!status) status = store_slots(batch, set, &e);
    dip_codec_return(batch->archive->codec, e.slots);
    return dip_batch_broken(batch, status);
}

static dip_status add_sorted(dip_batch *batch, dip_db set, const place_in_call *order,
                             const float *vectors, size_t n, size_t dim)
{
    dip_status status = DIP_OK;
    for (size_t i = 0, end; !status && i < n; i = end) {
        uint64_t number = order[i].id / DIP_BLOCK_IDS;
        for (end = i + 1; end < n && order[end].id / DIP_BLOCK_IDS == number;) end++;
        status = merge(batch, set, order + i, end - i, vectors, dim);
    }
    return status;
}

dip_status dip_batch_add_embeddings(dip_batch *batch, const char *model, uint32_t modality,
                                    const uint64_t *ids, const float *vectors, size_t n, size_t dim)
{
    char name[DIP_SET_NAME_CAPACITY];
    dip_db set;
    dip_status status = dip_env_check_writable_here(batch->archive->env);
    if (!status) status = dip_set_name(name, batch->archive, model, modality);
    if (status || n == 0) return status;
    place_in_call *order = dip_alloc(n * sizeof *order);
    if (!order) return DIP_ENOMEM;
    for (size_t i = 0; i < n; i++) order[i] = (place_in_call){ids[i], i};
    qsort(order, n, sizeof *order, by_id);
    status = check_call(batch, modality, order, vectors, n, dim);
    int known = known_set(batch, name);
    if (!status && known >= 0) {
        set = batch->sets[known];
        status = check_dim(batch, set, name, dim);
    } else if (!status) {
        status = make_set(batch, name, &set);
    }
    if (!status) status = add_sorted(batch, set, order, vectors, n, dim);
    dip_free(order);
    return status;
}

/* ---- removing ---- */

static dip_status forget_slot(dip_batch *batch, dip_db set, const dip_block *block, size_t size,
                              uint64_t id)
{
    editing e;
    unsigned slot = (unsigned)(id % DIP_BLOCK_IDS);
    dip_status status = begin_edit(batch, &e, id / DIP_BLOCK_IDS, block->dim);
    if (status) return status;
    e.block = *block;
    status = load_slots(batch, &e);
    if (!status) {
        batch->totals.embedding_bytes -= size;
        batch->totals.embeddings -= block->count;
        e.block.present[slot >> 3] &= (uint8_t) ~(1u << (slot & 7));
        status = store_slots(batch, set, &e);
    }
    dip_codec_return(batch->archive->codec, e.slots);
    return status;
}

dip_status dip_set_forget(dip_batch *batch, dip_db set, uint64_t id, bool *found)
{
    dip_block block;
    bool there, opened;
    size_t size;
    dip_id_key key = dip_key_of(id / DIP_BLOCK_IDS);
    dip_status status = open_stored(batch, set, id / DIP_BLOCK_IDS, &block, &there, &opened, &size);
    *found = there && (!opened || dip_block_has(&block, (unsigned)(id % DIP_BLOCK_IDS)));
    if (status || !*found) return status;
    if (!opened) return dip_batch_delete(batch, set, dip_key_bytes(&key));
    return dip_batch_broken(batch, forget_slot(batch, set, &block, size, id));
}

dip_status dip_batch_drop_embeddings(dip_batch *batch, const char *model)
{
    char other[DIP_MODEL_CAPACITY];
    uint32_t modality;
    dip_status status = dip_env_check_writable_here(batch->archive->env);
    for (size_t i = 0; !status && i < batch->set_count; i++) {
        if (!dip_set_split(batch->archive, batch->set_names[i], other, &modality) ||
            strcmp(model, other) != 0)
            continue;
        status = dip_batch_broken(batch, dip_write_clear(batch->write, batch->sets[i]));
        batch->changed = batch->recount_sets = true;
    }
    return status;
}
