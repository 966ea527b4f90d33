/*
 * The course of an alignment; see align.h. It counts in steps, not in epochs: a pass over ten million pairs takes minutes,
 * one over a thousand is a step or two. Between evaluations stands one line for people and one of metrics.jsonl.
 */
#include "train/align.h"

#include "core/clock.h"
#include "core/file.h"
#include "core/format.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "core/status.h"
#include "train/aligner.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { RECORD_EVERY = 10, EVALUATIONS = 10 };

static const uint64_t init_tag = 0x696e6974;

/* Options that may differ between the parts of one run, and what the data section says better. */
static const char *const run_only[] = {"ids",    "output", "apply", "checkpoint-every",
                                       "resume", "force",  NULL};

/* ---- data and run ---- */

static bool has_vector(void *context, uint32_t modality, uint64_t tile)
{
    const dip_aligner *t = context;
    return dip_vectors_find(&t->vectors[modality], tile) != SIZE_MAX;
}

static char *list_modalities(const dip_vectors *vectors, size_t count)
{
    char *text = dip_strdup("");
    for (size_t i = 0; text && i < count; i++) {
        char *longer = dip_sprintf("%s%s%s", text, i ? "," : "", vectors[i].modality);
        dip_free(text);
        text = longer;
    }
    return text;
}

static dip_status open_data(dip_aligner *t, const dip_archive *archive, size_t count)
{
    char *modalities = list_modalities(t->vectors, count);
    const dip_dataset_options options = {
        .modalities = modalities, .wanted = has_vector, .context = t};
    dip_status status = modalities ? dip_dataset_open(&t->dataset, archive, &options) : DIP_ENOMEM;
    dip_free(modalities);
    if (status) return status;
    const dip_dataset *d = t->dataset;
    t->row = dip_alloc((d->tile_count + 1) * sizeof *t->row);
    if (!t->row) return DIP_ENOMEM;
    for (size_t i = 0; i < d->tile_count; i++)
        t->row[i] = (uint32_t)dip_vectors_find(&t->vectors[d->tile_modality[i]], d->tiles[i]);
    t->result->pairs = d->train_count;
    t->result->held_pairs = d->held_count;
    return dip_plan_make(&t->plan, d, (size_t)t->options.train.batch);
}

/* The objective compares what the heads give out; there are no features before them that two modalities share. */
static void settle_options(dip_aligner *t)
{
    dip_train_options *o = &t->options.train;
    o->mde_on = o->msp_on = o->sigreg_on = DIP_Z;
    o->msp_source = DIP_NEIGHBOUR_FUSED;
    t->steps = (uint64_t)t->options.steps;
    if (t->steps < t->plan.steps) t->steps = t->plan.steps;
    t->eval_every = o->eval_every ? (uint64_t)o->eval_every : t->steps / EVALUATIONS;
    if (!t->eval_every) t->eval_every = 1;
}

static char *settings_text(const dip_aligner *t)
{
    return dip_options_text(dip_align_table, &t->options, run_only);
}

/* The vectors, by what is in them: a file may be moved or renamed. */
static char *inputs_text(const dip_aligner *t)
{
    char *text = dip_strdup("");
    for (uint32_t m = 0; text && m < t->dataset->modality_count; m++) {
        const dip_heads_input *input = &t->vectors[m].input;
        char *longer = dip_sprintf("%s%s = %s, %u values, %s\n", text, t->vectors[m].modality,
                                   input->model[0] ? input->model : "from outside", input->dim,
                                   input->fingerprint);
        dip_free(text);
        text = longer;
    }
    return text;
}

static dip_status open_run(dip_aligner *t, const dip_archive *archive)
{
    const dip_train_options *o = &t->options.train;
    const dip_dataset *d = t->dataset;
    char *settings = settings_text(t), *inputs = inputs_text(t), *identity = NULL, notes[64];
    if (settings && inputs)
        identity = dip_sprintf("[alignment]\n%s\n[data]\n%sfingerprint = %016llx\npairs = "
                               "%zu\nheld-out = %zu\n",
                               settings, inputs, (unsigned long long)d->fingerprint, d->train_count,
                               d->held_count);
    snprintf(notes, sizeof notes, "checkpoint-every = %lld\n", (long long)o->checkpoint_every);
    const dip_run_request request = {o->name, identity, notes, o->resume, o->force};
    dip_status status =
        identity ? dip_run_open(&t->run, dip_archive_path(archive), &request) : DIP_ENOMEM;
    dip_free(settings);
    dip_free(inputs);
    dip_free(identity);
    return status;
}

