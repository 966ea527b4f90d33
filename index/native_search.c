/*
 * Search of the native engine; see native.h for the way of a query.
 *
 * Lists and vectors are chosen in the same manner: scores above a threshold are gathered, and when there are many the
 * best are kept and the worst of these is the new threshold. A filter is looked up for vectors above the threshold
 * only. Under a filter the number of lists grows with the share of vectors that are out; a query
 * that still finds fewer hits than there could be asks again with four times of both, and in the end scores
 * every row that can be a hit: k are found if there are k.
 */
#include "index/native.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "index/best.h"
#include "index/topk.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum {
    RUN = 8,            /* blocks of codes between two looks at what was found */
    SCORE_BLOCK = 256,  /* lists between two such looks */
    LEAST_LISTS = 1024, /* that are ranked by their own centroids, if there are as many */
    LISTS_A_PROBE = 24, /* the same for each list that is scanned */
    SHORTLIST_MORE = 8, /* beside the nprobe nearest by bytes and a quarter more */
    GROWTH = 4,
    QUERY_BLOCK = 4, /* queries of one task */
    ROW_COST = 150,
    LINE = 64,
};

/*
 * How far behind the last hit a candidate may be by its codes and still be refined, in standard deviations: of what the codes
 * leave (measured when the segment was built), and of rounding a code's entry to a byte.
 */
static const float MARGIN = 3, ROUNDING = 0.29F;

/* ---- scratch ---- */

void dip_native_scratch_free(dip_native_scratch *s)
{
    if (!s) return;
    dip_free_aligned(s->values);
    dip_free_aligned(s->centroid);
    dip_free_aligned(s->tables);
    dip_free_aligned(s->entries);
    dip_free(s->order);
    dip_free(s->products);
    dip_free(s->gaps);
    dip_free(s->found);
    dip_free(s);
}

static size_t rounded(size_t n, size_t to) { return (n + to - 1) / to * to; }
static size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static dip_native_scratch *scratch_new(const dip_segment_shape *shape)
{
    dip_native_scratch *s = dip_calloc(1, sizeof *s);
    if (!s) return NULL;
    size_t codes = rounded(shape->code_count, DIP_NATIVE_GROUP);
    s->values = dip_alloc_aligned(rounded(shape->dim, 4));
    s->centroid = dip_alloc_aligned(rounded(shape->dim, 4));
    s->tables = dip_alloc_aligned(codes / DIP_NATIVE_GROUP * DIP_NATIVE_TABLE);
    s->entries = dip_alloc_aligned(codes * 16 * sizeof *s->entries);
    s->order = dip_alloc(shape->lists * sizeof *s->order);
    s->products = dip_alloc(shape->lists * sizeof *s->products);
    s->gaps = dip_alloc(shape->lists * sizeof *s->gaps);
    if (s->values && s->centroid && s->tables && s->entries && s->order && s->products && s->gaps)
        return s;
    dip_native_scratch_free(s);
    return NULL;
}

/* *cold: whoever takes it is to ask for what it will read, so that the disk serves many places at once. */
static dip_native_scratch *take(dip_native *native, bool *cold)
{
    pthread_mutex_lock(&native->lock);
    dip_native_scratch *s = native->idle;
    if (s) native->idle = s->next;
    *cold = native->cold > 0;
    native->cold -= *cold;
    pthread_mutex_unlock(&native->lock);
    return s ? s : scratch_new(&native->segment.shape);
}

static void give_back(dip_native *native, dip_native_scratch *s)
{
    pthread_mutex_lock(&native->lock);
    s->next = native->idle;
    native->idle = s;
    pthread_mutex_unlock(&native->lock);
}

static dip_status make_room(dip_native_scratch *s, size_t room)
{
    if (room <= s->room) return DIP_OK;
    dip_free(s->found);
    s->room = 0;
    s->found = dip_alloc(room * sizeof *s->found);
    if (!s->found) return DIP_ENOMEM;
    s->room = room;
    return DIP_OK;
}

/* ---- one query ---- */

typedef struct job {
    const dip_native *native;
    const dip_index *index;
    const dip_request *request;
    const float *query;
    dip_native_scratch *s;
    size_t nprobe, fetch, room; /* room: hits that there can be */
    dip_native_query bytes;
    float gap; /* 0: none */
    float margin;
    bool cold;
    size_t found; /* in s->found */
} job;

