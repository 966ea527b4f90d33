/* The page of a training run; see run_page.h. From top to bottom: figures, curves, examples, data, options. */
#include "tools/run_page.h"

#include "core/format.h"
#include "core/file.h"
#include "core/mem.h"
#include "ingest/raster.h"
#include "tools/chart.h"
#include "tools/html.h"
#include "tools/run_examples.h"
#include "tools/run_history.h"
#include "tools/run_options.h"
#include "tools/run_style.h"
#include "tools/sheet_style.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_MARKS = 64, FORWARD = 0, BACKWARD = 1 };

typedef struct page {
    FILE *out;
    const char *title; /* the run's name */
    const dip_archive *archive;
    const dip_run_history *run;
    char from[DIP_RUN_WORD], to[DIP_RUN_WORD]; /* what "forward" means */
    double marks[MOST_MARKS];                  /* where the run was continued */
    size_t mark_count;
} page;

static void escape(const page *p, const char *text) { dip_html_text(p->out, text); }

/* ---- what the run is ---- */

static double setting(const page *p, const char *name)
{
    char text[64];
    return dip_run_setting(p->run, name, text, sizeof text) ? strtod(text, NULL) : NAN;
}

static void name_directions(page *p)
{
    const dip_run_history *run = p->run;
    const char *other = "";
    for (size_t i = 1; i < run->band_count; i++) {
        if (!strcmp(run->bands[i].modality, run->bands[i - 1].modality)) continue;
        if (*other) other = NULL;
        if (!other) break;
        other = run->bands[i].modality;
    }
    bool two = other && *other;
    snprintf(p->from, sizeof p->from, "%s", two ? run->bands[0].modality : "first");
    snprintf(p->to, sizeof p->to, "%s", two ? other : "second");
}

static void find_marks(page *p)
{
    const dip_curve *starts = dip_run_curve(p->run, "start", "time");
    for (size_t i = 1; starts && i < starts->n && p->mark_count < MOST_MARKS; i++)
        p->marks[p->mark_count++] = starts->x[i];
}

/* ---- figures ---- */

static void figure(const page *p, const char *value, const char *name, const char *more)
{
    fputs("<div><b>", p->out);
    escape(p, value);
    fputs("</b><span>", p->out);
    escape(p, name);
    fputs("</span><span class=\"dim\">", p->out);
    escape(p, more);
    fputs("</span></div>\n", p->out);
}

/* Of the model, or of the last evaluation before there is one; kept best: of the best evaluation. */
static double final_recall(const page *p, const char *name)
{
    double value = dip_run_last(p->run, "result", name);
    char keep[16] = "";
    dip_run_setting(p->run, "keep", keep, sizeof keep);
    if (isnan(value)) value = dip_run_last(p->run, "evaluation", name);
    if (strcmp(keep, "best") != 0) return value;
    const dip_curve *c = dip_run_curve(p->run, "evaluation", name);
    const dip_curve *a = dip_run_curve(p->run, "evaluation", "recall_forward");
    const dip_curve *b = dip_run_curve(p->run, "evaluation", "recall_backward");
    double best = -1;
    for (size_t i = 0; a && b && c && i < a->n && i < b->n && i < c->n; i++) {
        if (!(a->y[i] + b->y[i] > best)) continue;
        best = a->y[i] + b->y[i];
        value = c->y[i];
    }
    return value;
}

static void recall_figure(const page *p, int direction)
{
    static const char *const names[2] = {"recall_forward", "recall_backward"};
    char value[32], name[200], more[64] = "";
    double pairs = dip_run_last(p->run, "evaluation", "pairs");
    double recall = final_recall(p, names[direction]);
    if (isnan(recall)) return;
    snprintf(value, sizeof value, "%.3f", recall);
    snprintf(name, sizeof name, "recall@10, %s \xe2\x86\x92 %s", direction ? p->to : p->from,
             direction ? p->from : p->to);
    if (pairs > 10) snprintf(more, sizeof more, "by chance %.3f", 10 / pairs);
    figure(p, value, name, more);
}

