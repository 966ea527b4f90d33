/*
 * Calibration; see calibrate.h.
 *
 * All pairs of a small archive; of a larger one, pairs drawn with replacement. The work is cut into numbered chunks, each
 * with its own random stream, so the quantiles are the same for any number of threads. A chunk that meets pairs of one
 * place only gives up after some tries.
 */
#include "search/calibrate.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "index/dot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNKS = 64, CHUNK_PAIRS = 2048, CHUNK_TRIES = 4 * CHUNK_PAIRS };

typedef struct drawing {
    const dip_calibration_side *from, *to;
    size_t dim;
    uint64_t seed;
    dip_dot_fn dot;
    float *scores; /* (CHUNKS, CHUNK_PAIRS) */
    size_t found[CHUNKS];
} drawing;

/* Scores the pair unless it is of one place; returns how many scores that makes. */
static size_t score_pair(const drawing *d, size_t i, size_t j, float *score)
{
    if (d->from->places[i] == d->to->places[j]) return 0;
    *score = d->dot(d->from->vectors + i * d->dim, d->to->vectors + j * d->dim, d->dim);
    return 1;
}

static dip_status take_chunk(void *context, size_t task, unsigned worker)
{
    drawing *d = context;
    float *scores = d->scores + task * CHUNK_PAIRS;
    size_t all = d->from->n * d->to->n, n = 0;
    (void)worker;
    for (size_t p = task * all / CHUNKS; p < (task + 1) * all / CHUNKS; p++)
        n += score_pair(d, p / d->to->n, p % d->to->n, scores + n);
    d->found[task] = n;
    return DIP_OK;
}

static dip_status draw_chunk(void *context, size_t task, unsigned worker)
{
    drawing *d = context;
    float *scores = d->scores + task * CHUNK_PAIRS;
    size_t n = 0;
    dip_rng rng;
    (void)worker;
    dip_rng_init(&rng, d->seed, task);
    for (int tries = 0; tries < CHUNK_TRIES && n < CHUNK_PAIRS; tries++) {
        size_t i = dip_rng_below(&rng, (uint32_t)d->from->n);
        size_t j = dip_rng_below(&rng, (uint32_t)d->to->n);
        n += score_pair(d, i, j, scores + n);
    }
    d->found[task] = n;
    return DIP_OK;
}

static bool is_small(const drawing *d)
{
    const size_t most = (size_t)CHUNKS * (CHUNK_PAIRS - 1);
    return d->from->n <= most / d->to->n;
}

static int by_score(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static size_t gather(drawing *d)
{
    size_t n = 0;
    for (size_t chunk = 0; chunk < CHUNKS; chunk++) {
        memmove(d->scores + n, d->scores + chunk * CHUNK_PAIRS, d->found[chunk] * sizeof(float));
        n += d->found[chunk];
    }
    return n;
}

dip_status dip_calibrate(const dip_calibration_side *from, const dip_calibration_side *to,
                         size_t dim, uint64_t seed, dip_calibration *out, size_t *pairs)
{
    *pairs = 0;
    if (!from->n || !to->n) return DIP_OK;
    drawing d = {.from = from, .to = to, .dim = dim, .seed = seed, .dot = dip_dot_get()};
    d.scores = dip_alloc((size_t)CHUNKS * CHUNK_PAIRS * sizeof *d.scores);
    if (!d.scores) return DIP_ENOMEM;
    dip_status status = dip_parallel_for(CHUNKS, is_small(&d) ? take_chunk : draw_chunk, &d);
    size_t n = status ? 0 : gather(&d);
    if (n) {
        qsort(d.scores, n, sizeof *d.scores, by_score);
        for (size_t q = 0; q < DIP_CALIBRATION_STEPS; q++)
            out->quantile[q] = d.scores[q * (n - 1) / (DIP_CALIBRATION_STEPS - 1)];
    }
    *pairs = n;
    dip_free(d.scores);
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
