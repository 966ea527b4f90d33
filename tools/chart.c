/*
 * Line charts; see chart.h. All coordinates are those of a drawing of WIDTH x HEIGHT, which the page scales; colours
 * come from classes, so that they follow the page into the dark.
 */
#include "tools/chart.h"

#include "core/format.h"
#include "tools/html.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH = 480,
    HEIGHT = 236,
    LEFT = 46,
    RIGHT = 14,
    TOP = 10,
    BOTTOM = 34,
    MOST_POINTS = 200, /* of a line */
    MOST_TICKS = 12
};

/* clang-format off */
const char dip_chart_style[] =
    ":root{--blue:#0a66c2;--orange:#b8500a;--green:#14713f;--grid:#e6e9ec}"
    "@media(prefers-color-scheme:dark){:root{--blue:#72b5ff;--orange:#f0a060;--green:#6fd39b;--grid:#2a3035}}"
    ".chart{margin:0;background:var(--panel);border:1px solid var(--line);border-radius:12px;padding:13px 16px 8px;min-width:0}"
    ".chart figcaption{display:flex;flex-wrap:wrap;gap:2px 16px;align-items:baseline;margin-bottom:6px;min-height:21px}"
    ".chart figcaption b{font-weight:600;margin-right:auto}"
    ".key{font-size:12.5px;color:var(--dim);white-space:nowrap}"
    ".key::before{content:'';display:inline-block;width:16px;border-top:3px solid currentColor;margin-right:6px;vertical-align:middle;"
    "color:var(--blue)}"
    ".chart svg{display:block;width:100%;height:auto;overflow:visible}"
    ".chart text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;fill:var(--dim);"
    "font-variant-numeric:tabular-nums}"
    ".chart .grid-line{stroke:var(--grid);stroke-width:1}.chart .axis{stroke:var(--dim);stroke-width:1}"
    ".chart .mark{stroke:var(--dim);stroke-width:1.2;stroke-dasharray:3 4}"
    ".chart path{fill:none;stroke:var(--blue);stroke-width:2;stroke-linejoin:round;stroke-linecap:round}"
    ".chart circle{fill:var(--blue);opacity:0}.chart circle:hover{opacity:1}"
    ".chart .lone circle{opacity:1}"
    ".key.second::before{color:var(--orange)}.chart .second path{stroke:var(--orange)}.chart .second circle{fill:var(--orange)}"
    ".key.third::before{color:var(--green)}.chart .third path{stroke:var(--green)}.chart .third circle{fill:var(--green)}"
    ".key.faint::before{color:var(--blue);opacity:.4;border-top-width:2px}.chart .faint path{stroke-width:1.2;opacity:.4}";
/* clang-format on */

/* An axis: values low..high go to from..to of the drawing. */
typedef struct axis {
    double low, high, from, to, step;
} axis;

static double place(const axis *a, double value)
{
    return a->from + (value - a->low) / (a->high - a->low) * (a->to - a->from);
}

void dip_chart_number(double value, int digits, char *out, size_t capacity)
{
    double size = fabs(value);
    int places = isfinite(size) && size > 0 ? digits - 1 - (int)floor(log10(size)) : 0;
    if (!isfinite(value)) {
        snprintf(out, capacity, "-");
    } else if (size >= 1000 && size < 1e15) {
        char count[40];
        dip_format_count((unsigned long long)(size + 0.5), count, sizeof count);
        snprintf(out, capacity, "%s%s", value < 0 ? "-" : "", count);
    } else if ((size > 0 && size < 1e-4) || size >= 1e15) {
        snprintf(out, capacity, "%.*g", digits, value);
    } else {
        snprintf(out, capacity, "%.*f", places > 0 ? places : 0, value);
    }
}

/* 1, 2 or 5 times a power of ten, so that about `wanted` steps cover the range. */
static double round_step(double range, double wanted)
{
    double raw = range / wanted, power = pow(10, floor(log10(raw)));
    double share = raw / power;
    return power * (share <= 1.001 ? 1 : share <= 2.001 ? 2 : share <= 5.001 ? 5 : 10);
}

