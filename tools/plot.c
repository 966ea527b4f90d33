/* Recall plots; see plot.h. Coordinates are those of a drawing of WIDTH x HEIGHT, which the page scales. */
#include "tools/plot.h"

#include "tools/chart.h"
#include "tools/html.h"

#include <math.h>

enum { WIDTH = 640, HEIGHT = 372, LEFT = 62, RIGHT = 20, TOP = 12, BOTTOM = 42 };

/* clang-format off */
const char dip_plot_style[] =
    ":root{--c0:#0a66c2;--c1:#c2500a;--c2:#14713f;--c3:#8a3fb0;--c4:#b0164b;--c5:#0f7c86;--c6:#8a6500;--c7:#5b6570}"
    "@media(prefers-color-scheme:dark){:root{--c0:#72b5ff;--c1:#f59a5c;--c2:#6fd39b;--c3:#cf9bf0;--c4:#f58bab;--c5:#5fd0d8;"
    "--c6:#dcbb58;--c7:#aab4be}}"
    ".c0{--c:var(--c0)}.c1{--c:var(--c1)}.c2{--c:var(--c2)}.c3{--c:var(--c3)}.c4{--c:var(--c4)}.c5{--c:var(--c5)}"
    ".c6{--c:var(--c6)}.c7{--c:var(--c7)}"
    ".plot .key::before{display:none}.plot .key,.mark-key{display:inline-flex;align-items:center;gap:6px;white-space:nowrap}"
    ".mark-key svg,.plot .key svg{display:inline-block;width:13px;height:13px;flex:none;overflow:visible}"
    ".chart.plot path.line{stroke:var(--c);stroke-width:2}"
    ".chart.plot path.band{stroke:var(--line);stroke-width:13;opacity:.75}"
    ".dot{fill:var(--c);stroke:var(--panel);stroke-width:1.4}.chart.plot path.dot{stroke-linejoin:miter;fill:var(--c);stroke:var(--panel);stroke-width:1.4}"
    ".chart.plot circle.dot{opacity:1}.chart.plot .beaten{opacity:.28}"
    ".chart.plot .minor{stroke:var(--grid);stroke-width:1;opacity:.55}"
    ".chart.plot g:hover>.dot{stroke:var(--ink)}"
    ".bars{background:var(--panel);border:1px solid var(--line);border-radius:12px;padding:13px 16px;display:grid;"
    "grid-template-columns:minmax(0,1fr) auto;gap:2px 14px;align-items:center;align-content:start;min-width:0}"
    ".bars>b{grid-column:1/-1;font-weight:600}.bars .track{height:14px;border-radius:4px;background:var(--grid)}"
    ".bars .track i{display:block;height:100%;border-radius:4px;background:var(--c);min-width:3px}"
    ".bars .value{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.bars .what{grid-column:1/-1;margin-top:7px;overflow-wrap:anywhere}";
/* clang-format on */

/* ---- axes ---- */

typedef struct axis {
    double low, high, from, to; /* low and high as they are drawn: nines, or logarithms */
} axis;

static double place(const axis *a, double value)
{
    return a->from + (value - a->low) / (a->high - a->low) * (a->to - a->from);
}

/* Recall as a number of nines. */
static double nines(double recall) { return -log10(1 - recall); }

static bool is_whole(double recall) { return recall > 1 - 1e-9; }

static bool is_drawn(const dip_plot_point *p)
{
    return isfinite(p->value) && p->value > 0 && isfinite(p->recall);
}

static const double recalls[] = {0,    0.2,  0.5,   0.7,   0.8,   0.9,    0.95,
                                 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999, 0.99999};
enum { RECALLS = sizeof recalls / sizeof *recalls };

/* Recall 1 has infinitely many nines; it stands at the right edge, a little behind the last that is less. */
static axis recall_axis(const dip_plot *plot)
{
    double low = 1, high = 0.9;
    bool whole = false;
    for (size_t s = 0; s < plot->series_count; s++) {
        for (size_t i = 0; i < plot->series[s].n; i++) {
            const dip_plot_point *p = &plot->series[s].points[i];
            if (!is_drawn(p)) continue;
            if (p->recall < low) low = p->recall;
            if (is_whole(p->recall))
                whole = true;
            else if (p->recall > high)
                high = p->recall;
        }
    }
    double floor_of = 0;
    for (size_t i = 0; i < RECALLS && recalls[i] <= 0.95; i++)
        if (recalls[i] <= low) floor_of = recalls[i];
    return (axis){nines(floor_of), nines(high) + (whole ? 0.35 : 0.06), LEFT, WIDTH - RIGHT};
}

static double place_recall(const axis *x, double recall)
{
    return is_whole(recall) ? x->to : place(x, nines(recall));
}

