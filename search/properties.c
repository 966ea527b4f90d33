/* Properties as columns; see properties.h. One pass over the archive's metadata reads all that are asked for at once. */
#include "search/properties.h"

#include "core/mem.h"
#include "search/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAMES_SHOWN = 20 };

void dip_properties_init(dip_properties *p, const dip_archive *archive, const dip_columns *columns)
{
    *p = (dip_properties){.archive = archive, .columns = columns};
    pthread_mutex_init(&p->lock, NULL);
}

static void property_free(dip_property *property)
{
    if (!property) return;
    dip_free(property->name);
    dip_free(property->numbers);
    dip_free(property->texts);
    dip_words_fini(&property->words);
    dip_free(property);
}

void dip_properties_fini(dip_properties *p)
{
    for (size_t i = 0; i < p->count; i++) property_free(p->list[i]);
    dip_free(p->list);
    pthread_mutex_destroy(&p->lock);
}

static dip_property *find(const dip_properties *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++)
        if (!strcmp(p->list[i]->name, name)) return p->list[i];
    return NULL;
}

const dip_property *dip_properties_find(dip_properties *p, const char *name)
{
    pthread_mutex_lock(&p->lock);
    const dip_property *found = find(p, name);
    pthread_mutex_unlock(&p->lock);
    return found;
}

dip_status dip_properties_add(dip_properties *p, const char *name, dip_property **out)
{
    uint32_t none;
    if (dip_array_reserve((void **)&p->list, &p->capacity, p->count + 1, sizeof *p->list))
        return DIP_ENOMEM;
    dip_property *property = dip_calloc(1, sizeof *property);
    if (!property || !(property->name = dip_strdup(name)) ||
        dip_words_add(&property->words, "", 0, &none)) {
        property_free(property);
        return DIP_ENOMEM;
    }
    p->list[p->count++] = *out = property;
    return DIP_OK;
}

dip_status dip_property_set(dip_property *property, const dip_columns *columns, size_t row,
                            const char *text, bool list, double number)
{
    if (text) {
        if (!property->texts) property->texts = dip_calloc(columns->count, sizeof *property->texts);
        if (!property->texts) return DIP_ENOMEM;
        property->list |= list;
        return dip_words_add(&property->words, text, strlen(text), &property->texts[row]);
    }
    if (!property->numbers) {
        property->numbers = dip_alloc(columns->count * sizeof *property->numbers);
        if (!property->numbers) return DIP_ENOMEM;
        for (size_t i = 0; i < columns->count; i++) property->numbers[i] = NAN;
    }
    property->numbers[row] = number;
    return DIP_OK;
}

/* ---- reading ---- */

typedef struct reading {
    dip_properties *p;
    size_t first, row; /* properties list[first..] are being read, into this row */
    dip_words seen;    /* names that there are, for the failure line */
} reading;

static dip_status take(void *context, const char *name, const char *text, bool list, double number)
{
    reading *r = context;
    uint32_t unused;
    if (r->seen.count < NAMES_SHOWN && dip_words_add(&r->seen, name, strlen(name), &unused))
        return DIP_ENOMEM;
    for (size_t i = r->first; i < r->p->count; i++)
        if (!strcmp(r->p->list[i]->name, name))
            return dip_property_set(r->p->list[i], r->p->columns, r->row, text, list, number);
    return DIP_OK;
}

static dip_status take_row(void *context, const dip_meta *meta)
{
    reading *r = context;
    const struct {
        const char *name, *text;
    } own[] = {{"primary_label", meta->primary_label},
               {"label_source", meta->label_source},
               {"scene", meta->scene},
               {"source", meta->source}};
    const dip_columns *c = r->p->columns;
    dip_status status = DIP_OK;
    while (r->row < c->count && c->ids[r->row] < meta->id) r->row++;
    if (r->row == c->count || c->ids[r->row] != meta->id) return DIP_OK;
    for (size_t i = 0; i < sizeof own / sizeof *own && !status; i++)
        if (*own[i].text) status = take(r, own[i].name, own[i].text, false, NAN);
    if (!status && *meta->extra) status = dip_json_properties(meta->extra, take, r);
    return status;
}

static dip_status fail_unknown(const reading *r, const char *name)
{
    char known[400] = "datetime, geometry, labels, modality, split";
    size_t used = strlen(known);
    for (size_t i = 0; i < r->seen.count; i++) {
        int n = snprintf(known + used, sizeof known - used, ", %s", r->seen.texts[i]);
        if (n < 0 || (size_t)n >= sizeof known - used) break;
        used += (size_t)n;
    }
    known[used] = '\0';
    return dip_fail(DIP_EINVAL, "filter: no tile has a property '%.60s'; there are %s%s", name,
                    known, r->seen.count == NAMES_SHOWN ? ", ..." : "");
}

static dip_status read_new(dip_properties *p, size_t first)
{
    reading r = {.p = p, .first = first};
    dip_status status = p->archive ? dip_archive_each(p->archive, take_row, &r) : DIP_OK;
    for (size_t i = first; i < p->count && !status; i++)
        if (!p->list[i]->numbers && !p->list[i]->texts) status = fail_unknown(&r, p->list[i]->name);
    dip_words_fini(&r.seen);
    return status;
}

dip_status dip_properties_need(dip_properties *p, const char *const *names, size_t n)
{
    dip_status status = DIP_OK;
    pthread_mutex_lock(&p->lock);
    size_t first = p->count;
    for (size_t i = 0; i < n && !status; i++) {
        dip_property *added;
        if (!find(p, names[i])) status = dip_properties_add(p, names[i], &added);
    }
    if (!status && p->count > first) status = read_new(p, first);
    while (status && p->count > first) property_free(p->list[--p->count]);
    pthread_mutex_unlock(&p->lock);
    return status;
}
