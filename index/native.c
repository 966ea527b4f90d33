/* The native engine: building, opening, closing; see native.h. native_search.c searches, native_update.c updates. */
#include "index/native.h"

#include "core/mem.h"
#include "index/faiss.h"
#include "index/segment_build.h"

#include <stdio.h>
#include <string.h>

enum { COLD = 64 }; /* a file just opened may not be in memory */

static dip_status build(const dip_build *b)
{
    const dip_supply *s = b->supply;
    dip_shelves shelves = {.count = 0};
    dip_coded coded;
    char *path = dip_index_path(b->folder, b->name, dip_engine_native.suffix);
    char *delta = dip_index_path(b->folder, b->name, DIP_NATIVE_DELTA);
    dip_status status = path && delta ? DIP_OK : DIP_ENOMEM;
    if (!status)
        status = dip_shelves_init(&shelves, b->folder, b->recipe.refinement, s->n, b->recipe.lists,
                                  s->dim);
    if (!status) status = dip_faiss_code(&coded, NULL, &shelves, b);
    if (!status) {
        dip_segment_input input = {.coded = &coded,
                                   .ids = s->ids,
                                   .shelves = &shelves,
                                   .spread = dip_shelves_spread(&shelves),
                                   .nprobe = dip_faiss_first_nprobe(b->recipe.lists),
                                   .depth = DIP_FIRST_DEPTH,
                                   .seed = b->recipe.seed,
                                   .name = b->name,
                                   .progress = b->progress};
        status = dip_segment_build(path, &input);
        dip_coded_fini(&coded);
    }
    if (!status) status = dip_file_remove(delta);
    dip_shelves_fini(&shelves);
    dip_free(path);
    dip_free(delta);
    return status;
}

static void describe(char *out, size_t room, const dip_native *native)
{
    const dip_segment_shape *shape = &native->segment.shape;
    int length = snprintf(out, room, "IVF%u,PQ%ux4fsr,Refine(%s)", shape->lists, shape->code_count,
                          shape->refinement == DIP_REFINE_HALF ? "SQfp16" : "int8");
    unsigned long long later = native->delta.layout.count;
    if (later) snprintf(out + length, room - (size_t)length, " + %llu", later);
}

static dip_status open_delta(dip_native *native, const char *path)
{
    const dip_segment *g = &native->segment;
    dip_status status = dip_layout_open(&native->delta, &native->map, path);
    if (status) return status;
    const dip_layout *d = &native->delta.layout;
    if (d->kind == DIP_LAYOUT_DELTA && d->faiss_hash == g->header_hash &&
        d->faiss_bytes == g->map.length && d->base == g->shape.count && d->dim == g->shape.dim)
        return DIP_OK;
    return dip_fail(DIP_ECORRUPT,
                    "'%s' does not belong to the segment beside it; run diptych index again", path);
}

/* The ids and the removed bits of all rows. */
static dip_status join_rows(dip_index *index, dip_native *native, const char *path)
{
    const dip_layout_view *d = &native->delta;
    size_t base = native->segment.shape.count, count = base + d->layout.count;
    native->ids = dip_alloc((count + 1) * sizeof *native->ids);
    native->removed = dip_calloc(dip_bit_words(count) + 1, sizeof *native->removed);
    if (!native->ids || !native->removed) return DIP_ENOMEM;
    dip_segment_ids(&native->segment, 0, base, native->ids);
    if (d->layout.count) memcpy(native->ids + base, d->ids, d->layout.count * sizeof *native->ids);
    memcpy(native->removed, d->removed, dip_bit_words(base) * sizeof *native->removed);
    return dip_id_table_init(&index->table, native->ids, native->removed, count, d->layout.live,
                             path);
}

static dip_status open_files(dip_index *index, dip_native *native, const char *path,
                             const char *delta)
{
    dip_status status = dip_segment_open(&native->segment, path);
    if (status) return status;
    const dip_segment *g = &native->segment;
    index->view.layout = (dip_layout){.count = g->shape.count,
                                      .live = g->shape.count,
                                      .dim = g->shape.dim,
                                      .lists = g->shape.lists,
                                      .code_count = g->shape.code_count,
                                      .nprobe = g->shape.nprobe,
                                      .depth = g->shape.depth,
                                      .seed = g->shape.seed};
    index->table = (dip_id_table){.ids = g->ids,
                                  .bits = g->id_bits,
                                  .count = g->shape.count,
                                  .live = g->shape.count,
                                  .sorted = g->ids};
    if (dip_file_exists(delta)) {
        status = open_delta(native, delta);
        return status ? status : join_rows(index, native, delta);
    }
    /* A generation that is removed at this moment loses its name first: then there may have been a delta. */
    if (dip_file_exists(path)) return DIP_OK;
    return dip_fail(DIP_ENOENT, "'%s' was removed while it was opened", path);
}

static dip_status open_native(dip_index *index, const char *folder, const char *name)
{
    dip_native *native = dip_calloc(1, sizeof *native);
    char *path = dip_index_path(folder, name, dip_engine_native.suffix);
    char *delta = dip_index_path(folder, name, DIP_NATIVE_DELTA);
    dip_status status = native && path && delta ? DIP_OK : DIP_ENOMEM;
    if (native) {
        pthread_mutex_init(&native->lock, NULL);
        native->kernel = dip_native_kernel_get();
        native->cold = COLD;
        index->state = native; /* closed with the index, whatever happens */
    }
    if (!status) status = open_files(index, native, path, delta);
    if (!status) describe(index->describe, sizeof index->describe, native);
    if (native)
        native->path = path;
    else
        dip_free(path);
    dip_free(delta);
    return status;
}

static void close_native(dip_index *index)
{
    dip_native *native = index->state;
    if (!native) return;
    while (native->idle) {
        dip_native_scratch *next = native->idle->next;
        dip_native_scratch_free(native->idle);
        native->idle = next;
    }
    pthread_mutex_destroy(&native->lock);
    dip_free(native->path);
    dip_free(native->ids);
    dip_free(native->removed);
    dip_file_unmap(&native->map);
    dip_segment_close(&native->segment);
    dip_free(native);
}

const dip_engine_ops dip_engine_native = {
    .engine = DIP_ENGINE_NATIVE,
    .name = "native",
    .suffix = ".segment",
    .data_suffix = DIP_NATIVE_DELTA,
    .build = build,
    .open = open_native,
    .close = close_native,
    .scores = dip_native_row_scores,
    .behind = dip_native_behind,
    .search = dip_native_search,
    .narrow = dip_native_narrow,
    .update = dip_native_update,
};
