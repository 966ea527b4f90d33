/** Times as people write them. */
#ifndef CORE_WHEN_H
#define CORE_WHEN_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIP_WHEN_CAPACITY = 32 };

/** "2020-11-07T13:52:41Z"; "" for DIP_NO_TIME. */
void dip_when_format(int64_t time, char *out, size_t capacity);
/** The same, a midnight as "2020-11-07". */
void dip_when_format_short(int64_t time, char *out, size_t capacity);

/** The first and last second of a year, a month, a day or a moment; false for anything else. */
bool dip_when_span(const char *text, int64_t *first, int64_t *last);

/**
 * STAC's datetime: one instant or "from/to", ".." or nothing is an open end. A year, month or day stands for all of
 * it: "2017-06/2017-08" ends with August. *from, *to: both included, DIP_NO_TIME is open.
 * Expected failure: DIP_EINVAL.
 */
dip_status dip_when_interval(const char *text, int64_t *from, int64_t *to);

#endif
