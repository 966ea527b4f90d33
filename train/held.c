/*
 * Measuring held-out pairs; see held.h. Of each direction the pairs are ordered by the rank of the twin, then by its
 * score; the first and the last few are the examples, and only for them all scores are computed again.
 */
#include "train/held.h"

#include "core/mem.h"
#include "core/status.h"
#include "train/blas.h"
#include "train/metrics.h"

#include <stdint.h>
#include <stdlib.h>

enum { EXAMPLES = 4, MOST_COMBINATIONS = 6 };

const size_t dip_held_depths[DIP_HELD_DEPTHS] = {1, 5, DIP_HELD_K};

typedef struct measurement {
    dip_held_recall sum;
    size_t combinations;
    dip_history *examples; /* NULL: none */
    uint64_t step;
    bool labels;
} measurement;

/* Of a direction: the twin's rank and score for each pair. */
typedef struct found {
    size_t pair, rank;
    float score;
} found;

static int by_rank(const void *a, const void *b)
{
    const found *x = a, *y = b;
    if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
    if (x->score < y->score || x->score > y->score) return x->score > y->score ? -1 : 1;
    return (x->pair > y->pair) - (x->pair < y->pair);
}

static dip_status write_example(const measurement *m, const dip_held *held, int side,
                                const char *kind, const found *f, float *scores)
{
    static const char *const hit_names[] = {"hit1", "hit2", "hit3", "hit4", "hit5"};
    static const char *const score_names[] = {"score1", "score2", "score3", "score4", "score5"};
    const dip_dataset *d = held->dataset;
    const uint32_t *gallery = held->tiles[!side];
    uint32_t best[DIP_HELD_HITS];
    size_t n = 5;
    const dip_mark marks[] = {{"from", d->modality[held->modality[side]].name},
                              {"to", d->modality[held->modality[!side]].name}};
    dip_field fields[5 + 2 * DIP_HELD_HITS] = {
        {"probe", (double)d->tiles[held->tiles[side][f->pair]]},
        {"twin", (double)d->tiles[gallery[f->pair]]},
        {"rank", (double)f->rank + 1},
        {"of", (double)held->n}};
    dip_blas_abt(1, held->n, held->dim, 1, held->vectors[side] + f->pair * held->dim,
                 held->vectors[!side], 0, scores);
    fields[4] = (dip_field){"score", (double)scores[f->pair]};
    size_t count = dip_largest(scores, held->n, SIZE_MAX, DIP_HELD_HITS, best);
    for (size_t i = 0; i < count; i++) {
        fields[n++] = (dip_field){hit_names[i], (double)d->tiles[gallery[best[i]]]};
        fields[n++] = (dip_field){score_names[i], (double)scores[best[i]]};
    }
    const dip_history_line line = {kind, m->step, marks, 2, fields, n};
    return dip_history_write(m->examples, &line);
}

static dip_status write_examples(const measurement *m, const dip_held *held, int side,
                                 const found *list)
{
    float *scores = dip_alloc(held->n * sizeof *scores);
    dip_status status = scores ? DIP_OK : DIP_ENOMEM;
    size_t wanted = held->n / 2 < EXAMPLES ? held->n / 2 : EXAMPLES;
    for (size_t i = 0; !status && i < wanted; i++)
        status = write_example(m, held, side, "best", &list[i], scores);
    for (size_t i = 0; !status && i < wanted; i++)
        status = write_example(m, held, side, "worst", &list[held->n - 1 - i], scores);
    dip_free(scores);
    return status;
}

static void list_found(const dip_held *held, int side, const size_t *rank, found *list)
{
    const float *queries = held->vectors[side], *gallery = held->vectors[!side];
    for (size_t i = 0; i < held->n; i++) {
        list[i] = (found){.pair = i, .rank = rank[i]};
        dip_blas_abt(1, 1, held->dim, 1, queries + i * held->dim, gallery + i * held->dim, 0,
                     &list[i].score);
    }
    qsort(list, held->n, sizeof *list, by_rank);
}

static dip_status measure_direction(measurement *m, const dip_held *held, int side)
{
    size_t *rank = dip_alloc(held->n * sizeof *rank);
    found *list = dip_alloc(held->n * sizeof *list);
    dip_status status = rank && list ? DIP_OK : DIP_ENOMEM;
    if (!status)
        status =
            dip_pair_ranks(held->vectors[side], held->vectors[!side], held->n, held->dim, rank);
    for (size_t i = 0; !status && i < DIP_HELD_DEPTHS; i++)
        m->sum.recall[side][i] += dip_share_found(rank, held->n, dip_held_depths[i]);
    if (!status && m->examples && m->combinations < MOST_COMBINATIONS) {
        list_found(held, side, rank, list);
        status = write_examples(m, held, side, list);
    }
    dip_free(rank);
    dip_free(list);
    return status;
}

static dip_status measure(void *context, const dip_held *held)
{
    measurement *m = context;
    dip_status status = DIP_OK;
    for (int side = 0; side < 2 && !status; side++) status = measure_direction(m, held, side);
    m->sum.pairs += held->n;
    m->combinations++;
    if (status || !m->labels || m->combinations > 1) return status;
    return dip_held_label_precision(held, m->sum.labels, &m->sum.label_count);
}

dip_status dip_held_measure(const dip_held_source *source, const char *examples, uint64_t step,
                            bool labels, dip_held_recall *out)
{
    measurement m = {.step = step, .labels = labels};
    dip_status status = examples ? dip_history_open(&m.examples, examples, 0) : DIP_OK;
    if (!status) status = dip_held_each(source, measure, &m);
    dip_history_close(m.examples);
    if (status) return status;
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < DIP_HELD_DEPTHS && m.combinations; i++)
            m.sum.recall[side][i] /= (double)m.combinations;
    *out = m.sum;
    return DIP_OK;
}