static void query_to_bytes(job *j, size_t dim)
{
    float largest = FLT_MIN;
    for (size_t i = 0; i < dim; i++) largest = fmaxf(largest, fabsf(j->query[i]));
    float per_unit = 127 / largest;
    int32_t sum = 0;
    memset(j->s->values, 0, rounded(dim, 4));
    for (size_t i = 0; i < dim; i++) {
        j->s->values[i] = (int8_t)lrintf(j->query[i] * per_unit);
        sum += j->s->values[i];
    }
    j->bytes = (dip_native_query){j->s->values, largest / 127, 128 * sum};
}

/* Keeps the best `wanted` of what was found, and the threshold at the worst of them. */
static void shrink(job *j, size_t wanted, float *threshold)
{
    dip_native_candidate *c = j->s->found;
    if (j->found <= wanted) return;
    dip_best_select(c, j->found, wanted);
    j->found = wanted;
    float least = c[0].score;
    for (size_t i = 1; i < wanted; i++) least = c[i].score < least ? c[i].score : least;
    *threshold = least;
}

/* Gathers the lists first .. end - 1. */
static void gather_lists(job *j, const dip_native_coarse *coarse, size_t first, size_t end,
                         size_t wanted, float *threshold)
{
    const dip_native_kernel *kernel = j->native->kernel;
    float scores[SCORE_BLOCK];
    size_t block = first / DIP_NATIVE_ROWS, stop = (end + DIP_NATIVE_ROWS - 1) / DIP_NATIVE_ROWS;
    for (; block < stop; block += SCORE_BLOCK / DIP_NATIVE_ROWS) {
        size_t blocks = smaller(stop - block, SCORE_BLOCK / DIP_NATIVE_ROWS);
        size_t begin = larger(first, block * DIP_NATIVE_ROWS);
        size_t count = smaller(end, (block + blocks) * DIP_NATIVE_ROWS) - begin;
        kernel->coarse(coarse, &j->bytes, block, blocks, scores);
        j->found += kernel->pick(scores + (begin - block * DIP_NATIVE_ROWS), count, *threshold,
                                 (uint32_t)begin, j->s->found + j->found);
        if (j->found >= 2 * wanted + SCORE_BLOCK) shrink(j, wanted, threshold);
    }
}

/* The nearest groups that have enough lists together; all if that is most of them. Returns their number. */
static size_t choose_groups(job *j)
{
    const dip_segment *g = &j->native->segment;
    size_t groups = g->shape.groups, lists = g->shape.lists, count = 0, covered = 0;
    size_t budget = larger(LEAST_LISTS, LISTS_A_PROBE * j->nprobe);
    if (budget * 2 > lists) return groups;
    float threshold = -FLT_MAX;
    j->found = 0;
    gather_lists(j, &g->group, 0, groups, groups, &threshold);
    dip_best_sort(j->s->found, j->found);
    while (count < j->found && covered < budget) {
        uint32_t group = j->s->found[count].slot;
        j->s->order[count++] = group;
        covered += g->group_first[group + 1] - g->group_first[group];
    }
    return count;
}

/* Product of a query with the centroid of a list. */
static float list_product(const dip_native *native, dip_native_scratch *s, const float *query,
                          uint32_t list)
{
    const dip_segment *g = &native->segment;
    const float scale = dip_segment_centroid(g, list, s->centroid);
    return scale * native->kernel->dot_int8(query, s->centroid, g->shape.dim);
}

/*
 * How many of the first n lists found are not further behind the nearest than the gap; more, if those hold few vectors: to find
 * too few hits is to search again.
 */
static size_t near_lists(const job *j, size_t n)
{
    const dip_native_candidate *c = j->s->found;
    const dip_segment_list *lists = j->native->segment.lists;
    size_t held = 0, count = 0;
    if (!(j->gap > 0)) return n;
    for (; count < n && (held < 2 * j->room || c[count].score >= c->score - j->gap); count++)
        held += lists[c[count].slot + 1].place - lists[c[count].slot].place;
    return count;
}

