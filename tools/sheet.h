/** The contact sheet: probe left, hits right, one HTML file that needs nothing else. */
#ifndef TOOLS_SHEET_H
#define TOOLS_SHEET_H

#include "tools/hits.h"

typedef struct dip_sheet_entry {
    const dip_answer *answer;
    const dip_tile *tile;         /* the probe's pixels; NULL: answer->result->probe_id is stored */
    const dip_modality *modality; /* of `tile`; NULL: the archive's */
} dip_sheet_entry;

typedef struct dip_sheet {
    const dip_archive *archive;
    const char *model;   /* id */
    const char *filters; /* what the hits were filtered by, for people; "" if by nothing */
    const dip_sheet_entry *entries;
    size_t count;
} dip_sheet;

/** Written aside, then renamed. Pictures are inside as PNG. */
dip_status dip_sheet_write(const dip_sheet *sheet, const char *path);

#endif
