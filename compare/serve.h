/** The other end of the protocol: an engine of the index as a program that the comparison starts (docs/bench.md). */
#ifndef COMPARE_SERVE_H
#define COMPARE_SERVE_H

#include "core/status.h"

#include <stdio.h>

/**
 * Answers requests until `in` ends or asks to quit. Requests that fail are answered with a line `error`. Expected failure:
 * DIP_EINVAL (no such engine: names those that there are).
 */
dip_status dip_serve_engine(const char *engine, FILE *in, FILE *out);

#endif
