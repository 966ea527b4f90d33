/**
 * Measurements of search engines over their recall, as inline SVG: a coloured line with its own marks for each engine
 * along the points that none of its others beats, the rest faint; a broad grey line along the best of all.
 *
 * The axis of recall is stretched towards 1, as much from 0.9 to 0.99 as from 0.99 to 0.999; the other is logarithmic.
 */
#ifndef TOOLS_PLOT_H
#define TOOLS_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { DIP_PLOT_COLOURS = 8 };

typedef struct dip_plot_point {
    double recall, value; /* value > 0; others are left out */
    bool leads;           /* of its series */
    bool best;            /* of all series */
    char tell[512];       /* shown when pointed at */
} dip_plot_point;

typedef struct dip_plot_series {
    const char *name;
    size_t colour;                /* below DIP_PLOT_COLOURS */
    const dip_plot_point *points; /* by recall */
    size_t n;
} dip_plot_series;

typedef struct dip_plot {
    const char *title, *unit;
    bool less_is_better;
    const dip_plot_series *series;
    size_t series_count;
} dip_plot;

/** A <figure class="chart plot">; nothing if there is no point. */
void dip_plot_write(FILE *out, const dip_plot *plot);

/** One horizontal bar: its share of the longest, and what stands beside it. */
void dip_plot_bar(FILE *out, size_t colour, const char *name, const char *more, double share,
                  const char *value);

/** A swatch with the mark of a colour, for tables and keys. */
void dip_plot_mark(FILE *out, size_t colour);

/** Over dip_sheet_style and dip_chart_style. */
extern const char dip_plot_style[];

#endif
