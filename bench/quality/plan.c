/*
 * Plans; see plan.h. The file is taken line by line; a setter for the present section takes each key. Values gather by
 * appending, so that a long list of options can be cut into lines.
 */
#define _POSIX_C_SOURCE 200809L
#include "bench/quality/plan.h"

#include "core/file.h"
#include "core/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char default_measures[] =
    "pair_recall@1 pair_recall@10 f1_item@5 f1_macro@5 map_any@10 "
    "map_all@10 p@10 p_any@10";

enum { LARGEST = 1 << 20 };

typedef struct parser {
    dip_plan *plan;
    enum { NOWHERE, PLAN, DATA, ROW } where;
    char *key; /* of the last line, for lines that continue it */
    char problem[200];
} parser;

/* ---- values ---- */

static dip_status refuse(parser *p, const char *format, const char *word)
{
    snprintf(p->problem, sizeof p->problem, format, word);
    return DIP_EFORMAT;
}

static dip_status append(char **text, const char *more)
{
    char *longer = dip_sprintf("%s%s%s", *text, **text && *more ? " " : "", more);
    if (!longer) return DIP_ENOMEM;
    dip_free(*text);
    *text = longer;
    return DIP_OK;
}

/* Calls `take` for each word of the value; a word that it refuses is named. */
static dip_status each_word(parser *p, const char *value, const char *what,
                            bool (*take)(void *to, const char *word), void *to)
{
    char *copy = dip_strdup(value), *rest = NULL;
    dip_status status = copy ? DIP_OK : DIP_ENOMEM;
    for (char *word = copy ? strtok_r(copy, " \t", &rest) : NULL; word && !status;
         word = strtok_r(NULL, " \t", &rest))
        if (!take(to, word)) status = refuse(p, what, word);
    dip_free(copy);
    return status;
}

static bool take_seed(void *to, const char *word)
{
    dip_plan_seeds *seeds = to;
    char *end;
    if (!isdigit((unsigned char)*word) || seeds->count == DIP_PLAN_MOST_SEEDS) return false;
    seeds->list[seeds->count++] = strtoull(word, &end, 10);
    return !*end;
}

static bool take_hold_out(void *to, const char *word)
{
    dip_plan *plan = to;
    unsigned number, of;
    int used = 0;
    if (plan->hold_out_count == DIP_PLAN_MOST_FOLDS) return false;
    if (sscanf(word, "%u/%u%n", &number, &of, &used) != 2 || word[used]) return false;
    plan->hold_out[plan->hold_out_count++] = (dip_hold_out){number, of};
    return number >= 1 && number <= of && of >= 2 && of <= 1000;
}

static bool take_measure(void *to, const char *word)
{
    dip_plan *plan = to;
    if (plan->measure_count == DIP_PLAN_MOST_MEASURES || !strchr(word, '@')) return false;
    plan->measures[plan->measure_count] = dip_strdup(word);
    return plan->measures[plan->measure_count++] != NULL;
}

static const char bad_seed[] = "'%s' is not a seed, or there are too many";
static const char bad_hold_out[] = "'%s' is not a part of the scenes, such as 1/4";
static const char bad_measure[] = "'%s' is not a measure, such as p@10";

/* ---- keys ---- */

static dip_status set_plan(parser *p, const char *key, const char *value)
{
    dip_plan *plan = p->plan;
    if (!strcmp(key, "title")) return append(&plan->title, value);
    if (!strcmp(key, "train")) return append(&plan->train, value);
    if (!strcmp(key, "encode")) return append(&plan->encode, value);
    if (!strcmp(key, "eval")) return append(&plan->eval, value);
    if (!strcmp(key, "seeds")) return each_word(p, value, bad_seed, take_seed, &plan->seeds);
    if (!strcmp(key, "hold-out")) return each_word(p, value, bad_hold_out, take_hold_out, plan);
    if (!strcmp(key, "measures")) return each_word(p, value, bad_measure, take_measure, plan);
    return refuse(p, "a plan has no key '%s'", key);
}

static dip_status set_data(parser *p, const char *key, const char *value)
{
    dip_plan_data *data = &p->plan->data[p->plan->data_count - 1];
    if (!strcmp(key, "source")) return append(&data->source, value);
    if (!strcmp(key, "import")) return append(&data->import, value);
    if (!strcmp(key, "train")) return append(&data->train, value);
    return refuse(p, "a data set has no key '%s'", key);
}

static dip_status set_form(dip_plan_row *row, const char *name, const char *value)
{
    for (size_t i = 0; i < row->form_count; i++)
        if (!strcmp(row->forms[i].name, name)) return append(&row->forms[i].eval, value);
    if (dip_array_reserve((void **)&row->forms, &row->form_capacity, row->form_count + 1,
                          sizeof *row->forms))
        return DIP_ENOMEM;
    dip_plan_form *form = &row->forms[row->form_count++];
    *form = (dip_plan_form){dip_strdup(name), dip_strdup(value)};
    return form->name && form->eval ? DIP_OK : DIP_ENOMEM;
}

