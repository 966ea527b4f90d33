/* Reading the folder of a training run; see run_history.h. */
#include "tools/run_history.h"

#include "core/file.h"
#include "core/mem.h"
#include "train/history.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CONFIG_LIMIT = 1 << 20, MOST_EXAMPLES = 1000 };

/* ---- curves ---- */

static dip_curve *find_curve(dip_run_history *h, const char *kind, const char *name)
{
    for (size_t i = 0; i < h->curve_count; i++)
        if (!strcmp(h->curves[i].kind, kind) && !strcmp(h->curves[i].name, name))
            return &h->curves[i];
    return NULL;
}

static dip_status add_point(dip_run_history *h, const char *kind, const char *name, double x,
                            double y)
{
    dip_curve *c = find_curve(h, kind, name);
    if (!c && h->curve_count == DIP_RUN_CURVES) return DIP_OK;
    if (!c) {
        c = &h->curves[h->curve_count++];
        snprintf(c->kind, sizeof c->kind, "%s", kind);
        snprintf(c->name, sizeof c->name, "%s", name);
    }
    if (c->n == c->room) {
        size_t room = c->room ? 2 * c->room : 64;
        double *xs = dip_realloc(c->x, room * sizeof *xs);
        if (!xs) return DIP_ENOMEM;
        c->x = xs;
        double *ys = dip_realloc(c->y, room * sizeof *ys);
        if (!ys) return DIP_ENOMEM;
        c->y = ys;
        c->room = room;
    }
    c->x[c->n] = x;
    c->y[c->n++] = y;
    return DIP_OK;
}

static void add_band(dip_run_history *h, const dip_history_line *line)
{
    if (h->band_count == DIP_RUN_BANDS) return;
    dip_run_band *b = &h->bands[h->band_count++];
    snprintf(b->modality, sizeof b->modality, "%s", dip_history_text(line, "modality"));
    snprintf(b->band, sizeof b->band, "%s", dip_history_text(line, "band"));
    snprintf(b->unit, sizeof b->unit, "%s", dip_history_text(line, "unit"));
    b->gsd_m = dip_history_value(line, "gsd_m");
    b->mean = dip_history_value(line, "mean");
    b->deviation = dip_history_value(line, "deviation");
}

/* A direction measured again replaces what it was. */
static void add_labels(dip_run_history *h, const dip_history_line *line)
{
    const char *from = dip_history_text(line, "from"), *to = dip_history_text(line, "to");
    size_t at = 0;
    while (at < h->label_count &&
           (strcmp(h->labels[at].from, from) != 0 || strcmp(h->labels[at].to, to) != 0))
        at++;
    if (at == DIP_RUN_LABELS) return;
    if (at == h->label_count) h->label_count++;
    dip_run_labels *l = &h->labels[at];
    *l = (dip_run_labels){.precision = dip_history_value(line, "precision"),
                          .chance = dip_history_value(line, "chance"),
                          .queries = dip_history_value(line, "queries"),
                          .precision_any = dip_history_value(line, "precision_any"),
                          .chance_any = dip_history_value(line, "chance_any"),
                          .queries_any = dip_history_value(line, "queries_any")};
    snprintf(l->from, sizeof l->from, "%s", from);
    snprintf(l->to, sizeof l->to, "%s", to);
}

static dip_status take_line(void *payload, const dip_history_line *line)
{
    dip_run_history *h = payload;
    dip_status status = DIP_OK;
    if (!strcmp(line->kind, "band")) {
        add_band(h, line);
        return DIP_OK;
    }
    if (!strcmp(line->kind, "labels")) {
        add_labels(h, line);
        return DIP_OK;
    }
    if (!strcmp(line->kind, "data"))
        snprintf(h->held_out, sizeof h->held_out, "%s", dip_history_text(line, "held_out"));
    for (size_t i = 0; i < line->field_count && !status; i++)
        status = add_point(h, line->kind, line->fields[i].name, (double)line->step,
                           line->fields[i].value);
    return status;
}

/* ---- examples ---- */

/* A field that counts; 0 if it is none. */
static uint64_t count_of(const dip_history_line *line, const char *name)
{
    double value = dip_history_value(line, name);
    return value >= 0 && value < 0x1p53 ? (uint64_t)value : 0;
}

static void read_hits(const dip_history_line *line, dip_run_example *e)
{
    char name[16];
    for (size_t i = 0; i < DIP_RUN_HITS; i++) {
        snprintf(name, sizeof name, "hit%zu", i + 1);
        if (isnan(dip_history_value(line, name))) return;
        e->hits[i] = count_of(line, name);
        snprintf(name, sizeof name, "score%zu", i + 1);
        e->hit_scores[i] = dip_history_value(line, name);
        e->hit_count++;
    }
}