/* ---- what learns ---- */

static dip_status make_heads(dip_aligner *t)
{
    dip_heads_spec *spec = dip_calloc(1, sizeof *spec);
    if (!spec) return DIP_ENOMEM;
    spec->head = (dip_head)t->options.train.head;
    spec->hidden = spec->head == DIP_HEAD_MLP ? (uint32_t)t->options.train.head_hidden : 0;
    spec->embed_dim = (uint32_t)t->options.train.embed_dim;
    spec->modality_count = t->dataset->modality_count;
    for (uint32_t m = 0; m < spec->modality_count; m++) {
        spec->modality[m] = t->vectors[m].bands;
        spec->input[m] = t->vectors[m].input;
    }
    dip_status status = dip_heads_create(&t->heads, spec);
    if (!status) status = dip_heads_create(&t->model, spec);
    dip_free(spec);
    return status;
}

static dip_status make_optimiser(dip_aligner *t)
{
    dip_segment segments[DIP_MAX_MODALITIES * DIP_HEADS_DEPTH * 2];
    const dip_adamw settings = dip_train_adamw(&t->options.train);
    size_t n = 0, count = t->heads->param_count;
    for (uint32_t m = 0; m < t->heads->spec.modality_count; m++) {
        for (uint32_t i = 0; i < t->heads->depth; i++) {
            const dip_linear *l = &t->heads->layer[m][i];
            segments[n++] = (dip_segment){l->weight, (size_t)l->in * l->out, true};
            segments[n++] = (dip_segment){l->bias, l->out, false};
        }
    }
    t->grads = dip_alloc(count * sizeof *t->grads);
    t->best = dip_calloc(count, sizeof *t->best);
    if (t->options.train.average > 0) t->average = dip_alloc(count * sizeof *t->average);
    if (!t->grads || !t->best || (t->options.train.average > 0 && !t->average)) return DIP_ENOMEM;
    return dip_optimiser_create(&t->optimiser, &settings, segments, n, count);
}

static dip_status make_buffers(dip_aligner *t)
{
    const dip_train_options *o = &t->options.train;
    size_t batch = (size_t)o->batch, z = (size_t)o->embed_dim, hidden = t->heads->spec.hidden;
    bool compared = o->soft > 0 && o->soft_on == DIP_H;
    for (uint32_t m = 0; m < t->dataset->modality_count; m++)
        if (dip_heads_width(t->heads, m) > t->widest) t->widest = dip_heads_width(t->heads, m);
    size_t h = compared ? t->widest : 0;
    t->d_hidden = dip_alloc_aligned((batch * hidden + 1) * sizeof(float));
    t->scratch = dip_alloc_aligned(dip_threads() * t->widest * sizeof(float));
    dip_status status = t->d_hidden && t->scratch ? DIP_OK : DIP_ENOMEM;
    for (int side = 0; side < 2; side++) {
        t->x[side] = dip_alloc_aligned(batch * t->widest * sizeof(float));
        t->hidden[side] = dip_alloc_aligned((batch * hidden + 1) * sizeof(float));
        t->outputs.value[side][DIP_Z] = dip_alloc_aligned(batch * z * sizeof(float));
        t->outputs.gradient[side][DIP_Z] = dip_alloc_aligned(batch * z * sizeof(float));
        t->outputs.value[side][DIP_H] = dip_alloc_aligned((batch * h + 1) * sizeof(float));
        t->outputs.gradient[side][DIP_H] = dip_alloc_aligned((batch * h + 1) * sizeof(float));
        if (!t->x[side] || !t->hidden[side] || !t->outputs.value[side][DIP_Z] ||
            !t->outputs.gradient[side][DIP_Z] || !t->outputs.value[side][DIP_H] ||
            !t->outputs.gradient[side][DIP_H])
            status = DIP_ENOMEM;
    }
    t->compared = compared;
    return status ? status
                  : dip_objective_create(&t->objective, o, t->dataset->modality_count,
                                         (const size_t[DIP_OUTPUTS]){z, h});
}