static void time_figures(const page *p)
{
    char value[64], more[64], speed[32];
    double steps = dip_run_sum(p->run, "epoch", "seconds"), pairs = 0, waited = 0;
    double whole = steps + dip_run_sum(p->run, "evaluation", "seconds");
    const dip_curve *seconds = dip_run_curve(p->run, "epoch", "seconds");
    const dip_curve *rate = dip_run_curve(p->run, "epoch", "pairs_per_second");
    const dip_curve *wait = dip_run_curve(p->run, "epoch", "waiting");
    for (size_t i = 0; seconds && rate && wait && i < seconds->n; i++) {
        pairs += seconds->y[i] * rate->y[i];
        waited += seconds->y[i] * wait->y[i];
    }
    if (!(steps > 0)) return;
    dip_format_seconds(whole, value, sizeof value);
    snprintf(more, sizeof more, "%.0f %% of it evaluating", 100 * (whole - steps) / whole);
    figure(p, value, "time", more);
    dip_chart_number(pairs / steps, 3, speed, sizeof speed);
    snprintf(value, sizeof value, "%s pairs/s", speed);
    snprintf(more, sizeof more, "%.1f %% waiting for tiles", 100 * waited / steps);
    figure(p, value, "throughput", more);
}

static void data_figures(const page *p)
{
    char value[48], held[48], more[96];
    double pairs = dip_run_last(p->run, "data", "pairs");
    double dim = dip_run_last(p->run, "data", "dim");
    if (isnan(pairs)) return;
    dip_format_count((unsigned long long)pairs, value, sizeof value);
    dip_format_count((unsigned long long)dip_run_last(p->run, "data", "held_pairs"), held,
                     sizeof held);
    snprintf(more, sizeof more, "%s held out", held);
    figure(p, value, "pairs to learn from", more);
    double parameters = dip_run_last(p->run, "data", "parameters");
    snprintf(value, sizeof value, "%.2f M", parameters / 1e6);
    snprintf(more, sizeof more, "embedding of %.0f", dim);
    figure(p, value, "parameters", more);
}

/* Epochs of how many; of an alignment steps, which may be more than were asked for. */
static void length_figure(const page *p)
{
    const bool aligns = dip_run_aligns(p->run);
    const dip_curve *c = aligns ? dip_run_curve(p->run, "evaluation", "recall_forward")
                                : dip_run_curve(p->run, "epoch", "epoch");
    const double length = !c || !c->n ? 0 : aligns ? c->x[c->n - 1] : (double)c->n;
    char value[64], of[48] = "";
    if (aligns && !(length > 0)) return;
    dip_format_count((unsigned long long)length, value, sizeof value);
    if (!aligns) snprintf(of, sizeof of, "of %.0f", setting(p, "epochs"));
    figure(p, value, aligns ? "steps" : "epochs", of);
}

static void figures(const page *p)
{
    fputs("<div class=\"figures\">\n", p->out);
    recall_figure(p, FORWARD);
    recall_figure(p, BACKWARD);
    length_figure(p);
    time_figures(p);
    data_figures(p);
    fputs("</div>\n", p->out);
}

/* ---- charts ---- */

static dip_series series_of(const page *p, const char *kind, const char *field, const char *name,
                            const char *class)
{
    const dip_curve *c = dip_run_curve(p->run, kind, field);
    return (dip_series){name, class, c ? c->n : 0, c ? c->x : NULL, c ? c->y : NULL};
}

/* Draws the series that there are; none: nothing. `low`, `high`: what the axis covers at least, or NAN. */
static void chart(const page *p, const char *title, const char *unit, const dip_series *series,
                  size_t count, double low, double high)
{
    dip_series drawn[4];
    dip_chart c = {.title = title,
                   .unit = unit,
                   .x_name = p->run->x_name,
                   .series = drawn,
                   .y_low = low,
                   .y_high = high,
                   .marks = p->marks,
                   .mark_count = p->mark_count,
                   .mark_name = "continued"};
    for (size_t i = 0; i < count; i++)
        if (series[i].n) drawn[c.series_count++] = series[i];
    if (!strcmp(p->run->x_name, "epoch")) c.x_high = setting(p, "epochs");
    if (c.series_count) dip_chart_write(p->out, &c);
}

static void recall_chart(const page *p, int direction)
{
    static const char *const fields[2][3] = {
        {"recall_forward", "recall_forward_5", "recall_forward_1"},
        {"recall_backward", "recall_backward_5", "recall_backward_1"}};
    static const char *const names[3] = {"@10", "@5", "@1"};
    static const char *const classes[3] = {"main", "second", "third"};
    char title[200];
    dip_series series[3];
    for (int i = 0; i < 3; i++)
        series[i] = series_of(p, "evaluation", fields[direction][i], names[i], classes[i]);
    snprintf(title, sizeof title, "Recall, %s \xe2\x86\x92 %s", direction ? p->to : p->from,
             direction ? p->from : p->to);
    chart(p, title, "", series, 3, 0, 1);
}

