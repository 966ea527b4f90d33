/**
 * A training run as its folder tells it: config.ini, metrics.jsonl, examples.jsonl, finished.ini.
 *
 * Every number of the history is a curve over the epochs, of a kind and a name: "step" "loss", "evaluation"
 * "recall_forward". So a new number that the trainer writes needs nothing here.
 */
#ifndef TOOLS_RUN_HISTORY_H
#define TOOLS_RUN_HISTORY_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DIP_RUN_WORD = 64,
    DIP_RUN_CURVES = 96,
    DIP_RUN_BANDS = 256,
    DIP_RUN_HITS = 8,
    DIP_RUN_LABELS = 16
};

typedef struct dip_curve {
    char kind[DIP_RUN_WORD], name[DIP_RUN_WORD];
    size_t n, room;
    double *x, *y; /* epochs done (steps, if x_name says so), value; NAN where it was not finite */
} dip_curve;

typedef struct dip_run_band {
    char modality[DIP_RUN_WORD], band[DIP_RUN_WORD], unit[DIP_RUN_WORD];
    double gsd_m, mean, deviation; /* NAN: not known */
} dip_run_band;

typedef struct dip_run_example {
    bool best; /* else one of the worst */
    char from[DIP_RUN_WORD], to[DIP_RUN_WORD];
    uint64_t probe, twin; /* tile ids */
    size_t rank, of;      /* of the twin, from 1, among how many */
    double score;
    size_t hit_count;
    uint64_t hits[DIP_RUN_HITS]; /* the nearest, best first */
    double hit_scores[DIP_RUN_HITS];
} dip_run_example;

/** Precision among the ten nearest held-out tiles by primary label and by any; NAN: no labels. */
typedef struct dip_run_labels {
    char from[DIP_RUN_WORD], to[DIP_RUN_WORD];
    double precision, chance, queries, precision_any, chance_any, queries_any;
} dip_run_labels;

typedef struct dip_run_history {
    char *config; /* text of config.ini */
    bool finished;
    const char *x_name; /* "epoch"; before the end of the first one, "step" */
    char held_out[256]; /* where the held-out pairs come from */
    dip_curve curves[DIP_RUN_CURVES];
    size_t curve_count;
    dip_run_band bands[DIP_RUN_BANDS];
    size_t band_count;
    dip_run_labels labels[DIP_RUN_LABELS]; /* the last measured */
    size_t label_count;
    dip_run_example *examples;
    size_t example_count, example_room;
} dip_run_history;

/** Free with dip_run_history_close(). Expected failure: DIP_ENOENT (no such run, or it has not begun to learn). */
dip_status dip_run_history_open(dip_run_history **out, const char *folder);
void dip_run_history_close(dip_run_history *history);

/** NULL if there is none. */
const dip_curve *dip_run_curve(const dip_run_history *history, const char *kind, const char *name);
/** The last value of a curve, NAN if there is none; the sum of all its finite values. */
double dip_run_last(const dip_run_history *history, const char *kind, const char *name);
double dip_run_sum(const dip_run_history *history, const char *kind, const char *name);

/** An option of the run as text, from config.ini; false if it is not there. */
bool dip_run_setting(const dip_run_history *history, const char *name, char *out, size_t capacity);

#endif