/* ---- weights, checkpoints ---- */

static dip_status with_checkpoint(dip_aligner *t, bool write, bool *found)
{
    size_t count = t->heads->param_count;
    const dip_kept kept[] = {{"heads.params", t->heads->params, count},
                             {"heads.best", t->best, count},
                             {"heads.average", t->average, count}};
    const dip_checkpoint checkpoint = {.optimiser = t->optimiser,
                                       .queue = dip_objective_queue(t->objective),
                                       .identity = t->run.identity,
                                       .kept = kept,
                                       .kept_count = t->average ? 3 : 2};
    if (write) return dip_checkpoint_write(t->run.folder, &checkpoint, &t->cursor);
    return dip_checkpoint_read(t->run.folder, &checkpoint, &t->cursor, found);
}

/* Weights from a checkpoint or, without one, from the seed. */
static dip_status begin_weights(dip_aligner *t)
{
    bool found = false;
    dip_rng rng;
    t->cursor = (dip_cursor){.best = {-1, -1}};
    t->planned = UINT64_MAX;
    dip_rng_init(&rng, (uint64_t)t->options.train.seed ^ init_tag, 0);
    dip_heads_init(t->heads, &rng);
    if (t->average)
        memcpy(t->average, t->heads->params, t->heads->param_count * sizeof *t->average);
    dip_status status = with_checkpoint(t, false, &found);
    if (status) return status;
    dip_heads_refresh(t->heads);
    t->result->resumed_from = t->cursor.total;
    if (found)
        dip_note(t->listener, "continuing run '%s' at step %llu", t->run.id,
                 (unsigned long long)t->cursor.total);
    return DIP_OK;
}

/* What the run learns from, and where this part of it begins. */
static dip_status tell_start(dip_aligner *t)
{
    const dip_dataset *d = t->dataset;
    const dip_mark marks[] = {{"held_out", d->held_note}};
    const dip_field data[] = {{"pairs", (double)d->train_count},
                              {"held_pairs", (double)d->held_count},
                              {"parameters", (double)t->heads->param_count},
                              {"dim", (double)t->heads->spec.embed_dim}};
    const dip_field start[] = {{"time", (double)time(NULL)}, {"threads", (double)dip_threads()}};
    const dip_history_line lines[] = {{"data", t->cursor.total, marks, 1, data, 4},
                                      {"start", t->cursor.total, NULL, 0, start, 2}};
    dip_status status = t->cursor.total ? DIP_OK : dip_history_write(t->journal.history, &lines[0]);
    return status ? status : dip_history_write(t->journal.history, &lines[1]);
}

/* ---- evaluation ---- */

static double pairs_per_second(const dip_aligner *t)
{
    double elapsed = dip_seconds() - t->began;
    double steps = (double)(t->cursor.total - t->began_at);
    return elapsed > 0 ? steps * (double)t->outputs.n / elapsed : 0;
}

/* Remembers the weights of the best evaluation. */
static void judge(dip_aligner *t, const double recall[2])
{
    if (recall[0] + recall[1] <= t->cursor.best[0] + t->cursor.best[1]) return;
    memcpy(t->cursor.best, recall, sizeof t->cursor.best);
    t->cursor.best_epoch = t->cursor.total;
    memcpy(t->best, t->model->params, t->heads->param_count * sizeof *t->best);
}

static void note_evaluation(const dip_aligner *t, double loss, const dip_held_recall *held)
{
    char found[64] = "", time[32];
    double speed = pairs_per_second(t), left = (double)(t->steps - t->cursor.total);
    if (held->pairs)
        snprintf(found, sizeof found, ", recall@%d %.3f and %.3f", DIP_HELD_K, held->recall[0][2],
                 held->recall[1][2]);
    dip_format_seconds(speed > 0 ? left * (double)t->outputs.n / speed : 0, time, sizeof time);
    dip_note(t->listener, "step %llu of %llu: loss %.4f%s, %.0f pairs/s, %s left",
             (unsigned long long)t->cursor.total, (unsigned long long)t->steps, loss, found, speed,
             time);
}

