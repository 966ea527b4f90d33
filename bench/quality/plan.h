/**
 * A plan of ablations, read from an ini file. docs/quality.md tells what may stand in it.
 *
 *   [plan]              title, seeds, hold-out, measures, and train, encode, eval: options that all rows share
 *   [data NAME]         source (manifest, or folder with one), import, train: options for this data set
 *   [candidate NAME]    one row, measured on `val` or on held-out scenes: train, encode, eval, eval-FORM: options;
 *                       data, seeds: in place of all
 *   [final NAME]        one row, measured on `test`
 *
 * A value continues on lines that begin with a blank; the same key again adds to it. Comments begin a line, # or ;.
 */
#ifndef BENCH_QUALITY_PLAN_H
#define BENCH_QUALITY_PLAN_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIP_PLAN_MOST_SEEDS = 64, DIP_PLAN_MOST_FOLDS = 32, DIP_PLAN_MOST_MEASURES = 24 };

/** Part `number` (from 1) of `of` equal parts of the scenes; of 0: none, split `val` is measured. */
typedef struct dip_hold_out {
    unsigned number, of;
} dip_hold_out;

typedef struct dip_plan_data {
    char *name, *source, *import, *train; /* owned, never NULL; so are all texts here */
} dip_plan_data;

/** One way to measure a trained model. `name` is "" for the one that every row has. */
typedef struct dip_plan_form {
    char *name, *eval;
} dip_plan_form;

typedef struct dip_plan_seeds {
    uint64_t list[DIP_PLAN_MOST_SEEDS];
    size_t count;
} dip_plan_seeds;

typedef struct dip_plan_row {
    bool final;
    char *name, *train, *encode;
    char *data;           /* names, separated by blanks; "": all data sets */
    dip_plan_seeds seeds; /* none: the plan's */
    dip_plan_form *forms;
    size_t form_count, form_capacity;
} dip_plan_row;

typedef struct dip_plan {
    char *title, *train, *encode, *eval;
    dip_plan_seeds seeds;
    dip_hold_out hold_out[DIP_PLAN_MOST_FOLDS];
    size_t hold_out_count;                  /* at least 1 */
    char *measures[DIP_PLAN_MOST_MEASURES]; /* columns of the report, as "p@10" */
    size_t measure_count;
    dip_plan_data *data;
    dip_plan_row *rows;
    size_t data_count, data_capacity, row_count, row_capacity;
} dip_plan;

/** Expected failures: DIP_ENOENT, DIP_EFORMAT (with the line). Zero-filled on failure. */
dip_status dip_plan_read(dip_plan *out, const char *path);
void dip_plan_fini(dip_plan *plan);

/** Does the row want this data set? */
bool dip_plan_wants(const dip_plan_row *row, const dip_plan_data *data);
const dip_plan_seeds *dip_plan_seeds_of(const dip_plan *plan, const dip_plan_row *row);

#endif
