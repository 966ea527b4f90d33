/* Tasks of a sweep; see task.h. */
#include "bench/quality/task.h"

#include "core/hash.h"
#include "core/mem.h"
#include "train/options.h"

#include <stdio.h>
#include <string.h>

/* ---- all tasks ---- */

typedef struct walk {
    const dip_plan *plan;
    bool final;
    dip_status (*fn)(void *context, const dip_task *task);
    void *context;
} walk;

static bool has_seed(const dip_plan_seeds *seeds, uint64_t seed)
{
    for (size_t i = 0; i < seeds->count; i++)
        if (seeds->list[i] == seed) return true;
    return false;
}

static dip_status each_row(const walk *w, const dip_plan_data *data, uint64_t seed,
                           dip_hold_out hold_out)
{
    dip_status status = DIP_OK;
    for (size_t i = 0; i < w->plan->row_count && !status; i++) {
        const dip_plan_row *row = &w->plan->rows[i];
        const dip_task task = {w->plan, data, row, hold_out, seed};
        if (row->final == w->final && dip_plan_wants(row, data) &&
            has_seed(dip_plan_seeds_of(w->plan, row), seed))
            status = w->fn(w->context, &task);
    }
    return status;
}

static dip_status each_hold_out(const walk *w, const dip_plan_data *data, uint64_t seed)
{
    dip_status status = DIP_OK;
    if (w->final) return each_row(w, data, seed, (dip_hold_out){0, 0});
    for (size_t i = 0; i < w->plan->hold_out_count && !status; i++)
        status = each_row(w, data, seed, w->plan->hold_out[i]);
    return status;
}

/* Every seed that a row has, each once: the plan's first. */
static void gather_seeds(const dip_plan *plan, dip_plan_seeds *out)
{
    *out = plan->seeds;
    for (size_t i = 0; i < plan->row_count; i++)
        for (size_t k = 0; k < plan->rows[i].seeds.count; k++) {
            uint64_t seed = plan->rows[i].seeds.list[k];
            if (!has_seed(out, seed) && out->count < DIP_PLAN_MOST_SEEDS)
                out->list[out->count++] = seed;
        }
}

dip_status dip_task_each(const dip_plan *plan, bool final,
                         dip_status (*fn)(void *context, const dip_task *task), void *context)
{
    const walk w = {plan, final, fn, context};
    dip_plan_seeds seeds;
    dip_status status = DIP_OK;
    gather_seeds(plan, &seeds);
    for (size_t d = 0; d < plan->data_count; d++)
        for (size_t s = 0; s < seeds.count && !status; s++)
            status = each_hold_out(&w, &plan->data[d], seeds.list[s]);
    return status;
}

/* ---- one task ---- */

const char *dip_task_split(const dip_task *task) { return task->row->final ? "test" : "val"; }

void dip_task_held(const dip_task *task, char *out, size_t capacity)
{
    *out = '\0';
    if (task->hold_out.of)
        snprintf(out, capacity, "%u/%u", task->hold_out.number, task->hold_out.of);
}

dip_status dip_task_train_words(const dip_task *task, dip_command_line *command)
{
    char seed[32];
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)task->seed);
    dip_status status = dip_command_split(command, task->plan->train);
    if (!status) status = dip_command_split(command, task->data->train);
    if (!status) status = dip_command_split(command, task->row->train);
    if (!status) status = dip_command_add(command, "--seed");
    return status ? status : dip_command_add(command, seed);
}

/* The program's own tables parse the words, so that a mistake shows before the first training. */
static dip_status parse(dip_command_line *command, const char *name, char **out)
{
    dip_train_options options;
    char *words[DIP_COMMAND_MOST_WORDS + 1];
    int rest = 0, count = (int)command->count;
    memcpy(words, command->words, sizeof words);
    dip_train_options_init(&options, count, words);
    dip_status status = dip_options_parse(dip_train_table, &options, count, words, &rest);
    if (!status && rest) status = dip_fail(DIP_EINVAL, "'%s' is no option", words[1]);
    if (!status) status = dip_train_options_check(&options);
    options.name = name;
    if (status) return status;
    *out = dip_train_options_text(&options);
    return *out ? DIP_OK : DIP_ENOMEM;
}

dip_status dip_task_settings(const dip_task *task, const char *name, char **out)
{
    dip_command_line command = {.count = 0};
    dip_status status = dip_command_add(&command, "train");
    if (!status) status = dip_task_train_words(task, &command);
    if (!status) status = parse(&command, name, out);
    dip_command_fini(&command);
    return status == DIP_EINVAL ? dip_fail_prefix(status, "row '%s'", task->row->name) : status;
}

dip_status dip_task_key(const dip_task *task, const dip_plan_form *form, char out[20])
{
    char held[32], *settings = NULL;
    dip_task_held(task, held, sizeof held);
    dip_status status = dip_task_settings(task, "", &settings);
    if (status) return status;
    char *text = dip_sprintf("%s\n%s\n%s\n%s %s\n%s\n%s %s\n%s\n%s %s\n%s", task->data->name,
                             task->data->source, task->data->import, dip_task_split(task), held,
                             settings, task->plan->encode, task->row->encode, task->row->name,
                             task->plan->eval, form->eval, form->name);
    if (text)
        snprintf(out, 20, "%016llx", (unsigned long long)dip_hash64(text, strlen(text)));
    else
        status = DIP_ENOMEM;
    dip_free(text);
    dip_free(settings);
    return status;
}
