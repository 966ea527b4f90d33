/**
 * Run-books as the streaming track of big-ann-benchmarks has them: what comes into an index and what goes, and when it is searched.
 *
 *   name of a data set:
 *     max_pts: 100000
 *     1:
 *       operation: "insert"
 *       start: 0
 *       end: 10000
 *     2:
 *       operation: "search"
 *
 * Of YAML that much: block mappings of three depths, quotes or none, comments, any order of keys within a step. Steps ascend.
 * Other keys of the data set (`max_pts`, `gt_url`) are passed over. insert, delete: rows `start` to `end` - 1 of the vectors.
 */
#ifndef BENCH_RUNBOOK_H
#define BENCH_RUNBOOK_H

#include "core/status.h"

#include <stddef.h>

typedef enum bench_operation {
    BENCH_INSERT,
    BENCH_DELETE,
    BENCH_SEARCH,
    BENCH_OPERATIONS
} bench_operation;

typedef struct bench_step {
    size_t number, start, end; /* both 0: search */
    bench_operation operation;
} bench_step;

typedef struct bench_runbook {
    bench_step *steps;  /* free with dip_free() */
    size_t count, rows; /* rows: the largest `end` */
} bench_runbook;

/**
 * Reads the steps of data set `set`; NULL: the first. Expected failures: DIP_ENOENT (no such file, no steps for such a
 * set), DIP_EFORMAT (names the line, or the step that makes no sense).
 */
dip_status bench_runbook_read(bench_runbook *out, const char *path, const char *set);

/**
 * Writes a run-book over `rows` rows in `parts` searches. "sliding": `parts` blocks come one after the other, and half as many
 * are live at a time. "clustered": half of the parts bring a share of a block each, the others take some of that block
 * away and bring its rest. Expected failure: DIP_EINVAL (fewer than ten rows a part, or another kind).
 */
dip_status bench_runbook_make(const char *path, const char *kind, size_t rows, size_t parts);

#endif