/* 1, 2 or 5 times a power of ten, at most `value`, or at least. */
static double round_to(double value, bool up)
{
    double power = pow(10, floor(log10(value) + 1e-9)), share = value / power;
    if (up) return power * (share <= 1.001 ? 1 : share <= 2.001 ? 2 : share <= 5.001 ? 5 : 10);
    return power * (share >= 4.999 ? 5 : share >= 1.999 ? 2 : 1);
}

static axis value_axis(const dip_plot *plot)
{
    double low = INFINITY, high = 0;
    for (size_t s = 0; s < plot->series_count; s++) {
        for (size_t i = 0; i < plot->series[s].n; i++) {
            const dip_plot_point *p = &plot->series[s].points[i];
            if (is_drawn(p) && p->value < low) low = p->value;
            if (is_drawn(p) && p->value > high) high = p->value;
        }
    }
    low = round_to(low, false);
    high = round_to(high, true);
    if (!(high > 2.1 * low)) high = 5 * low, low /= 2;
    return (axis){log10(low), log10(high), HEIGHT - BOTTOM, TOP};
}

static void grid_line(FILE *out, const char *class, double x1, double x2, double y1, double y2)
{
    fprintf(out, "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", class, x1,
            x2, y1, y2);
}

static void draw_values(FILE *out, const axis *y)
{
    static const int steps[] = {1, 2, 5};
    char text[48];
    bool few = y->high - y->low < 2.5;
    for (int decade = (int)floor(y->low); decade <= (int)ceil(y->high); decade++) {
        for (int i = 0; i < 3; i++) {
            double value = steps[i] * pow(10, decade), at = place(y, log10(value));
            if (log10(value) < y->low - 1e-9 || log10(value) > y->high + 1e-9) continue;
            bool told = few || i == 0;
            grid_line(out, told ? "grid-line" : "minor", LEFT, WIDTH - RIGHT, at, at);
            if (!told) continue;
            dip_chart_number(value, 1, text, sizeof text);
            fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>", LEFT - 8,
                    at + 4, text);
        }
    }
}

static void recall_tick(FILE *out, double at, const char *text)
{
    grid_line(out, "grid-line", at, at, TOP, HEIGHT - BOTTOM);
    fprintf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>", at,
            HEIGHT - BOTTOM + 17, text);
}

static void draw_recalls(FILE *out, const dip_plot *plot, const axis *x)
{
    char text[32];
    double last = -INFINITY, edge = x->to;
    for (size_t s = 0; s < plot->series_count; s++)
        for (size_t i = 0; i < plot->series[s].n; i++)
            if (is_whole(plot->series[s].points[i].recall)) edge = x->to - 34;
    if (edge < x->to) recall_tick(out, x->to, "1");
    for (size_t i = 0; i < RECALLS; i++) {
        double at = place(x, nines(recalls[i]));
        if (at < x->from - 0.5 || at > edge + 0.5 || at - last < 38) continue;
        snprintf(text, sizeof text, "%.5g", recalls[i]);
        recall_tick(out, at, text);
        last = at;
    }
    grid_line(out, "axis", LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM, HEIGHT - BOTTOM);
    fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">recall</text>", WIDTH - RIGHT,
            HEIGHT - 6);
}

/* ---- marks ---- */