static bool is_part(const dip_curve *c)
{
    static const char *const others[] = {"epoch", "loss", "rate", "gradient", "pairs_per_second"};
    if (strcmp(c->kind, "step") != 0) return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (!strcmp(c->name, others[i])) return false;
    for (size_t i = 0; i < c->n; i++)
        if (fabs(c->y[i]) > 0) return true;
    return false;
}

/* The parts of a loss that has several, each without its weight. */
static void part_charts(const page *p)
{
    size_t parts = 0;
    for (size_t i = 0; i < p->run->curve_count; i++) parts += is_part(&p->run->curves[i]);
    for (size_t i = 0; parts > 1 && i < p->run->curve_count; i++) {
        const dip_curve *c = &p->run->curves[i];
        char name[160], title[256], weight[64];
        if (!is_part(c)) continue;
        bool known = dip_run_setting(p->run, c->name, weight, sizeof weight);
        const dip_series series = {c->name, "main", c->n, c->x, c->y};
        dip_run_part_title(c->name, name, sizeof name);
        snprintf(title, sizeof title, "%s%s%s", name, known ? ", weight " : "",
                 known ? weight : "");
        chart(p, title, "", &series, 1, NAN, NAN);
    }
}

/* The mean of an epoch belongs to its middle. */
static dip_status loss_chart(const page *p)
{
    dip_series loss[] = {series_of(p, "step", "loss", "every tenth step", "faint"),
                         series_of(p, "epoch", "loss", "mean of the epoch", "main")};
    double *middle = dip_alloc((loss[1].n + 1) * sizeof *middle);
    if (!middle) return DIP_ENOMEM;
    for (size_t i = 0; i < loss[1].n; i++) middle[i] = loss[1].x[i] - 0.5;
    loss[1].x = middle;
    chart(p, "Loss", "", loss, 2, NAN, NAN);
    dip_free(middle);
    return DIP_OK;
}

static dip_status charts(const page *p)
{
    const dip_series rate = series_of(p, "step", "rate", "learning rate", "main");
    const dip_series gradient = series_of(p, "step", "gradient", "gradient's norm", "main");
    const dip_series speed = series_of(p, "epoch", "pairs_per_second", "throughput", "main");
    fputs("<h2>Course</h2>\n<div class=\"charts\">\n", p->out);
    dip_status status = loss_chart(p);
    recall_chart(p, FORWARD);
    recall_chart(p, BACKWARD);
    part_charts(p);
    chart(p, "Learning rate", "", &rate, 1, 0, NAN);
    chart(p, "Norm of the gradient", "", &gradient, 1, 0, NAN);
    chart(p, "Throughput", "pairs/s", &speed, 1, 0, NAN);
    fputs("</div>\n", p->out);
    if (p->mark_count) fputs("<p class=\"dim\">Dashed: the run was continued.</p>\n", p->out);
    return status;
}

/* ---- tables ---- */

/* `digits`: significant ones. */
static void cell(const page *p, double value, int digits)
{
    char text[48];
    dip_chart_number(value, digits, text, sizeof text);
    fprintf(p->out, "<td class=\"number\">%s</td>", text);
}

static void share_cell(const page *p, double value)
{
    if (isnan(value))
        fputs("<td class=\"number\">-</td>", p->out);
    else
        fprintf(p->out, "<td class=\"number\">%.3f</td>", value);
}

static void modality_word(const page *p, const char *name)
{
    fputs("<span class=\"modality\">", p->out);
    escape(p, name);
    fputs("</span>", p->out);
}