/* The nprobe nearest lists to s->order, nearest first, and what is to be known of each. */
static void choose_lists(job *j)
{
    const dip_segment *g = &j->native->segment;
    size_t wanted = j->nprobe + j->nprobe / 4 + SHORTLIST_MORE;
    size_t groups = choose_groups(j);
    float threshold = -FLT_MAX;
    j->found = 0;
    if (groups == g->shape.groups)
        gather_lists(j, &g->coarse, 0, g->shape.lists, wanted, &threshold);
    else
        for (size_t i = 0; i < groups; i++)
            gather_lists(j, &g->coarse, g->group_first[j->s->order[i]],
                         g->group_first[j->s->order[i] + 1], wanted, &threshold);
    shrink(j, wanted, &threshold);
    for (size_t i = 0; i < j->found; i++) {
        dip_native_candidate *c = &j->s->found[i];
        c->score = list_product(j->native, j->s, j->query, c->slot) + g->coarse.biases[c->slot];
    }
    dip_best_sort(j->s->found, j->found);
    j->nprobe = near_lists(j, smaller(j->nprobe, j->found));
    for (size_t i = 0; i < j->nprobe; i++) {
        const dip_native_candidate *c = &j->s->found[i];
        const dip_segment_list *list = &g->lists[c->slot];
        j->s->order[i] = c->slot;
        j->s->products[i] = c->score - g->coarse.biases[c->slot];
        j->s->gaps[i] = list->block * DIP_NATIVE_BLOCK - list->place;
    }
}

static const uint8_t *record(const dip_segment *g, size_t place, size_t stride)
{
    return g->refinement + place * stride;
}

/* Product of the query with the decoded codes of a slot; `entries`: (codes, 16). */
static float decoded(const dip_segment *g, const float *entries, size_t slot)
{
    const uint8_t *codes = g->codes + slot / DIP_NATIVE_BLOCK * dip_segment_block_bytes(&g->shape) +
                           slot % DIP_NATIVE_BLOCK;
    float even = 0, odd = 0;
    size_t m = 0;
    for (; m + 2 <= g->shape.code_count; m += 2, codes += DIP_NATIVE_BLOCK) {
        even += entries[m * 16 + (*codes & 15)];
        odd += entries[m * 16 + 16 + (*codes >> 4)];
    }
    if (m < g->shape.code_count) even += entries[m * 16 + (*codes & 15)];
    return even + odd;
}

/* Score by refinement; `product`: of the query with the centroid of the slot's list and the lows of the tables. */
static float refined(const dip_native *native, const float *query, const float *entries,
                     size_t slot, size_t place, float product)
{
    const dip_segment *g = &native->segment;
    size_t dim = g->shape.dim;
    const uint8_t *bytes = record(g, place, dip_segment_refine_bytes(&g->shape));
    if (g->shape.refinement == DIP_REFINE_HALF)
        return native->kernel->dot_half(query, (const uint16_t *)(const void *)bytes, dim);
    return product + decoded(g, entries, slot) +
           dip_scale_value(bytes[dim]) *
               native->kernel->dot_int8(query, (const int8_t *)bytes, dim);
}

static void push(dip_topk *top, float score, uint64_t id)
{
    if (dip_topk_full(top) && score < top->entries[0].score) return;
    dip_topk_push(top, score, id);
}

/* Rows of the segment to ids, which have the same order. */
static void name_hits(const job *j, dip_topk *top)
{
    const dip_segment *g = &j->native->segment;
    for (size_t i = 0; j->cold && i < top->size; i++) dip_segment_expect_id(g, top->entries[i].id);
    for (size_t i = 0; i < top->size; i++)
        top->entries[i].id = dip_segment_id(g, top->entries[i].id);
}

/* Every vector of the delta that can be a hit. */
static void scan_delta(job *j, dip_topk *top)
{
    const dip_layout_view *d = &j->native->delta;
    const uint64_t *bits = j->request->rows.bits;
    size_t base = j->native->segment.shape.count, dim = j->native->segment.shape.dim;
    for (size_t i = 0; i < d->layout.count; i++) {
        if (bits && !dip_bit(bits, base + i)) continue;
        float score = j->native->kernel->dot(j->query, d->vectors + i * dim, dim);
        push(top, score, d->ids[i]);
    }
}

/* The score by codes below which no candidate is refined. */
static float bar_of(const job *j, const dip_topk *top)
{
    if (!dip_topk_full(top)) return -FLT_MAX;
    return top->entries[0].score - j->margin;
}

