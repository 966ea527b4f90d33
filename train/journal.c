/* What a run tells; see journal.h. */
#include "train/journal.h"

#include "core/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

dip_status dip_journal_open(dip_journal *j, const dip_run *run, uint64_t step)
{
    char *path = dip_run_file(run, "metrics.jsonl");
    dip_status status = path ? dip_history_open(&j->history, path, step) : DIP_ENOMEM;
    dip_free(path);
    return status ? status : dip_events_open(&j->events, run->folder);
}

void dip_journal_close(dip_journal *j)
{
    dip_history_close(j->history);
    dip_events_close(j->events);
}

dip_status dip_journal_numbers(dip_journal *j, const char *kind, uint64_t step,
                               const dip_field *fields, size_t count)
{
    char tag[96];
    const dip_history_line line = {kind, step, NULL, 0, fields, count};
    dip_status status = dip_history_write(j->history, &line);
    for (size_t i = 0; !status && i < count; i++) {
        snprintf(tag, sizeof tag, "%s/%s", kind, fields[i].name);
        status = dip_events_scalar(j->events, tag, step, fields[i].value);
    }
    return status ? status : dip_events_flush(j->events);
}

dip_status dip_journal_recall(dip_journal *j, const char *kind, uint64_t step,
                              const dip_held_recall *held, const dip_field *more, size_t count)
{
    enum { OWN = 7, MORE = 4 };
    dip_field fields[OWN + MORE] = {{"recall_forward", held->recall[0][2]},
                                    {"recall_backward", held->recall[1][2]},
                                    {"recall_forward_1", held->recall[0][0]},
                                    {"recall_backward_1", held->recall[1][0]},
                                    {"recall_forward_5", held->recall[0][1]},
                                    {"recall_backward_5", held->recall[1][1]},
                                    {"pairs", (double)held->pairs}};
    assert(count <= MORE);
    for (size_t i = 0; i < count; i++) fields[OWN + i] = more[i];
    return dip_journal_numbers(j, kind, step, fields, OWN + count);
}

void dip_note(const dip_train_listener *listener, const char *format, ...)
{
    char line[512];
    va_list args;
    if (!listener->note) return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    listener->note(listener->payload, line);
}
