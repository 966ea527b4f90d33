/** Inside view of a search: what its parts share. */
#ifndef SEARCH_ENGINE_H
#define SEARCH_ENGINE_H

#include <diptych/search.h>

#include "core/combine.h"
#include "index/generation.h"
#include "search/properties.h"

#include <pthread.h>

/** What a search keeps of one modality of the archive. */
typedef struct dip_side {
    const dip_index *index; /* NULL: the generation has none */
    bool has_stale;         /* the index names tiles that the archive no longer has */
    bool has_all;           /* `all` is loaded */
    dip_embeddings all;     /* for exact search; loaded when it is first asked for */
} dip_side;

struct dip_engine_handle {
    const dip_archive *archive;   /* borrowed */
    dip_generation *generation;   /* NULL: there is no index */
    const dip_manifest *manifest; /* of the generation, or `without` */
    dip_manifest
        without; /* without an index: holds nothing; its model is the newest, dim its once it is open */
    dip_columns columns;
    dip_properties properties;
    pthread_mutex_t lock; /* of model and sides' embeddings while they load, and of the encoder */
    dip_model *model;     /* opened when it is first needed */
    dip_combiner encoding,
        comparing; /* of concurrent probes of pixels; of searches that compare all */
    dip_side sides[DIP_MAX_MODALITIES];
};

/** A probe that became a vector. */
typedef struct dip_probed {
    char from[DIP_WORD_CAPACITY]; /* modality; "" = not known */
    int modality;                 /* its position in the archive, or -1 */
    uint64_t id;                  /* of the stored tile, or DIP_NO_ID */
    float *vector;                /* (dim), owned */
    uint64_t *own;                /* ids of the stored tiles that it is made of; owned */
    size_t own_count;
    bool mixed; /* from examples: its scores are not those of tiles */
} dip_probed;

/** `target`: position of the modality that is asked for, -1 if several are. */
dip_status dip_probe_resolve(dip_search *search, const dip_probe *probe, int target,
                             dip_probed *out);
/** The same, with the query's examples mixed in; see dip_query. */
dip_status dip_probe_resolve_examples(dip_search *search, const dip_probe *probe,
                                      const dip_query *query, int target, dip_probed *out);
void dip_probed_fini(dip_probed *probed);

typedef struct dip_candidate {
    uint64_t id;
    float score;
} dip_candidate;

/** For qsort(): higher score first, then smaller id. */
int dip_candidate_order(const void *a, const void *b);

typedef struct dip_candidates {
    dip_candidate *list; /* best first; owned */
    size_t count;
    bool exactly;                     /* all that are allowed were compared */
    const dip_operating_point *point; /* that the index was asked at; or NULL */
} dip_candidates;

/** How many the index is asked for if k hits are wanted: the rest falls out when scores become exact. */
size_t dip_candidates_fetched(size_t k);

/**
 * The k best of the tiles `allow` (ascending ids; NULL: all) of one modality, by the index or (`effort` NULL) by comparing
 * all, with exact scores. out->list is the caller's (dip_free).
 */
dip_status dip_candidates_rank(dip_search *search, const dip_probed *probe, int target,
                               const uint64_t *allow, size_t allow_count, size_t k,
                               const dip_effort *effort, dip_candidates *out);

/** DIP_ENOENT with the remedy if there is no index. */
dip_status dip_search_check_index(const dip_search *search);

/** DIP_EINVAL with a line that names the modalities there are. */
dip_status dip_modality_unknown(const dip_archive *archive, const char *name);

/** The model, opened on first use. With `lock` held. */
dip_status dip_search_need_model(dip_search *search, dip_model **out);

#endif
