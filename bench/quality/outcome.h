/**
 * Outcomes: one JSON object a line, one a row, form, seed and part held out. The file is the memory of a sweep: what
 * stands in it is not done again, and it tells how often the test split was looked at.
 *
 * A line holds what the sweep wrote (dip_outcome_note) and, under "training", "encoding" and "eval", the program's own
 * JSON. What the report needs is read back from there.
 */
#ifndef BENCH_QUALITY_OUTCOME_H
#define BENCH_QUALITY_OUTCOME_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

enum { DIP_OUTCOME_PERCENTILES = 3 };

typedef struct dip_outcome_metric {
    char name[32]; /* "p@10" */
    double value, chance;
} dip_outcome_metric;

typedef struct dip_outcome_direction {
    char from[64], to[64];
    double queries;
    double percentile[DIP_OUTCOME_PERCENTILES], above[DIP_OUTCOME_PERCENTILES]; /* NAN: unknown */
    dip_outcome_metric *metrics;
    size_t metric_count;
} dip_outcome_direction;

typedef struct dip_outcome {
    char key[20]; /* of everything that decides the numbers */
    char data[48], row[48], form[48], split[16], hold_out[16], program[40];
    uint64_t seed;
    double cpu_s, wall_s, steps, epochs, pairs, parameters, dims, bytes;
    dip_outcome_direction *directions;
    size_t direction_count;
} dip_outcome;

typedef struct dip_outcomes {
    dip_outcome *list;
    size_t count, capacity;
} dip_outcomes;

/**
 * Reads the file, if it is there. A last line that was cut off by a kill is removed from it.
 * Expected failure: DIP_EFORMAT (a line that is no outcome).
 */
dip_status dip_outcomes_read(dip_outcomes *out, const char *path);
void dip_outcomes_fini(dip_outcomes *outcomes);
/** The last one with this key, or NULL. */
const dip_outcome *dip_outcomes_find(const dip_outcomes *outcomes, const char *key);

/** Appends a line to the file, durably, and what it says to the list. */
dip_status dip_outcomes_add(dip_outcomes *outcomes, const char *path, const char *line);

/** A text in a JSON object. Expected failure: DIP_EFORMAT (no such member). */
dip_status dip_json_member_text(const char *json, const char *name, char *out, size_t capacity);

#endif