/* Where a candidate's refinement stands; not below the count if the codes of an empty slot are damaged. */
static size_t place_of(const job *j, const dip_native_candidate *c)
{
    return c->slot - j->s->gaps[c->probe];
}

/* The row of a candidate; UINT32_MAX if it is none, because of damage. */
static uint32_t row_of(const job *j, const dip_native_candidate *c)
{
    const dip_segment *g = &j->native->segment;
    const size_t place = place_of(j, c);
    const uint32_t row = place < g->shape.count ? dip_segment_row(g, place) : UINT32_MAX;
    return row < g->shape.count ? row : UINT32_MAX;
}

static void prefetch_candidate(const job *j, const dip_native_candidate *c, size_t stride)
{
    const dip_segment *g = &j->native->segment;
    const size_t place = place_of(j, c);
    const uint8_t *bytes = record(g, place, stride);
    if (j->cold && place < g->shape.count) dip_file_expect(bytes, stride);
    for (size_t at = 0; at < stride; at += LINE) __builtin_prefetch(bytes + at);
    __builtin_prefetch(bytes + stride - 1);
    __builtin_prefetch(g->rows + place * g->row_width);
}

/* Scores the candidates first .. end - 1 that may still be among the best. */
static void refine(job *j, size_t first, size_t end, float base, dip_topk *top)
{
    size_t stride = dip_segment_refine_bytes(&j->native->segment.shape), kept = first;
    dip_native_candidate *c = j->s->found;
    float bar = bar_of(j, top);
    for (size_t i = first; i < end; i++) {
        if (c[i].score < bar) continue;
        c[kept++] = c[i];
        prefetch_candidate(j, &c[i], stride);
    }
    for (size_t i = first; i < kept; i++) {
        uint32_t row = row_of(j, &c[i]);
        if (row == UINT32_MAX) continue;
        const float product = j->s->products[c[i].probe] + base;
        const size_t place = place_of(j, &c[i]);
        push(top, refined(j->native, j->query, j->s->entries, c[i].slot, place, product), row);
    }
}

/* Drops the candidates from `first` on that cannot be hits. */
static void drop_forbidden(job *j, size_t first)
{
    const dip_id_table *table = &j->index->table;
    const uint64_t *bits = j->request->rows.bits;
    dip_native_candidate *c = j->s->found;
    size_t kept = first;
    for (size_t i = first; i < j->found; i++) {
        uint32_t row = row_of(j, &c[i]);
        if (row != UINT32_MAX && (bits ? dip_bit(bits, row) : !dip_bit(table->removed, row)))
            c[kept++] = c[i];
    }
    j->found = kept;
}

/*
 * Refines the best by their codes, and keeps of the others those whose codes may err by as much as they are behind, at
 * most `fetch`; the threshold follows.
 */
static void digest(job *j, float base, dip_topk *top, float *threshold)
{
    dip_native_candidate *c = j->s->found;
    size_t best = smaller(j->found, 2 * j->room), kept = 0;
    shrink(j, best + j->fetch, threshold);
    dip_best_select(c, j->found, best);
    refine(j, 0, best, base, top);
    float bar = bar_of(j, top);
    for (size_t i = best; i < j->found; i++)
        if (c[i].score >= bar) c[kept++] = c[i];
    j->found = kept;
    *threshold = bar > *threshold ? bar : *threshold;
}

/* Candidates of the chosen lists (s->order), at most `fetch`. */
static void scan_lists(job *j, const dip_native_levels *levels, dip_topk *top)
{
    const uint32_t *lists = j->s->order;
    const dip_segment *g = &j->native->segment;
    bool filtered = j->request->rows.bits || j->index->table.removed;
    float threshold = -FLT_MAX;
    dip_native_run run = {.codes = g->codes,
                          .terms = g->terms,
                          .tables = j->s->tables,
                          .groups =
                              rounded(g->shape.code_count, DIP_NATIVE_GROUP) / DIP_NATIVE_GROUP,
                          .unit = levels->unit};
    j->found = 0;
    for (size_t i = 0; i < j->nprobe; i++) {
        size_t end = g->lists[lists[i] + 1].block;
        size_t next = g->lists[lists[i + 1 < j->nprobe ? i + 1 : i]].block;
        run.base = j->s->products[i] + levels->base;
        run.probe = (uint32_t)i;
        for (run.block = g->lists[lists[i]].block; run.block < end; run.block += run.blocks) {
            run.blocks = smaller(end - run.block, RUN);
            run.ahead = run.block + run.blocks < end ? run.block + run.blocks : next;
            size_t before = j->found;
            j->found += j->native->kernel->scan(&run, threshold, j->s->found + j->found);
            if (filtered) drop_forbidden(j, before);
            if (j->found >= 2 * j->fetch + RUN * DIP_NATIVE_BLOCK)
                digest(j, levels->base, top, &threshold);
        }
    }
    shrink(j, j->fetch, &threshold); /* a query pays for no more than it asked for */
}

