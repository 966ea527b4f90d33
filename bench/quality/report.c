/*
 * The report; see report.h. For each data set and section the tasks are gathered into lines, a row and form each, with the
 * outcomes of its tasks in the order of tasks, so that two lines' outcomes pair by position.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench/quality/report.h"

#include "bench/quality/task.h"
#include "core/file.h"
#include "core/mem.h"
#include "front/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_RUNS = DIP_PLAN_MOST_SEEDS * DIP_PLAN_MOST_FOLDS };

typedef struct line {
    const dip_plan_row *row;
    const dip_plan_form *form;
    const dip_outcome **runs; /* (wanted): NULL: not there yet */
    size_t wanted, capacity, there;
} line;

typedef struct section {
    const dip_plan *plan;
    const dip_plan_data *data;
    const dip_outcomes *outcomes;
    bool final;
    line *lines;
    size_t count, capacity;
    const dip_outcome *any; /* names the directions; NULL: nothing was measured */
} section;

/* ---- numbers ---- */

dip_spread dip_spread_of(const double *values, size_t n)
{
    dip_spread s = {.mean = 0, .sd = NAN};
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        if (!isnan(values[i])) {
            s.n++;
            s.mean += values[i];
        }
    s.mean = s.n ? s.mean / (double)s.n : NAN;
    for (size_t i = 0; i < n; i++)
        if (!isnan(values[i])) squares += (values[i] - s.mean) * (values[i] - s.mean);
    if (s.n > 1) s.sd = sqrt(squares / (double)(s.n - 1));
    return s;
}

int dip_spread_sign(const dip_spread *d)
{
    /* 97.5 % points of Student's t for 2, 3, ... degrees of freedom; between the last two steps the larger. */
    static const double t[] = {4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228};
    enum { STEPS = sizeof t / sizeof *t };
    if (d->n < 3) return 0;
    double limit = t[d->n - 3 < STEPS ? d->n - 3 : STEPS - 1] * d->sd / sqrt((double)d->n);
    return (d->mean > limit) - (d->mean < -limit);
}

static const dip_outcome_direction *direction_of(const dip_outcome *run,
                                                 const dip_outcome_direction *like)
{
    for (size_t i = 0; run && i < run->direction_count; i++)
        if (!strcmp(run->directions[i].from, like->from) &&
            !strcmp(run->directions[i].to, like->to))
            return &run->directions[i];
    return NULL;
}

static const dip_outcome_metric *metric_of(const dip_outcome *run,
                                           const dip_outcome_direction *like, const char *name)
{
    const dip_outcome_direction *d = direction_of(run, like);
    for (size_t i = 0; d && i < d->metric_count; i++)
        if (!strcmp(d->metrics[i].name, name)) return &d->metrics[i];
    return NULL;
}

static double value_of(const dip_outcome *run, const dip_outcome_direction *like, const char *name)
{
    const dip_outcome_metric *m = metric_of(run, like, name);
    return m ? m->value : NAN;
}

static dip_spread spread_of(const line *l, const dip_outcome_direction *like, const char *name)
{
    double values[MOST_RUNS];
    for (size_t i = 0; i < l->wanted; i++) values[i] = value_of(l->runs[i], like, name);
    return dip_spread_of(values, l->wanted);
}

/* The line less the section's first, run by run: same seed, same part held out. */
static dip_spread difference_of(const section *s, const line *l, const dip_outcome_direction *like,
                                const char *name)
{
    double values[MOST_RUNS];
    const line *first = &s->lines[0];
    size_t n = l->wanted == first->wanted ? l->wanted : 0;
    for (size_t i = 0; i < n; i++)
        values[i] = value_of(l->runs[i], like, name) - value_of(first->runs[i], like, name);
    return dip_spread_of(values, n);
}

static dip_spread chance_of(const section *s, const dip_outcome_direction *like, const char *name)
{
    double values[MOST_RUNS];
    const line *l = &s->lines[0];
    for (size_t k = 0; k < s->count && !l->there; k++) l = &s->lines[k];
    for (size_t i = 0; i < l->wanted; i++) {
        const dip_outcome_metric *m = metric_of(l->runs[i], like, name);
        values[i] = m ? m->chance : NAN;
    }
    return dip_spread_of(values, l->wanted);
}