/* A mark of its own for each colour, so that none needs to be told by colour alone. */
static void draw_mark(FILE *out, size_t colour, double x, double y, double r)
{
    static const char *const shapes[] = {
        NULL,                             /* circle */
        "M-.9-.9L.9-.9L.9.9L-.9.9Z",      /* square */
        "M0-1.15L1.1.85L-1.1.85Z",        /* triangle */
        "M0-1.25L1.25 0L0 1.25L-1.25 0Z", /* diamond */
        "M0 1.15L1.1-.85L-1.1-.85Z",      /* triangle, down */
        "M-.4-1.2L.4-1.2L.4-.4L1.2-.4L1.2.4L.4.4L.4 1.2L-.4 "
        "1.2L-.4.4L-1.2.4L-1.2-.4L-.4-.4Z",           /* plus */
        "M-1.15 0L-.58-1L.58-1L1.15 0L.58 1L-.58 1Z", /* hexagon */
        "M1.15 0L-.85-1.1L-.85 1.1Z",                 /* triangle, left to right */
    };
    if (!shapes[colour])
        fprintf(out, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>", x, y, r);
    else
        fprintf(out,
                "<path class=\"dot\" vector-effect=\"non-scaling-stroke\" "
                "transform=\"translate(%.1f %.1f) scale(%.1f)\" d=\"%s\"/>",
                x, y, r, shapes[colour]);
}

static void draw_point(FILE *out, const dip_plot_series *s, const dip_plot_point *p, const axis *x,
                       const axis *y)
{
    fprintf(out, "<g%s><title>", p->leads ? "" : " class=\"beaten\"");
    dip_html_text(out, p->tell);
    fputs("</title>", out);
    draw_mark(out, s->colour, place_recall(x, p->recall), place(y, log10(p->value)),
              p->leads ? 5.2 : 3.6);
    fputs("</g>", out);
}

static void draw_series(FILE *out, const dip_plot_series *s, const axis *x, const axis *y)
{
    bool begun = false;
    fprintf(out, "<g class=\"c%zu\">", s->colour);
    for (size_t i = 0; i < s->n; i++)
        if (is_drawn(&s->points[i]) && !s->points[i].leads) draw_point(out, s, &s->points[i], x, y);
    fputs("<path class=\"line\" d=\"", out);
    for (size_t i = 0; i < s->n; i++) {
        const dip_plot_point *p = &s->points[i];
        if (!is_drawn(p) || !p->leads) continue;
        fprintf(out, "%c%.1f %.1f", begun ? 'L' : 'M', place_recall(x, p->recall),
                place(y, log10(p->value)));
        begun = true;
    }
    fputs("\"/>", out);
    for (size_t i = 0; i < s->n; i++)
        if (is_drawn(&s->points[i]) && s->points[i].leads) draw_point(out, s, &s->points[i], x, y);
    fputs("</g>", out);
}

/* The best of all, from series to series, by recall. */
static void draw_band(FILE *out, const dip_plot *plot, const axis *x, const axis *y)
{
    double last = -1;
    fputs("<path class=\"band\" d=\"", out);
    for (bool more = true; more;) {
        const dip_plot_point *next = NULL;
        for (size_t s = 0; s < plot->series_count; s++) {
            for (size_t i = 0; i < plot->series[s].n; i++) {
                const dip_plot_point *p = &plot->series[s].points[i];
                if (is_drawn(p) && p->best && p->recall > last &&
                    (!next || p->recall < next->recall))
                    next = p;
            }
        }
        more = next != NULL;
        if (!more) break;
        fprintf(out, "%c%.1f %.1f", last < 0 ? 'M' : 'L', place_recall(x, next->recall),
                place(y, log10(next->value)));
        last = next->recall;
    }
    fputs("\"/>", out);
}

/* ---- all ---- */

void dip_plot_mark(FILE *out, size_t colour)
{
    fprintf(out, "<svg class=\"c%zu\" viewBox=\"-7 -7 14 14\" aria-hidden=\"true\">", colour);
    draw_mark(out, colour, 0, 0, 5);
    fputs("</svg>", out);
}

static void caption(FILE *out, const dip_plot *plot)
{
    fputs("<figcaption><b>", out);
    dip_html_text(out, plot->title);
    fputs(" <span class=\"dim\">", out);
    dip_html_text(out, plot->unit);
    fputs(plot->less_is_better ? "; lower is better" : "; higher is better", out);
    fputs("</span></b>", out);
    for (size_t i = 0; i < plot->series_count; i++) {
        if (!plot->series[i].n) continue;
        fputs("<span class=\"key\">", out);
        dip_plot_mark(out, plot->series[i].colour);
        dip_html_text(out, plot->series[i].name);
        fputs("</span>", out);
    }
    fputs("</figcaption>", out);
}

static bool has_points(const dip_plot *plot)
{
    for (size_t s = 0; s < plot->series_count; s++)
        for (size_t i = 0; i < plot->series[s].n; i++)
            if (is_drawn(&plot->series[s].points[i])) return true;
    return false;
}

void dip_plot_write(FILE *out, const dip_plot *plot)
{
    if (!has_points(plot)) return;
    axis x = recall_axis(plot), y = value_axis(plot);
    fputs("<figure class=\"chart plot\">", out);
    caption(out, plot);
    fprintf(out, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    dip_html_text(out, plot->title);
    fputs(" over recall; the numbers are in the tables of this page\">", out);
    draw_values(out, &y);
    draw_recalls(out, plot, &x);
    draw_band(out, plot, &x, &y);
    for (size_t i = 0; i < plot->series_count; i++) draw_series(out, &plot->series[i], &x, &y);
    fputs("</svg></figure>\n", out);
}

void dip_plot_bar(FILE *out, size_t colour, const char *name, const char *more, double share,
                  const char *value)
{
    fprintf(out, "<span class=\"what\"><span class=\"mark-key\">");
    dip_plot_mark(out, colour);
    dip_html_text(out, name);
    fputs("</span> <span class=\"dim\">", out);
    dip_html_text(out, more);
    fprintf(out,
            "</span></span><span class=\"track c%zu\"><i style=\"width:%.2f%%\"></i></span>"
            "<span class=\"value\">",
            colour, 100 * share);
    dip_html_text(out, value);
    fputs("</span>\n", out);
}