/* What is left of the candidates, and the delta, to the request's row; returns the number of hits. */
static size_t finish(job *j, size_t query, float base, dip_topk *top)
{
    const dip_request *r = j->request;
    float threshold = -FLT_MAX;
    digest(j, base, top, &threshold);
    refine(j, 0, j->found, base, top);
    name_hits(j, top);
    scan_delta(j, top);
    size_t hits = top->size;
    dip_topk_finish(top, r->k, r->ids + query * r->k, r->scores + query * r->k);
    return hits;
}

static size_t room_for(const job *j)
{
    size_t shortlist = 2 * (j->nprobe + j->nprobe / 4 + SHORTLIST_MORE) + 2 * SCORE_BLOCK;
    size_t groups = 2 * j->native->segment.shape.groups + 2 * SCORE_BLOCK;
    return larger(larger(shortlist, groups), 2 * j->fetch + 2 * RUN * DIP_NATIVE_BLOCK);
}

static void expect_places(const dip_segment *g, uint32_t list)
{
    const dip_segment_list *at = &g->lists[list];
    const size_t count = at[1].place - at[0].place;
    dip_file_expect(g->rows + (size_t)at->place * g->row_width, count * g->row_width);
}

static void expect_list(const dip_segment *g, uint32_t list)
{
    const dip_segment_list *at = &g->lists[list];
    const size_t first = at[0].block, blocks = at[1].block - first;
    const size_t bytes = dip_segment_block_bytes(&g->shape);
    if (!blocks) return;
    dip_file_expect(g->codes + first * bytes, blocks * bytes);
    dip_file_expect(g->terms + first * DIP_NATIVE_BLOCK,
                    blocks * DIP_NATIVE_BLOCK * sizeof *g->terms);
    expect_places(g, list);
}

static dip_status search_once(job *j, size_t query, dip_topk *top, size_t *hits)
{
    const dip_segment *g = &j->native->segment;
    size_t codes = g->shape.code_count;
    dip_status status = make_room(j->s, room_for(j));
    if (status) return status;
    query_to_bytes(j, g->shape.dim);
    choose_lists(j);
    for (size_t i = 0; i < j->nprobe; i++) {
        const uint8_t *codes_of =
            g->codes + g->lists[j->s->order[i]].block * dip_segment_block_bytes(&g->shape);
        for (size_t at = 0; at < 4 * LINE; at += LINE) __builtin_prefetch(codes_of + at);
    }
    for (size_t i = 0; j->cold && i < j->nprobe; i++) expect_list(g, j->s->order[i]);
    dip_native_levels levels = j->native->kernel->tables(
        j->query, g->codebook, codes, g->shape.dim / codes, j->s->entries, j->s->tables);
    j->margin =
        MARGIN * (g->shape.spread + ROUNDING * levels.unit * sqrtf((float)g->shape.code_count));
    scan_lists(j, &levels, top);
    *hits = finish(j, query, levels.base, top);
    return DIP_OK;
}

static dip_status search_one(job *j, size_t query, dip_topk *top)
{
    const dip_segment_shape *shape = &j->native->segment.shape;
    size_t nprobe = j->nprobe, fetch = j->fetch, hits = 0;
    for (;;) {
        j->nprobe = nprobe;
        j->fetch = fetch;
        dip_status status = search_once(j, query, top, &hits);
        if (status || hits >= j->room) return status;
        if (nprobe >= shape->lists) break;
        nprobe = smaller(shape->lists, nprobe * GROWTH);
        fetch = smaller(shape->count, fetch * GROWTH);
        j->gap = 0;
    }
    return dip_search_rows(j->index, j->request, query, 1);
}

/* ---- many queries ---- */

typedef struct work {
    const dip_index *index;
    const dip_request *request;
    size_t nprobe, fetch, room;
    float gap;
} work;

