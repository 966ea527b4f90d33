/** Acquisition times as archives write them. */
#ifndef CORE_ACQUIRED_H
#define CORE_ACQUIRED_H

#include <stdbool.h>
#include <stdint.h>

/**
 * Seconds since 1970 UTC from "2017-06-13", "2017-06-13T10:10:31Z", "2017-06-13 10:10", with a fraction
 * (dropped) or an offset (+02:00). False, and *seconds untouched, for anything else.
 */
bool dip_acquired_parse(const char *text, int64_t *seconds);

/** TIFF's "2017:06:13 10:10:31". */
bool dip_acquired_parse_tiff(const char *text, int64_t *seconds);

/**
 * "20170613T101031" at the beginning of `text`. BigEarthNet dropped the hour's leading zero ("20170924T93020")
 * and counts seconds past 59, so five digits and any two-digit second are taken.
 */
bool dip_acquired_parse_compact(const char *text, int64_t *seconds);

#endif
