/** Line charts as inline SVG: axes with round ticks, points that tell their value when pointed at. */
#ifndef TOOLS_CHART_H
#define TOOLS_CHART_H

#include <stddef.h>
#include <stdio.h>

/** One line. Values that are not finite leave a gap. */
typedef struct dip_series {
    const char *name;  /* for the key and for what a point tells */
    const char *class; /* of the line and of its key; see dip_chart_style */
    size_t n;
    const double *x, *y; /* x ascending */
} dip_series;

typedef struct dip_chart {
    const char *title, *unit; /* unit: of y, "" if it has none */
    const char *x_name;       /* "epoch" */
    const dip_series *series;
    size_t series_count;
    double x_high;        /* the axis goes from 0 to this at least */
    double y_low, y_high; /* the axis covers this at least; NAN: what the values need */
    const double *marks;  /* thin vertical lines */
    size_t mark_count;
    const char *mark_name; /* what they tell when pointed at */
} dip_chart;

/** A <figure class="chart">. A series of more points than fit is drawn as the means of short stretches. */
void dip_chart_write(FILE *out, const dip_chart *chart);

/** "0.008", "1,266", "4.50": with `digits` significant ones, thousands in groups. */
void dip_chart_number(double value, int digits, char *out, size_t capacity);

/** Needs the colours of dip_sheet_style. Line classes: "main", "second", "third", "faint", "other". */
extern const char dip_chart_style[];

#endif
