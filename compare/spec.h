/**
 * What to measure of one engine, as a user writes it in one line:
 *
 *   [LABEL:] COMMAND [NAME=VALUE[,VALUE]...]... [/ [NAME=VALUE[,VALUE]...]...]
 *
 *   faiss
 *   native lists=1024,4096 / nprobe=4,8,16 depth=10
 *   old: /usr/bin/diptych bench --serve faiss / nprobe=8
 *   build/peer_hnswlib M=16 ef_construction=200 / ef=20,40,80
 *
 * Before the slash stand the parameters of building, behind it those of searching; every combination is measured. The
 * command is what stands before the first parameter; one word that is an engine of the index is this program's own.
 */
#ifndef COMPARE_SPEC_H
#define COMPARE_SPEC_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

enum { DIP_GRID_MOST = 8, DIP_GRID_VALUES = 32, DIP_SPEC_WORDS = 32 };

/** Parameters with their values; pointers go into the spec's or the caller's text. */
typedef struct dip_grid {
    size_t count;
    const char *names[DIP_GRID_MOST];
    const char *values[DIP_GRID_MOST][DIP_GRID_VALUES];
    size_t value_count[DIP_GRID_MOST];
} dip_grid;

/** Reads "a=1,2 b=3"; `text` is cut up and must live as long. Expected failure: DIP_EINVAL. */
dip_status dip_grid_parse(dip_grid *out, char *text);
/** Number of combinations; 1 without parameters. */
size_t dip_grid_size(const dip_grid *grid);
/** The i-th combination as "a=1 b=3", the last parameter changing fastest; with `separator` between. */
void dip_grid_text(const dip_grid *grid, size_t i, char separator, char *out, size_t capacity);

typedef struct dip_spec {
    char *text;                        /* owned; the rest points into it */
    const char *label;                 /* NULL: the engine's own name */
    char *command[DIP_SPEC_WORDS + 1]; /* NULL ends it */
    dip_grid build, search;
    bool has_build, has_search; /* a grid was given; else the engine's default */
} dip_spec;

/** Expected failure: DIP_EINVAL (says what is wrong in which word). */
dip_status dip_spec_parse(dip_spec *out, const char *line);
void dip_spec_fini(dip_spec *spec);

#endif