/* Of the weights that `model` has. */
static dip_status measure(dip_aligner *t, dip_held_recall *held)
{
    const dip_held_source source = dip_aligner_source(t);
    char *path = dip_run_file(&t->run, "examples.jsonl");
    dip_status status =
        path ? dip_held_measure(&source, path, t->cursor.total, false, held) : DIP_ENOMEM;
    dip_free(path);
    for (int side = 0; side < 2 && !status; side++) t->result->recall[side] = held->recall[side][2];
    return status;
}

static dip_status tell_recall(dip_aligner *t, const char *kind, const dip_held_recall *held)
{
    if (!held->pairs) return DIP_OK;
    return dip_journal_recall(&t->journal, kind, t->cursor.total, held, NULL, 0);
}

static dip_status evaluate(dip_aligner *t)
{
    double loss = t->cursor.loss_sum / (double)t->cursor.step;
    dip_held_recall held;
    dip_aligner_take(t);
    dip_status status = measure(t, &held);
    if (!status) status = tell_recall(t, "evaluation", &held);
    if (status) return status;
    if (held.pairs) judge(t, t->result->recall);
    note_evaluation(t, loss, &held);
    t->cursor.loss_sum = 0;
    t->cursor.step = 0;
    return DIP_OK;
}

/* ---- steps ---- */

static dip_status record(dip_aligner *t, const dip_loss_values *v)
{
    const dip_field fields[] = {{"loss", v->total},
                                {"mim", v->mim},
                                {"soft", v->soft},
                                {"mde", v->mde},
                                {"msp", v->msp},
                                {"sigreg", v->sigreg},
                                {"gradient", t->last_norm},
                                {"pairs_per_second", pairs_per_second(t)}};
    return dip_journal_numbers(&t->journal, "step", t->cursor.total, fields,
                               sizeof fields / sizeof *fields);
}

static dip_status stop(dip_aligner *t)
{
    dip_status status = with_checkpoint(t, true, NULL);
    if (status) return status;
    return dip_fail(DIP_ECANCEL, "stopped at step %llu; the same command continues",
                    (unsigned long long)t->cursor.total);
}

static dip_status run_steps(dip_aligner *t)
{
    const dip_train_options *o = &t->options.train;
    dip_status status = DIP_OK;
    t->began = dip_seconds();
    t->began_at = t->cursor.total;
    while (!status && t->cursor.total < t->steps) {
        dip_loss_values values;
        status = dip_aligner_step(t, &values);
        if (status) break;
        uint64_t done = t->cursor.total;
        if (done % RECORD_EVERY == 0) status = record(t, &values);
        if (!status && (done % t->eval_every == 0 || done == t->steps)) status = evaluate(t);
        if (!status && dip_progress_tick(t->listener->progress, "aligning", done, t->steps))
            return stop(t);
        if (!status && done % (uint64_t)o->checkpoint_every == 0 && done < t->steps)
            status = with_checkpoint(t, true, NULL);
    }
    t->result->seconds = dip_seconds() - t->began;
    return status;
}

/* ---- the end ---- */

static dip_status write_model(dip_aligner *t)
{
    char *settings = settings_text(t), *inputs = inputs_text(t), data[64], steps[32];
    char *folder = dip_path_folder(t->run.model_path);
    snprintf(data, sizeof data, "%016llx, %zu pairs", (unsigned long long)t->dataset->fingerprint,
             t->dataset->train_count);
    snprintf(steps, sizeof steps, "%llu", (unsigned long long)t->cursor.total);
    const dip_safetensors_text texts[] = {{"run", t->run.id},
                                          {"alignment", settings},
                                          {"inputs", inputs},
                                          {"data", data},
                                          {"steps", steps}};
    dip_status status = settings && inputs && folder ? dip_folder_create(folder) : DIP_ENOMEM;
    if (!status) status = dip_heads_write(t->run.model_path, t->model, texts, 5);
    dip_free(settings);
    dip_free(inputs);
    dip_free(folder);
    return status;
}

