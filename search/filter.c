/*
 * Running a filter; see filter.h.
 *
 * The rows are cut into runs of RUN rows, whose columns stay in the nearest cache; threads take the runs. A node narrows
 * the run's bitmap: it looks only at words that still have a bit, so of ALL the cheap children go first and spare
 * the dear ones work. Inside a word the test writes 64 bytes of 0 or 1 without a branch, which compilers vectorise, and
 * they are packed into bits.
 */
#include "search/filter_node.h"

#include "core/mem.h"
#include "core/parallel.h"

#include <string.h>

enum { WORDS = 64, RUN = 64 * WORDS, TASK = 8 /* runs */ };

/* ---- nodes ---- */

dip_node *dip_node_create(dip_node_kind kind)
{
    static const unsigned cost[] = {[DIP_NODE_TABLE] = 2,
                                    [DIP_NODE_TIME] = 1,
                                    [DIP_NODE_RANGE] = 1,
                                    [DIP_NODE_BOX] = 3,
                                    [DIP_NODE_REGION] = 100};
    dip_node *node = dip_calloc(1, sizeof *node);
    if (!node) return NULL;
    node->kind = kind;
    node->cost = kind < sizeof cost / sizeof *cost ? cost[kind] : 0;
    return node;
}

void dip_node_free(dip_node *node)
{
    while (node) {
        dip_node *next = node->next;
        dip_node_free(node->children);
        dip_region_destroy(node->region);
        dip_free(node->keep);
        dip_free(node);
        node = next;
    }
}

void dip_node_add(dip_node *parent, dip_node *child)
{
    dip_node **at = &parent->children;
    while (*at && (*at)->cost <= child->cost) at = &(*at)->next;
    child->next = *at;
    *at = child;
    parent->cost += child->cost;
}

void dip_filter_destroy(dip_filter *filter)
{
    if (!filter) return;
    dip_node_free(filter->root);
    dip_free(filter);
}

const char *dip_filter_missing(const dip_filter *filter) { return filter ? filter->missing : ""; }

/* ---- running ---- */

/* A run: its rows, and who walks it. */
typedef struct run {
    const dip_columns *c;
    size_t first, count; /* rows */
    unsigned worker;
} run;

/* 64 bytes of 0 or 1 as 64 bits; byte j of a product's top byte gathers bit j (little-endian). */
static uint64_t pack(const uint8_t flags[64])
{
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++) {
        uint64_t eight;
        memcpy(&eight, flags + 8 * i, 8);
        bits |= (eight * UINT64_C(0x0102040810204080) >> 56) << (8 * i);
    }
    return bits;
}

/* bits &= test(row) for the words that have a bit. The full word is a loop of its own, of a length that is known. */
#define NARROW(r, bits, test)                                                       \
    for (size_t w = 0; w * 64 < (r)->count; w++) {                                  \
        uint8_t flags[64];                                                          \
        size_t left = (r)->count - w * 64, base = (r)->first + w * 64;              \
        if (!(bits)[w]) continue;                                                   \
        if (left >= 64) {                                                           \
            for (size_t j = 0; j < 64; j++) flags[j] = (uint8_t)(test(base + j));   \
        } else {                                                                    \
            memset(flags, 0, sizeof flags);                                         \
            for (size_t j = 0; j < left; j++) flags[j] = (uint8_t)(test(base + j)); \
        }                                                                           \
        (bits)[w] &= pack(flags);                                                   \
    }

static void narrow_table(const dip_node *n, const run *r, uint64_t *bits)
{
    const uint32_t *numbers = n->numbers;
    const uint8_t *keep = n->keep;
#define KEPT(row) keep[numbers[row]]
    NARROW(r, bits, KEPT)
}

static void narrow_time(const dip_node *n, const run *r, uint64_t *bits)
{
    const int64_t *times = r->c->times, first = n->first, last = n->last;
#define IN_TIME(row) (times[row] >= first) & (times[row] <= last)
    NARROW(r, bits, IN_TIME)
}

static void narrow_range(const dip_node *n, const run *r, uint64_t *bits)
{
    const double *values = n->values, low = n->low, high = n->high;
#define IN_RANGE(row) (values[row] >= low) & (values[row] <= high)
    NARROW(r, bits, IN_RANGE)
}

