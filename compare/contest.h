/**
 * The comparison: every engine, each in a process of its own, built and searched with every combination of its parameters,
 * one after the other, all with the same number of threads, on the same vectors.
 *
 * In its folder:
 *
 *   results.jsonl                     a line a measurement (results.h)
 *   results/<set>/<k>/<engine>/   the same for ann-benchmarks
 *   indexes/<key>/                    an index while it is measured; kept on request
 *   cache/                            vectors and true neighbours (set.h)
 *   <engine>.log                      what the program said on standard error
 *
 * What the results file holds is not measured again, so an interrupted comparison continues.
 */
#ifndef COMPARE_CONTEST_H
#define COMPARE_CONTEST_H

#include "compare/results.h"
#include "compare/set.h"
#include "compare/spec.h"

enum { DIP_CONTEST_MOST_BATCHES = 8 };

typedef struct dip_contest_options {
    const char *folder;
    char *program; /* path of diptych, which serves the index's own engines */
    size_t k, repeats;
    size_t batches[DIP_CONTEST_MOST_BATCHES]; /* queries a call; 0: all in one */
    size_t batch_count;
    unsigned threads, search_threads;
    double epsilon; /* of recall, on cosines */
    bool keep;      /* indexes */
    bool again;     /* measure what is measured already */
    const dip_progress *progress;
    /** One line for people: an engine that failed, say. */
    void (*note)(void *payload, const char *line);
    /** After each measurement. */
    dip_status (*measured)(void *payload, const dip_result *row);
    void *payload;
} dip_contest_options;

/**
 * Measures what is missing in `results`. An engine that fails is noted, and the others go on. Expected failures: DIP_EIO
 * (an engine failed; the rest is measured), DIP_EBUSY (another comparison works in the folder), DIP_ECANCEL.
 */
dip_status dip_contest_run(dip_results *results, const dip_set *set, const dip_spec *specs,
                           size_t spec_count, const dip_contest_options *options);

#endif
