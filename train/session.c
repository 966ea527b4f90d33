/* Makes and unmakes a training session; see session.h. */
#include "train/session.h"

#include "core/clock.h"
#include "core/mem.h"
#include "core/status.h"
#include "train/tell.h"

#include <stdio.h>
#include <string.h>

static const uint64_t init_tag = 0x696e6974;

/* ---- set-up ---- */

static dip_status open_data(dip_session *t, const dip_archive *archive)
{
    const dip_dataset_options options = {.modalities = t->options->modalities,
                                         .share = t->options->pairs_share,
                                         .seed = (uint64_t)t->options->seed};
    dip_status status = dip_dataset_open(&t->dataset, archive, &options);
    if (status) return status;
    t->result->pairs = t->dataset->train_count;
    t->result->held_pairs = t->dataset->held_count;
    for (uint32_t m = 0; m < t->dataset->modality_count; m++)
        if (!t->dataset->modality[m].band_count)
            return dip_fail(DIP_ENOENT,
                            "tiles of modality '%s' have no pixels to learn from; diptych align "
                            "learns from vectors",
                            t->dataset->modality[m].name);
    return DIP_OK;
}

static bool any_speckle(const dip_dataset *d)
{
    for (uint32_t m = 0; m < d->modality_count; m++)
        for (uint32_t b = 0; b < d->modality[m].band_count; b++)
            if (dip_band_has_speckle(&d->modality[m].bands[b])) return true;
    return false;
}

/* Options that would do nothing with this data. */
static dip_status check_asked(const dip_session *t)
{
    const dip_train_options *o = t->options;
    if ((o->patience || o->keep == DIP_KEEP_BEST) && !t->dataset->held_count)
        return dip_fail(DIP_EINVAL,
                        "option '%s': no pairs are held out that could tell; give some "
                        "places the split 'val'",
                        o->patience ? "patience" : "keep");
    if (o->speckle > 0 && !any_speckle(t->dataset))
        return dip_fail(DIP_EINVAL, "option 'speckle': no band's unit is dB, amplitude or power; "
                                    "import with --units, or leave it 0");
    return DIP_OK;
}

static char *identity_text(const dip_session *t)
{
    const dip_dataset *d = t->dataset;
    char *settings = dip_train_options_text(t->options), init[64] = "";
    if (!settings) return NULL;
    if (t->init)
        snprintf(init, sizeof init, "weights = %016llx\n",
                 (unsigned long long)dip_init_fingerprint(t->init));
    char *text = dip_sprintf(
        "[training]\n%s\n[data]\nfingerprint = %016llx\npairs = %zu\nheld-out = %zu\n%s", settings,
        (unsigned long long)d->fingerprint, d->train_count, d->held_count, init);
    dip_free(settings);
    return text;
}

static dip_status open_run(dip_session *t, const dip_archive *archive)
{
    const dip_train_options *o = t->options;
    char *identity = identity_text(t), notes[96];
    snprintf(notes, sizeof notes, "memory = %lld\ncheckpoint-every = %lld\n",
             (long long)o->memory_mb, (long long)o->checkpoint_every);
    const dip_run_request request = {o->name, identity, notes, o->resume, o->force};
    dip_status status =
        identity ? dip_run_open(&t->run, dip_archive_path(archive), &request) : DIP_ENOMEM;
    dip_free(identity);
    return status;
}

static dip_status prepare_data(dip_session *t)
{
    dip_dataset *d = t->dataset;
    dip_status status = t->options->statistics == DIP_STATISTICS_MEASURE
                            ? dip_dataset_measure(d, t->listener->progress)
                            : dip_dataset_check_statistics(d);
    if (!status) status = dip_init_normalise(t->init, d);
    if (!status)
        status = dip_tile_cache_create(&t->cache, d, (size_t)t->options->memory_mb * 1000000);
    if (!status) status = dip_tile_cache_fill(t->cache, t->listener->progress);
    if (!status)
        dip_note(t->listener, "%zu training pairs, %zu held out (%s), %zu tiles in memory",
                 d->train_count, d->held_count, d->held_note, dip_tile_cache_count(t->cache));
    for (uint32_t m = 0; !status && m < d->modality_count; m++) {
        char line[400];
        if (!dip_init_has(t->init, m)) continue;
        dip_init_describe(t->init, m, line, sizeof line);
        dip_note(t->listener, "%s %s", d->modality[m].name, line);
    }
    return status;
}

static dip_status make_specs(dip_session *t)
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

/* Whether the optimiser leaves a tensor alone. */
static bool is_frozen(const dip_session *t, const dip_tensor *tensor)
{
    const bool head = tensor->kind == DIP_TENSOR_LINEAR || tensor->kind == DIP_TENSOR_LINEAR_BIAS;
    return t->options->freeze && !head && dip_init_has(t->init, tensor->owner);
}

static bool decays(dip_tensor_kind kind)
{
    return kind == DIP_TENSOR_CONV || kind == DIP_TENSOR_LINEAR;
}

static dip_status make_optimiser(dip_session *t)
{
    size_t n = 0, tensors = dip_net_tensor_count(t->net);
    dip_adamw settings = dip_train_adamw(t->options);
    dip_segment *segments = dip_alloc(tensors * sizeof *segments);
    if (!segments) return DIP_ENOMEM;
    for (size_t i = 0; i < tensors; i++) {
        const dip_tensor *tensor = dip_net_tensor(t->net, i);
        if (tensor->param_offset == SIZE_MAX || is_frozen(t, tensor)) continue;
        segments[n++] =
            (dip_segment){tensor->param_offset, tensor->param_count, decays(tensor->kind)};
    }
    dip_status status =
        dip_optimiser_create(&t->optimiser, &settings, segments, n, dip_net_param_count(t->net));
    dip_free(segments);
    return status;
}

