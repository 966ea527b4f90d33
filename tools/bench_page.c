/*
 * The page of a comparison; see bench_page.h. A section a group: what leads, speeds at equal recall, plots over recall,
 * times of building, and every measurement in a table that opens.
 */
#include "tools/bench_page.h"

#include "core/file.h"
#include "core/format.h"
#include "core/mem.h"
#include "tools/bench_groups.h"
#include "tools/chart.h"
#include "tools/html.h"
#include "tools/plot.h"
#include "tools/run_style.h"
#include "tools/sheet_style.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BATCHES = 16 };

static const double targets[] = {0.9, 0.95, 0.99};
enum { TARGETS = sizeof targets / sizeof *targets, MIDDLE = 1 };

/* clang-format off */
static const char page_style[] =
    "main>h2{margin-top:44px;padding-top:26px;border-top:1px solid var(--line)}main>h2:first-child{border:0;margin-top:0;padding-top:0}"
    ".charts{grid-template-columns:repeat(auto-fit,minmax(min(100%,520px),1fr))}"
    ".facts{color:var(--dim);max-width:none}.facts b{color:var(--ink);font-weight:600}"
    ".note{background:var(--warn-tint);color:var(--warn);border-radius:10px;padding:9px 14px;max-width:none}"
    "td .dim,.figures .dim{font-size:12.5px}td.lead{font-weight:650}td.share,th.share{padding-left:0;font-size:12.5px}"
    "th.group{text-align:center;padding-top:8px}td.share.lead{color:var(--good)}"
    ".small td,.small th{padding:3px 12px;font-size:12.5px}.small{white-space:nowrap}"
    ".figures b{display:inline-flex;align-items:center;gap:8px}.figures b svg{width:13px;height:13px;flex:none;overflow:visible}";
/* clang-format on */

typedef struct page {
    FILE *out;
    const dip_results *results; /* all of them: an engine has one colour on the whole page */
    const dip_bench_group *group;
    double batches[MOST_BATCHES]; /* that were measured: 1 first, all in one (0) last */
    size_t batch_count;
} page;

static void text(const page *p, const char *words) { dip_html_text(p->out, words); }

static void number(double value, int digits, char *out, size_t capacity)
{
    dip_chart_number(value, digits, out, capacity);
}

/* Is row i the first of its engine in the file? */
static bool is_first(const dip_results *results, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (!strcmp(results->rows[j].engine, results->rows[i].engine)) return false;
    return true;
}

/* Colours go by the order in which engines first appear in the file. */
static size_t colour_of(const page *p, const char *engine)
{
    size_t colour = 0;
    for (size_t i = 0; i < p->results->count; i++) {
        if (!strcmp(p->results->rows[i].engine, engine)) break;
        colour += is_first(p->results, i);
    }
    return colour % DIP_PLOT_COLOURS;
}

/* "M=16 / ef=40" */
static void parameters(const dip_result *r, char *out, size_t capacity)
{
    snprintf(out, capacity, "%s%s%s", r->build, *r->build && *r->search ? " / " : "", r->search);
}

/* "12 µs", "3.4 ms", "1.2 s" */
static void duration(double us, char *out, size_t capacity)
{
    char figure[24];
    double value = us < 1000 ? us : us < 1e6 ? us / 1e3 : us / 1e6;
    number(value, 3, figure, sizeof figure);
    snprintf(out, capacity, "%s %s", figure, us < 1000 ? "\xc2\xb5s" : us < 1e6 ? "ms" : "s");
}

static void find_batches(page *p)
{
    const dip_bench_group *g = p->group;
    for (size_t i = 0; i < g->count; i++) {
        size_t at = 0;
        while (at < p->batch_count && p->batches[at] != g->rows[i]->batch) at++;
        if (at < p->batch_count || at == MOST_BATCHES) continue;
        double batch = g->rows[i]->batch;
        while (at > 0 && batch > 0 && (p->batches[at - 1] > batch || p->batches[at - 1] == 0)) {
            p->batches[at] = p->batches[at - 1];
            at--;
        }
        p->batches[at] = batch;
        p->batch_count++;
    }
}

static void batch_words(double batch, char *out, size_t capacity)
{
    if (batch == 1)
        snprintf(out, capacity, "one query a call");
    else if (batch > 0)
        snprintf(out, capacity, "%.0f queries a call", batch);
    else
        snprintf(out, capacity, "all queries in one call");
}

