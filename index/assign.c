/*
 * The list of every vector; see lists.h.
 *
 * All centroids are rounded to bfloat16 once, each task's vectors too. Rounded scores x.c - |c|^2 / 2 of all groups choose the few
 * groups that a vector looks into; this is where the result may differ from that of comparing with all lists. Then, group by
 * group, those vectors meet the group's lists 32 by 32, and what may be better than the best so far is decided by dip_dot
 * (reach.h). Ties go to the smaller list.
 */
#include "index/lists.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "index/dot.h"
#include "index/reach.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    PROBED_GROUPS = 8, /* whose lists a vector is compared with */
    BLOCK = 2048,      /* vectors of one task */
};

/* What a worker needs for a task. */
typedef struct bench {
    dip_bf16 *rounded;          /* (BLOCK, depth) */
    dip_bf16 *gathered, *panel; /* (32, depth) */
    float *best,
        *slack; /* BLOCK: exact score of the best list so far, and what a rounded one may differ */
    uint32_t *chosen; /* (BLOCK, probed): groups */
    uint32_t *member; /* (BLOCK, probed): vectors, sorted by group */
    uint32_t *start;  /* (groups + 1), in `member` */
} bench;

typedef struct assigning {
    const dip_lists *lists;
    const float *vectors;
    size_t n, probed, depth;
    dip_dot_fn dot;
    const dip_product_body *body;
    const dip_reach *reach;
    dip_bf16 *centroids; /* lists, then groups, then a block of zeros, rounded; depth each */
    float *half_norms;   /* lists, then groups */
    dip_bounds bounds;   /* of all centroids */
    bench *benches;      /* a worker */
    uint32_t *nearest;
} assigning;

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* ---- memory and rounding ---- */

static dip_status make_benches(assigning *a)
{
    const size_t groups = a->lists->groups;
    a->benches = dip_calloc(dip_threads(), sizeof *a->benches);
    if (!a->benches) return DIP_ENOMEM;
    for (unsigned i = 0; i < dip_threads(); i++) {
        bench *b = &a->benches[i];
        b->rounded = dip_alloc_aligned((BLOCK + 2 * DIP_BLOCK) * a->depth * sizeof *b->rounded);
        b->best = dip_alloc(2 * BLOCK * sizeof *b->best);
        b->chosen = dip_alloc((2 * BLOCK * a->probed + groups + 1) * sizeof *b->chosen);
        if (!b->rounded || !b->best || !b->chosen) return DIP_ENOMEM;
        b->gathered = b->rounded + BLOCK * a->depth;
        b->panel = b->gathered + DIP_BLOCK * a->depth;
        b->slack = b->best + BLOCK;
        b->member = b->chosen + BLOCK * a->probed;
        b->start = b->member + BLOCK * a->probed;
    }
    return DIP_OK;
}

static void drop(assigning *a)
{
    for (unsigned i = 0; a->benches && i < dip_threads(); i++) {
        dip_free_aligned(a->benches[i].rounded);
        dip_free(a->benches[i].best);
        dip_free(a->benches[i].chosen);
    }
    dip_free(a->benches);
    dip_free_aligned(a->centroids);
    dip_free(a->half_norms);
}

static dip_status round_centroids(assigning *a)
{
    const dip_lists *l = a->lists;
    const size_t all = l->lists + l->groups;
    a->half_norms = dip_alloc(all * sizeof *a->half_norms);
    a->centroids = dip_alloc_aligned((all + DIP_BLOCK) * a->depth * sizeof *a->centroids);
    if (!a->half_norms || !a->centroids) return DIP_ENOMEM;
    for (size_t i = 0; i < all; i++) {
        const float *c =
            i < l->lists ? l->centroids + i * l->dim : l->group_centroids + (i - l->lists) * l->dim;
        dip_bounds one;
        a->reach->round(c, l->dim, a->centroids + i * a->depth, &one.norm, &one.error);
        a->half_norms[i] = one.offset = a->dot(c, c, l->dim) / 2;
        a->bounds.norm = fmaxf(a->bounds.norm, one.norm);
        a->bounds.error = fmaxf(a->bounds.error, one.error);
        a->bounds.offset = fmaxf(a->bounds.offset, one.offset);
    }
    memset(a->centroids + all * a->depth, 0, DIP_BLOCK * a->depth * sizeof *a->centroids);
    for (size_t g = 0; g < l->groups; g++)
        if (l->group_first[g] < l->group_first[g + 1])
            a->probed++;
        else
            a->half_norms[l->lists + g] = FLT_MAX; /* nothing to be found there */
    a->probed = smaller(PROBED_GROUPS, a->probed);
    return DIP_OK;
}

