/**
 * archive.ini: what the archive is, for people to read and, with care, to edit.
 *
 *   [archive]
 *   format = 1
 *   title = Greater Los Angeles
 *   created-by = diptych 0.1.0
 *
 *   [modality.s1]
 *   position = 0                   as tiles refer to it
 *   band.1 = VV                    bands from 1 on, no gap
 *   band.1.unit = dB               unit, gsd_m, mean and stddev may be missing: not known
 *   band.1.gsd_m = 10
 *   band.1.mean = -12.6
 *   band.1.stddev = 5.1
 *   display.red = VV               display.green, display.blue; only red: grey
 *
 * In values, %XX stands for the byte XX (hexadecimal): '%', control characters, blanks at the ends and a ';' after a
 * blank are written so. A line has 197 bytes at most. Unknown keys and sections are left alone, with a line in the debug log. The file comes from outside.
 */
#ifndef STORAGE_CONFIG_H
#define STORAGE_CONFIG_H

#include "core/status.h"

#include <diptych/tile.h>

#include <stdio.h>

enum { DIP_TITLE_CAPACITY = 129, DIP_CONFIG_MAX_BYTES = 1 << 22 };

typedef struct dip_config {
    unsigned format;
    char title[DIP_TITLE_CAPACITY];
    char created_by[48];
    uint32_t modality_count;
    dip_modality *modalities[DIP_MAX_MODALITIES]; /* owned; in order of position */
} dip_config;

void dip_config_fini(dip_config *config);

/** `path` is for messages. Expected failure: DIP_EFORMAT, also for a newer format, with the line. */
dip_status dip_config_parse(dip_config *config, const char *text, const char *path);
dip_status dip_config_read(dip_config *config, const char *path);
void dip_config_print(FILE *file, const dip_config *config);
/** Aside, synced and renamed. */
dip_status dip_config_write(const dip_config *config, const char *path);

/** DIP_EINVAL: what of a title or a modality cannot be stored. */
dip_status dip_title_check(const char *title);
dip_status dip_modality_check(const dip_modality *modality);

#endif