static dip_status set_row(parser *p, const char *key, const char *value)
{
    dip_plan_row *row = &p->plan->rows[p->plan->row_count - 1];
    if (!strcmp(key, "train")) return append(&row->train, value);
    if (!strcmp(key, "encode")) return append(&row->encode, value);
    if (!strcmp(key, "data")) return append(&row->data, value);
    if (!strcmp(key, "seeds")) return each_word(p, value, bad_seed, take_seed, &row->seeds);
    if (!strcmp(key, "eval")) return set_form(row, "", value);
    if (!strncmp(key, "eval-", 5) && key[5]) return set_form(row, key + 5, value);
    return refuse(p, "a row has no key '%s'", key);
}

/* ---- sections ---- */

static dip_status add_data(parser *p, const char *name)
{
    dip_plan *plan = p->plan;
    for (size_t i = 0; i < plan->data_count; i++)
        if (!strcmp(plan->data[i].name, name))
            return refuse(p, "data set '%s' is there twice", name);
    if (dip_array_reserve((void **)&plan->data, &plan->data_capacity, plan->data_count + 1,
                          sizeof *plan->data))
        return DIP_ENOMEM;
    dip_plan_data *data = &plan->data[plan->data_count++];
    *data = (dip_plan_data){dip_strdup(name), dip_strdup(""), dip_strdup(""), dip_strdup("")};
    return data->name && data->source && data->import && data->train ? DIP_OK : DIP_ENOMEM;
}

static dip_status add_row(parser *p, const char *name, bool final)
{
    dip_plan *plan = p->plan;
    for (size_t i = 0; i < plan->row_count; i++)
        if (plan->rows[i].final == final && !strcmp(plan->rows[i].name, name))
            return refuse(p, "row '%s' is there twice", name);
    if (dip_array_reserve((void **)&plan->rows, &plan->row_capacity, plan->row_count + 1,
                          sizeof *plan->rows))
        return DIP_ENOMEM;
    dip_plan_row *row = &plan->rows[plan->row_count++];
    *row = (dip_plan_row){.final = final,
                          .name = dip_strdup(name),
                          .train = dip_strdup(""),
                          .encode = dip_strdup(""),
                          .data = dip_strdup("")};
    if (!row->name || !row->train || !row->encode || !row->data) return DIP_ENOMEM;
    return set_form(row, "", "");
}

/* Names become names of folders. */
static bool is_name(const char *name)
{
    static const char *const safe =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return *name && *name != '.' && strspn(name, safe) == strlen(name) && strlen(name) <= 40;
}

static dip_status begin_section(parser *p, char *text)
{
    char *name = text + strcspn(text, " \t");
    if (*name) *name++ = '\0';
    while (isblank((unsigned char)*name)) name++;
    if (!strcmp(text, "plan") && !*name) {
        p->where = PLAN;
        return DIP_OK;
    }
    bool data = !strcmp(text, "data"), final = !strcmp(text, "final");
    if (!data && !final && strcmp(text, "candidate") != 0)
        return refuse(
            p, "a section is [plan], [data NAME], [candidate NAME] or [final NAME], not '%s'",
            text);
    if (!is_name(name))
        return refuse(p, "'%s' is no name: 1 to 40 letters, digits, '-', '_' or '.'", name);
    p->where = data ? DATA : ROW;
    return data ? add_data(p, name) : add_row(p, name, final);
}

/* ---- lines ---- */

static dip_status set(parser *p, const char *key, const char *value)
{
    switch (p->where) {
    case PLAN: return set_plan(p, key, value);
    case DATA: return set_data(p, key, value);
    case ROW: return set_row(p, key, value);
    default: return refuse(p, "'%s' stands before the first section", key);
    }
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text)) text++;
    size_t length = strlen(text);
    while (length && isspace((unsigned char)text[length - 1])) text[--length] = '\0';
    return text;
}

static dip_status take_line(parser *p, char *line)
{
    bool continues = isblank((unsigned char)*line);
    char *text = trim(line), *equals = strchr(text, '=');
    size_t length = strlen(text);
    if (!length || *text == '#' || *text == ';') return DIP_OK;
    if (continues) return p->key ? set(p, p->key, text) : refuse(p, "'%s' continues nothing", text);
    dip_free(p->key);
    p->key = NULL;
    if (*text == '[') {
        if (text[length - 1] != ']') return refuse(p, "'%s' has no ]", text);
        text[length - 1] = '\0';
        return begin_section(p, trim(text + 1));
    }
    if (!equals) return refuse(p, "'%s' is neither 'key = value' nor a [section]", text);
    *equals = '\0';
    p->key = dip_strdup(trim(text));
    return p->key ? set(p, p->key, trim(equals + 1)) : DIP_ENOMEM;
}

