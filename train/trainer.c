/*
 * The course of a run; see trainer.h. Epochs end with a line in metrics.jsonl, sometimes with an evaluation. Checkpoints
 * hold all that is not a function of (options, data, cursor). Setting up is in session.c, a step in step.c,
 * what is told in tell.c.
 */
#include "train/trainer.h"

#include "core/clock.h"
#include "core/file.h"
#include "core/format.h"
#include "core/mem.h"
#include "core/status.h"
#include "encoder/model.h"
#include "train/session.h"
#include "train/tell.h"

#include <stdio.h>
#include <string.h>

enum { NOTE_SECONDS = 30, FIT_TILES = 512, FINAL_FIT_TILES = 4096 };

/* ---- evaluation and model ---- */

/* Gives the evaluator the weights that the model would have now. */
static dip_status take_weights(dip_session *t, size_t tiles)
{
    if (t->average) dip_average_swap(t->average);
    dip_status status = dip_evaluator_take(t->evaluator, t->net, tiles);
    if (t->average) dip_average_swap(t->average);
    return status;
}

static char *best_path(const dip_session *t) { return dip_run_file(&t->run, "best.safetensors"); }

static dip_status write_model(dip_session *t, const char *path, uint64_t epochs)
{
    char *settings = dip_train_options_text(t->options);
    char data[64], run_length[64], seed[32];
    snprintf(data, sizeof data, "%016llx, %zu pairs", (unsigned long long)t->dataset->fingerprint,
             t->dataset->train_count);
    snprintf(run_length, sizeof run_length, "%llu", (unsigned long long)epochs);
    snprintf(seed, sizeof seed, "%lld", (long long)t->options->seed);
    const dip_safetensors_text texts[] = {{"run", t->run.id},
                                          {"training", settings},
                                          {"data", data},
                                          {"epochs", run_length},
                                          {"seed", seed}};
    dip_status status = settings
                            ? dip_model_write(path, dip_evaluator_net(t->evaluator), &t->model_spec,
                                              dip_evaluator_embedding(t->evaluator), texts, 5)
                            : DIP_ENOMEM;
    dip_free(settings);
    return status;
}

/* Measures what the evaluator holds; the examples are those of the weights that the model would have. */
static dip_status measure(dip_session *t, bool examples, bool labels, dip_held_recall *out)
{
    const dip_held_source source = dip_evaluator_source(t->evaluator);
    char *path = dip_run_file(&t->run, "examples.jsonl");
    dip_status status =
        path ? dip_held_measure(&source, examples ? path : NULL, t->cursor.total, labels, out)
             : DIP_ENOMEM;
    dip_free(path);
    return status;
}

/* Keeps the best model so far, which the evaluator holds; counts evaluations without progress. */
static dip_status judge(dip_session *t, const double recall[2])
{
    if (recall[0] + recall[1] <= t->cursor.best[0] + t->cursor.best[1]) {
        t->cursor.stale++;
        return DIP_OK;
    }
    memcpy(t->cursor.best, recall, sizeof t->cursor.best);
    t->cursor.best_epoch = t->cursor.epoch + 1;
    t->cursor.stale = 0;
    if (t->options->keep != DIP_KEEP_BEST) return DIP_OK;
    dip_held_recall held;
    char *path = best_path(t);
    dip_status status = path ? write_model(t, path, t->cursor.epoch + 1) : DIP_ENOMEM;
    if (!status) status = measure(t, true, true, &held);
    if (!status) status = dip_tell_labels(t, &held);
    dip_free(path);
    return status;
}

static void show(dip_session *t, bool complete)
{
    if (t->listener->evaluated)
        t->listener->evaluated(t->listener->payload, t->run.folder, complete);
}

/* With --keep best the embedding is the model's, so that what is measured is what may be kept. */
static dip_status evaluate(dip_session *t)
{
    dip_held_recall held;
    bool last = t->options->keep == DIP_KEEP_LAST;
    double began = dip_seconds();
    dip_status status = take_weights(t, last ? FIT_TILES : FINAL_FIT_TILES);
    if (!status) status = measure(t, last, false, &held);
    if (status && dip_evaluator_diverged(t->evaluator)) return dip_session_unstable(t);
    if (status || !held.pairs) return status;
    for (int side = 0; side < 2; side++) t->result->recall[side] = held.recall[side][2];
    status = dip_tell_recall(t, "evaluation", &held, dip_seconds() - began);
    return status ? status : judge(t, t->result->recall);
}

/* ---- epochs ---- */

static void note_epoch(dip_session *t, double loss, bool evaluated)
{
    t->last_note = dip_seconds();
    double speed = dip_session_pairs_per_second(t);
    uint64_t total = (uint64_t)t->options->epochs * t->epoch_steps;
    double left = (double)(total - t->cursor.total) * (double)t->outputs.n;
    char recall[64] = "", time[32];
    dip_format_seconds(speed > 0 ? left / speed : 0, time, sizeof time);
    if (evaluated && t->result->held_pairs)
        snprintf(recall, sizeof recall, ", recall@%d %.3f and %.3f", DIP_HELD_K,
                 t->result->recall[0], t->result->recall[1]);
    dip_note(t->listener, "epoch %llu of %lld: loss %.4f%s, %.0f pairs/s, %s left",
             (unsigned long long)t->cursor.epoch + 1, (long long)t->options->epochs, loss, recall,
             speed, time);
}

static bool evaluation_due(const dip_session *t)
{
    uint64_t epoch = t->cursor.epoch + 1, every = (uint64_t)t->options->eval_every;
    return epoch == (uint64_t)t->options->epochs || (every && epoch % every == 0);
}