/* ---- merits: the larger the better ---- */

static double less_p99(const dip_result *r) { return -r->p99_us; }
static double less_cpu(const dip_result *r) { return -r->cpu_us; }
static double less_bytes(const dip_result *r) { return -r->bytes; }
static double less_build(const dip_result *r) { return -r->build_cpu_s; }

/* ---- what leads ---- */

/* Of the rows with the first batch that reach the middle target, the one with most merit; NULL: none does. */
static const dip_result *winner(const page *p, dip_bench_merit merit)
{
    const dip_result *best = NULL;
    for (size_t i = 0; i < p->group->count; i++) {
        const dip_result *r = p->group->rows[i];
        if (r->batch != p->batches[0] || r->recall < targets[MIDDLE]) continue;
        if (!best || merit(r) > merit(best)) best = r;
    }
    return best;
}

static void figure(const page *p, const dip_result *r, const char *value, const char *name)
{
    char more[400], words[400];
    parameters(r, words, sizeof words);
    fputs("<div><b>", p->out);
    dip_plot_mark(p->out, colour_of(p, r->engine));
    text(p, value);
    fputs("</b><span>", p->out);
    text(p, name);
    fputs("</span><span class=\"dim\">", p->out);
    snprintf(more, sizeof more, "%s%s%.300s", r->engine, *words ? ": " : "", words);
    text(p, more);
    fputs("</span></div>\n", p->out);
}

static void figures(const page *p)
{
    char value[64];
    const dip_result *r = winner(p, dip_bench_speed);
    if (!r) return;
    fprintf(p->out,
            "<p class=\"facts\">Of what reaches recall %.2f, %s:</p>\n<div class=\"figures\">\n",
            targets[MIDDLE], p->batches[0] == 1 ? "one query a call" : "in batches");
    number(r->qps, 3, value, sizeof value - 12);
    strcat(value, " queries/s");
    figure(p, r, value, "most queries a second");
    r = winner(p, less_p99);
    duration(r->p99_us, value, sizeof value);
    figure(p, r, value, "shortest p99 of a call");
    r = winner(p, less_bytes);
    number(r->bytes / r->n, 3, value, sizeof value - 12);
    strcat(value, " bytes");
    figure(p, r, value, "smallest, a vector");
    r = winner(p, less_build);
    duration(1e6 * r->build_cpu_s, value, sizeof value);
    figure(p, r, value, "quickest built, processor time");
    fputs("</div>\n", p->out);
}

/* ---- at equal recall ---- */

static void merit_cell(const page *p, const char *engine, double batch, double target,
                       dip_bench_merit merit)
{
    char figure_text[48];
    double best = 0, own = dip_bench_merit_at(p->group, engine, batch, target, merit);
    for (size_t i = 0; i < p->group->engine_count; i++) {
        double other = dip_bench_merit_at(p->group, p->group->engines[i], batch, target, merit);
        if (other > best) best = other;
    }
    if (isnan(own)) {
        fputs("<td class=\"number dim\">\xe2\x80\x93</td><td></td>", p->out);
        return;
    }
    number(own, 3, figure_text, sizeof figure_text);
    if (own < best)
        fprintf(p->out, "<td class=\"number\">%s</td><td class=\"dim share\">%.2f</td>",
                figure_text, own / best);
    else
        fprintf(p->out, "<td class=\"number lead\">%s</td><td class=\"share lead\">best</td>",
                figure_text);
}

static void equal_recall(const page *p, double batch)
{
    char words[64];
    batch_words(batch, words, sizeof words);
    fputs("<h3>At equal recall, ", p->out);
    text(p, words);
    fputs("</h3>\n<div class=\"scroll\"><table><tr><th></th>", p->out);
    for (size_t t = 0; t < TARGETS; t++)
        fprintf(p->out, "<th class=\"group\" colspan=\"4\">recall %.2f</th>", targets[t]);
    fputs("</tr>\n<tr><th>engine</th>", p->out);
    for (size_t t = 0; t < TARGETS; t++)
        fputs("<th class=\"number\">queries/s</th><th class=\"share\"></th>"
              "<th class=\"number\">a CPU second</th><th class=\"share\"></th>",
              p->out);
    fputs("</tr>\n", p->out);
    for (size_t i = 0; i < p->group->engine_count; i++) {
        const char *engine = p->group->engines[i];
        fputs("<tr><td><span class=\"mark-key\">", p->out);
        dip_plot_mark(p->out, colour_of(p, engine));
        text(p, engine);
        fputs("</span></td>", p->out);
        for (size_t t = 0; t < TARGETS; t++) {
            merit_cell(p, engine, batch, targets[t], dip_bench_speed);
            merit_cell(p, engine, batch, targets[t], dip_bench_thrift);
        }
        fputs("</tr>\n", p->out);
    }
    fputs("</table></div>\n", p->out);
}

