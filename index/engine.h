/**
 * What an engine answers. An index is a file of ours (layout.h), the table of its ids, and an engine's state; the front
 * (index.c, search.c) checks arguments, turns ids into rows and filters into sets of rows, and asks the engine.
 *
 * A further engine is one more row in the table in index.c.
 */
#ifndef INDEX_ENGINE_H
#define INDEX_ENGINE_H

#include "index/ids.h"
#include "index/index.h"
#include "index/layout.h"
#include "index/supply.h"

typedef struct dip_engine_ops dip_engine_ops;

struct dip_index {
    const dip_engine_ops *ops;
    dip_map map; /* of our file */
    dip_layout_view view;
    dip_id_table table;
    char describe[96];
    void *state; /* the engine's */
};

/** The rows that can be hits: live ones, and of those the allowed ones; without list and bits every live row. */
typedef struct dip_rows {
    size_t count;
    const uint32_t
        *list; /* few: all of them, in the order of their ids. Engines do not see such requests */
    const uint64_t *bits; /* many: a bit a row */
} dip_rows;

typedef struct dip_request {
    const float *queries; /* (nq, dim) */
    size_t nq, k;         /* both at least 1 */
    dip_index_params params;
    dip_rows rows;
    uint64_t *ids; /* (nq, k) */
    float *scores;
} dip_request;

typedef struct dip_build {
    const char *folder, *name;
    dip_index_recipe recipe;  /* resolved */
    const dip_supply *supply; /* with ids */
    const dip_progress *progress;
} dip_build;

/** Checked: `remove` ascending, `ids` (n) in any order, none twice, none live in the base after the removal. */
typedef struct dip_change {
    const char *folder, *name;
    const uint64_t *remove;
    size_t remove_count;
    const float *vectors;
    const uint64_t *ids;
    size_t n;
} dip_change;

struct dip_engine_ops {
    dip_engine engine;
    const char *name;        /* what users call it */
    uint32_t kind;           /* of our file (layout.h); 0: the engine opens a file of its own */
    const char *suffix;      /* of our file: ".exact" */
    const char *data_suffix; /* of a second file, or NULL */
    dip_status (*build)(const dip_build *build);
    /** Everything but `state` is there; without a kind, nothing is. */
    dip_status (*open)(dip_index *index, const char *folder, const char *name);
    void (*close)(dip_index *index); /* `state` may be NULL */
    /**
     * Is a search among so few rows better done by scoring each? Called where there are lists only. NULL: it is for up to
     * 20,000 rows and for up to one in a hundred.
     */
    bool (*narrow)(const dip_index *index, const dip_index_params *params, size_t rows);
    /** Inner products of one query with some rows. Any number of threads. */
    dip_status (*scores)(const dip_index *index, const float *query, const uint32_t *rows, size_t n,
                         float *scores);
    /**
     * How far each of the nprobe nearest lists of each query is behind the nearest, on the scale of dip_index_params.gap: (nq, nprobe),
     * ascending; infinity where there is no list. On all threads. NULL: the engine knows no gap.
     */
    dip_status (*behind)(const dip_index *index, const float *queries, size_t nq, uint32_t nprobe,
                         float *out);
    /** Answers a request that allows many rows or all. Any number of threads. */
    dip_status (*search)(const dip_index *index, const dip_request *request);
    dip_status (*update)(const dip_index *base, const dip_change *change);
};

extern const dip_engine_ops dip_engine_exact, dip_engine_native, dip_engine_faiss;

/** Answers a part of a request by scoring all its rows: queries `first`..`first + n - 1`. */
dip_status dip_search_rows(const dip_index *index, const dip_request *request, size_t first,
                           size_t n);

/** "`folder`/`name``suffix`"; free with dip_free(). */
char *dip_index_path(const char *folder, const char *name, const char *suffix);

#endif