static void narrow_box(const dip_node *n, const run *r, uint64_t *bits)
{
    const int32_t *west = r->c->west, *south = r->c->south, *east = r->c->east,
                  *north = r->c->north;
    const int32_t w0 = n->west, s0 = n->south, e0 = n->east, n0 = n->north;
    /* Two ranges of longitude meet if each begins before the other ends; of a range that crosses the antimeridian
     * one of the two is enough, and two that cross always meet. */
#define BEGINS(row) (west[row] <= e0)
#define ENDS(row) (east[row] >= w0)
#define CROSSES(row) (west[row] > east[row])
#define LAT_MEETS(row) (south[row] <= n0) & (north[row] >= s0)
#define MEETS(row) \
    LAT_MEETS(row) & ((BEGINS(row) & ENDS(row)) | (CROSSES(row) & (BEGINS(row) | ENDS(row))))
#define MEETS_CROSSING(row) LAT_MEETS(row) & (BEGINS(row) | ENDS(row) | CROSSES(row))
    if (w0 <= e0) {
        NARROW(r, bits, MEETS)
    } else {
        NARROW(r, bits, MEETS_CROSSING)
    }
}

static void narrow_box_within(const dip_node *n, const run *r, uint64_t *bits)
{
    const int32_t *west = r->c->west, *south = r->c->south, *east = r->c->east,
                  *north = r->c->north;
    const int32_t w0 = n->west, s0 = n->south, e0 = n->east, n0 = n->north;
    const int32_t turn = (int32_t)(180 * DIP_DEGREE);
    const bool round_earth = w0 == -turn && e0 == turn;
#define FROM(row) (west[row] >= w0)
#define TO(row) (east[row] <= e0)
#define STRAIGHT(row) (west[row] <= east[row])
#define LAT_WITHIN(row) (south[row] >= s0) & (north[row] <= n0) & (south[row] <= north[row])
#define WITHIN(row) LAT_WITHIN(row) & ((FROM(row) & TO(row) & STRAIGHT(row)) | round_earth)
#define WITHIN_CROSSING(row) \
    LAT_WITHIN(row) & ((FROM(row) & TO(row)) | (STRAIGHT(row) & (FROM(row) | TO(row))))
    if (w0 <= e0) {
        NARROW(r, bits, WITHIN)
    } else {
        NARROW(r, bits, WITHIN_CROSSING)
    }
}

static dip_status narrow_region(const dip_node *n, const run *r, uint64_t *bits)
{
    const dip_columns *c = r->c;
    for (size_t w = 0; w * 64 < r->count; w++) {
        for (uint64_t left = bits[w]; left; left &= left - 1) {
            size_t bit = (size_t)__builtin_ctzll(left), row = r->first + w * 64 + bit;
            bool yes = false;
            if (c->south[row] <= c->north[row]) {
                dip_status status = dip_region_test(
                    n->region, r->worker, c->west[row] / DIP_DEGREE, c->south[row] / DIP_DEGREE,
                    c->east[row] / DIP_DEGREE, c->north[row] / DIP_DEGREE, n->within, &yes);
                if (status) return status;
            }
            if (!yes) bits[w] &= ~(UINT64_C(1) << bit);
        }
    }
    return DIP_OK;
}

static dip_status narrow(const dip_node *n, const run *r, uint64_t *bits);

static dip_status narrow_all(const dip_node *n, const run *r, uint64_t *bits)
{
    dip_status status = DIP_OK;
    for (const dip_node *child = n->children; child && !status; child = child->next)
        status = narrow(child, r, bits);
    return status;
}

/* Each child sees the rows that none before it has passed; `bits` keeps what one did. */
static dip_status narrow_any(const dip_node *n, const run *r, uint64_t *bits)
{
    uint64_t rest[WORDS], passed[WORDS];
    dip_status status = DIP_OK;
    memcpy(rest, bits, sizeof rest);
    for (const dip_node *child = n->children; child && !status; child = child->next) {
        memcpy(passed, rest, sizeof passed);
        status = narrow(child, r, passed);
        for (int w = 0; w < WORDS; w++) rest[w] &= ~passed[w];
    }
    for (int w = 0; w < WORDS; w++) bits[w] &= ~rest[w];
    return status;
}

