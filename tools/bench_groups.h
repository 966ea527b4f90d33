/**
 * Measurements in the order in which people look at them: a group is what may be compared, the same data, k and threads.
 * Pointers go into the results, which must live as long.
 */
#ifndef TOOLS_BENCH_GROUPS_H
#define TOOLS_BENCH_GROUPS_H

#include "compare/results.h"

typedef struct dip_bench_group {
    const dip_result **rows; /* the newest of each measurement, by engine, batch, recall */
    size_t count;
    const char **engines; /* in the order of their first measurement */
    size_t engine_count;
} dip_bench_group;

/** `hash` (may be NULL): only the data of that hash. */
dip_status dip_bench_groups_make(dip_bench_group **out, size_t *count, const dip_results *results,
                                 const char *hash);
void dip_bench_groups_free(dip_bench_group *groups, size_t count);

/** What a row is judged by, beside its recall; the larger the better, NAN: not at all. */
typedef double (*dip_bench_merit)(const dip_result *row);

/** Queries a second, and a second of processor time. */
double dip_bench_speed(const dip_result *row);
double dip_bench_thrift(const dip_result *row);

/** No other row of the group with its batch (of its engine, or of any) has more recall and more merit. */
bool dip_bench_leads(const dip_bench_group *group, const dip_result *row, dip_bench_merit merit,
                     bool of_any);

/**
 * An engine's merit, a positive one, at a recall: between two of its leading rows by the logarithm. Where all its
 * measurements reach the recall, the best one's; NAN: none does.
 */
double dip_bench_merit_at(const dip_bench_group *group, const char *engine, double batch,
                          double recall, dip_bench_merit merit);

#endif