static dip_status run_block(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const work *w = context;
    dip_native *native = w->index->state;
    size_t dim = native->segment.shape.dim, first = task * QUERY_BLOCK;
    size_t end = smaller(first + QUERY_BLOCK, w->request->nq);
    dip_topk top = {.k = w->room, .entries = dip_alloc(w->room * sizeof *top.entries)};
    job j = {.native = native, .index = w->index, .request = w->request, .room = w->room};
    j.s = take(native, &j.cold);
    dip_status status = top.entries && j.s ? DIP_OK : DIP_ENOMEM;
    for (size_t i = first; i < end && !status; i++) {
        j.query = w->request->queries + i * dim;
        j.nprobe = w->nprobe;
        j.fetch = w->fetch;
        j.gap = w->gap;
        status = search_one(&j, i, &top);
    }
    if (j.s) give_back(native, j.s);
    dip_free(top.entries);
    return status;
}

/*
 * Scoring a row by itself costs as much as scanning `ROW_COST` vectors, whose codes stand together. Under a filter a search
 * scans nprobe / share of the lists, or all.
 */
bool dip_native_narrow(const dip_index *index, const dip_index_params *params, size_t rows)
{
    const dip_native *native = index->state;
    double count = (double)index->table.count, lists = native->segment.shape.lists;
    double scanned = rows ? params->nprobe * count / (double)rows / lists : 1;
    if (scanned > 1) scanned = 1;
    return (double)rows * ROW_COST <= scanned * count;
}

dip_status dip_native_search(const dip_index *index, const dip_request *request)
{
    const dip_native *native = index->state;
    const dip_rows *rows = &request->rows;
    size_t count = index->table.count, lists = native->segment.shape.lists;
    work w = {.index = index, .request = request, .room = smaller(request->k, rows->count)};
    if (w.room == 0) return dip_search_rows(index, request, 0, request->nq);
    double scale = rows->bits ? (double)count / (double)rows->count : 1;
    double fetch = (double)request->params.depth * (double)w.room;
    double nprobe = ceil(request->params.nprobe * scale);
    w.fetch = fetch < (double)count ? (size_t)fetch : count;
    w.nprobe = nprobe < (double)lists ? (size_t)nprobe : lists;
    w.gap = rows->bits ? 0 : request->params.gap; /* hits among few are far from the query */
    return dip_parallel_for((request->nq + QUERY_BLOCK - 1) / QUERY_BLOCK, run_block, &w);
}

/* ---- how near lists are ---- */

typedef struct ranking {
    const dip_index *index;
    const float *queries;
    size_t nq;
    uint32_t nprobe;
    float *out;
} ranking;

static dip_status rank_block(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const ranking *r = context;
    dip_native *native = r->index->state;
    const size_t dim = native->segment.shape.dim, first = task * QUERY_BLOCK;
    const size_t end = smaller(first + QUERY_BLOCK, r->nq);
    job j = {.native = native, .index = r->index, .fetch = 1};
    j.s = take(native, &j.cold);
    j.nprobe = smaller(r->nprobe, native->segment.shape.lists);
    dip_status status = j.s ? make_room(j.s, room_for(&j)) : DIP_ENOMEM;
    for (size_t q = first; q < end && !status; q++) {
        float *out = r->out + q * r->nprobe;
        j.query = r->queries + q * dim;
        j.nprobe = smaller(r->nprobe, native->segment.shape.lists);
        query_to_bytes(&j, dim);
        choose_lists(&j);
        for (size_t i = 0; i < r->nprobe; i++)
            out[i] = i < j.nprobe ? j.s->found->score - j.s->found[i].score : INFINITY;
    }
    if (j.s) give_back(native, j.s);
    return status;
}

dip_status dip_native_behind(const dip_index *index, const float *queries, size_t nq,
                             uint32_t nprobe, float *out)
{
    ranking r = {index, queries, nq, nprobe, out};
    return dip_parallel_for((nq + QUERY_BLOCK - 1) / QUERY_BLOCK, rank_block, &r);
}

/* ---- rows by themselves ---- */

typedef struct found_row {
    uint32_t list, place;
} found_row;

enum { ROWS = 256 }; /* that are looked for before they are scored */