static dip_status take_lines(parser *p, char *text, const char *path)
{
    size_t number = 1;
    for (char *line = text, *next; line; line = next, number++) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        dip_status status = take_line(p, line);
        if (status == DIP_EFORMAT)
            return dip_fail(status, "'%s' line %zu: %s", path, number, p->problem);
        if (status) return status;
    }
    return DIP_OK;
}

/* ---- the whole ---- */

static bool knows(const dip_plan *plan, const char *name, size_t length)
{
    for (size_t i = 0; i < plan->data_count; i++)
        if (strlen(plan->data[i].name) == length && !strncmp(plan->data[i].name, name, length))
            return true;
    return false;
}

static dip_status check_rows(const dip_plan *plan, const char *path)
{
    for (size_t i = 0; i < plan->row_count; i++) {
        const dip_plan_row *row = &plan->rows[i];
        for (const char *at = row->data + strspn(row->data, " \t"); *at;) {
            size_t length = strcspn(at, " \t");
            if (!knows(plan, at, length))
                return dip_fail(DIP_EFORMAT,
                                "'%s': row '%s' wants data set '%.*s', which is not there", path,
                                row->name, (int)length, at);
            at += length + strspn(at + length, " \t");
        }
        if (!dip_plan_seeds_of(plan, row)->count)
            return dip_fail(DIP_EFORMAT, "'%s': row '%s' has no seeds; give [plan] some", path,
                            row->name);
    }
    return DIP_OK;
}

static dip_status complete(parser *p, const char *path)
{
    dip_plan *plan = p->plan;
    dip_status status = DIP_OK;
    if (!plan->data_count || !plan->row_count)
        return dip_fail(DIP_EFORMAT, "'%s' has no %s", path,
                        plan->data_count ? "[candidate] or [final]" : "[data]");
    for (size_t i = 0; i < plan->data_count; i++)
        if (!*plan->data[i].source)
            return dip_fail(DIP_EFORMAT, "'%s': data set '%s' has no source", path,
                            plan->data[i].name);
    if (!plan->hold_out_count) plan->hold_out[plan->hold_out_count++] = (dip_hold_out){0, 0};
    if (!plan->measure_count)
        status = each_word(p, default_measures, bad_measure, take_measure, plan);
    return status ? status : check_rows(plan, path);
}

dip_status dip_plan_read(dip_plan *out, const char *path)
{
    char *text = NULL;
    size_t length;
    *out = (dip_plan){.title = dip_strdup(""),
                      .train = dip_strdup(""),
                      .encode = dip_strdup(""),
                      .eval = dip_strdup("")};
    parser p = {.plan = out};
    dip_status status = out->title && out->train && out->encode && out->eval ? DIP_OK : DIP_ENOMEM;
    if (!status) status = dip_file_read(&text, &length, path, LARGEST);
    if (!status) status = take_lines(&p, text, path);
    if (!status) status = complete(&p, path);
    dip_free(p.key);
    dip_free(text);
    if (status) dip_plan_fini(out);
    return status;
}

void dip_plan_fini(dip_plan *plan)
{
    for (size_t i = 0; i < plan->data_count; i++) {
        dip_plan_data *d = &plan->data[i];
        char *const texts[] = {d->name, d->source, d->import, d->train};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) dip_free(texts[k]);
    }
    for (size_t i = 0; i < plan->row_count; i++) {
        dip_plan_row *r = &plan->rows[i];
        char *const texts[] = {r->name, r->train, r->encode, r->data};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) dip_free(texts[k]);
        for (size_t k = 0; k < r->form_count; k++) {
            dip_free(r->forms[k].name);
            dip_free(r->forms[k].eval);
        }
        dip_free(r->forms);
    }
    for (size_t i = 0; i < plan->measure_count; i++) dip_free(plan->measures[i]);
    char *const texts[] = {plan->title, plan->train, plan->encode, plan->eval};
    for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) dip_free(texts[k]);
    dip_free(plan->data);
    dip_free(plan->rows);
    *plan = (dip_plan){.title = NULL};
}

bool dip_plan_wants(const dip_plan_row *row, const dip_plan_data *data)
{
    size_t wanted = strlen(data->name);
    if (!*row->data) return true;
    for (const char *at = row->data; *at;) {
        size_t length = strcspn(at, " \t");
        if (length == wanted && !strncmp(at, data->name, length)) return true;
        at += length + strspn(at + length, " \t");
    }
    return false;
}

const dip_plan_seeds *dip_plan_seeds_of(const dip_plan *plan, const dip_plan_row *row)
{
    return row->seeds.count ? &row->seeds : &plan->seeds;
}