static void choose_weights(dip_aligner *t)
{
    dip_aligner_take(t);
    if (t->options.train.keep != DIP_KEEP_BEST || t->cursor.best[0] < 0) return;
    memcpy(t->model->params, t->best, t->heads->param_count * sizeof *t->best);
    dip_heads_refresh(t->model);
}

static dip_status finish(dip_aligner *t)
{
    dip_train_result *r = t->result;
    dip_held_recall held;
    choose_weights(t);
    dip_status status = measure(t, &held);
    if (!status) status = tell_recall(t, "result", &held);
    if (!status) status = write_model(t);
    if (status) return status;
    r->steps = t->cursor.total;
    r->epochs = r->steps / t->plan.steps;
    r->parameters = t->heads->param_count;
    char *text = dip_sprintf("[result]\nmodel = %s\nsteps = %llu\nrecall-forward = "
                             "%.6f\nrecall-backward = %.6f\nbest-step = %llu\n",
                             t->run.id, (unsigned long long)r->steps, r->recall[0], r->recall[1],
                             (unsigned long long)t->cursor.best_epoch);
    status = text ? dip_run_finish(&t->run, text) : DIP_ENOMEM;
    dip_free(text);
    return status ? status : dip_checkpoint_clear(t->run.folder);
}

static void fini(dip_aligner *t)
{
    for (int side = 0; side < 2; side++) {
        dip_free_aligned(t->x[side]);
        dip_free_aligned(t->hidden[side]);
        dip_free_aligned(t->outputs.value[side][DIP_Z]);
        dip_free_aligned(t->outputs.gradient[side][DIP_Z]);
        dip_free_aligned(t->outputs.value[side][DIP_H]);
        dip_free_aligned(t->outputs.gradient[side][DIP_H]);
    }
    dip_free_aligned(t->d_hidden);
    dip_free_aligned(t->scratch);
    dip_objective_destroy(t->objective);
    dip_optimiser_destroy(t->optimiser);
    dip_heads_destroy(t->heads);
    dip_heads_destroy(t->model);
    dip_free(t->grads);
    dip_free(t->average);
    dip_free(t->best);
    dip_plan_fini(&t->plan);
    dip_free(t->row);
    dip_dataset_close(t->dataset);
    dip_journal_close(&t->journal);
    dip_run_fini(&t->run);
    dip_free(t);
}

static dip_status learn(dip_aligner *t)
{
    dip_status status = make_heads(t);
    if (!status) status = make_optimiser(t);
    if (!status) status = make_buffers(t);
    if (!status) status = dip_aligner_measure(t);
    if (!status) status = begin_weights(t);
    if (!status) status = dip_journal_open(&t->journal, &t->run, t->cursor.total);
    if (!status) status = tell_start(t);
    if (status) return status;
    dip_note(t->listener, "%zu training pairs, %zu held out (%s)", t->dataset->train_count,
             t->dataset->held_count, t->dataset->held_note);
    status = run_steps(t);
    return status ? status : finish(t);
}

dip_status dip_align(const dip_archive *archive, const dip_align_options *options,
                     const dip_vectors *vectors, size_t count, const dip_train_listener *listener,
                     dip_train_result *result)
{
    static const dip_train_listener nobody = {.progress = NULL};
    *result = (dip_train_result){.already = false};
    dip_status status = dip_train_name_check(options->train.name);
    if (status) return status;
    dip_aligner *t = dip_calloc(1, sizeof *t);
    if (!t) return DIP_ENOMEM;
    t->options = *options;
    t->vectors = vectors;
    t->listener = listener ? listener : &nobody;
    t->result = result;
    status = open_data(t, archive, count);
    if (!status) settle_options(t);
    if (!status) status = open_run(t, archive);
    if (!status) {
        snprintf(result->model, sizeof result->model, "%s", t->run.id);
        result->already = t->run.state == DIP_RUN_FINISHED;
        if (!result->already) status = learn(t);
    }
    fini(t);
    return status;
}
