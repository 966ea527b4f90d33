/**
 * The results file: one JSON object a line, one line a measurement; lines are only appended, a later one of the same
 * measurement stands for it. Each line tells all that is needed to understand it.
 */
#ifndef COMPARE_RESULTS_H
#define COMPARE_RESULTS_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** One engine, built in one way, searched in one way. */
typedef struct dip_result {
    /* the data */
    char set[96], hash[20], distance[32];
    double n, dim, queries;
    double changed;   /* base vectors that came with another norm */
    double agreement; /* of our truth with the file's own; NAN: it has none */
    /* the engine */
    char engine[64], version[64], describe[128];
    char build[192], search[192]; /* "M=16 ef_construction=200" */
    /* the measurement */
    double k, batch; /* batch: queries a call; 0: all in one */
    double threads, search_threads, repeats, epsilon;
    /* what came out; of several repeats the median one */
    double recall;
    double qps, qps_low, qps_high;
    double cpu_us;                       /* processor time a query */
    double p50_us, p95_us, p99_us;       /* of a call */
    double build_s, build_cpu_s, open_s; /* open_s: NAN if it was built in this run */
    double bytes, memory;                /* of the index; of the process, all in all */
    /* where and when */
    char machine[128], time[32];
    double load; /* the system's load average of a minute, before it began */
} dip_result;

typedef struct dip_results {
    dip_result *rows;
    size_t count, capacity;
    char *path; /* of the file */
} dip_results;

/**
 * Reads the file, if it is there; a last line without an end (a killed sweep's) is cut off. Expected failure: DIP_EFORMAT
 * (a line that is no measurement: names it).
 */
dip_status dip_results_open(dip_results *out, const char *path);
void dip_results_close(dip_results *results);

/** The measurement of the same thing: data, engine, parameters, k, batch, threads; NULL if there is none. */
const dip_result *dip_results_find(const dip_results *results, const dip_result *like);

/** Appends it, to the file first, synced. */
dip_status dip_results_add(dip_results *results, const dip_result *result);

/** The line, without its end; free with dip_free(). NULL when memory is short. */
char *dip_result_line(const dip_result *result);

#endif