typedef double field_of_run(const dip_outcome *run);
static double cpu_of(const dip_outcome *run) { return run->cpu_s; }
static double wall_of(const dip_outcome *run) { return run->wall_s; }
static double steps_of(const dip_outcome *run) { return run->steps; }
static double epochs_of(const dip_outcome *run) { return run->epochs; }
static double pairs_of(const dip_outcome *run) { return run->pairs; }
static double parameters_of(const dip_outcome *run) { return run->parameters; }
static double dims_of(const dip_outcome *run) { return run->dims; }
static double bytes_of(const dip_outcome *run) { return run->bytes; }

static dip_spread field_spread(const line *l, field_of_run *field)
{
    double values[MOST_RUNS];
    for (size_t i = 0; i < l->wanted; i++) values[i] = l->runs[i] ? field(l->runs[i]) : NAN;
    return dip_spread_of(values, l->wanted);
}

static dip_spread above_of(const line *l, const dip_outcome_direction *like, size_t point)
{
    double values[MOST_RUNS];
    for (size_t i = 0; i < l->wanted; i++) {
        const dip_outcome_direction *d = direction_of(l->runs[i], like);
        values[i] = d ? d->above[point] : NAN;
    }
    return dip_spread_of(values, l->wanted);
}

/* ---- gathering ---- */

static line *find_line(section *s, const dip_plan_row *row, const dip_plan_form *form)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->lines[i].row == row && s->lines[i].form == form) return &s->lines[i];
    return NULL;
}

static dip_status add_run(section *s, line *l, const dip_task *task)
{
    char key[20];
    dip_status status = dip_task_key(task, l->form, key);
    if (status) return status;
    if (dip_array_reserve((void **)&l->runs, &l->capacity, l->wanted + 1, sizeof *l->runs))
        return DIP_ENOMEM;
    const dip_outcome *run = dip_outcomes_find(s->outcomes, key);
    l->runs[l->wanted++] = run;
    l->there += run != NULL;
    if (run && (!s->any || run->direction_count > s->any->direction_count)) s->any = run;
    return DIP_OK;
}

static dip_status gather(void *context, const dip_task *task)
{
    section *s = context;
    dip_status status = DIP_OK;
    if (task->data != s->data) return DIP_OK;
    for (size_t i = 0; i < task->row->form_count && !status; i++) {
        const dip_plan_form *form = &task->row->forms[i];
        line *l = find_line(s, task->row, form);
        if (!l) {
            if (dip_array_reserve((void **)&s->lines, &s->capacity, s->count + 1, sizeof *s->lines))
                return DIP_ENOMEM;
            l = &s->lines[s->count++];
            *l = (line){.row = task->row, .form = form};
        }
        status = add_run(s, l, task);
    }
    return status;
}

static void section_fini(section *s)
{
    for (size_t i = 0; i < s->count; i++) dip_free(s->lines[i].runs);
    dip_free(s->lines);
}

/* ---- Markdown ---- */

static void line_name(const line *l, char *out, size_t capacity)
{
    snprintf(out, capacity, "%s%s%s", l->row->name, *l->form->name ? ", " : "", l->form->name);
}

static void put_spread(FILE *out, const dip_spread *s, int decimals)
{
    if (!s->n)
        fprintf(out, " |");
    else if (isnan(s->sd))
        fprintf(out, " %.*f |", decimals, s->mean);
    else
        fprintf(out, " %.*f ± %.*f |", decimals, s->mean, decimals, s->sd);
}

static void put_value(FILE *out, const section *s, const line *l, const dip_outcome_direction *d,
                      const char *name)
{
    static const char *const marks[] = {" ▼", "", " ▲"};
    dip_spread v = spread_of(l, d, name), difference = difference_of(s, l, d, name);
    if (v.n && !isnan(v.sd))
        fprintf(out, " %.3f ± %.3f%s |", v.mean, v.sd, marks[1 + dip_spread_sign(&difference)]);
    else
        put_spread(out, &v, 3);
}