static dip_status take_example(void *payload, const dip_history_line *line)
{
    dip_run_history *h = payload;
    bool best = !strcmp(line->kind, "best");
    if ((!best && strcmp(line->kind, "worst") != 0) || h->example_count == MOST_EXAMPLES)
        return DIP_OK;
    if (h->example_count == h->example_room) {
        size_t room = h->example_room ? 2 * h->example_room : 16;
        dip_run_example *list = dip_realloc(h->examples, room * sizeof *list);
        if (!list) return DIP_ENOMEM;
        h->examples = list;
        h->example_room = room;
    }
    dip_run_example *e = &h->examples[h->example_count++];
    *e = (dip_run_example){.best = best,
                           .probe = count_of(line, "probe"),
                           .twin = count_of(line, "twin"),
                           .rank = (size_t)count_of(line, "rank"),
                           .of = (size_t)count_of(line, "of"),
                           .score = dip_history_value(line, "score")};
    snprintf(e->from, sizeof e->from, "%s", dip_history_text(line, "from"));
    snprintf(e->to, sizeof e->to, "%s", dip_history_text(line, "to"));
    read_hits(line, e);
    return DIP_OK;
}

/* ---- the folder ---- */

static dip_status read_config(dip_run_history *h, const char *folder)
{
    size_t length;
    char *path = dip_path_join(folder, "config.ini");
    dip_status status = path ? dip_file_read(&h->config, &length, path, CONFIG_LIMIT) : DIP_ENOMEM;
    dip_free(path);
    return status;
}

/* `needed`: it is a failure if the file is not there. */
static dip_status read_lines(dip_run_history *h, const char *folder, const char *name, bool needed,
                             dip_status (*take)(void *, const dip_history_line *))
{
    char *path = dip_path_join(folder, name);
    dip_status status = DIP_ENOMEM;
    if (path) status = needed || dip_file_exists(path) ? dip_history_read(path, take, h) : DIP_OK;
    dip_free(path);
    return status;
}

/* From steps to epochs, once one is done. */
static void scale_curves(dip_run_history *h)
{
    const dip_curve *epochs = find_curve(h, "epoch", "epoch");
    h->x_name = "step";
    if (!epochs || !(epochs->x[0] > 0) || !(epochs->y[0] >= 0)) return;
    double steps = epochs->x[0] / (epochs->y[0] + 1);
    h->x_name = "epoch";
    for (size_t c = 0; c < h->curve_count; c++)
        for (size_t i = 0; i < h->curves[c].n; i++) h->curves[c].x[i] /= steps;
}

dip_status dip_run_history_open(dip_run_history **out, const char *folder)
{
    dip_run_history *h = dip_calloc(1, sizeof *h);
    if (!h) return DIP_ENOMEM;
    dip_status status = read_config(h, folder);
    if (!status) status = read_lines(h, folder, "metrics.jsonl", true, take_line);
    if (!status) status = read_lines(h, folder, "examples.jsonl", false, take_example);
    char *finished = dip_path_join(folder, "finished.ini");
    if (!status && !finished) status = DIP_ENOMEM;
    h->finished = finished && dip_file_exists(finished);
    dip_free(finished);
    if (status) {
        dip_run_history_close(h);
        return status;
    }
    scale_curves(h);
    *out = h;
    return DIP_OK;
}

void dip_run_history_close(dip_run_history *h)
{
    if (!h) return;
    for (size_t i = 0; i < h->curve_count; i++) {
        dip_free(h->curves[i].x);
        dip_free(h->curves[i].y);
    }
    dip_free(h->examples);
    dip_free(h->config);
    dip_free(h);
}

const dip_curve *dip_run_curve(const dip_run_history *h, const char *kind, const char *name)
{
    return find_curve((dip_run_history *)h, kind, name);
}

double dip_run_last(const dip_run_history *h, const char *kind, const char *name)
{
    const dip_curve *c = dip_run_curve(h, kind, name);
    return c && c->n ? c->y[c->n - 1] : NAN;
}

double dip_run_sum(const dip_run_history *h, const char *kind, const char *name)
{
    const dip_curve *c = dip_run_curve(h, kind, name);
    double sum = 0;
    for (size_t i = 0; c && i < c->n; i++)
        if (isfinite(c->y[i])) sum += c->y[i];
    return sum;
}

bool dip_run_setting(const dip_run_history *h, const char *name, char *out, size_t capacity)
{
    size_t length = strlen(name);
    for (const char *at = h->config; at && *at; at += *at == '\n') {
        size_t line = strcspn(at, "\n");
        if (line >= length + 3 && !strncmp(at, name, length) && !strncmp(at + length, " = ", 3)) {
            snprintf(out, capacity, "%.*s", (int)(line - length - 3), at + length + 3);
            return true;
        }
        at += line;
    }
    return false;
}