static axis make_axis(double low, double high, double from, double to, double wanted)
{
    if (!(high - low > 1e-9 * fabs(high))) {
        double room = high == 0 ? 1 : fabs(high) / 2;
        low -= low == 0 ? 0 : room;
        high += room;
    }
    axis a = {low, high, from, to, round_step(high - low, wanted)};
    a.low = floor(low / a.step + 1e-6) * a.step;
    a.high = ceil(high / a.step - 1e-6) * a.step;
    return a;
}

static axis value_axis(const dip_chart *c)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t s = 0; s < c->series_count; s++) {
        for (size_t i = 0; i < c->series[s].n; i++) {
            double y = c->series[s].y[i];
            if (!isfinite(y)) continue;
            if (y < low) low = y;
            if (y > high) high = y;
        }
    }
    if (!isnan(c->y_low) && !(low < c->y_low)) low = c->y_low;
    if (!isnan(c->y_high) && !(high > c->y_high)) high = c->y_high;
    if (!(low <= high)) low = 0, high = 1;
    return make_axis(low, high, HEIGHT - BOTTOM, TOP, 5);
}

/* From 0 to the last step, without rounding up: no empty strip at the right. */
static axis step_axis(const dip_chart *c)
{
    double high = c->x_high;
    for (size_t s = 0; s < c->series_count; s++)
        if (c->series[s].n && c->series[s].x[c->series[s].n - 1] > high)
            high = c->series[s].x[c->series[s].n - 1];
    if (!(high > 0)) high = 1;
    axis a = {0, high, LEFT, WIDTH - RIGHT, round_step(high, 6)};
    if (a.step < 1 && high >= 1) a.step = 1;
    return a;
}

/* Decimals that the ticks of an axis need. */
static int tick_places(double step)
{
    double places = -floor(log10(step) + 1e-9);
    return places > 0 ? places < 9 ? (int)places : 9 : 0;
}

static void tick_text(double value, double step, char *out, size_t capacity)
{
    if (fabs(value) < step / 1e6) value = 0;
    if (fabs(value) >= 1000)
        dip_chart_number(value, 4, out, capacity);
    else
        snprintf(out, capacity, "%.*f", tick_places(step), value);
}

static void draw_axes(FILE *out, const dip_chart *c, const axis *x, const axis *y)
{
    char text[48];
    double right = WIDTH - RIGHT, bottom = HEIGHT - BOTTOM;
    for (int i = 0; i <= MOST_TICKS && y->low + i * y->step <= y->high + y->step / 1e3; i++) {
        double value = y->low + i * y->step, at = place(y, value);
        tick_text(value, y->step, text, sizeof text);
        fprintf(out,
                "<line class=\"grid-line\" x1=\"%d\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
                LEFT, right, at, at, LEFT - 8, at + 4, text);
    }
    for (int i = 0; i <= MOST_TICKS && i * x->step <= x->high + x->step / 1e3; i++) {
        double value = i * x->step, at = place(x, value);
        tick_text(value, x->step, text, sizeof text);
        fprintf(out,
                "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.0f\" y2=\"%.0f\"/>"
                "<text x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\">%s</text>",
                at, at, bottom, bottom + 4, at, bottom + 17, text);
    }
    fprintf(out,
            "<line class=\"axis\" x1=\"%d\" x2=\"%.0f\" y1=\"%.0f\" y2=\"%.0f\"/>"
            "<text x=\"%.0f\" y=\"%d\" text-anchor=\"end\">",
            LEFT, right, bottom, bottom, right, HEIGHT - 3);
    dip_html_text(out, c->x_name);
    fputs("</text>", out);
}

static void draw_marks(FILE *out, const dip_chart *c, const axis *x)
{
    for (size_t i = 0; i < c->mark_count; i++) {
        double at = place(x, c->marks[i]);
        fprintf(out,
                "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"><title>%s at ",
                at, at, TOP, HEIGHT - BOTTOM, c->mark_name);
        dip_html_text(out, c->x_name);
        fprintf(out, " %.2f</title></line>", c->marks[i]);
    }
}

