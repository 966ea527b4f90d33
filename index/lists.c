/* Training of lists in two levels, and the way of a vector to its list; see lists.h. */
#include "index/lists.h"

#include "core/hash.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "index/dot.h"
#include "index/faiss.h"
#include "index/index.h"
#include "index/nearest.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    ONE_LEVEL = 256, /* fewer lists are one group */
    POINTS = 128,    /* of the sample, a list */
    MANY_LISTS = 8192,
    FEW_POINTS = 64, /* a list, if there are many */
    ROUNDS = 2,
    ENOUGH_POINTS = 30, /* a list, that vectors may be held out */
};

void dip_lists_fini(dip_lists *l)
{
    dip_free_aligned(l->centroids);
    dip_free_aligned(l->group_centroids);
    dip_free(l->group_first);
    *l = (dip_lists){0};
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* ---- training ---- */

typedef struct training {
    dip_lists *lists;
    uint64_t seed;
    float *sample; /* (n, dim), after grouping group by group */
    size_t n;
    uint32_t *nearest;   /* n */
    size_t *group_start; /* (groups + 1), in the sample */
    const dip_progress *progress;
    const char *name;
} training;

static dip_status tick(const training *t, size_t done)
{
    enum { STEPS = 2 + ROUNDS };
    if (!dip_progress_tick(t->progress, "clustering", done, STEPS)) return DIP_OK;
    return dip_fail(DIP_ECANCEL, "building index '%s' was stopped", t->name);
}

bool dip_index_holds_out(uint64_t id)
{
    enum { ONE_IN = 8 };
    return dip_hash64(&id, sizeof id) % ONE_IN == 0;
}

static bool held_out(const dip_supply *s, size_t row)
{
    return dip_index_holds_out(s->ids ? s->ids[row] : row);
}

/* Ranks among the rows that are not held out to rows; both ascend. */
static void pass_over_held_out(const dip_supply *supply, size_t *ranks, size_t n)
{
    for (size_t i = 0, row = 0, rank = 0; i < n; row++) {
        if (held_out(supply, row)) continue;
        if (rank++ == ranks[i]) ranks[i++] = row;
    }
}

/* One from each of equal stretches, at random: from all over the set, without its rhythm. */
static dip_status take_sample(training *t, const dip_supply *supply)
{
    size_t dim = t->lists->dim, lists = t->lists->lists, n = 0;
    for (size_t row = 0; row < supply->n; row++) n += !held_out(supply, row);
    const bool all = n < lists * ENOUGH_POINTS;
    if (all) n = supply->n;
    t->n = smaller(n, lists * (lists < MANY_LISTS ? POINTS : FEW_POINTS));
    t->sample = dip_alloc_aligned(t->n * dim * sizeof(float));
    t->nearest = dip_alloc(t->n * sizeof *t->nearest);
    size_t *rows = dip_alloc(t->n * sizeof *rows);
    dip_status status = t->sample && t->nearest && rows ? DIP_OK : DIP_ENOMEM;
    dip_rng rng;
    dip_rng_init(&rng, t->seed, 0);
    for (size_t i = 0; i < t->n && !status; i++) {
        size_t begin = i * n / t->n, end = (i + 1) * n / t->n;
        rows[i] = begin + dip_rng_below(&rng, (uint32_t)(end - begin));
    }
    if (!status && !all) pass_over_held_out(supply, rows, t->n);
    if (!status) status = dip_supply_pick(supply, rows, t->n, t->sample);
    dip_free(rows);
    return status;
}

/* Sorts the sample by group, in order within a group. */
static dip_status sort_sample(training *t, const int64_t *group)
{
    size_t dim = t->lists->dim, groups = t->lists->groups;
    float *sorted = dip_alloc_aligned(t->n * dim * sizeof(float));
    size_t *at = dip_calloc(groups + 1, sizeof *at);
    t->group_start = dip_calloc(groups + 1, sizeof *t->group_start);
    dip_status status = sorted && at && t->group_start ? DIP_OK : DIP_ENOMEM;
    if (!status) {
        for (size_t i = 0; i < t->n; i++) t->group_start[group[i] + 1]++;
        for (size_t g = 0; g < groups; g++) t->group_start[g + 1] += t->group_start[g];
        memcpy(at, t->group_start, groups * sizeof *at);
        for (size_t i = 0; i < t->n; i++)
            memcpy(sorted + at[group[i]]++ * dim, t->sample + i * dim, dim * sizeof(float));
        dip_free_aligned(t->sample);
        t->sample = sorted;
        sorted = NULL;
    }
    dip_free_aligned(sorted);
    dip_free(at);
    return status;
}

static dip_status make_groups(training *t)
{
    dip_lists *l = t->lists;
    int64_t *group = dip_alloc(t->n * sizeof *group);
    dip_status status = group ? DIP_OK : DIP_ENOMEM;
    if (!status)
        status = dip_faiss_cluster(t->sample, t->n, l->dim, l->groups, t->seed, l->group_centroids,
                                   t->name);
    if (!status)
        status = dip_nearest(t->sample, t->n, l->group_centroids, l->groups, l->dim, group, NULL);
    if (!status) status = sort_sample(t, group);
    dip_free(group);
    return status;
}

/* Lists by share of the sample: rounded down, the rest to the groups with most vectors a list. None gets more lists
 * than it has vectors, so no list is made of nothing. */
static void share_lists(training *t)
{
    dip_lists *l = t->lists;
    size_t given = 0;
    uint32_t *count = l->group_first + 1;
    for (size_t g = 0; g < l->groups; g++) {
        size_t members = t->group_start[g + 1] - t->group_start[g];
        count[g] = (uint32_t)(l->lists * members / t->n);
        if (members && !count[g]) count[g] = 1;
        given += count[g];
    }
    while (given != l->lists) {
        size_t best = 0;
        double most = -1;
        for (size_t g = 0; g < l->groups; g++) {
            double members = (double)(t->group_start[g + 1] - t->group_start[g]);
            bool more = given < l->lists;
            if (more ? count[g] >= members : count[g] <= 1) continue;
            double need = more ? members / (count[g] + 1.0) : count[g] / (members + 1);
            if (need > most) {
                most = need;
                best = g;
            }
        }
        if (given < l->lists)
            count[best]++, given++;
        else
            count[best]--, given--;
    }
    for (size_t g = 0; g < l->groups; g++) l->group_first[g + 1] += l->group_first[g];
}

static dip_status split_group(void *context, size_t g, unsigned worker)
{
    (void)worker;
    const training *t = context;
    const dip_lists *l = t->lists;
    size_t first = l->group_first[g], lists = l->group_first[g + 1] - first;
    size_t begin = t->group_start[g], n = t->group_start[g + 1] - begin;
    if (!lists) return DIP_OK;
    return dip_faiss_cluster(t->sample + begin * l->dim, n, l->dim, lists, t->seed + g + 1,
                             l->centroids + first * l->dim, t->name);
}

/* Every centroid to the mean of its vectors; one that has none stays. */
static dip_status one_round(training *t)
{
    dip_lists *l = t->lists;
    size_t dim = l->dim;
    double *sums = dip_calloc(l->lists * dim, sizeof *sums);
    uint32_t *counts = dip_calloc(l->lists, sizeof *counts);
    dip_status status = sums && counts ? DIP_OK : DIP_ENOMEM;
    if (!status) status = dip_lists_assign(l, t->sample, t->n, t->nearest);
    for (size_t i = 0; i < t->n && !status; i++) {
        double *sum = sums + t->nearest[i] * dim;
        counts[t->nearest[i]]++;
        for (size_t j = 0; j < dim; j++) sum[j] += (double)t->sample[i * dim + j];
    }
    for (size_t c = 0; c < l->lists && !status; c++)
        for (size_t j = 0; j < dim && counts[c]; j++)
            l->centroids[c * dim + j] = (float)(sums[c * dim + j] / counts[c]);
    dip_free(sums);
    dip_free(counts);
    return status;
}

float dip_lists_scale(const float *centroid, size_t dim)
{
    enum {
        SPARE = 8
    }; /* bits of a mantissa that stay 0, so that products with up to 127 are exact */
    float largest = 1e-30F;
    for (size_t j = 0; j < dim; j++) largest = fmaxf(largest, fabsf(centroid[j]));
    uint32_t bits;
    largest /= 127;
    memcpy(&bits, &largest, sizeof bits);
    bits = (bits + (1U << SPARE) - 1) >> SPARE << SPARE;
    memcpy(&largest, &bits, sizeof bits);
    return largest;
}

/* Centroids as an index keeps them, bytes with a scale, before anything is measured from them. */
static void round_centroids(dip_lists *l)
{
    for (size_t i = 0; i < l->lists; i++) {
        float *c = l->centroids + i * l->dim;
        const float scale = dip_lists_scale(c, l->dim);
        for (size_t j = 0; j < l->dim; j++) c[j] = scale * rintf(c[j] / scale);
    }
}

/* The groups' centroids again, as the means of their lists'. */
static void centre_groups(dip_lists *l)
{
    for (size_t g = 0; g < l->groups; g++) {
        size_t first = l->group_first[g], end = l->group_first[g + 1];
        if (first == end) memset(l->group_centroids + g * l->dim, 0, l->dim * sizeof(float));
        for (size_t j = 0; j < l->dim && first < end; j++) {
            double sum = 0;
            for (size_t c = first; c < end; c++) sum += (double)l->centroids[c * l->dim + j];
            l->group_centroids[g * l->dim + j] = (float)(sum / (double)(end - first));
        }
    }
}

static dip_status train_two_levels(training *t)
{
    dip_status status = tick(t, 0);
    if (!status) status = make_groups(t);
    if (!status) status = tick(t, 1);
    if (!status) {
        share_lists(t);
        status = dip_parallel_for(t->lists->groups, split_group, t);
    }
    for (size_t round = 0; round < ROUNDS && !status; round++) {
        status = tick(t, 2 + round);
        if (!status) status = one_round(t);
        if (!status) centre_groups(t->lists);
    }
    return status;
}

static dip_status train_one_level(training *t)
{
    dip_lists *l = t->lists;
    l->group_first[0] = 0;
    l->group_first[1] = (uint32_t)l->lists;
    dip_status status = tick(t, 0);
    if (!status)
        status =
            dip_faiss_cluster(t->sample, t->n, l->dim, l->lists, t->seed, l->centroids, t->name);
    return status;
}

static dip_status make(dip_lists *out, size_t dim, size_t lists, size_t groups)
{
    *out = (dip_lists){.dim = dim, .lists = lists, .groups = groups};
    out->centroids = dip_alloc_aligned(lists * dim * sizeof(float));
    out->group_centroids = dip_alloc_aligned(groups * dim * sizeof(float));
    out->group_first = dip_calloc(groups + 1, sizeof *out->group_first);
    return out->centroids && out->group_centroids && out->group_first ? DIP_OK : DIP_ENOMEM;
}

dip_status dip_lists_copy(dip_lists *out, const float *centroids, size_t lists, size_t dim,
                          const uint32_t *first, size_t groups)
{
    const uint32_t one_group[] = {0, (uint32_t)lists};
    if (!first) {
        first = one_group;
        groups = 1;
    }
    dip_status status = make(out, dim, lists, groups);
    if (status) {
        dip_lists_fini(out);
        return status;
    }
    memcpy(out->centroids, centroids, lists * dim * sizeof *centroids);
    memcpy(out->group_first, first, (groups + 1) * sizeof *first);
    centre_groups(out);
    return DIP_OK;
}

dip_status dip_lists_train(dip_lists *out, const dip_supply *supply, size_t lists, uint64_t seed,
                           const dip_progress *progress, const char *name)
{
    size_t groups = lists >= ONE_LEVEL ? (size_t)lround(sqrt((double)lists)) : 1;
    training t = {.lists = out, .seed = seed, .progress = progress, .name = name};
    dip_status status = make(out, supply->dim, lists, groups);
    if (!status) status = tick(&t, 0);
    if (!status) status = take_sample(&t, supply);
    if (!status) status = out->groups > 1 ? train_two_levels(&t) : train_one_level(&t);
    if (!status) {
        round_centroids(out);
        centre_groups(out);
    }
    dip_free_aligned(t.sample);
    dip_free(t.nearest);
    dip_free(t.group_start);
    if (status) dip_lists_fini(out);
    return status;
}