static dip_status narrow_but(const dip_node *n, const run *r, uint64_t *bits)
{
    uint64_t passed[WORDS];
    memcpy(passed, bits, sizeof passed);
    dip_status status = narrow(n->children, r, passed);
    for (int w = 0; w < WORDS; w++) bits[w] &= ~passed[w];
    return status;
}

static dip_status narrow(const dip_node *n, const run *r, uint64_t *bits)
{
    switch (n->kind) {
    case DIP_NODE_ALL: return narrow_all(n, r, bits);
    case DIP_NODE_ANY: return narrow_any(n, r, bits);
    case DIP_NODE_BUT: return narrow_but(n, r, bits);
    case DIP_NODE_REGION: return narrow_region(n, r, bits);
    case DIP_NODE_TABLE: narrow_table(n, r, bits); break;
    case DIP_NODE_TIME: narrow_time(n, r, bits); break;
    case DIP_NODE_RANGE: narrow_range(n, r, bits); break;
    case DIP_NODE_BOX: (n->within ? narrow_box_within : narrow_box)(n, r, bits); break;
    }
    return DIP_OK;
}

typedef struct job {
    const dip_filter *filter;
    uint64_t *rows;
} job;

static dip_status run_task(void *context, size_t task, unsigned worker)
{
    const job *j = context;
    const dip_columns *c = j->filter->columns;
    size_t first = task * TASK * RUN, end = first + TASK * RUN;
    if (end > c->count) end = c->count;
    for (; first < end; first += RUN) {
        uint64_t bits[WORDS] = {0};
        run r = {c, first, end - first < RUN ? end - first : RUN, worker};
        size_t full = r.count / 64, rest = r.count % 64;
        for (size_t w = 0; w < full; w++) bits[w] = UINT64_MAX;
        if (rest) bits[full] = (UINT64_C(1) << rest) - 1;
        dip_status status = narrow(j->filter->root, &r, bits);
        if (status) return status;
        memcpy(j->rows + first / 64, bits, (r.count + 63) / 64 * sizeof *bits);
    }
    return DIP_OK;
}

size_t dip_filter_words(const dip_columns *columns) { return (columns->count + 63) / 64; }

dip_status dip_filter_run(dip_filter *filter, uint64_t *rows)
{
    job j = {filter, rows};
    size_t each = TASK * RUN;
    return dip_parallel_for((filter->columns->count + each - 1) / each, run_task, &j);
}

static size_t count_bits(const dip_columns *columns, const uint64_t *rows)
{
    size_t n = 0;
    if (!rows) return columns->count;
    for (size_t w = 0; w < dip_filter_words(columns); w++)
        n += (size_t)__builtin_popcountll(rows[w]);
    return n;
}

dip_status dip_filter_keep_ids(const dip_columns *columns, const uint64_t *ids, size_t n,
                               uint64_t **rows)
{
    uint64_t *kept = dip_calloc(dip_filter_words(columns) + 1, sizeof *kept);
    if (!kept) return DIP_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        size_t row = dip_columns_find(columns, ids[i]);
        if (row == SIZE_MAX || (*rows && !((*rows)[row / 64] >> row % 64 & 1))) continue;
        kept[row / 64] |= (uint64_t)1 << row % 64;
    }
    dip_free(*rows);
    *rows = kept;
    return DIP_OK;
}

dip_status dip_filter_ids(const dip_columns *columns, const uint64_t *rows, int modality,
                          uint64_t **ids, size_t *count)
{
    size_t n = 0;
    uint64_t *list = dip_alloc((count_bits(columns, rows) + 1) * sizeof *list);
    if (!list) return DIP_ENOMEM;
    for (size_t w = 0; w < dip_filter_words(columns); w++) {
        for (uint64_t left = rows ? rows[w] : UINT64_MAX; left; left &= left - 1) {
            size_t row = w * 64 + (size_t)__builtin_ctzll(left);
            if (row >= columns->count) break;
            list[n] = columns->ids[row];
            n += (int)columns->modalities[row] == modality;
        }
    }
    *ids = list;
    *count = n;
    return DIP_OK;
}
