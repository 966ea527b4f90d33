/** An explanation for people: lines of text, and a page that needs nothing else. */
#ifndef TOOLS_EXPLAIN_PAGE_H
#define TOOLS_EXPLAIN_PAGE_H

#include <diptych/search.h>

#include <stdio.h>

/** What the score is, beside what random pairs score, what it is made of, which parts match, what the records say. */
void dip_explain_print(const dip_explanation *e, FILE *out);

/** Both tiles with and without the map, the lines above, and the colours' values; written aside, then renamed. */
dip_status dip_explain_page(const dip_archive *archive, const dip_explanation *e, const char *path);

#endif