static void labels(const page *p)
{
    if (!p->run->label_count) return;
    fputs("<h2>Labels</h2>\n<p>Of the ten tiles nearest to a held-out one, the share with its "
          "primary label (p@10), and with any label in common (p_any@10). Labels are not used for "
          "training.</p>\n<div class=\"scroll\"><table><tr><th>direction</th>"
          "<th class=\"number\">p@10</th><th class=\"number\">by chance</th>"
          "<th class=\"number\">probes</th><th class=\"number\">p_any@10</th>"
          "<th class=\"number\">by chance</th><th class=\"number\">probes</th></tr>\n",
          p->out);
    for (size_t i = 0; i < p->run->label_count; i++) {
        const dip_run_labels *l = &p->run->labels[i];
        fputs("<tr><td>", p->out);
        modality_word(p, l->from);
        fputs(" &rarr; ", p->out);
        modality_word(p, l->to);
        fputs("</td>", p->out);
        share_cell(p, l->precision);
        share_cell(p, l->chance);
        cell(p, l->queries, 1);
        share_cell(p, l->precision_any);
        share_cell(p, l->chance_any);
        cell(p, l->queries_any, 1);
        fputs("</tr>\n", p->out);
    }
    fputs("</table></div>\n", p->out);
}

static void data(const page *p)
{
    const dip_run_history *run = p->run;
    if (!run->band_count) return;
    fputs(
        "<h2>Data</h2>\n<p>Mean and deviation normalise the network&rsquo;s input and go into the "
        "model; ",
        p->out);
    escape(p, run->held_out);
    fputs(".</p>\n"
          "<div class=\"scroll\"><table><tr><th>modality</th><th>band</th><th>unit</th>"
          "<th class=\"number\">m/px</th><th class=\"number\">mean</th>"
          "<th class=\"number\">deviation</th></tr>\n",
          p->out);
    for (size_t i = 0; i < run->band_count; i++) {
        const dip_run_band *b = &run->bands[i];
        fputs("<tr><td>", p->out);
        modality_word(p, b->modality);
        fputs("</td><td>", p->out);
        escape(p, b->band);
        fputs("</td><td>", p->out);
        escape(p, *b->unit ? b->unit : "?");
        fputs("</td>", p->out);
        cell(p, b->gsd_m, 2);
        cell(p, b->mean, 4);
        cell(p, b->deviation, 4);
        fputs("</tr>\n", p->out);
    }
    fputs("</table></div>\n", p->out);
}

/* ---- page ---- */

static void head(const page *p, bool simulated)
{
    const char *const styles[] = {dip_sheet_style, dip_chart_style, dip_run_style, NULL};
    char title[256];
    snprintf(title, sizeof title, "Training run %s", p->title);
    dip_html_begin(p->out, title, styles);
    fputs("<header><h1>Training run ", p->out);
    escape(p, p->title);
    fputs("</h1>", p->out);
    fputs(p->run->finished ? "<span class=\"badge done\">finished</span>"
                           : "<span class=\"badge\">not finished</span>",
          p->out);
    if (simulated) fputs("<span class=\"badge\">simulated data</span>", p->out);
    fputs("<p class=\"dim\">", p->out);
    escape(p, dip_archive_title(p->archive));
    fputs(" &middot; model ", p->out);
    escape(p, p->title);
    fputs("</p></header>\n<main>\n", p->out);
}

static dip_status write_page(page *p)
{
    bool simulated;
    dip_status status = dip_run_examples_simulated(p->archive, p->run, &simulated);
    if (status) return status;
    name_directions(p);
    find_marks(p);
    head(p, simulated);
    figures(p);
    status = charts(p);
    if (!status) status = dip_run_examples_write(p->out, p->archive, p->run);
    labels(p);
    data(p);
    dip_run_options_write(p->out, p->run);
    fputs("</main>\n<footer><p>A score is the cosine of two embeddings. recall@k: share of "
          "held-out pairs whose other tile is among the k nearest. Each picture is stretched by "
          "itself.</p><p>Diptych</p></footer>\n",
          p->out);
    dip_html_end(p->out);
    return status;
}

dip_status dip_run_page_write(const dip_archive *archive, const char *folder, const char *path)
{
    dip_run_history *run = NULL;
    dip_aside file = {.stream = NULL};
    char *usual = dip_path_join(folder, "report.html");
    if (!usual) return DIP_ENOMEM;
    dip_raster_init();
    dip_status status = dip_run_history_open(&run, folder);
    if (!status) status = dip_file_begin(&file, path ? path : usual);
    if (!status) {
        page p = {
            .out = file.stream, .title = dip_path_base(folder), .archive = archive, .run = run};
        status = write_page(&p);
        if (!status) status = dip_file_commit(&file);
        dip_file_abandon(&file);
    }
    dip_run_history_close(run);
    dip_free(usual);
    return status;
}
