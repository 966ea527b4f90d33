/*
 * The trainer; see trainer.h.
 *
 * Set-up makes everything that a step needs; a step allocates nothing. A step: two forward passes, the objective, two
 * backward passes, the optimiser, the moving average. Epochs end with a line in metrics.jsonl, sometimes with an
 * evaluation. Checkpoints hold all that is not a function of (options, data, cursor).
 */
#define _GNU_SOURCE
#include "train/trainer.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/status.h"
#include "encoder/model.h"
#include "train/average.h"
#include "train/backward.h"
#include "train/batch.h"
#include "train/checkpoint.h"
#include "train/evaluate.h"
#include "train/events.h"
#include "train/history.h"
#include "train/objective.h"
#include "train/run.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { RECORD_EVERY = 10, NOTE_SECONDS = 30, FIT_TILES = 512, FINAL_FIT_TILES = 4096 };

static const uint64_t init_tag = 0x696e6974;

typedef struct trainer {
    const dip_train_options *options;
    const dip_train_listener *listener;
    dip_train_result *result;
    dip_run run;
    dip_dataset *dataset;
    dip_tile_cache *cache;
    dip_loader *loader;
    dip_net_spec spec, model_spec; /* they differ in input_px */
    dip_net *net;
    dip_optimiser *optimiser;
    dip_average *average; /* NULL: none */
    dip_objective *objective;
    dip_evaluator *evaluator;
    dip_history *history;
    dip_events *events;
    dip_outputs outputs;
    dip_cursor cursor;
    uint64_t epoch_steps;
    double began, last_norm, last_note;
    uint64_t began_at; /* steps that were done then */
} trainer;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void note(const trainer *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void note(const trainer *t, const char *format, ...)
{
    char line[512];
    va_list args;
    if (!t->listener->note) return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    t->listener->note(t->listener->payload, line);
}

/* ---- set-up ---- */

static dip_status open_data(trainer *t, const dip_archive *archive)
{
    dip_status status = dip_dataset_open(&t->dataset, archive, t->options->modalities);
    if (status) return status;
    t->result->pairs = t->dataset->train_count;
    t->result->held_pairs = t->dataset->held_count;
    return DIP_OK;
}

static dip_status prepare_data(trainer *t)
{
    dip_dataset *d = t->dataset;
    dip_status status = t->options->statistics == DIP_STATISTICS_MEASURE
                            ? dip_dataset_measure(d, t->listener->progress)
                            : dip_dataset_check_statistics(d);
    if (!status)
        status = dip_tile_cache_create(&t->cache, d, (size_t)t->options->memory_mb * 1000000);
    if (!status) status = dip_tile_cache_fill(t->cache, t->listener->progress);
    if (!status)
        note(t, "%zu training pairs, %zu held out (%s), %zu tiles in memory", d->train_count,
             d->held_count, d->held_note, dip_tile_cache_count(t->cache));
    return status;
}

static dip_status make_specs(trainer *t)
{
    dip_status status = dip_train_network(t->options, &t->spec);
    if (status) return status;
    t->spec.modality_count = t->dataset->modality_count;
    memcpy(t->spec.modality, t->dataset->modality, sizeof t->spec.modality);
    t->model_spec = t->spec;
    if (t->options->encode_px) t->model_spec.input_px = (uint32_t)t->options->encode_px;
    status = dip_net_spec_check(&t->spec);
    return status ? status : dip_net_spec_check(&t->model_spec);
}

static bool decays(dip_tensor_kind kind)
{
    return kind == DIP_TENSOR_CONV || kind == DIP_TENSOR_LINEAR;
}

static dip_status make_optimiser(trainer *t)
{
    size_t n = 0, tensors = dip_net_tensor_count(t->net);
    dip_adamw settings = dip_train_adamw(t->options);
    dip_segment *segments = dip_alloc(tensors * sizeof *segments);
    if (!segments) return DIP_ENOMEM;
    for (size_t i = 0; i < tensors; i++) {
        const dip_tensor *tensor = dip_net_tensor(t->net, i);
        if (tensor->param_offset == SIZE_MAX) continue;
        segments[n++] =
            (dip_segment){tensor->param_offset, tensor->param_count, decays(tensor->kind)};
    }
    dip_status status =
        dip_optimiser_create(&t->optimiser, &settings, segments, n, dip_net_param_count(t->net));
    dip_free(segments);
    return status;
}

static dip_status make_outputs(trainer *t)
{
    size_t batch = (size_t)t->options->batch, z = t->spec.embed_dim;
    size_t h = dip_net_spec_feature_dim(&t->spec);
    for (int m = 0; m < 2; m++) {
        t->outputs.z[m] = dip_alloc(batch * z * sizeof(float));
        t->outputs.dz[m] = dip_alloc(batch * z * sizeof(float));
        t->outputs.h[m] = dip_alloc(batch * h * sizeof(float));
        t->outputs.dh[m] = dip_alloc(batch * h * sizeof(float));
        if (!t->outputs.z[m] || !t->outputs.dz[m] || !t->outputs.h[m] || !t->outputs.dh[m])
            return DIP_ENOMEM;
    }
    return dip_objective_create(&t->objective, t->options, batch, z, h);
}

static dip_status make_loader(trainer *t)
{
    const dip_loader_options options = {.seed = (uint64_t)t->options->seed,
                                        .batch = (size_t)t->options->batch,
                                        .input_px = t->spec.input_px,
                                        .augment = dip_train_augment(t->options),
                                        .independent = t->options->independent};
    dip_status status = dip_loader_create(&t->loader, t->dataset, t->cache, &options);
    if (!status) t->epoch_steps = dip_loader_steps(t->loader);
    return status;
}

static dip_status make_learner(trainer *t)
{
    dip_embed_spec embedding = dip_train_embedding(t->options);
    dip_status status = dip_net_create(&t->net, &t->spec, (size_t)t->options->batch, DIP_NET_TRAIN);
    if (!status) status = make_optimiser(t);
    if (!status && t->options->average > 0) status = dip_average_create(&t->average, t->net);
    if (!status) status = make_outputs(t);
    if (!status)
        status =
            dip_evaluator_create(&t->evaluator, t->dataset, t->cache, &t->model_spec, &embedding);
    return status ? status : make_loader(t);
}

static dip_checkpoint checkpoint_of(trainer *t)
{
    return (dip_checkpoint){t->net, t->optimiser, t->average, t->run.identity};
}

/* Weights from a checkpoint or, without one, from the seed. */
static dip_status begin_weights(trainer *t)
{
    dip_checkpoint checkpoint = checkpoint_of(t);
    bool found = false;
    t->cursor = (dip_cursor){.best = {-1, -1}};
    dip_status status = dip_checkpoint_read(t->run.folder, &checkpoint, &t->cursor, &found);
    if (status) return status;
    t->result->resumed_from = t->cursor.total;
    if (found) {
        note(t, "continuing run '%s' at epoch %llu, step %llu", t->run.id,
             (unsigned long long)t->cursor.epoch + 1, (unsigned long long)t->cursor.step);
        return DIP_OK;
    }
    dip_rng rng;
    dip_rng_init(&rng, (uint64_t)t->options->seed ^ init_tag, 0);
    dip_net_init(t->net, &rng, t->options->zero_last);
    dip_net_refresh(t->net);
    if (t->average) dip_average_reset(t->average);
    return DIP_OK;
}

static dip_status open_history(trainer *t)
{
    char *path = dip_run_file(&t->run, "metrics.jsonl");
    dip_status status = path ? dip_history_open(&t->history, path, t->cursor.total) : DIP_ENOMEM;
    dip_free(path);
    return status ? status : dip_events_open(&t->events, t->run.folder);
}

static void fini(trainer *t)
{
    dip_loader_destroy(t->loader);
    dip_evaluator_destroy(t->evaluator);
    dip_objective_destroy(t->objective);
    dip_average_destroy(t->average);
    dip_optimiser_destroy(t->optimiser);
    dip_net_destroy(t->net);
    dip_tile_cache_destroy(t->cache);
    dip_dataset_close(t->dataset);
    dip_history_close(t->history);
    dip_events_close(t->events);
    dip_run_fini(&t->run);
    for (int m = 0; m < 2; m++) {
        dip_free(t->outputs.z[m]);
        dip_free(t->outputs.dz[m]);
        dip_free(t->outputs.h[m]);
        dip_free(t->outputs.dh[m]);
    }
}

/* ---- history ---- */

static dip_status tell(trainer *t, const char *kind, const dip_field *fields, size_t count)
{
    char tag[96];
    dip_status status = dip_history_write(t->history, kind, t->cursor.total, fields, count);
    for (size_t i = 0; !status && i < count; i++) {
        snprintf(tag, sizeof tag, "%s/%s", kind, fields[i].name);
        status = dip_events_scalar(t->events, tag, t->cursor.total, fields[i].value);
    }
    return status ? status : dip_events_flush(t->events);
}

static double pairs_per_second(const trainer *t)
{
    double elapsed = seconds() - t->began;
    double steps = (double)(t->cursor.total - t->began_at);
    return elapsed > 0 ? steps * (double)t->outputs.n / elapsed : 0;
}

static dip_status tell_step(trainer *t, const dip_loss_values *v, double rate)
{
    const dip_field fields[] = {{"epoch", (double)t->cursor.epoch},
                                {"loss", v->total},
                                {"mim", v->mim},
                                {"soft", v->soft},
                                {"mde", v->mde},
                                {"msp", v->msp},
                                {"rate", rate},
                                {"gradient", t->last_norm},
                                {"pairs_per_second", pairs_per_second(t)}};
    return tell(t, "step", fields, sizeof fields / sizeof *fields);
}

/* ---- what went wrong ---- */

static float largest_input(const trainer *t, const dip_train_batch *batch, int side)
{
    size_t pixels = (size_t)t->spec.input_px * t->spec.input_px;
    size_t n = batch->n * pixels * t->spec.modality[batch->modality[side]].band_count;
    float most = 0;
    for (size_t i = 0; i < n; i++)
        if (fabsf(batch->input[side][i]) > most) most = fabsf(batch->input[side][i]);
    return most;
}

/* `batch`: of the step that failed; NULL: an evaluation did. */
static dip_status unstable(const trainer *t, const dip_train_batch *batch, double rate)
{
    char where[128];
    snprintf(where, sizeof where, "training became unstable at epoch %llu, step %llu",
             (unsigned long long)t->cursor.epoch + 1, (unsigned long long)t->cursor.step);
    for (int side = 0; batch && side < 2; side++) {
        float most = largest_input(t, batch, side);
        if (most > 1000)
            return dip_fail(DIP_EINVAL,
                            "%s: a pixel of modality '%s' lies %.3g standard deviations from the "
                            "mean; its statistics do not fit, use --statistics measure",
                            where, t->spec.modality[batch->modality[side]].name, (double)most);
    }
    if (t->options->temperature < 0.02)
        return dip_fail(DIP_EINVAL,
                        "%s: the numbers are not finite; the temperature %g is likely too low, try "
                        "--temperature 0.1",
                        where, t->options->temperature);
    return dip_fail(DIP_EINVAL,
                    "%s: the numbers are not finite; the learning rate %g is likely too high (the "
                    "gradient's norm was %.3g a step before), try --rate %g or --clip 1",
                    where, rate, t->last_norm, t->options->rate / 4);
}

/* ---- one step ---- */

static dip_status forward(trainer *t, const dip_train_batch *batch)
{
    dip_status status = DIP_OK;
    for (int side = 0; side < 2 && !status; side++)
        status = dip_net_forward_train(t->net, batch->modality[side], batch->input[side], batch->n,
                                       (float)t->options->momentum, t->outputs.h[side],
                                       t->outputs.z[side]);
    t->outputs.n = batch->n;
    return status;
}

static dip_status backward(trainer *t, const dip_train_batch *batch)
{
    bool uses_h = dip_objective_uses_h(t->objective);
    dip_status status = DIP_OK;
    memset(dip_net_grads(t->net), 0, dip_net_param_count(t->net) * sizeof(float));
    for (int side = 0; side < 2 && !status; side++)
        status = dip_net_backward(t->net, batch->modality[side],
                                  uses_h ? t->outputs.dh[side] : NULL, t->outputs.dz[side]);
    return status;
}

static dip_status step(trainer *t)
{
    const dip_train_options *o = t->options;
    const dip_train_batch *batch;
    dip_loss_values values;
    uint64_t total = (uint64_t)o->epochs * t->epoch_steps;
    double rate = dip_rate_at(o->rate, (dip_decay)o->decay, t->cursor.total,
                              (uint64_t)llround(o->warmup * (double)t->epoch_steps), total);
    dip_status status = dip_loader_next(t->loader, &batch);
    if (!status) status = forward(t, batch);
    if (status) return status;
    dip_objective_run(t->objective, t->cursor.epoch, (uint64_t)o->epochs, &t->outputs, &values);
    if (!isfinite(values.total)) return unstable(t, batch, rate);
    status = backward(t, batch);
    if (status) return status;
    double norm =
        dip_optimiser_step(t->optimiser, rate, dip_net_params(t->net), dip_net_grads(t->net));
    if (!isfinite(norm)) return unstable(t, batch, rate);
    t->last_norm = norm;
    dip_net_refresh(t->net);
    if (t->average) dip_average_step(t->average, dip_average_decay(o->average, t->cursor.total));
    t->cursor.loss_sum += values.total;
    t->cursor.total++;
    t->cursor.step++;
    return t->cursor.total % RECORD_EVERY ? DIP_OK : tell_step(t, &values, rate);
}

/* ---- evaluation and model ---- */

/* Gives the evaluator the weights that the model would have now. */
static dip_status take_weights(trainer *t, size_t tiles)
{
    if (t->average) dip_average_swap(t->average);
    dip_status status = dip_evaluator_take(t->evaluator, t->net, tiles);
    if (t->average) dip_average_swap(t->average);
    return status;
}

static char *best_path(const trainer *t) { return dip_run_file(&t->run, "best.safetensors"); }

static dip_status write_model(trainer *t, const char *path, uint64_t epochs)
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

/* Keeps the best model so far; counts evaluations without progress. */
static dip_status judge(trainer *t, const double recall[2])
{
    if (recall[0] + recall[1] <= t->cursor.best[0] + t->cursor.best[1]) {
        t->cursor.stale++;
        return DIP_OK;
    }
    memcpy(t->cursor.best, recall, sizeof t->cursor.best);
    t->cursor.best_epoch = t->cursor.epoch + 1;
    t->cursor.stale = 0;
    if (t->options->keep != DIP_KEEP_BEST) return DIP_OK;
    char *path = best_path(t);
    dip_status status = path ? take_weights(t, FINAL_FIT_TILES) : DIP_ENOMEM;
    if (!status) status = write_model(t, path, t->cursor.epoch + 1);
    dip_free(path);
    return status;
}

static dip_status evaluate(trainer *t)
{
    double recall[2] = {0, 0};
    size_t pairs = 0;
    dip_status status = take_weights(t, FIT_TILES);
    if (!status) status = dip_evaluator_recall(t->evaluator, recall, &pairs);
    if (status == DIP_EINVAL) return unstable(t, NULL, t->options->rate);
    if (status || !pairs) return status;
    const dip_field fields[] = {{"epoch", (double)t->cursor.epoch},
                                {"recall_forward", recall[0]},
                                {"recall_backward", recall[1]},
                                {"pairs", (double)pairs}};
    status = tell(t, "evaluation", fields, sizeof fields / sizeof *fields);
    if (!status) status = judge(t, recall);
    t->result->recall[0] = recall[0];
    t->result->recall[1] = recall[1];
    return status;
}

/* ---- epochs ---- */

static void note_epoch(trainer *t, double loss, bool evaluated)
{
    t->last_note = seconds();
    double speed = pairs_per_second(t);
    uint64_t total = (uint64_t)t->options->epochs * t->epoch_steps;
    double left = (double)(total - t->cursor.total) * (double)t->outputs.n;
    char recall[64] = "";
    if (evaluated && t->result->held_pairs)
        snprintf(recall, sizeof recall, ", recall@%d %.3f and %.3f", DIP_EVALUATE_K,
                 t->result->recall[0], t->result->recall[1]);
    note(t, "epoch %llu of %lld: loss %.4f%s, %.0f pairs/s, %.0f s left",
         (unsigned long long)t->cursor.epoch + 1, (long long)t->options->epochs, loss, recall,
         speed, speed > 0 ? left / speed : 0);
}

static bool evaluation_due(const trainer *t)
{
    uint64_t epoch = t->cursor.epoch + 1, every = (uint64_t)t->options->eval_every;
    return epoch == (uint64_t)t->options->epochs || (every && epoch % every == 0);
}

static dip_status end_epoch(trainer *t)
{
    double loss = t->cursor.loss_sum / (double)t->epoch_steps;
    bool due = evaluation_due(t);
    const dip_field fields[] = {{"epoch", (double)t->cursor.epoch}, {"loss", loss}};
    dip_status status = tell(t, "epoch", fields, sizeof fields / sizeof *fields);
    if (!status && due) status = evaluate(t);
    if (status) return status;
    if (due || seconds() - t->last_note > NOTE_SECONDS) note_epoch(t, loss, due);
    t->cursor.epoch++;
    t->cursor.step = 0;
    t->cursor.loss_sum = 0;
    return DIP_OK;
}

static dip_status save(trainer *t)
{
    dip_checkpoint checkpoint = checkpoint_of(t);
    return dip_checkpoint_write(t->run.folder, &checkpoint, &t->cursor);
}

static bool checkpoint_due(const trainer *t)
{
    uint64_t every = (uint64_t)t->options->checkpoint_every;
    return every ? t->cursor.total % every == 0 : t->cursor.step == 0;
}

static bool finished(const trainer *t)
{
    int64_t patience = t->options->patience;
    return t->cursor.epoch >= (uint64_t)t->options->epochs ||
           (patience && t->cursor.stale >= (uint64_t)patience);
}

static dip_status stop(trainer *t)
{
    dip_status status = save(t);
    if (status) return status;
    return dip_fail(DIP_ECANCEL, "stopped at epoch %llu, step %llu; the same command continues",
                    (unsigned long long)t->cursor.epoch + 1, (unsigned long long)t->cursor.step);
}

static dip_status run_steps(trainer *t)
{
    uint64_t total = (uint64_t)t->options->epochs * t->epoch_steps;
    uint64_t batch = (uint64_t)t->options->batch;
    dip_status status = dip_loader_start(t->loader, t->cursor.epoch, t->cursor.step);
    t->began = t->last_note = seconds();
    t->began_at = t->cursor.total;
    while (!status && !finished(t)) {
        status = step(t);
        if (!status && t->cursor.step == t->epoch_steps) status = end_epoch(t);
        if (status) break;
        bool asked = dip_progress_tick(t->listener->progress, "training", t->cursor.total * batch,
                                       total * batch);
        if (asked) return stop(t);
        if (checkpoint_due(t) && !finished(t)) status = save(t);
    }
    t->result->seconds = seconds() - t->began;
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

static bool keeps_best(const trainer *t)
{
    return t->options->keep == DIP_KEEP_BEST && t->cursor.best[0] >= 0;
}

static dip_status place_model(trainer *t)
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

static dip_status finish(trainer *t)
{
    dip_train_result *r = t->result;
    size_t pairs = 0;
    dip_status status = place_model(t);
    if (!status && !keeps_best(t)) status = dip_evaluator_recall(t->evaluator, r->recall, &pairs);
    if (keeps_best(t)) memcpy(r->recall, t->cursor.best, sizeof r->recall);
    if (status) return status;
    r->epochs = t->cursor.epoch;
    r->steps = t->cursor.total;
    char *text = dip_sprintf("[result]\nmodel = %s\nepochs = %llu\nsteps = %llu\nrecall-forward = "
                             "%.6f\nrecall-backward = %.6f\nbest-epoch = %llu\n",
                             t->run.id, (unsigned long long)r->epochs, (unsigned long long)r->steps,
                             r->recall[0], r->recall[1], (unsigned long long)t->cursor.best_epoch);
    status = text ? dip_run_finish(&t->run, text) : DIP_ENOMEM;
    dip_free(text);
    return status ? status : dip_checkpoint_clear(t->run.folder);
}

static dip_status train(trainer *t, const dip_archive *archive)
{
    dip_status status = dip_train_options_check(t->options);
    if (!status) status = open_data(t, archive);
    if (!status) status = dip_run_open(&t->run, dip_archive_path(archive), t->options, t->dataset);
    if (status) return status;
    snprintf(t->result->model, sizeof t->result->model, "%s", t->run.id);
    t->result->already = t->run.state == DIP_RUN_FINISHED;
    if (t->result->already) return DIP_OK;
    status = prepare_data(t);
    if (!status) status = make_specs(t);
    if (!status) status = make_learner(t);
    if (!status) status = begin_weights(t);
    if (!status) status = open_history(t);
    if (!status) status = run_steps(t);
    return status ? status : finish(t);
}

dip_status dip_train(const dip_archive *archive, const dip_train_options *options,
                     const dip_train_listener *listener, dip_train_result *result)
{
    static const dip_train_listener nobody = {.progress = NULL};
    trainer *t = dip_calloc(1, sizeof *t);
    if (!t) return DIP_ENOMEM;
    *result = (dip_train_result){.already = false};
    t->options = options;
    t->listener = listener ? listener : &nobody;
    t->result = result;
    dip_status status = train(t, archive);
    fini(t);
    dip_free(t);
    return status;
}