/* ---- plots ---- */

typedef struct axis_of {
    const char *title, *unit;
    double (*value)(const dip_result *row);
    dip_bench_merit merit;
    bool less;
} axis_of;

static double p99(const dip_result *r) { return r->p99_us; }
static double cpu(const dip_result *r) { return r->cpu_us; }
static double bytes(const dip_result *r) { return r->bytes / r->n; }

static void fill_point(const page *p, const dip_result *r, const axis_of *a, dip_plot_point *out)
{
    char words[400], speed[40], late[40];
    parameters(r, words, sizeof words);
    number(r->qps, 4, speed, sizeof speed);
    duration(r->p99_us, late, sizeof late);
    *out = (dip_plot_point){.recall = r->recall,
                            .value = a->value(r),
                            .leads = dip_bench_leads(p->group, r, a->merit, false),
                            .best = dip_bench_leads(p->group, r, a->merit, true)};
    snprintf(out->tell, sizeof out->tell, "%.60s %.130s: recall %.4f, %s queries/s, p99 %s",
             r->engine, words, r->recall, speed, late);
}

/* Series lie one after the other in `points`, as the rows do. */
static void plot(const page *p, const axis_of *a, double batch, dip_plot_point *points,
                 dip_plot_series *series)
{
    const dip_bench_group *g = p->group;
    char title[160], words[64];
    size_t used = 0;
    batch_words(batch, words, sizeof words);
    snprintf(title, sizeof title, "%s%s%s", a->title, a->value == bytes ? "" : ", ",
             a->value == bytes ? "" : words);
    for (size_t e = 0; e < g->engine_count; e++) {
        series[e] = (dip_plot_series){
            .name = g->engines[e], .colour = colour_of(p, g->engines[e]), .points = points + used};
        for (size_t i = 0; i < g->count; i++) {
            if (strcmp(g->rows[i]->engine, g->engines[e]) != 0 || g->rows[i]->batch != batch)
                continue;
            fill_point(p, g->rows[i], a, &points[used++]);
            series[e].n++;
        }
    }
    const dip_plot drawn = {title, a->unit, a->less, series, g->engine_count};
    dip_plot_write(p->out, &drawn);
}

static dip_status plots(const page *p)
{
    static const axis_of speed = {"Speed", "queries/s", dip_bench_speed, dip_bench_speed, false};
    static const axis_of late = {"Latency, 99th percentile", "\xc2\xb5s", p99, less_p99, true};
    static const axis_of work = {"Processor time", "\xc2\xb5s a query", cpu, less_cpu, true};
    static const axis_of size = {"Size of the index", "bytes a vector", bytes, less_bytes, true};
    dip_plot_point *points = dip_alloc((p->group->count + 1) * sizeof *points);
    dip_plot_series *series = dip_alloc((p->group->engine_count + 1) * sizeof *series);
    dip_status status = points && series ? DIP_OK : DIP_ENOMEM;
    if (!status) {
        fputs("<h3>Over recall</h3>\n<div class=\"charts\">\n", p->out);
        plot(p, &speed, p->batches[0], points, series);
        plot(p, &late, p->batches[0], points, series);
        for (size_t i = 1; i < p->batch_count; i++) plot(p, &speed, p->batches[i], points, series);
        for (size_t i = 0; i < p->batch_count; i++) plot(p, &work, p->batches[i], points, series);
        plot(p, &size, p->batches[0], points, series);
        fputs("</div>\n<p class=\"dim\">Lines join what no other setting of the engine beats; "
              "faint marks "
              "are beaten. The broad grey line is the best of all engines. Pointing at a mark "
              "tells its "
              "settings.</p>\n",
              p->out);
    }
    dip_free(points);
    dip_free(series);
    return status;
}

/* ---- building ---- */

static bool is_new_build(const dip_bench_group *g, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (!strcmp(g->rows[i]->engine, g->rows[j]->engine) &&
            !strcmp(g->rows[i]->build, g->rows[j]->build))
            return false;
    return true;
}

