/**
 * The page of a training run: <run>/report.html, one file that needs nothing else.
 *
 * It is made from the run's folder and the archive's tiles alone, so it can be made while the run goes on, and again
 * at any time later.
 */
#ifndef TOOLS_RUN_PAGE_H
#define TOOLS_RUN_PAGE_H

#include <diptych/archive.h>

/**
 * folder: of the run. path: the file, written aside, then renamed; NULL: report.html in the folder. Expected failures:
 * DIP_ENOENT (no such run), DIP_EIO.
 */
dip_status dip_run_page_write(const dip_archive *archive, const char *folder, const char *path);

#endif
