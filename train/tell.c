/* What a session tells its history; see tell.h. */
#include "train/tell.h"

#include "core/clock.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "core/status.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static dip_status tell_band(dip_session *t, const dip_modality *modality, const dip_band *band)
{
    const dip_mark marks[] = {
        {"modality", modality->name}, {"band", band->name}, {"unit", band->unit}};
    const dip_field fields[] = {
        {"gsd_m", band->gsd_m}, {"mean", band->mean}, {"deviation", band->stddev}};
    const dip_history_line line = {"band", t->cursor.total, marks, 3, fields, 3};
    return dip_history_write(t->journal.history, &line);
}

dip_status dip_tell_data(dip_session *t)
{
    const dip_dataset *d = t->dataset;
    const dip_mark marks[] = {{"held_out", d->held_note}};
    const dip_field fields[] = {
        {"pairs", (double)d->train_count},
        {"held_pairs", (double)d->held_count},
        {"parameters", (double)t->result->parameters},
        {"dim", (double)dip_embedding_dim(dip_evaluator_embedding(t->evaluator))}};
    const dip_history_line line = {"data", t->cursor.total, marks, 1, fields, 4};
    dip_status status = dip_history_write(t->journal.history, &line);
    for (uint32_t m = 0; m < d->modality_count; m++)
        for (uint32_t b = 0; !status && b < d->modality[m].band_count; b++)
            status = tell_band(t, &d->modality[m], &d->modality[m].bands[b]);
    return status;
}

/* config.ini as a block of code: four spaces before each line. */
static char *as_code(const char *text)
{
    size_t lines = 1, n = 0;
    for (const char *c = text; *c; c++) lines += *c == '\n';
    char *out = dip_alloc(strlen(text) + 4 * lines + 1);
    for (const char *c = text; out && *c; c++) {
        if (c == text || c[-1] == '\n')
            for (int i = 0; i < 4; i++) out[n++] = ' ';
        out[n++] = *c;
    }
    if (out) out[n] = '\0';
    return out;
}

dip_status dip_tell_start(dip_session *t)
{
    const dip_field fields[] = {{"time", (double)time(NULL)},
                                {"threads", (double)dip_threads()},
                                {"tiles_in_memory", (double)dip_tile_cache_count(t->cache)}};
    const dip_history_line line = {"start", t->cursor.total, NULL, 0, fields, 3};
    dip_status status = dip_history_write(t->journal.history, &line);
    char *options = as_code(t->run.identity);
    if (!status)
        status = options
                     ? dip_events_text(t->journal.events, "run/options", t->cursor.total, options)
                     : DIP_ENOMEM;
    dip_free(options);
    return status;
}

dip_status dip_tell_epoch(dip_session *t, double loss)
{
    double seconds = dip_seconds() - t->lap.began;
    double waited = dip_loader_waited(t->loader) - t->lap.waited;
    const dip_field fields[] = {
        {"epoch", (double)t->cursor.epoch},
        {"loss", loss},
        {"seconds", seconds},
        {"pairs_per_second", seconds > 0 ? (double)t->lap.pairs / seconds : 0},
        {"waiting", seconds > 0 ? waited / seconds : 0}};
    return dip_journal_numbers(&t->journal, "epoch", t->cursor.total, fields,
                               sizeof fields / sizeof *fields);
}

dip_status dip_tell_recall(dip_session *t, const char *kind, const dip_held_recall *held,
                           double seconds)
{
    const dip_field more[] = {{"epoch", (double)t->cursor.epoch}, {"seconds", seconds}};
    return dip_journal_recall(&t->journal, kind, t->cursor.total, held, more, 2);
}

static dip_status tell_direction(dip_session *t, const dip_label_precision *p)
{
    const dip_modality *modality = t->dataset->modality;
    const dip_mark marks[] = {{"from", modality[p->from].name}, {"to", modality[p->to].name}};
    const dip_field fields[] = {{"precision", p->primary.queries ? p->primary.value : NAN},
                                {"chance", p->primary.queries ? p->primary.chance : NAN},
                                {"queries", (double)p->primary.queries},
                                {"precision_any", p->any.queries ? p->any.value : NAN},
                                {"chance_any", p->any.queries ? p->any.chance : NAN},
                                {"queries_any", (double)p->any.queries}};
    const dip_history_line line = {"labels", t->cursor.total, marks, 2, fields, 6};
    return dip_history_write(t->journal.history, &line);
}

dip_status dip_tell_labels(dip_session *t, const dip_held_recall *held)
{
    dip_status status = DIP_OK;
    for (size_t i = 0; i < held->label_count && !status; i++)
        status = tell_direction(t, &held->labels[i]);
    return status;
}

/* The label precision of one evaluation, as a text. */
typedef struct label_note {
    uint64_t step;
    char text[300];
    size_t used, directions;
    bool primary;
    double chance; /* summed */
} label_note;

static dip_status take_labels(void *payload, const dip_history_line *line)
{
    label_note *note = payload;
    if (strcmp(line->kind, "labels") != 0) return DIP_OK;
    if (!note->used || line->step != note->step)
        *note = (label_note){.step = line->step,
                             .primary = isfinite(dip_history_value(line, "precision"))};
    double value = dip_history_value(line, note->primary ? "precision" : "precision_any");
    if (!isfinite(value)) return DIP_OK; /* nothing there that could be like the probe */
    int n = snprintf(note->text + note->used, sizeof note->text - note->used, "%s%s to %s %.3f",
                     note->used ? ", " : "", dip_history_text(line, "from"),
                     dip_history_text(line, "to"), value);
    if (n > 0 && (size_t)n < sizeof note->text - note->used) note->used += (size_t)n;
    note->chance += dip_history_value(line, note->primary ? "chance" : "chance_any");
    note->directions++;
    return DIP_OK;
}

dip_status dip_note_labels(const dip_session *t)
{
    label_note note = {.used = 0};
    char *path = dip_run_file(&t->run, "metrics.jsonl");
    dip_status status = path ? dip_history_read(path, take_labels, &note) : DIP_ENOMEM;
    dip_free(path);
    if (!status && note.used)
        dip_note(t->listener, "%s@%d of held-out tiles: %s (by chance %.2f)",
                 note.primary ? "p" : "p_any", DIP_HELD_K, note.text,
                 note.chance / (double)note.directions);
    return status;
}