static void round_vectors(const assigning *a, bench *b, const float *vectors, size_t n)
{
    const size_t dim = a->lists->dim, whole = (n + DIP_BLOCK - 1) / DIP_BLOCK * DIP_BLOCK;
    for (size_t i = 0; i < n; i++) {
        dip_bounds one;
        a->reach->round(vectors + i * dim, dim, b->rounded + i * a->depth, &one.norm, &one.error);
        b->slack[i] = dip_reach_slack(&a->bounds, &one, dim);
        b->best[i] = -INFINITY;
    }
    memset(b->rounded + n * a->depth, 0, (whole - n) * a->depth * sizeof *b->rounded);
}

/* ---- groups ---- */

/* The groups of one vector, best first. */
typedef struct ranking {
    float score[PROBED_GROUPS];
    uint32_t group[PROBED_GROUPS];
} ranking;

static void rank(ranking *r, size_t probed, float score, uint32_t group)
{
    size_t i = probed - 1;
    for (; i && score > r->score[i - 1]; i--) {
        r->score[i] = r->score[i - 1];
        r->group[i] = r->group[i - 1];
    }
    r->score[i] = score;
    r->group[i] = group;
}

/* The groups that vectors first .. first + count <= 32 look into. */
static void choose_groups(const assigning *a, bench *b, size_t first, size_t count)
{
    _Alignas(64) float block[DIP_BLOCK * DIP_BLOCK];
    const size_t lists = a->lists->lists, groups = a->lists->groups, last = a->probed - 1;
    ranking rankings[DIP_BLOCK];
    float bars[DIP_BLOCK];
    uint32_t marks[DIP_BLOCK];
    for (size_t c = 0; c < DIP_BLOCK; c++) {
        bars[c] = c < count ? -INFINITY : INFINITY;
        for (size_t i = 0; i < PROBED_GROUPS; i++) {
            rankings[c].score[i] = -INFINITY;
            rankings[c].group[i] = 0;
        }
    }
    dip_reach_panel(a->body, b->rounded + first * a->depth, a->depth, b->panel);
    for (size_t g = 0; g < groups; g += DIP_BLOCK) {
        const size_t rows = smaller(DIP_BLOCK, groups - g);
        const float *half_norms = a->half_norms + lists + g;
        dip_reach_block(a->body, a->centroids + (lists + g) * a->depth, rows, a->depth, b->panel,
                        block);
        if (!a->reach->mark(block, rows, half_norms, bars, marks)) continue;
        for (size_t r = 0; r < rows; r++)
            for (uint32_t left = marks[r]; left; left &= left - 1) {
                const size_t c = (size_t)__builtin_ctz(left);
                const float score = block[r * DIP_BLOCK + c] - half_norms[r];
                if (score <= bars[c]) continue;
                rank(&rankings[c], a->probed, score, (uint32_t)(g + r));
                bars[c] = rankings[c].score[last];
            }
    }
    for (size_t c = 0; c < count; c++)
        memcpy(b->chosen + (first + c) * a->probed, rankings[c].group,
               a->probed * sizeof *b->chosen);
}

/* Vectors by group, in order within a group. */
static void sort_members(const assigning *a, bench *b, size_t n)
{
    const size_t groups = a->lists->groups, all = n * a->probed;
    memset(b->start, 0, (groups + 1) * sizeof *b->start);
    for (size_t i = 0; i < all; i++) b->start[b->chosen[i] + 1]++;
    for (size_t g = 0; g < groups; g++) b->start[g + 1] += b->start[g];
    for (size_t i = 0; i < all; i++)
        b->member[b->start[b->chosen[i]]++] = (uint32_t)(i / a->probed);
    memmove(b->start + 1, b->start, groups * sizeof *b->start); /* each had moved to its end */
    b->start[0] = 0;
}