static void bars(const page *p, const char *title, double (*value)(const dip_result *),
                 void (*tell)(const dip_result *, char *, size_t))
{
    const dip_bench_group *g = p->group;
    double most = 0;
    char words[96];
    for (size_t i = 0; i < g->count; i++)
        if (value(g->rows[i]) > most) most = value(g->rows[i]);
    fprintf(p->out, "<div class=\"bars\"><b>%s</b>\n", title);
    for (size_t i = 0; i < g->count; i++) {
        const dip_result *r = g->rows[i];
        if (!is_new_build(g, i)) continue;
        tell(r, words, sizeof words);
        dip_plot_bar(p->out, colour_of(p, r->engine), r->engine, *r->build ? r->build : r->describe,
                     most > 0 ? value(r) / most : 0, words);
    }
    fputs("</div>\n", p->out);
}

static double build_cpu(const dip_result *r) { return r->build_cpu_s; }
static double all_bytes(const dip_result *r) { return r->bytes; }

static void tell_build(const dip_result *r, char *out, size_t capacity)
{
    char took[40], a_vector[40];
    duration(1e6 * r->build_cpu_s, took, sizeof took);
    duration(1e6 * r->build_cpu_s / r->n, a_vector, sizeof a_vector);
    snprintf(out, capacity, "%s (%s a vector)", took, a_vector);
}

static void tell_bytes(const dip_result *r, char *out, size_t capacity)
{
    char whole[40];
    dip_format_bytes((unsigned long long)r->bytes, whole, sizeof whole);
    snprintf(out, capacity, "%s (%.0f B a vector)", whole, r->bytes / r->n);
}

static void building(const page *p)
{
    fputs("<h3>Building</h3>\n<div class=\"charts\">\n", p->out);
    bars(p, "Time to build <span class=\"dim\">processor time</span>", build_cpu, tell_build);
    bars(p, "Size of the index", all_bytes, tell_bytes);
    fputs("</div>\n", p->out);
}

/* ---- everything ---- */

static void cell(const page *p, double value, int digits)
{
    char figure_text[48];
    number(value, digits, figure_text, sizeof figure_text);
    fprintf(p->out, "<td class=\"number\">%s</td>", figure_text);
}

static void row(const page *p, const dip_result *r)
{
    fputs("<tr><td><span class=\"mark-key\">", p->out);
    dip_plot_mark(p->out, colour_of(p, r->engine));
    text(p, r->engine);
    fputs("</span></td><td>", p->out);
    text(p, r->build);
    fputs("</td><td>", p->out);
    text(p, r->search);
    if (r->batch > 0)
        fprintf(p->out, "</td><td class=\"number\">%.0f</td>", r->batch);
    else
        fputs("</td><td class=\"number\">all</td>", p->out);
    cell(p, r->recall, 4);
    cell(p, r->qps, 4);
    cell(p, r->qps_low, 4);
    cell(p, r->qps_high, 4);
    cell(p, r->cpu_us, 3);
    cell(p, r->p50_us, 3);
    cell(p, r->p95_us, 3);
    cell(p, r->p99_us, 3);
    cell(p, r->build_s, 3);
    cell(p, r->build_cpu_s, 3);
    cell(p, r->bytes / r->n, 4);
    cell(p, r->memory / 1e6, 4);
    cell(p, r->load, 2);
    fputs("</tr>\n", p->out);
}

static void everything(const page *p)
{
    static const char *const heads[] = {"batch",         "recall",        "queries/s",
                                        "lowest",        "highest",       "CPU \xc2\xb5s a query",
                                        "p50 \xc2\xb5s", "p95 \xc2\xb5s", "p99 \xc2\xb5s",
                                        "built s",       "built CPU s",   "B a vector",
                                        "process MB",    "load"};
    fprintf(p->out, "<details><summary>All %zu measurements</summary>\n", p->group->count);
    fputs("<div class=\"scroll\"><table class=\"small\"><tr><th>engine</th><th>built "
          "with</th><th>searched with</th>",
          p->out);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        fprintf(p->out, "<th class=\"number\">%s</th>", heads[i]);
    fputs("</tr>\n", p->out);
    for (size_t i = 0; i < p->group->count; i++) row(p, p->group->rows[i]);
    fputs("</table></div></details>\n", p->out);
}

/* ---- a group ---- */

