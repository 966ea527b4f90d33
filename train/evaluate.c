/* Evaluation while training; see evaluate.h. Tiles go through the net in chunks, prepared by the pool. */
#include "train/evaluate.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/status.h"
#include "encoder/model.h"
#include "train/augment.h"

#include <string.h>

enum { CHUNK = 64 };

struct dip_evaluator {
    const dip_dataset *dataset;
    const dip_tile_cache *cache;
    dip_net *net;
    dip_embedding *embedding;
    float *inputs;  /* (CHUNK, px, px, widest) */
    float *scratch; /* one input a thread of the pool */
    size_t scratch_size;
    dip_image *images; /* one a thread */
    unsigned threads;
    bool diverged;
};

dip_net *dip_evaluator_net(dip_evaluator *evaluator) { return evaluator->net; }
dip_embedding *dip_evaluator_embedding(dip_evaluator *evaluator) { return evaluator->embedding; }
bool dip_evaluator_diverged(const dip_evaluator *evaluator) { return evaluator->diverged; }

static size_t input_size(const dip_evaluator *e, uint32_t modality)
{
    size_t px = dip_net_get_spec(e->net)->input_px;
    return px * px * e->dataset->modality[modality].band_count;
}

static dip_status make_buffers(dip_evaluator *e)
{
    size_t widest = 0;
    for (uint32_t m = 0; m < e->dataset->modality_count; m++)
        if (input_size(e, m) > widest) widest = input_size(e, m);
    e->threads = dip_threads();
    e->scratch_size = widest;
    e->inputs = dip_alloc_aligned(CHUNK * widest * sizeof(float));
    e->scratch = dip_alloc_aligned(e->threads * widest * sizeof(float));
    e->images = dip_calloc(e->threads, sizeof *e->images);
    return e->inputs && e->scratch && e->images ? DIP_OK : DIP_ENOMEM;
}

dip_status dip_evaluator_create(dip_evaluator **out, const dip_dataset *dataset,
                                const dip_tile_cache *cache, const dip_net_spec *spec,
                                const dip_embed_spec *embedding)
{
    dip_evaluator *e = dip_calloc(1, sizeof *e);
    if (!e) return DIP_ENOMEM;
    e->dataset = dataset;
    e->cache = cache;
    dip_status status = dip_net_create(&e->net, spec, CHUNK, DIP_NET_INFER);
    if (!status) status = dip_embedding_create(&e->embedding, embedding, spec);
    if (!status) status = make_buffers(e);
    if (status) {
        dip_evaluator_destroy(e);
        return status;
    }
    *out = e;
    return DIP_OK;
}

void dip_evaluator_destroy(dip_evaluator *e)
{
    if (!e) return;
    for (unsigned i = 0; e->images && i < e->threads; i++) dip_image_fini(&e->images[i]);
    dip_free(e->images);
    dip_free_aligned(e->inputs);
    dip_free_aligned(e->scratch);
    dip_embedding_destroy(e->embedding);
    dip_net_destroy(e->net);
    dip_free(e);
}

/* ---- inputs ---- */

typedef struct input_job {
    dip_evaluator *evaluator;
    const uint32_t *tiles;
    uint32_t modality;
} input_job;

static dip_status input_task(void *context, size_t task, unsigned worker)
{
    const input_job *job = context;
    dip_evaluator *e = job->evaluator;
    const dip_view whole = dip_view_whole();
    dip_image *image = &e->images[worker];
    dip_status status = dip_tile_cache_get(e->cache, job->tiles[task], image);
    if (status) return status;
    return dip_view_cut(&whole, image->values, image->width, image->height,
                        e->dataset->modality[job->modality].band_count,
                        dip_net_get_spec(e->net)->input_px, e->scratch + worker * e->scratch_size,
                        e->inputs + task * input_size(e, job->modality));
}

static dip_status make_inputs(dip_evaluator *e, uint32_t modality, const uint32_t *tiles, size_t n)
{
    input_job job = {e, tiles, modality};
    return dip_parallel_for(n, input_task, &job);
}

/* ---- fitting ---- */

/* Up to `wanted` training tiles of a modality, spread evenly. */
static size_t sample(const dip_dataset *d, uint32_t modality, size_t wanted, uint32_t *out)
{
    size_t n = 0, taken = 0, seen = 0;
    for (size_t i = 0; i < d->train_count; i++)
        n += d->train[i].modality[0] == modality || d->train[i].modality[1] == modality;
    if (wanted > n) wanted = n;
    for (size_t i = 0; i < d->train_count && taken < wanted; i++) {
        const dip_pair *pair = &d->train[i];
        if (pair->modality[0] != modality && pair->modality[1] != modality) continue;
        if (seen++ * wanted / n == taken)
            out[taken++] = pair->first[pair->modality[0] == modality ? 0 : 1];
    }
    return taken;
}

static dip_status run_sample(dip_evaluator *e, uint32_t modality, const uint32_t *tiles, size_t n,
                             float *const outputs[DIP_OUTPUTS])
{
    dip_status status = DIP_OK;
    for (size_t at = 0; !status && at < n; at += CHUNK) {
        const size_t count = n - at < CHUNK ? n - at : CHUNK;
        float *rows[DIP_OUTPUTS];
        for (int p = 0; p < DIP_OUTPUTS; p++)
            rows[p] = outputs[p] + at * dip_embedding_part_dim(e->embedding, p);
        status = make_inputs(e, modality, tiles + at, count);
        if (!status) status = dip_net_forward(e->net, modality, e->inputs, count, rows);
    }
    return status;
}

static dip_status fit_modality(dip_evaluator *e, uint32_t modality, uint32_t *tiles, size_t wanted)
{
    const size_t n = sample(e->dataset, modality, wanted, tiles);
    float *outputs[DIP_OUTPUTS];
    dip_status status = DIP_OK;
    for (int p = 0; p < DIP_OUTPUTS; p++) {
        outputs[p] = dip_alloc(n * dip_embedding_part_dim(e->embedding, p) * sizeof(float));
        if (!outputs[p]) status = DIP_ENOMEM;
    }
    if (!status) status = run_sample(e, modality, tiles, n, outputs);
    if (!status) dip_embedding_fit(e->embedding, modality, outputs, n);
    for (int p = 0; p < DIP_OUTPUTS; p++) dip_free(outputs[p]);
    return status;
}

dip_status dip_evaluator_take(dip_evaluator *e, const dip_net *net, size_t tiles)
{
    dip_status status = dip_net_copy(e->net, net);
    if (status || !dip_embedding_needs_fit(e->embedding)) return status;
    uint32_t *list = dip_alloc(tiles * sizeof *list);
    if (!list) return DIP_ENOMEM;
    for (uint32_t m = 0; !status && m < e->dataset->modality_count; m++)
        status = fit_modality(e, m, list, tiles);
    dip_free(list);
    return status;
}

/* ---- held-out pairs ---- */

static dip_status encode(void *context, uint32_t modality, const uint32_t *tiles, size_t n,
                         float *out)
{
    dip_evaluator *e = context;
    size_t dim = dip_embedding_dim(e->embedding);
    dip_status status = DIP_OK;
    for (size_t at = 0; !status && at < n; at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK;
        status = make_inputs(e, modality, tiles + at, count);
        if (status) break;
        status =
            dip_embedding_encode(e->embedding, e->net, modality, e->inputs, count, out + at * dim);
        e->diverged = status == DIP_EINVAL;
    }
    return status;
}

dip_held_source dip_evaluator_source(dip_evaluator *e)
{
    return (dip_held_source){e->dataset, dip_embedding_dim(e->embedding), encode, e};
}
