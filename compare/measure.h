/** One point of the comparison: an index that is open in a program, searched with one set of parameters. */
#ifndef COMPARE_MEASURE_H
#define COMPARE_MEASURE_H

#include "compare/program.h"
#include "compare/results.h"
#include "compare/set.h"

typedef struct dip_point {
    const dip_set *set;
    const char *search_fields; /* the parameters as fields: "nprobe=8\tdepth=4" */
    const char *folder;        /* for the files that program and comparison exchange */
    const char *hdf5_folder;   /* where the result goes that ann-benchmarks can read */
} dip_point;

enum { DIP_MEASURE_MOST_REPEATS = 100 };

/**
 * Searches once to warm up and row->repeats times to measure, and fills in what came out. The row says what to measure
 * and what is known already: data, engine, parameters, k, batch, threads, how it was built. Also writes the result file.
 * Expected failures: those of dip_program_ask(); DIP_EFORMAT (its answer makes no sense).
 */
dip_status dip_measure(dip_program *program, const dip_point *point, dip_result *row);

#endif