/* Wall times of a machine that had more to do than the comparison say little. */
static void tell_load(const page *p)
{
    double most = 0, own = p->group->rows[0]->search_threads;
    for (size_t i = 0; i < p->group->count; i++)
        if (p->group->rows[i]->load > most) most = p->group->rows[i]->load;
    if (most <= own + 1.5) return;
    fprintf(p->out,
            "<p class=\"note\">The machine had other work: a load of up to %.1f. Speeds and "
            "latencies are too "
            "poor then, and not equally so; compare processor times.</p>\n",
            most);
}

static void facts(const page *p)
{
    const dip_result *r = p->group->rows[0];
    char n[40], queries[40];
    dip_format_count((unsigned long long)r->n, n, sizeof n);
    dip_format_count((unsigned long long)r->queries, queries, sizeof queries);
    fprintf(p->out,
            "<p class=\"facts\"><b>%s</b> vectors of <b>%.0f</b> values, <b>%s</b> queries, "
            "<b>%.0f</b> neighbours; built with <b>%.0f</b> threads, searched with <b>%.0f</b>; "
            "median of "
            "<b>%.0f</b> runs",
            n, r->dim, queries, r->k, r->threads, r->search_threads, r->repeats);
    if (isfinite(r->agreement))
        fprintf(p->out,
                "; of the file&rsquo;s own neighbours <b>%.2f %%</b> are among the true ones found "
                "here",
                100 * r->agreement);
    fputs(".</p>\n", p->out);
    tell_load(p);
    if (!(r->changed > 0)) return;
    dip_format_count((unsigned long long)r->changed, n, sizeof n);
    fprintf(p->out,
            "<p class=\"note\">%s vectors came with another norm than 1 and were divided by it, "
            "for all "
            "engines and for the true neighbours alike.%s</p>\n",
            n,
            strcmp(r->distance, "euclidean") != 0
                ? ""
                : " The file is meant for Euclidean distance between the vectors as they are: "
                  "results published "
                  "for it do not compare with these.");
}

static dip_status group(page *p)
{
    find_batches(p);
    fputs("<h2>", p->out);
    text(p, p->group->rows[0]->set);
    fprintf(p->out, " <span class=\"dim\">recall@%.0f</span></h2>\n", p->group->rows[0]->k);
    facts(p);
    figures(p);
    for (size_t i = 0; i < p->batch_count; i++) equal_recall(p, p->batches[i]);
    dip_status status = plots(p);
    building(p);
    everything(p);
    return status;
}

/* ---- page ---- */

static void head(FILE *out, const dip_results *results)
{
    const char *const styles[] = {dip_sheet_style, dip_chart_style, dip_run_style,
                                  dip_plot_style,  page_style,      NULL};
    const dip_result *last = &results->rows[results->count - 1];
    dip_html_begin(out, "Search engines compared", styles);
    fputs("<header><h1>Search engines compared</h1><p class=\"dim\">", out);
    dip_html_text(out, last->machine);
    fputs(" &middot; ", out);
    dip_html_text(out, last->time);
    fputs("</p></header>\n<main>\n", out);
}

static void foot(FILE *out)
{
    fputs("</main>\n<footer><p>Each engine ran in a process of its own and took its times itself: "
          "a run to warm up, then the "
          "measured ones, one call after the other. All vectors are of unit norm. recall@k: the "
          "share of the answers "
          "that are as near as the true k-th neighbour; an answer at the same distance counts. "
          "Speeds at equal recall "
          "lie between two measurements, by the logarithm.</p><p>Diptych</p></footer>\n",
          out);
    dip_html_end(out);
}

static dip_status write_page(FILE *out, const dip_results *results)
{
    dip_bench_group *groups;
    size_t count;
    dip_status status = dip_bench_groups_make(&groups, &count, results, NULL);
    if (status) return status;
    head(out, results);
    for (size_t i = 0; i < count && !status; i++) {
        page p = {.out = out, .results = results, .group = &groups[i]};
        status = group(&p);
    }
    foot(out);
    dip_bench_groups_free(groups, count);
    return status;
}

dip_status dip_bench_page_write(const dip_results *results, const char *path)
{
    dip_aside file;
    if (!results->count)
        return dip_fail(DIP_ENOENT,
                        "there are no measurements for '%s' yet; name DATA to measure on", path);
    dip_status status = dip_file_begin(&file, path);
    if (status) return status;
    status = write_page(file.stream, results);
    if (!status) status = dip_file_commit(&file);
    dip_file_abandon(&file);
    return status;
}
