/** Where in two tiles a score comes from: what dip_explain() maps. */
#ifndef SEARCH_HEAT_H
#define SEARCH_HEAT_H

#include <diptych/search.h>

#include <pthread.h>

/** A tile as an encoder takes it: of dip_model_prepare(). */
typedef struct dip_heat_side {
    size_t modality; /* position in the model */
    const float *input;
    uint32_t px, bands;
} dip_heat_side;

enum { DIP_HEAT_PLACES = 9 };

/** What is done with a part of both tiles before they are compared again. */
typedef enum dip_look {
    DIP_LOOK_HIDDEN, /* its pixels become the mean of the archive's; the map holds what that costs the score */
    DIP_LOOK_SHOWN, /* all others do */
    DIP_LOOK_CUT,   /* it is cut out and enlarged to a tile */
    DIP_LOOKS
} dip_look;

typedef float dip_heat_grid[DIP_EXPLAIN_GRID][DIP_EXPLAIN_GRID];

typedef struct dip_heat {
    dip_heat_grid map;                          /* the weighted sum of the looks */
    dip_heat_grid look[DIP_LOOKS];              /* each by itself */
    dip_explained_place place[DIP_HEAT_PLACES]; /* north-west first */
} dip_heat;

/** See dip_explanation.heat. `lock` is taken for each slice of the encodings. Does not depend on the number of threads. */
dip_status dip_heat_map(dip_model *model, pthread_mutex_t *lock, const dip_heat_side side[2],
                        dip_heat *out);

#endif