/* ---- lists ---- */

/* `count` <= 32 vectors of a task against the lists from `first` on. */
static void compare(const assigning *a, bench *b, const float *vectors, const uint32_t *member,
                    size_t count, size_t first, size_t lists, uint32_t *nearest)
{
    _Alignas(64) float block[DIP_BLOCK * DIP_BLOCK];
    const size_t dim = a->lists->dim;
    float bars[DIP_BLOCK];
    uint32_t marks[DIP_BLOCK];
    for (size_t c = 0; c < DIP_BLOCK; c++) {
        const size_t from = member[c < count ? c : 0];
        memcpy(b->gathered + c * a->depth, b->rounded + from * a->depth,
               a->depth * sizeof *b->gathered);
        bars[c] = c < count ? dip_reach_bar(b->best[from], b->slack[from]) : INFINITY;
    }
    dip_reach_panel(a->body, b->gathered, a->depth, b->panel);
    for (size_t at = first; at < first + lists; at += DIP_BLOCK) {
        const size_t rows = smaller(DIP_BLOCK, first + lists - at);
        dip_reach_block(a->body, a->centroids + at * a->depth, rows, a->depth, b->panel, block);
        if (!a->reach->mark(block, rows, a->half_norms + at, bars, marks)) continue;
        for (size_t r = 0; r < rows; r++)
            for (uint32_t left = marks[r]; left; left &= left - 1) {
                const size_t c = (size_t)__builtin_ctz(left), i = member[c], list = at + r;
                if (block[r * DIP_BLOCK + c] - a->half_norms[list] < bars[c]) continue;
                const float score =
                    a->dot(vectors + i * dim, a->lists->centroids + list * dim, dim) -
                    a->half_norms[list];
                if (score < b->best[i] || (score == b->best[i] && list > nearest[i])) continue;
                b->best[i] = score;
                nearest[i] = (uint32_t)list;
                bars[c] = dip_reach_bar(score, b->slack[i]);
            }
    }
}

static dip_status assign_block(void *context, size_t task, unsigned worker)
{
    const assigning *a = context;
    const dip_lists *l = a->lists;
    bench *b = &a->benches[worker];
    const size_t first = task * BLOCK, n = smaller(a->n - first, BLOCK);
    const float *vectors = a->vectors + first * l->dim;
    uint32_t *nearest = a->nearest + first;
    memset(nearest, 0, n * sizeof *nearest); /* and so it stays where centroids are not finite */
    round_vectors(a, b, vectors, n);
    a->body->enter();
    for (size_t i = 0; i < n; i += DIP_BLOCK) choose_groups(a, b, i, smaller(DIP_BLOCK, n - i));
    sort_members(a, b, n);
    for (size_t g = 0; g < l->groups; g++)
        for (size_t m = b->start[g]; m < b->start[g + 1]; m += DIP_BLOCK)
            compare(a, b, vectors, b->member + m, smaller(DIP_BLOCK, b->start[g + 1] - m),
                    l->group_first[g], l->group_first[g + 1] - l->group_first[g], nearest);
    a->body->leave();
    return DIP_OK;
}

dip_status dip_lists_assign(const dip_lists *l, const float *vectors, size_t n, uint32_t *nearest)
{
    assigning a = {.lists = l,
                   .vectors = vectors,
                   .n = n,
                   .depth = (l->dim + DIP_BLOCK - 1) / DIP_BLOCK * DIP_BLOCK,
                   .dot = dip_dot_get(),
                   .body = dip_product_get(),
                   .reach = dip_reach_get(),
                   .nearest = nearest};
    dip_status status = round_centroids(&a);
    if (!status) status = make_benches(&a);
    if (!status) status = dip_parallel_for((n + BLOCK - 1) / BLOCK, assign_block, &a);
    drop(&a);
    return status;
}