/* ---- lines ---- */

typedef struct point {
    double x, y;
} point;

/* At most MOST_POINTS means of equal stretches; returns how many, some of them with y = NAN. */
static size_t thin(const dip_series *s, point *points)
{
    size_t n = s->n < MOST_POINTS ? s->n : MOST_POINTS;
    for (size_t k = 0; k < n; k++) {
        size_t from = k * s->n / n, end = (k + 1) * s->n / n, used = 0;
        point sum = {0, 0};
        for (size_t i = from; i < end; i++) {
            if (!isfinite(s->y[i])) continue;
            sum.x += s->x[i];
            sum.y += s->y[i];
            used++;
        }
        points[k] = used ? (point){sum.x / (double)used, sum.y / (double)used} : (point){0, NAN};
    }
    return n;
}

static void draw_path(FILE *out, const point *points, size_t n, const axis *x, const axis *y)
{
    bool pen_down = false;
    fputs("<path d=\"", out);
    for (size_t i = 0; i < n; i++) {
        if (isnan(points[i].y)) {
            pen_down = false;
            continue;
        }
        fprintf(out, "%c%.1f %.1f", pen_down ? 'L' : 'M', place(x, points[i].x),
                place(y, points[i].y));
        pen_down = true;
    }
    fputs("\"/>", out);
}

static void draw_points(FILE *out, const dip_chart *c, const dip_series *s, const point *points,
                        size_t n, const axis *x, const axis *y)
{
    char value[48];
    for (size_t i = 0; i < n; i++) {
        if (isnan(points[i].y)) continue;
        dip_chart_number(points[i].y, 4, value, sizeof value);
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>", place(x, points[i].x),
                place(y, points[i].y));
        dip_html_text(out, s->name);
        fprintf(out, " %s%s%s, ", value, *c->unit ? " " : "", c->unit);
        dip_html_text(out, c->x_name);
        fprintf(out, " %.4g</title></circle>", points[i].x);
    }
}

static void draw_series(FILE *out, const dip_chart *c, const dip_series *s, const axis *x,
                        const axis *y)
{
    point points[MOST_POINTS];
    size_t n = thin(s, points);
    fprintf(out, "<g class=\"%s%s\">", s->class, n <= 2 ? " lone" : "");
    draw_path(out, points, n, x, y);
    draw_points(out, c, s, points, n, x, y);
    fputs("</g>", out);
}

/* ---- all ---- */

static void caption(FILE *out, const dip_chart *c)
{
    fputs("<figcaption><b>", out);
    dip_html_text(out, c->title);
    if (*c->unit) fprintf(out, " <span class=\"dim\">%s</span>", c->unit);
    fputs("</b>", out);
    for (size_t i = 0; i < c->series_count; i++) {
        if (c->series_count == 1) break;
        fprintf(out, "<span class=\"key %s\">", c->series[i].class);
        dip_html_text(out, c->series[i].name);
        fputs("</span>", out);
    }
    fputs("</figcaption>", out);
}

/* For those who cannot see it: where each line begins and ends. */
static void summary(FILE *out, const dip_chart *c)
{
    char first[48], last[48];
    dip_html_text(out, c->title);
    for (size_t i = 0; i < c->series_count; i++) {
        const dip_series *s = &c->series[i];
        if (!s->n) continue;
        dip_chart_number(s->y[0], 4, first, sizeof first);
        dip_chart_number(s->y[s->n - 1], 4, last, sizeof last);
        fputs("; ", out);
        dip_html_text(out, s->name);
        fprintf(out, ": from %s to %s %s", first, last, c->unit);
    }
}

void dip_chart_write(FILE *out, const dip_chart *c)
{
    axis x = step_axis(c), y = value_axis(c);
    fputs("<figure class=\"chart\">", out);
    caption(out, c);
    fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    summary(out, c);
    fputs("\">", out);
    draw_axes(out, c, &x, &y);
    draw_marks(out, c, &x);
    for (size_t i = 0; i < c->series_count; i++) draw_series(out, c, &c->series[i], &x, &y);
    fputs("</svg></figure>\n", out);
}
