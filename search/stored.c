/* Stored embeddings as a supply; see stored.h. */
#include "search/stored.h"

#include "core/mem.h"
#include "core/parallel.h"

#include <string.h>

enum {
    PIECE = 2048,   /* vectors of a task */
    SLAB = 1 << 16, /* of a read that only the truth wants */
};

typedef struct reading {
    const dip_stored *stored;
    const size_t *rows; /* ascending; NULL: from `first` on */
    size_t first, count;
    float *out;
} reading;

/* For tiles that are gone: of unit norm, like all. */
static void fill_missing(float *out, const bool *found, size_t n, size_t dim)
{
    for (size_t i = 0; i < n; i++) {
        if (found[i]) continue;
        memset(out + i * dim, 0, dim * sizeof *out);
        out[i * dim] = 1;
    }
}

static dip_status read_piece(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const reading *r = context;
    const dip_stored *s = r->stored;
    const size_t begin = task * PIECE, dim = s->supply.dim;
    const size_t n = r->count - begin < PIECE ? r->count - begin : PIECE;
    const uint64_t *ids = s->ids + r->first + begin;
    uint64_t picked[PIECE];
    bool found[PIECE];
    for (size_t i = 0; i < n && r->rows; i++) picked[i] = s->ids[r->rows[begin + i]];
    if (r->rows) ids = picked;
    dip_status status = dip_archive_embeddings_of(s->archive, s->model, s->modality, ids, n, dim,
                                                  r->out + begin * dim, found);
    if (!status) fill_missing(r->out + begin * dim, found, n, dim);
    return status;
}

static dip_status read_all(reading r)
{
    return dip_parallel_for((r.count + PIECE - 1) / PIECE, read_piece, &r);
}

/* Of the rows those that the truth was not told, if they are the next ones. */
static dip_status tell(const dip_stored *s, size_t first, size_t count, const float *rows)
{
    const size_t told = s->truth ? s->truth->n : SIZE_MAX;
    if (first > told || first + count <= told) return DIP_OK;
    return dip_truth_add(s->truth, rows + (told - first) * s->supply.dim, s->ids + told,
                         first + count - told);
}

static dip_status read_rows(void *payload, size_t first, size_t count, float *out)
{
    const dip_stored *s = payload;
    dip_status status = read_all((reading){s, NULL, first, count, out});
    return status ? status : tell(s, first, count, out);
}

static dip_status pick_rows(void *payload, const size_t *rows, size_t count, float *out)
{
    return read_all((reading){payload, rows, 0, count, out});
}

dip_status dip_stored_open(dip_stored *s, const dip_archive *archive, const char *model,
                           uint32_t modality)
{
    dip_embeddings e;
    *s = (dip_stored){.archive = archive, .model = model, .modality = modality};
    dip_status status = dip_archive_embedding_rows(archive, model, modality, &e);
    if (status) return status;
    s->ids = e.ids;
    s->supply = (dip_supply){
        .n = e.n, .dim = e.dim, .ids = e.ids, .read = read_rows, .pick = pick_rows, .payload = s};
    return DIP_OK;
}

void dip_stored_close(dip_stored *s)
{
    dip_ids_free(s->ids);
    *s = (dip_stored){.ids = NULL};
}

dip_status dip_stored_tell_all(dip_stored *s)
{
    const dip_supply *supply = &s->supply;
    if (!s->truth || s->truth->n == supply->n) return DIP_OK;
    float *room = dip_supply_room(supply, SLAB);
    dip_status status = room ? DIP_OK : DIP_ENOMEM;
    while (!status && s->truth->n < supply->n) {
        const size_t left = supply->n - s->truth->n;
        const float *rows;
        status = dip_supply_read(supply, s->truth->n, left < SLAB ? left : SLAB, room, &rows);
    }
    dip_free_aligned(room);
    return status;
}