static void prefetch_row(const dip_segment *g, const found_row *row)
{
    size_t stride = dip_segment_refine_bytes(&g->shape), block = dip_segment_block_bytes(&g->shape);
    const uint8_t *bytes = record(g, row->place, stride);
    for (size_t at = 0; at < stride; at += LINE) __builtin_prefetch(bytes + at);
    __builtin_prefetch(bytes + stride - 1);
    if (g->shape.refinement == DIP_REFINE_HALF) return;
    bytes = g->codes + dip_segment_slot(g, row->list, row->place) / DIP_NATIVE_BLOCK * block;
    for (size_t at = 0; at < block; at += LINE) __builtin_prefetch(bytes + at);
}

/* Asks for all that says where rows are, so that the disk serves many places at once. */
static void expect_rows(const dip_segment *g, const uint32_t *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i] < g->shape.count)
            dip_file_expect(g->row_lists + (size_t)rows[i] * g->list_width, g->list_width);
    for (size_t i = 0; i < n; i++) {
        if (rows[i] >= g->shape.count) continue;
        const uint32_t list = dip_packed_get(g->row_lists, g->list_width, rows[i]);
        if (list < g->shape.lists) expect_places(g, list);
    }
}

/* The same for what their scores are made of. */
static void expect_vector(const dip_segment *g, const found_row *row)
{
    size_t stride = dip_segment_refine_bytes(&g->shape), block = dip_segment_block_bytes(&g->shape);
    dip_file_expect(record(g, row->place, stride), stride);
    if (g->shape.refinement == DIP_REFINE_HALF) return;
    const size_t slot = dip_segment_slot(g, row->list, row->place);
    dip_file_expect(g->codes + slot / DIP_NATIVE_BLOCK * block, block);
}

/* Where rows are; those of the delta are passed over. */
static dip_status find_rows(const dip_segment *g, const uint32_t *rows, size_t n, bool cold,
                            found_row *out)
{
    if (cold) expect_rows(g, rows, n);
    for (size_t i = 0; i < n; i++) {
        if (rows[i] >= g->shape.count) continue;
        dip_status status = dip_segment_find(g, rows[i], &out[i].list, &out[i].place);
        if (status) return status;
        if (cold) expect_vector(g, &out[i]);
    }
    return DIP_OK;
}

static float score_row(dip_native *native, dip_native_scratch *s, const float *query,
                       const found_row *row, float base)
{
    const dip_segment *g = &native->segment;
    const size_t slot = dip_segment_slot(g, row->list, row->place);
    if (g->shape.refinement != DIP_REFINE_HALF) base += list_product(native, s, query, row->list);
    return refined(native, query, s->entries, slot, row->place, base);
}

/* At most ROWS rows. */
static dip_status score_rows(dip_native *native, dip_native_scratch *s, const float *query,
                             float base, const uint32_t *rows, size_t n, bool cold, float *scores)
{
    enum { AHEAD = 4 };
    const dip_segment *g = &native->segment;
    const size_t dim = g->shape.dim, count = g->shape.count;
    found_row found[ROWS];
    dip_status status = find_rows(g, rows, n, cold, found);
    for (size_t i = 0; i < n + AHEAD && !status; i++) {
        if (i < n && rows[i] < count) prefetch_row(g, &found[i]);
        if (i < AHEAD) continue;
        const size_t row = rows[i - AHEAD];
        scores[i - AHEAD] =
            row < count
                ? score_row(native, s, query, &found[i - AHEAD], base)
                : native->kernel->dot(query, native->delta.vectors + (row - count) * dim, dim);
    }
    return status;
}

dip_status dip_native_row_scores(const dip_index *index, const float *query, const uint32_t *rows,
                                 size_t n, float *scores)
{
    dip_native *native = index->state;
    const dip_segment_shape *shape = &native->segment.shape;
    bool cold;
    dip_native_scratch *s = take(native, &cold);
    if (!s) return DIP_ENOMEM;
    dip_native_levels levels = {0, 0};
    if (shape->refinement != DIP_REFINE_HALF)
        levels = native->kernel->tables(query, native->segment.codebook, shape->code_count,
                                        shape->dim / shape->code_count, s->entries, s->tables);
    dip_status status = DIP_OK;
    for (size_t i = 0; i < n && !status; i += ROWS)
        status = score_rows(native, s, query, levels.base, rows + i, smaller(n - i, ROWS), cold,
                            scores + i);
    give_back(native, s);
    return status;
}