/* Costs stand on a row's first line only. */
static void put_costs(FILE *out, const line *l)
{
    static field_of_run *const fields[] = {dims_of,   bytes_of, parameters_of, pairs_of,
                                           epochs_of, steps_of, cpu_of,        wall_of};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        dip_spread v = field_spread(l, fields[i]);
        if (fields[i] != cpu_of && fields[i] != wall_of) v.sd = NAN;
        put_spread(out, &v, 0);
    }
}

static void put_heading(FILE *out, const dip_plan *plan)
{
    static const char *const costs[] = {"dims",   "bytes", "parameters",     "pairs",
                                        "epochs", "steps", "training CPU s", "wall s"};
    enum { COSTS = sizeof costs / sizeof *costs };
    fprintf(out, "| row | runs | direction |");
    for (size_t i = 0; i < plan->measure_count; i++) fprintf(out, " %s |", plan->measures[i]);
    for (size_t i = 0; i < COSTS; i++) fprintf(out, " %s |", costs[i]);
    fprintf(out, "\n|---|---|---|");
    for (size_t i = 0; i < plan->measure_count + COSTS; i++) fprintf(out, "---|");
    fprintf(out, "\n");
}

static void put_chance(FILE *out, const section *s)
{
    for (size_t d = 0; d < s->any->direction_count; d++) {
        const dip_outcome_direction *direction = &s->any->directions[d];
        fprintf(out, "| %s | | %s → %s |", d ? "" : "chance", direction->from, direction->to);
        for (size_t m = 0; m < s->plan->measure_count; m++) {
            dip_spread chance = chance_of(s, direction, s->plan->measures[m]);
            chance.sd = NAN;
            put_spread(out, &chance, 3);
        }
        fprintf(out, " | | | | | | | |\n");
    }
}

static void put_line(FILE *out, const section *s, const line *l)
{
    char name[128];
    line_name(l, name, sizeof name);
    for (size_t d = 0; l->there && d < s->any->direction_count; d++) {
        const dip_outcome_direction *direction = &s->any->directions[d];
        if (d)
            fprintf(out, "| | |");
        else if (l->there == l->wanted)
            fprintf(out, "| %s | %zu |", name, l->there);
        else
            fprintf(out, "| %s | %zu of %zu |", name, l->there, l->wanted);
        fprintf(out, " %s → %s |", direction->from, direction->to);
        for (size_t m = 0; m < s->plan->measure_count; m++)
            put_value(out, s, l, direction, s->plan->measures[m]);
        if (d)
            fprintf(out, " | | | | | | | |");
        else
            put_costs(out, l);
        fprintf(out, "\n");
    }
}

static void put_calibration(FILE *out, const section *s)
{
    const line *l = &s->lines[0];
    char name[128];
    line_name(l, name, sizeof name);
    if (!l->there) return;
    fprintf(out,
            "\nCalibration of `%s`: share of the random pairs of the measured places that score "
            "above a percentile of the random pairs of all other places.\n\n"
            "| direction |",
            name);
    for (size_t p = 0; p < DIP_OUTCOME_PERCENTILES; p++)
        fprintf(out, " above the %gth |", s->any->directions[0].percentile[p]);
    fprintf(out, "\n|---|---|---|---|\n");
    for (size_t d = 0; d < s->any->direction_count; d++) {
        const dip_outcome_direction *direction = &s->any->directions[d];
        fprintf(out, "| %s → %s |", direction->from, direction->to);
        for (size_t p = 0; p < DIP_OUTCOME_PERCENTILES; p++) {
            dip_spread v = above_of(l, direction, p);
            put_spread(out, &v, 4);
        }
        fprintf(out, "\n");
    }
}

/* How often this data set's test split was read, and for how many different configurations. */
static void count_looks(const section *s, size_t *looks, size_t *configurations)
{
    const dip_outcome *list = s->outcomes->list;
    *looks = *configurations = 0;
    for (size_t i = 0; i < s->outcomes->count; i++) {
        bool known = false;
        if (strcmp(list[i].split, "test") != 0 || strcmp(list[i].data, s->data->name) != 0)
            continue;
        for (size_t k = 0; k < i && !known; k++) known = !strcmp(list[k].key, list[i].key);
        ++*looks;
        *configurations += !known;
    }
}

