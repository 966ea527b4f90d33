/** Inside of a compiled filter: what compiling makes and running walks. */
#ifndef SEARCH_FILTER_NODE_H
#define SEARCH_FILTER_NODE_H

#include "search/filter.h"
#include "search/region.h"

typedef enum dip_node_kind {
    DIP_NODE_ALL,   /* of the children; none: everything */
    DIP_NODE_ANY,   /* of the children; none: nothing */
    DIP_NODE_BUT,   /* what its one child does not pass */
    DIP_NODE_TABLE, /* keep[numbers[row]] */
    DIP_NODE_TIME,  /* times[row] in first..last */
    DIP_NODE_RANGE, /* values[row] in low..high */
    DIP_NODE_BOX,   /* the footprint meets, or lies within, the box */
    DIP_NODE_REGION /* the same with a shape */
} dip_node_kind;

typedef struct dip_node {
    dip_node_kind kind;
    unsigned cost; /* cheap ones run first */
    struct dip_node *children, *next;
    const uint32_t *numbers; /* TABLE */
    uint8_t *keep;           /* owned; 0 or 1 */
    int64_t first, last;     /* TIME; first > DIP_NO_TIME */
    const double *values;    /* RANGE */
    double low, high;
    bool within;                      /* BOX, REGION */
    int32_t west, south, east, north; /* BOX; west > east crosses the antimeridian */
    dip_region *region;               /* owned */
} dip_node;

struct dip_filter {
    const dip_columns *columns;
    dip_node *root;
    char missing[DIP_MISSING_CAPACITY];
};

/** Of one kind, with its cost; NULL when memory is short. */
dip_node *dip_node_create(dip_node_kind kind);
void dip_node_free(dip_node *node);
/** Adds a child behind those that cost no more. */
void dip_node_add(dip_node *parent, dip_node *child);

#endif
