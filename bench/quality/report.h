/** The report: outcomes of a plan as one Markdown file of tables, and as a JSON summary. */
#ifndef BENCH_QUALITY_REPORT_H
#define BENCH_QUALITY_REPORT_H

#include "bench/quality/outcome.h"
#include "bench/quality/plan.h"

#include <stdbool.h>

/** Mean and standard deviation (n - 1; NAN below two values) of the values that are numbers. */
typedef struct dip_spread {
    size_t n;
    double mean, sd;
} dip_spread;

dip_spread dip_spread_of(const double *values, size_t n);
/**
 * +1 or -1 if the mean of paired differences is above or below 0 at the two-sided 5 % level of Student's test, 0 if it
 * may be chance or there are fewer than three.
 */
int dip_spread_sign(const dip_spread *differences);

/**
 * Writes `path`.md and `path`.json from those outcomes that belong to the plan as it is now: others, of rows that were
 * changed or removed, stay in the results file and out of the report.
 */
dip_status dip_report_write(const dip_plan *plan, const dip_outcomes *outcomes, const char *path);

#endif
