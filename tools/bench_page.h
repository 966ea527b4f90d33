/** The page of a comparison of engines: one file that needs nothing else. */
#ifndef TOOLS_BENCH_PAGE_H
#define TOOLS_BENCH_PAGE_H

#include "compare/results.h"

/** Writes it aside, then renames it. Expected failure: DIP_ENOENT (there are no measurements). */
dip_status dip_bench_page_write(const dip_results *results, const char *path);

#endif