/* Different programs among the section's outcomes. */
static size_t count_programs(const section *s)
{
    const char *seen[16];
    size_t n = 0;
    for (size_t i = 0; i < s->count; i++)
        for (size_t r = 0; r < s->lines[i].wanted; r++) {
            const dip_outcome *run = s->lines[i].runs[r];
            bool known = !run;
            for (size_t k = 0; k < n && !known; k++) known = !strcmp(seen[k], run->program);
            if (!known && n < sizeof seen / sizeof *seen) seen[n++] = run->program;
        }
    return n;
}

static void put_introduction(FILE *out, const section *s)
{
    fprintf(out, "\n## %s, %s\n\n", s->data->name, s->final ? "finals" : "candidates");
    if (s->final) {
        size_t looks, configurations;
        count_looks(s, &looks, &configurations);
        fprintf(out,
                "Split `test`, which was read %zu times, for %zu different configurations "
                "(row, options, seed).\n",
                looks, configurations);
    } else if (s->plan->hold_out[0].of) {
        fprintf(out, "Scenes of the splits `train` and `val`, dealt to parts; measured on the part "
                     "held out of training:");
        for (size_t i = 0; i < s->plan->hold_out_count; i++)
            fprintf(out, "%s %u/%u", i ? "," : "", s->plan->hold_out[i].number,
                    s->plan->hold_out[i].of);
        fprintf(out, ".\n");
    } else {
        fprintf(out, "Split `val`.\n");
    }
    size_t programs = count_programs(s);
    if (programs > 1) fprintf(out, "\nThe rows come from %zu builds of the program.\n", programs);
    fprintf(out, "\n");
}

static void put_section(FILE *out, const section *s)
{
    put_introduction(out, s);
    put_heading(out, s->plan);
    put_chance(out, s);
    for (size_t i = 0; i < s->count; i++) put_line(out, s, &s->lines[i]);
    put_calibration(out, s);
}

/* ---- JSON ---- */

static void json_spread(dip_json *j, const char *key, const dip_spread *s)
{
    dip_json_object(j, key);
    dip_json_count(j, "runs", s->n);
    dip_json_real(j, "mean", s->mean, 6);
    dip_json_real(j, "sd", s->sd, 6);
    dip_json_end(j);
}

/* All measures of a direction, not only the columns of the table. */
static void json_direction(dip_json *j, const section *s, const line *l,
                           const dip_outcome_direction *d)
{
    dip_json_object(j, NULL);
    dip_json_text(j, "from", d->from);
    dip_json_text(j, "to", d->to);
    dip_json_array(j, "metrics");
    for (size_t m = 0; m < d->metric_count; m++) {
        const char *name = d->metrics[m].name;
        dip_spread value = spread_of(l, d, name), chance = chance_of(s, d, name);
        dip_spread difference = difference_of(s, l, d, name);
        dip_json_object(j, NULL);
        dip_json_text(j, "metric", name);
        dip_json_real(j, "chance", chance.mean, 6);
        json_spread(j, "value", &value);
        json_spread(j, "less_first_row", &difference);
        dip_json_end(j);
    }
    dip_json_end(j);
    dip_json_array(j, "calibration");
    for (size_t p = 0; p < DIP_OUTCOME_PERCENTILES; p++) {
        dip_spread above = above_of(l, d, p);
        dip_json_object(j, NULL);
        dip_json_real(j, "percentile", d->percentile[p], 1);
        json_spread(j, "share_above", &above);
        dip_json_end(j);
    }
    dip_json_end(j);
    dip_json_end(j);
}

static void json_line(dip_json *j, const section *s, const line *l)
{
    static const struct {
        const char *name;
        field_of_run *field;
    } fields[] = {{"dims", dims_of},       {"bytes", bytes_of},      {"parameters", parameters_of},
                  {"pairs", pairs_of},     {"epochs", epochs_of},    {"steps", steps_of},
                  {"train_cpu_s", cpu_of}, {"train_wall_s", wall_of}};
    dip_json_object(j, NULL);
    dip_json_text(j, "row", l->row->name);
    dip_json_text(j, "form", l->form->name);
    dip_json_text(j, "train_options", l->row->train);
    dip_json_text(j, "eval_options", l->form->eval);
    dip_json_count(j, "runs", l->there);
    dip_json_count(j, "runs_wanted", l->wanted);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        dip_spread v = field_spread(l, fields[i].field);
        json_spread(j, fields[i].name, &v);
    }
    dip_json_array(j, "directions");
    for (size_t d = 0; d < s->any->direction_count; d++)
        json_direction(j, s, l, &s->any->directions[d]);
    dip_json_end(j);
    dip_json_end(j);
}