static dip_status make_outputs(dip_session *t)
{
    const size_t batch = (size_t)t->options->batch;
    size_t dim[DIP_OUTPUTS];
    for (int p = 0; p < DIP_OUTPUTS; p++) {
        dim[p] = dip_net_spec_dim(&t->spec, (dip_output)p);
        for (int m = 0; m < 2 && dim[p]; m++) {
            t->outputs.value[m][p] = dip_alloc(batch * dim[p] * sizeof(float));
            t->outputs.gradient[m][p] = dip_alloc(batch * dim[p] * sizeof(float));
            if (!t->outputs.value[m][p] || !t->outputs.gradient[m][p]) return DIP_ENOMEM;
        }
    }
    return dip_objective_create(&t->objective, t->options, t->spec.modality_count, dim);
}

static dip_status make_loader(dip_session *t)
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

static uint64_t count_parameters(const dip_net *net)
{
    uint64_t n = 0;
    for (size_t i = 0; i < dip_net_tensor_count(net); i++)
        if (dip_net_tensor(net, i)->param_offset != SIZE_MAX) n += dip_net_tensor(net, i)->count;
    return n;
}

static dip_status make_learner(dip_session *t)
{
    dip_embed_spec embedding = dip_train_embedding(t->options);
    dip_status status = dip_net_create(&t->net, &t->spec, (size_t)t->options->batch, DIP_NET_TRAIN);
    if (!status) t->result->parameters = count_parameters(t->net);
    for (uint32_t m = 0; !status && t->options->freeze && m < t->spec.modality_count; m++)
        if (dip_init_has(t->init, m)) dip_net_freeze(t->net, m);
    if (!status) status = make_optimiser(t);
    if (!status && t->options->average > 0) status = dip_average_create(&t->average, t->net);
    if (!status) status = make_outputs(t);
    if (!status)
        status =
            dip_evaluator_create(&t->evaluator, t->dataset, t->cache, &t->model_spec, &embedding);
    return status ? status : make_loader(t);
}

dip_checkpoint dip_session_checkpoint(dip_session *t)
{
    return (dip_checkpoint){.net = t->net,
                            .optimiser = t->optimiser,
                            .average = t->average,
                            .queue = dip_objective_queue(t->objective),
                            .identity = t->run.identity};
}

/* Weights from a checkpoint or, without one, from the seed and the files of --init. */
static dip_status begin_weights(dip_session *t)
{
    dip_checkpoint checkpoint = dip_session_checkpoint(t);
    bool found = false;
    t->cursor = (dip_cursor){.best = {-1, -1}};
    dip_status status = dip_checkpoint_read(t->run.folder, &checkpoint, &t->cursor, &found);
    if (status) return status;
    t->result->resumed_from = t->cursor.total;
    if (found) {
        dip_note(t->listener, "continuing run '%s' at epoch %llu, step %llu", t->run.id,
                 (unsigned long long)t->cursor.epoch + 1, (unsigned long long)t->cursor.step);
        return DIP_OK;
    }
    dip_rng rng;
    dip_rng_init(&rng, (uint64_t)t->options->seed ^ init_tag, 0);
    dip_net_init(t->net, &rng, t->options->zero_last);
    status = dip_init_load(t->init, t->net);
    if (status) return status;
    dip_net_refresh(t->net);
    if (t->average) dip_average_reset(t->average);
    return DIP_OK;
}

static dip_status open_journal(dip_session *t)
{
    dip_status status = dip_journal_open(&t->journal, &t->run, t->cursor.total);
    if (!status && !t->cursor.total) status = dip_tell_data(t);
    return status ? status : dip_tell_start(t);
}

/* ---- life ---- */

void dip_session_fini(dip_session *t)
{
    dip_loader_destroy(t->loader);
    dip_evaluator_destroy(t->evaluator);
    dip_objective_destroy(t->objective);
    dip_average_destroy(t->average);
    dip_optimiser_destroy(t->optimiser);
    dip_net_destroy(t->net);
    dip_tile_cache_destroy(t->cache);
    dip_dataset_close(t->dataset);
    dip_init_close(t->init);
    dip_journal_close(&t->journal);
    dip_run_fini(&t->run);
    for (int m = 0; m < 2; m++) {
        for (int p = 0; p < DIP_OUTPUTS; p++) {
            dip_free(t->outputs.value[m][p]);
            dip_free(t->outputs.gradient[m][p]);
        }
    }
}

dip_status dip_session_init(dip_session *t, const dip_archive *archive)
{
    dip_status status = dip_train_options_check(t->options);
    if (!status) status = open_data(t, archive);
    if (!status) status = check_asked(t);
    t->settled = *t->options;
    t->options = &t->settled;
    if (!status) status = dip_init_open(&t->init, t->dataset, &t->settled);
    if (!status) status = open_run(t, archive);
    if (status) return status;
    snprintf(t->result->model, sizeof t->result->model, "%s", t->run.id);
    t->result->already = t->run.state == DIP_RUN_FINISHED;
    if (t->result->already) return DIP_OK;
    status = prepare_data(t);
    if (!status) status = make_specs(t);
    if (!status) status = make_learner(t);
    if (!status) status = begin_weights(t);
    return status ? status : open_journal(t);
}

/* ---- speed ---- */

double dip_session_pairs_per_second(const dip_session *t)
{
    double elapsed = dip_seconds() - t->began;
    double steps = (double)(t->cursor.total - t->began_at);
    return elapsed > 0 ? steps * (double)t->outputs.n / elapsed : 0;
}

void dip_session_lap(dip_session *t)
{
    t->lap = (dip_lap){dip_seconds(), dip_loader_waited(t->loader), 0};
}