static dip_status end_epoch(dip_session *t)
{
    double loss = t->cursor.loss_sum / (double)t->epoch_steps;
    bool due = evaluation_due(t);
    dip_status status = dip_tell_epoch(t, loss);
    if (!status && due) status = evaluate(t);
    if (status) return status;
    if (due || dip_seconds() - t->last_note > NOTE_SECONDS) note_epoch(t, loss, due);
    if (due) show(t, false);
    t->cursor.epoch++;
    t->cursor.step = 0;
    t->cursor.loss_sum = 0;
    dip_session_lap(t);
    return DIP_OK;
}

static dip_status save(dip_session *t)
{
    dip_checkpoint checkpoint = dip_session_checkpoint(t);
    return dip_checkpoint_write(t->run.folder, &checkpoint, &t->cursor);
}

static bool checkpoint_due(const dip_session *t)
{
    uint64_t every = (uint64_t)t->options->checkpoint_every;
    return every ? t->cursor.total % every == 0 : t->cursor.step == 0;
}

static bool finished(const dip_session *t)
{
    int64_t patience = t->options->patience;
    return t->cursor.epoch >= (uint64_t)t->options->epochs ||
           (patience && t->cursor.stale >= (uint64_t)patience);
}

static dip_status stop(dip_session *t)
{
    dip_status status = save(t);
    if (status) return status;
    return dip_fail(DIP_ECANCEL, "stopped at epoch %llu, step %llu; the same command continues",
                    (unsigned long long)t->cursor.epoch + 1, (unsigned long long)t->cursor.step);
}

static dip_status run_steps(dip_session *t)
{
    uint64_t total = (uint64_t)t->options->epochs * t->epoch_steps;
    uint64_t batch = (uint64_t)t->options->batch;
    dip_status status = dip_loader_start(t->loader, t->cursor.epoch, t->cursor.step);
    t->began = t->last_note = dip_seconds();
    t->began_at = t->cursor.total;
    dip_session_lap(t);
    while (!status && !finished(t)) {
        status = dip_session_step(t);
        if (!status && t->cursor.step == t->epoch_steps) status = end_epoch(t);
        if (status) break;
        bool asked = dip_progress_tick(t->listener->progress, "training", t->cursor.total * batch,
                                       total * batch);
        if (asked) return stop(t);
        if (checkpoint_due(t) && !finished(t)) status = save(t);
    }
    t->result->seconds = dip_seconds() - t->began;
    t->result->waited = dip_loader_waited(t->loader);
    return status;
}

/* ---- the end ---- */

static dip_status copy_file(const char *from, const char *to)
{
    dip_map map;
    dip_status status = dip_file_map(&map, from);
    if (status) return status;
    status = dip_file_write(to, map.bytes, map.length);
    dip_file_unmap(&map);
    return status;
}

static bool keeps_best(const dip_session *t)
{
    return t->options->keep == DIP_KEEP_BEST && t->cursor.best[0] >= 0;
}

static dip_status place_model(dip_session *t)
{
    bool best = keeps_best(t);
    char *folder = dip_path_folder(t->run.model_path), *path = best_path(t);
    dip_status status = folder && path ? dip_folder_create(folder) : DIP_ENOMEM;
    if (!status && best) status = copy_file(path, t->run.model_path);
    if (!status && !best) status = take_weights(t, FINAL_FIT_TILES);
    if (!status && !best) status = write_model(t, t->run.model_path, t->cursor.epoch);
    dip_free(folder);
    dip_free(path);
    return status;
}

/* The recall of the model; of the best evaluation it is known already. */
static dip_status measure_model(dip_session *t)
{
    dip_held_recall held;
    double *recall = t->result->recall, began = dip_seconds();
    if (keeps_best(t)) {
        memcpy(recall, t->cursor.best, sizeof t->cursor.best);
        return DIP_OK;
    }
    dip_status status = measure(t, true, true, &held);
    for (int side = 0; side < 2 && !status; side++) recall[side] = held.recall[side][2];
    if (!status) status = dip_tell_labels(t, &held);
    if (status || !held.pairs) return status;
    return dip_tell_recall(t, "result", &held, dip_seconds() - began);
}

static dip_status finish(dip_session *t)
{
    dip_train_result *r = t->result;
    dip_status status = place_model(t);
    if (!status) status = measure_model(t);
    if (!status) status = dip_note_labels(t);
    if (status) return status;
    r->epochs = t->cursor.epoch;
    r->steps = t->cursor.total;
    char *text = dip_sprintf("[result]\nmodel = %s\nepochs = %llu\nsteps = %llu\nrecall-forward = "
                             "%.6f\nrecall-backward = %.6f\nbest-epoch = %llu\n",
                             t->run.id, (unsigned long long)r->epochs, (unsigned long long)r->steps,
                             r->recall[0], r->recall[1], (unsigned long long)t->cursor.best_epoch);
    status = text ? dip_run_finish(&t->run, text) : DIP_ENOMEM;
    dip_free(text);
    if (!status) status = dip_checkpoint_clear(t->run.folder);
    if (!status) show(t, true);
    return status;
}

dip_status dip_train(const dip_archive *archive, const dip_train_options *options,
                     const dip_train_listener *listener, dip_train_result *result)
{
    static const dip_train_listener nobody = {.progress = NULL};
    dip_session *t = dip_calloc(1, sizeof *t);
    if (!t) return DIP_ENOMEM;
    *result = (dip_train_result){.already = false};
    t->options = options;
    t->listener = listener ? listener : &nobody;
    t->result = result;
    dip_status status = dip_session_init(t, archive);
    if (!status && !result->already) status = run_steps(t);
    if (!status && !result->already) status = finish(t);
    dip_session_fini(t);
    dip_free(t);
    return status;
}
