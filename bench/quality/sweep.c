/*
 * The sweep; see sweep.h. A task is trained under the name `quality` (with --keep under one of its own), so that one
 * task's embeddings take the place of the last one's in the archive.
 */
#define _GNU_SOURCE
#include "bench/quality/sweep.h"

#include "bench/quality/folds.h"
#include "bench/quality/task.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/mem.h"
#include "front/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONFIG_LIMIT = 1 << 20 };

typedef struct sweep {
    const dip_plan *plan;
    const dip_sweep_options *options;
    dip_outcomes *outcomes;
    char *errors;                 /* file for the program's standard error */
    char *program;                /* our copy of it */
    char build[40];               /* its version and hash */
    size_t tasks, at, done, kept; /* of this call: all; present; trained; found in the file */
    bool *imported;               /* (data_count, MOST_FOLDS) */
} sweep;

/* What is known of one training. */
typedef struct training {
    const dip_task *task;
    char *archive, *settings;
    char name[96], model[96];       /* as asked for; as the program called it */
    char data[24], fingerprint[20]; /* of the pairs; of the model's bytes */
    uint64_t model_bytes;
    dip_ran train, encode;
} training;

static void note(const sweep *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(const sweep *s, const char *format, ...)
{
    char line[512];
    va_list args;
    if (!s->options->note) return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    s->options->note(s->options->payload, line);
}

/* ---- the program ---- */

/* The program with its command, and what every command is told. */
static dip_status begin_command(const sweep *s, const char *verb, const char *archive,
                                dip_command_line *command)
{
    char threads[32];
    snprintf(threads, sizeof threads, "%llu", (unsigned long long)s->options->threads);
    const char *const words[] = {s->program,      verb,        archive, "--json",
                                 "--no-progress", "--threads", threads};
    dip_status status = DIP_OK;
    *command = (dip_command_line){.count = 0};
    for (size_t i = 0; i < sizeof words / sizeof *words && !status; i++)
        status = dip_command_add(command, words[i]);
    return status;
}

static dip_status fingerprint_file(const char *path, char out[20], uint64_t *bytes)
{
    dip_map map;
    dip_status status = dip_file_map(&map, path);
    if (status) return status;
    snprintf(out, 20, "%016llx", (unsigned long long)dip_hash64(map.bytes, map.length));
    *bytes = map.length;
    dip_file_unmap(&map);
    return DIP_OK;
}

/* A sweep takes hours: it works with a copy, so that a new build in between changes nothing. */
static dip_status copy_program(const sweep *s)
{
    dip_map map;
    dip_status status = dip_file_map(&map, s->options->program);
    if (status) return status;
    status = dip_file_write(s->program, map.bytes, map.length);
    dip_file_unmap(&map);
    if (!status && chmod(s->program, 0755)) status = dip_fail_errno("make executable", s->program);
    return status;
}

static dip_status identify_program(sweep *s)
{
    char hash[20];
    uint64_t bytes;
    dip_ran ran = {.output = NULL};
    dip_command_line command = {.count = 0};
    dip_status status = fingerprint_file(s->program, hash, &bytes);
    if (!status) status = dip_command_add(&command, s->program);
    if (!status) status = dip_command_add(&command, "--version");
    if (!status) status = dip_command_run(&command, s->errors, &ran);
    if (!status) {
        const char *version = ran.output + strcspn(ran.output, " ");
        version += *version == ' ';
        snprintf(s->build, sizeof s->build, "%.*s %s", (int)strcspn(version, "\n"), version, hash);
    }
    dip_command_fini(&command);
    dip_free(ran.output);
    return status;
}

/* ---- archives ---- */

static char *archive_folder(const sweep *s, const dip_task *task)
{
    if (!task->hold_out.of) return dip_sprintf("%s/%s", s->options->work, task->data->name);
    return dip_sprintf("%s/%s-%u-of-%u", s->options->work, task->data->name, task->hold_out.number,
                       task->hold_out.of);
}

static dip_status import_archive(const sweep *s, const dip_task *task, const char *folder,
                                 const char *archive)
{
    dip_command_line command = {.count = 0};
    dip_ran ran = {.output = NULL};
    char *from = dip_path_join(s->options->data, task->data->source), *manifest = NULL;
    dip_status status = from ? dip_folder_create(folder) : DIP_ENOMEM;
    if (!status && task->hold_out.of) {
        manifest = dip_path_join(folder, "manifest.csv");
        status = manifest ? dip_folds_write(manifest, from, &task->hold_out) : DIP_ENOMEM;
    }
    if (!status) status = begin_command(s, "import", archive, &command);
    if (!status) status = dip_command_add(&command, manifest ? manifest : from);
    if (!status) status = dip_command_split(&command, task->data->import);
    if (!status) status = dip_command_run(&command, s->errors, &ran);
    dip_command_fini(&command);
    dip_free(ran.output);
    dip_free(manifest);
    dip_free(from);
    return status;
}

static size_t archive_number(const sweep *s, const dip_task *task)
{
    size_t data = (size_t)(task->data - s->plan->data), part = 0;
    while (part + 1 < s->plan->hold_out_count &&
           memcmp(&s->plan->hold_out[part], &task->hold_out, sizeof task->hold_out) != 0)
        part++;
    return data * DIP_PLAN_MOST_FOLDS + part;
}

/* Sets *archive; the first task of each archive in a call looks for new tiles. */
static dip_status open_archive(sweep *s, const dip_task *task, char **archive)
{
    bool *imported = &s->imported[archive_number(s, task)];
    char *folder = archive_folder(s, task);
    *archive = folder ? dip_path_join(folder, "archive") : NULL;
    dip_status status = *archive ? DIP_OK : DIP_ENOMEM;
    if (!status && !*imported) status = import_archive(s, task, folder, *archive);
    if (!status) *imported = true;
    dip_free(folder);
    return status;
}

/* ---- one training ---- */

static dip_status remove_in(const char *archive, const char *format, const char *name)
{
    char inner[160];
    snprintf(inner, sizeof inner, format, name);
    char *path = dip_path_join(archive, inner);
    dip_status status = path ? dip_file_remove(path) : DIP_ENOMEM;
    dip_free(path);
    return status;
}

static dip_status clear(const training *t)
{
    dip_status status = remove_in(t->archive, "runs/%s", t->name);
    if (!status) status = remove_in(t->archive, "models/%s.safetensors", t->name);
    return status ? status : remove_in(t->archive, "models/%s.encoded", t->name);
}

static void choose_name(const sweep *s, training *t)
{
    char held[32];
    dip_task_held(t->task, held, sizeof held);
    if (!s->options->keep) {
        strcpy(t->name, "quality");
        return;
    }
    if (*held) held[strcspn(held, "/")] = '-';
    snprintf(t->name, sizeof t->name, "%s%s%s-seed%llu", t->task->row->name, *held ? "-part" : "",
             held, (unsigned long long)t->task->seed);
}

/* The run's own settings must be those that the row was filed under, else this bench and the program differ. */
static dip_status check_settings(training *t)
{
    char inner[160], *text = NULL;
    size_t length;
    snprintf(inner, sizeof inner, "runs/%s/config.ini", t->model);
    char *path = dip_path_join(t->archive, inner);
    char *wanted = dip_sprintf("[training]\n%s\n[data]\nfingerprint = ", t->settings);
    dip_status status =
        path && wanted ? dip_file_read(&text, &length, path, CONFIG_LIMIT) : DIP_ENOMEM;
    if (!status && strncmp(text, wanted, strlen(wanted)) != 0)
        status = dip_fail(DIP_EMISMATCH,
                          "'%s' has other settings than this bench knows; build both from one tree",
                          path);
    if (!status) snprintf(t->data, sizeof t->data, "%.16s", text + strlen(wanted));
    dip_free(text);
    dip_free(wanted);
    dip_free(path);
    return status;
}

static dip_status train(const sweep *s, training *t)
{
    dip_command_line command = {.count = 0};
    dip_status status = clear(t);
    if (!status) status = begin_command(s, "train", t->archive, &command);
    if (!status) status = dip_task_train_words(t->task, &command);
    if (!status) status = dip_command_add(&command, "--name");
    if (!status) status = dip_command_add(&command, t->name);
    if (!status) status = dip_command_run(&command, s->errors, &t->train);
    dip_command_fini(&command);
    if (!status) status = dip_json_member_text(t->train.output, "model", t->model, sizeof t->model);
    if (!status) status = dip_task_settings(t->task, t->name, &t->settings);
    return status ? status : check_settings(t);
}

static dip_status encode(const sweep *s, training *t)
{
    char inner[160];
    dip_command_line command = {.count = 0};
    snprintf(inner, sizeof inner, "models/%s.safetensors", t->model);
    char *path = dip_path_join(t->archive, inner);
    dip_status status = path ? DIP_OK : DIP_ENOMEM;
    if (!status) status = fingerprint_file(path, t->fingerprint, &t->model_bytes);
    if (!status) status = begin_command(s, "encode", t->archive, &command);
    if (!status) status = dip_command_add(&command, "--model");
    if (!status) status = dip_command_add(&command, t->model);
    if (!status) status = dip_command_split(&command, s->plan->encode);
    if (!status) status = dip_command_split(&command, t->task->row->encode);
    if (!status) status = dip_command_run(&command, s->errors, &t->encode);
    dip_command_fini(&command);
    dip_free(path);
    return status;
}

static dip_status evaluate(const sweep *s, const training *t, const dip_plan_form *form,
                           dip_ran *out)
{
    const char *const words[] = {"--exact", "--model", t->model, "--split",
                                 dip_task_split(t->task)};
    dip_command_line command = {.count = 0};
    dip_status status = begin_command(s, "eval", t->archive, &command);
    for (size_t i = 0; i < sizeof words / sizeof *words && !status; i++)
        status = dip_command_add(&command, words[i]);
    if (!status) status = dip_command_split(&command, s->plan->eval);
    if (!status) status = dip_command_split(&command, form->eval);
    if (!status) status = dip_command_run(&command, s->errors, out);
    dip_command_fini(&command);
    return status;
}

/* ---- outcomes ---- */

/* "name = value" lines as an object. */
static void write_settings(dip_json *j, const char *text)
{
    dip_json_object(j, "settings");
    while (*text) {
        char name[64], value[512];
        size_t length = strcspn(text, "\n");
        const char *equals = strstr(text, " = ");
        if (equals && equals < text + length) {
            const char *begin = equals + 3;
            snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
            snprintf(value, sizeof value, "%.*s", (int)(text + length - begin), begin);
            dip_json_text(j, name, value);
        }
        text += length + (text[length] == '\n');
    }
    dip_json_end(j);
}

static void write_row(dip_json *j, const sweep *s, const training *t, const dip_plan_form *form,
                      const char *key)
{
    const dip_task *task = t->task;
    char held[32];
    dip_task_held(task, held, sizeof held);
    dip_json_text(j, "bench", "quality");
    dip_json_text(j, "key", key);
    dip_json_text(j, "data", task->data->name);
    dip_json_text(j, "row", task->row->name);
    dip_json_text(j, "form", form->name);
    dip_json_text(j, "split", dip_task_split(task));
    dip_json_text(j, "hold_out", held);
    dip_json_count(j, "seed", task->seed);
    dip_json_text(j, "train_options", task->row->train);
    dip_json_text(j, "encode_options", task->row->encode);
    dip_json_text(j, "eval_options", form->eval);
    dip_json_text(j, "program", s->build);
    dip_json_count(j, "threads", s->options->threads);
    dip_json_text(j, "pairs_fingerprint", t->data);
    dip_json_text(j, "model_fingerprint", t->fingerprint);
    dip_json_count(j, "model_bytes", t->model_bytes);
}

static dip_status write_line(const sweep *s, const training *t, const dip_plan_form *form,
                             const char *key, const char *eval, char **line)
{
    size_t length = 0;
    dip_json j;
    FILE *out = open_memstream(line, &length);
    if (!out) return dip_fail(DIP_ENOMEM, "out of memory: a line of results");
    dip_json_start(&j, out);
    dip_json_object(&j, NULL);
    write_row(&j, s, t, form, key);
    dip_json_real(&j, "train_cpu_s", t->train.cpu_s, 3);
    dip_json_real(&j, "train_wall_s", t->train.wall_s, 3);
    dip_json_real(&j, "encode_cpu_s", t->encode.cpu_s, 3);
    write_settings(&j, t->settings);
    dip_json_embed(&j, "training", t->train.output);
    dip_json_embed(&j, "encoding", t->encode.output);
    dip_json_embed(&j, "eval", eval);
    dip_json_end(&j);
    return fclose(out) ? dip_fail(DIP_ENOMEM, "out of memory: a line of results") : DIP_OK;
}

static dip_status measure(const sweep *s, const training *t, const dip_plan_form *form,
                          const char *key)
{
    char *line = NULL;
    dip_ran ran = {.output = NULL};
    dip_status status = evaluate(s, t, form, &ran);
    if (!status) status = write_line(s, t, form, key, ran.output, &line);
    if (!status) status = dip_outcomes_add(s->outcomes, s->options->results, line);
    free(line);
    dip_free(ran.output);
    return status;
}

/* ---- tasks ---- */

static bool is_open(const sweep *s, const char *key)
{
    bool again = s->options->final && s->options->again;
    return again || !dip_outcomes_find(s->outcomes, key);
}

static dip_status measure_forms(const sweep *s, const training *t)
{
    dip_status status = DIP_OK;
    for (size_t i = 0; i < t->task->row->form_count && !status; i++) {
        char key[20];
        const dip_plan_form *form = &t->task->row->forms[i];
        status = dip_task_key(t->task, form, key);
        if (!status && is_open(s, key)) status = measure(s, t, form, key);
    }
    return status;
}

static void describe(const dip_task *task, char *out, size_t capacity)
{
    char held[32];
    dip_task_held(task, held, sizeof held);
    snprintf(out, capacity, "%s %s, seed %llu%s%s", task->data->name, task->row->name,
             (unsigned long long)task->seed, *held ? ", part " : "", held);
}

static dip_status work_on(sweep *s, const dip_task *task)
{
    training t = {.task = task};
    char what[160];
    describe(task, what, sizeof what);
    note(s, "%s: %zu of %zu", what, s->at, s->tasks);
    choose_name(s, &t);
    dip_status status = open_archive(s, task, &t.archive);
    if (!status) status = train(s, &t);
    if (!status) status = encode(s, &t);
    if (!status) status = measure_forms(s, &t);
    if (!status) note(s, "%s: trained in %.0f s", what, t.train.wall_s);
    if (!status && !s->options->keep) status = clear(&t);
    if (!status && s->options->changed) status = s->options->changed(s->options->payload);
    dip_free(t.archive);
    dip_free(t.settings);
    dip_free(t.train.output);
    dip_free(t.encode.output);
    return status == DIP_EIO || status == DIP_EINVAL ? dip_fail_prefix(status, "%s", what) : status;
}

static bool is_chosen(const sweep *s, const dip_task *task)
{
    const char *at = s->options->rows;
    size_t wanted = strlen(task->row->name);
    if (!at) return true;
    while (*at) {
        size_t length = strcspn(at, ",");
        if (length == wanted && !strncmp(at, task->row->name, length)) return true;
        at += length + (at[length] == ',');
    }
    return false;
}

/* How many of the task's forms are to be measured. */
static dip_status count_open(const sweep *s, const dip_task *task, size_t *open)
{
    dip_status status = DIP_OK;
    *open = 0;
    for (size_t i = 0; i < task->row->form_count && !status; i++) {
        char key[20];
        status = dip_task_key(task, &task->row->forms[i], key);
        *open += !status && is_open(s, key);
    }
    return status;
}

/* Parses the options of every task before the first one is trained. */
static dip_status count_task(void *context, const dip_task *task)
{
    sweep *s = context;
    size_t open = 0;
    if (!is_chosen(s, task)) return DIP_OK;
    s->tasks++;
    return count_open(s, task, &open);
}

static dip_status take_task(void *context, const dip_task *task)
{
    sweep *s = context;
    char what[160];
    size_t open;
    if (!is_chosen(s, task)) return DIP_OK;
    s->at++;
    dip_status status = count_open(s, task, &open);
    if (status) return status;
    if (open) {
        s->done++;
        return work_on(s, task);
    }
    s->kept++;
    describe(task, what, sizeof what);
    if (task->row->final)
        note(s, "%s: refused: the test split was read for it before; --again reads it again", what);
    return DIP_OK;
}

/* Held while a sweep works in the folder, by the program that it runs too. */
static dip_status lock_folder(const char *work, int *lock)
{
    char *path = dip_path_join(work, "lock");
    dip_status status = path ? DIP_OK : DIP_ENOMEM;
    *lock = path ? open(path, O_RDWR | O_CREAT, 0666) : -1;
    if (path && *lock < 0) status = dip_fail_errno("open", path);
    if (!status && flock(*lock, LOCK_EX | LOCK_NB))
        status =
            dip_fail(DIP_EBUSY, "another sweep works in '%s'; wait, or give this one --work", work);
    dip_free(path);
    return status;
}

dip_status dip_sweep_run(const dip_plan *plan, const dip_sweep_options *options,
                         dip_outcomes *outcomes)
{
    int lock = -1;
    sweep s = {.plan = plan, .options = options, .outcomes = outcomes};
    dip_status status = dip_folder_create(options->work);
    if (!status) status = lock_folder(options->work, &lock);
    s.errors = status ? NULL : dip_path_join(options->work, "errors.txt");
    s.imported = dip_calloc(plan->data_count * DIP_PLAN_MOST_FOLDS, sizeof *s.imported);
    s.program = status ? NULL : dip_path_join(options->work, "program");
    if (!status && (!s.errors || !s.program || !s.imported)) status = DIP_ENOMEM;
    if (!status) status = dip_task_each(plan, options->final, count_task, &s);
    if (!status && !s.tasks)
        status =
            dip_fail(DIP_ENOENT, "the plan has no such %s", options->final ? "final" : "candidate");
    if (!status) status = copy_program(&s);
    if (!status) status = identify_program(&s);
    if (!status) status = dip_task_each(plan, options->final, take_task, &s);
    if (!status) note(&s, "%zu trained, %zu were there", s.done, s.kept);
    dip_free(s.errors);
    dip_free(s.program);
    dip_free(s.imported);
    if (lock >= 0) close(lock);
    return status;
}