static void json_section(dip_json *j, const section *s)
{
    size_t looks, configurations;
    count_looks(s, &looks, &configurations);
    dip_json_object(j, NULL);
    dip_json_text(j, "data", s->data->name);
    dip_json_text(j, "section", s->final ? "finals" : "candidates");
    dip_json_text(j, "split", s->final ? "test" : "val");
    dip_json_array(j, "hold_out");
    for (size_t i = 0; !s->final && i < s->plan->hold_out_count; i++) {
        char held[32];
        snprintf(held, sizeof held, "%u/%u", s->plan->hold_out[i].number, s->plan->hold_out[i].of);
        if (s->plan->hold_out[i].of) dip_json_text(j, NULL, held);
    }
    dip_json_end(j);
    dip_json_count(j, "test_reads", looks);
    dip_json_count(j, "test_configurations", configurations);
    dip_json_count(j, "programs", count_programs(s));
    dip_json_array(j, "rows");
    for (size_t i = 0; i < s->count; i++)
        if (s->lines[i].there) json_line(j, s, &s->lines[i]);
    dip_json_end(j);
    dip_json_end(j);
}

/* ---- the files ---- */

typedef struct writer {
    dip_aside markdown, json;
    dip_json j;
} writer;

static dip_status write_section(const dip_plan *plan, const dip_outcomes *outcomes,
                                const dip_plan_data *data, bool final, writer *w)
{
    section s = {.plan = plan, .data = data, .outcomes = outcomes, .final = final};
    dip_status status = dip_task_each(plan, final, gather, &s);
    if (!status && s.any) {
        put_section(w->markdown.stream, &s);
        json_section(&w->j, &s);
    }
    section_fini(&s);
    return status;
}

static dip_status write_all(const dip_plan *plan, const dip_outcomes *outcomes, writer *w)
{
    dip_status status = DIP_OK;
    fprintf(w->markdown.stream,
            "# %s\n\n"
            "Written by `bench_quality`; docs/quality.md tells how to read it. Mean ± standard "
            "deviation over runs (seeds, and\nparts held out). ▲ and ▼: better or worse than the "
            "first row of the table in the paired differences of the same\nruns, at the 5 %% level "
            "of Student's test; of so many cells one in twenty is marked by chance.\n",
            *plan->title ? plan->title : "Quality");
    dip_json_start(&w->j, w->json.stream);
    w->j.line_depth = 4;
    dip_json_object(&w->j, NULL);
    dip_json_text(&w->j, "title", plan->title);
    dip_json_array(&w->j, "sections");
    for (size_t i = 0; i < plan->data_count && !status; i++) {
        status = write_section(plan, outcomes, &plan->data[i], true, w);
        if (!status) status = write_section(plan, outcomes, &plan->data[i], false, w);
    }
    dip_json_end(&w->j);
    dip_json_end(&w->j);
    return status;
}

static dip_status begin(dip_aside *file, const char *path, const char *ending)
{
    char *full = dip_sprintf("%s%s", path, ending);
    dip_status status = full ? dip_file_begin(file, full) : DIP_ENOMEM;
    dip_free(full);
    return status;
}

dip_status dip_report_write(const dip_plan *plan, const dip_outcomes *outcomes, const char *path)
{
    writer w = {.markdown = {NULL, NULL, NULL}};
    dip_status status = begin(&w.markdown, path, ".md");
    if (!status) status = begin(&w.json, path, ".json");
    if (!status) status = write_all(plan, outcomes, &w);
    if (!status) status = dip_file_commit(&w.markdown);
    if (!status) status = dip_file_commit(&w.json);
    dip_file_abandon(&w.markdown);
    dip_file_abandon(&w.json);
    return status;
}
