/*
 * Calibration; see calibrate.h.
 *
 * All pairs of a small archive; of a larger one, pairs drawn with replacement. The work is cut into numbered chunks, each
 * with its own random stream; a chunk's vectors are fetched together. A chunk that meets pairs of one place only gives up after
 * some tries.
 */
#include "search/calibrate.h"

#include "core/mem.h"
#include "core/rng.h"
#include "index/dot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNKS = 64, CHUNK_PAIRS = 2048, CHUNK_TRIES = 4 * CHUNK_PAIRS };

typedef struct pair {
    size_t from, to; /* rows */
} pair;

/* A row that is wanted at a place of the chunk. */
typedef struct wanted {
    size_t row, at;
} wanted;

typedef struct drawing {
    const dip_calibration_side *from, *to;
    size_t dim;
    uint64_t seed;
    pair pairs[CHUNK_PAIRS];
    wanted wanted[CHUNK_PAIRS];
    size_t rows[CHUNK_PAIRS];
    float *x, *y, *room; /* (CHUNK_PAIRS, dim) */
    float *scores;       /* (CHUNKS, CHUNK_PAIRS) */
} drawing;

/* Takes the pair unless it is of one place; returns how many that makes. */
static size_t take_pair(const drawing *d, size_t i, size_t j, pair *out)
{
    if (d->from->places[i] == d->to->places[j]) return 0;
    *out = (pair){i, j};
    return 1;
}

static size_t take_chunk(drawing *d, size_t chunk)
{
    const size_t columns = d->to->supply->n, all = d->from->supply->n * columns;
    size_t n = 0;
    for (size_t p = chunk * all / CHUNKS; p < (chunk + 1) * all / CHUNKS; p++)
        n += take_pair(d, p / columns, p % columns, &d->pairs[n]);
    return n;
}

static size_t draw_chunk(drawing *d, size_t chunk)
{
    size_t n = 0;
    dip_rng rng;
    dip_rng_init(&rng, d->seed, chunk);
    for (int tries = 0; tries < CHUNK_TRIES && n < CHUNK_PAIRS; tries++) {
        size_t i = dip_rng_below(&rng, (uint32_t)d->from->supply->n);
        size_t j = dip_rng_below(&rng, (uint32_t)d->to->supply->n);
        n += take_pair(d, i, j, &d->pairs[n]);
    }
    return n;
}

static bool is_small(const drawing *d)
{
    const size_t most = (size_t)CHUNKS * (CHUNK_PAIRS - 1);
    return d->from->supply->n <= most / d->to->supply->n;
}

static int by_row(const void *a, const void *b)
{
    const wanted *x = a, *y = b;
    return (x->row > y->row) - (x->row < y->row);
}

/* The vectors of d->wanted (n), in the order of their places, to out. */
static dip_status fetch(drawing *d, const dip_supply *supply, size_t n, float *out)
{
    const size_t dim = d->dim;
    qsort(d->wanted, n, sizeof *d->wanted, by_row);
    for (size_t i = 0; i < n; i++) d->rows[i] = d->wanted[i].row;
    dip_status status = dip_supply_pick(supply, d->rows, n, d->room);
    for (size_t i = 0; i < n && !status; i++)
        memcpy(out + d->wanted[i].at * dim, d->room + i * dim, dim * sizeof *out);
    return status;
}

/* Scores of the n pairs of the chunk. */
static dip_status score_chunk(drawing *d, size_t n, float *scores)
{
    const dip_dot_fn dot = dip_dot_get();
    for (size_t i = 0; i < n; i++) d->wanted[i] = (wanted){d->pairs[i].from, i};
    dip_status status = fetch(d, d->from->supply, n, d->x);
    for (size_t i = 0; i < n; i++) d->wanted[i] = (wanted){d->pairs[i].to, i};
    if (!status) status = fetch(d, d->to->supply, n, d->y);
    for (size_t i = 0; i < n && !status; i++)
        scores[i] = dot(d->x + i * d->dim, d->y + i * d->dim, d->dim);
    return status;
}

static dip_status score_all(drawing *d, size_t *pairs)
{
    const bool small = is_small(d);
    dip_status status = DIP_OK;
    for (size_t chunk = 0; chunk < CHUNKS && !status; chunk++) {
        const size_t n = small ? take_chunk(d, chunk) : draw_chunk(d, chunk);
        status = score_chunk(d, n, d->scores + *pairs);
        *pairs += n;
    }
    return status;
}

static int by_score(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static dip_status calibrate(drawing *d, dip_calibration *out, size_t *pairs)
{
    const size_t values = CHUNK_PAIRS * d->dim;
    d->scores = dip_alloc((size_t)CHUNKS * CHUNK_PAIRS * sizeof *d->scores);
    d->x = dip_alloc_aligned(3 * values * sizeof *d->x);
    if (!d->scores || !d->x) return DIP_ENOMEM;
    d->y = d->x + values;
    d->room = d->y + values;
    dip_status status = score_all(d, pairs);
    if (status || !*pairs) return status;
    qsort(d->scores, *pairs, sizeof *d->scores, by_score);
    for (size_t q = 0; q < DIP_CALIBRATION_STEPS; q++)
        out->quantile[q] = d->scores[q * (*pairs - 1) / (DIP_CALIBRATION_STEPS - 1)];
    return DIP_OK;
}

dip_status dip_calibrate(const dip_calibration_side *from, const dip_calibration_side *to,
                         uint64_t seed, dip_calibration *out, size_t *pairs)
{
    *pairs = 0;
    if (!from->supply->n || !to->supply->n) return DIP_OK;
    drawing *d = dip_calloc(1, sizeof *d);
    if (!d) return DIP_ENOMEM;
    d->from = from;
    d->to = to;
    d->dim = from->supply->dim;
    d->seed = seed;
    dip_status status = calibrate(d, out, pairs);
    dip_free(d->scores);
    dip_free_aligned(d->x);
    dip_free(d);
    return status;
}

float dip_calibration_percentile(const dip_calibration *calibration, float score)
{
    if (!calibration) return NAN;
    const float *q = calibration->quantile;
    size_t low = 0, high = DIP_CALIBRATION_STEPS; /* the first quantile that is not below score */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (q[middle] < score)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return 0;
    if (low == DIP_CALIBRATION_STEPS) return 100;
    float below = q[low - 1], above = q[low];
    float part = above > below ? (score - below) / (above - below) : 0;
    return 100 * ((float)(low - 1) + part) / (DIP_CALIBRATION_STEPS - 1);
}

const dip_calibration *dip_calibration_find(const dip_manifest *manifest, const char *from,
                                            const char *to)
{
    for (uint32_t i = 0; i < manifest->calibration_count; i++) {
        const dip_calibration *c = &manifest->calibrations[i];
        if (!strcmp(c->from, from) && !strcmp(c->to, to)) return c;
    }
    return NULL;
}
