/**
 * The sweep: trains, encodes and measures every task of a plan that the results file does not hold yet, through the
 * program, one after the other.
 *
 * The work folder holds an archive a data set (and part held out), each made by `import` once. Models and runs are
 * removed when their outcomes are written. A sweep that was killed begins its last training again, so that times are
 * those of whole trainings.
 */
#ifndef BENCH_QUALITY_SWEEP_H
#define BENCH_QUALITY_SWEEP_H

#include "bench/quality/outcome.h"
#include "bench/quality/plan.h"

typedef struct dip_sweep_options {
    const char *program; /* path of diptych */
    const char *data;    /* folder that relative sources are in */
    const char *work;    /* folder for archives, made if it is not there */
    const char *results; /* the JSONL file */
    const char *rows;    /* only these, "a,b"; NULL: all */
    uint64_t threads;    /* for the program; 0: its default */
    bool final;          /* finals on the test split, in place of candidates */
    bool again;          /* measure on the test split what was measured there before */
    bool keep;           /* leave models and runs in the archives */
    /** One line for people; after each outcome, `changed` is called too. */
    void (*note)(void *payload, const char *line);
    dip_status (*changed)(void *payload);
    void *payload;
} dip_sweep_options;

/**
 * Adds to `outcomes` and to the file. Without `again`, a final whose outcome is there is refused with a note, and the
 * sweep goes on. Expected failures: DIP_EINVAL (options of a row), DIP_EBUSY (another sweep works there), DIP_ECANCEL,
 * DIP_EIO (the program failed; its last line).
 */
dip_status dip_sweep_run(const dip_plan *plan, const dip_sweep_options *options,
                         dip_outcomes *outcomes);

#endif
