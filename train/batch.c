/*
 * The loader; see batch.h. A few slots go round, one more than there are background threads: batch i is made in slot
 * i % slots, by whichever thread comes for it, while the trainer uses an earlier one. Who comes takes the next batch's
 * list of pairs under the lock, so there is one plan, of the epoch that the last batch begun belongs to. The threads do
 * not touch the pool, which belongs to the step.
 */
#define _GNU_SOURCE
#include "train/batch.h"

#include "core/clock.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "core/status.h"
#include "train/plan.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_THREADS = 8, POOL_SHARE = 4 };

static const uint64_t pair_tag = 0x70616972; /* a stream of its own */

typedef struct slot {
    dip_train_batch batch;
    uint64_t epoch;
    bool done;         /* under the lock: made, or failed */
    dip_status status; /* why it could not be made */
    char *line;
} slot;

typedef struct worker {
    dip_loader *loader;
    pthread_t thread;
    dip_image image;
    float *scratch;
} worker;

struct dip_loader {
    const dip_dataset *dataset;
    const dip_tile_cache *cache;
    dip_loader_options options;
    worker workers[MOST_THREADS];
    slot slots[MOST_THREADS + 1];
    size_t worker_count, slot_count, running;
    double waited;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under the lock */
    dip_plan plan;
    uint64_t epoch, step;    /* of the next batch to begin */
    uint64_t claimed, taken; /* batches begun and given back */
    bool in_use;             /* the caller works on batch `taken` */
    bool stop;
};

/* ---- one batch ---- */

static dip_status make_input(worker *w, const dip_pair *pair, int side, const dip_view *view,
                             uint64_t seed, float *out)
{
    const dip_loader *loader = w->loader;
    const dip_modality *modality = &loader->dataset->modality[pair->modality[side]];
    uint32_t px = loader->options.input_px;
    dip_rng rng;
    dip_rng_init(&rng, seed, (uint64_t)side);
    uint32_t tile = pair->first[side] + dip_rng_below(&rng, pair->count[side]);
    dip_status status = dip_tile_cache_get(loader->cache, tile, &w->image);
    if (!status)
        status = dip_view_cut(view, w->image.values, w->image.width, w->image.height,
                              modality->band_count, px, w->scratch, out);
    if (!status) dip_augment_values(&loader->options.augment, modality, px, &rng, out);
    return status;
}

static dip_status make_pair(worker *w, uint64_t epoch, uint32_t position, size_t row,
                            dip_train_batch *batch)
{
    const dip_loader *loader = w->loader;
    const dip_pair *pair = &loader->dataset->train[position];
    size_t pixels = (size_t)loader->options.input_px * loader->options.input_px;
    dip_rng rng;
    dip_rng_init(&rng, loader->options.seed ^ pair_tag, epoch << 32 | position);
    uint64_t seed = dip_rng_u64(&rng);
    dip_view first = dip_view_draw(&loader->options.augment, &rng);
    dip_view second = dip_view_draw(&loader->options.augment, &rng);
    dip_status status = DIP_OK;
    for (int side = 0; side < 2 && !status; side++) {
        size_t size = pixels * loader->dataset->modality[pair->modality[side]].band_count;
        const dip_view *view = side && loader->options.independent ? &second : &first;
        status = make_input(w, pair, side, view, seed, batch->input[side] + row * size);
    }
    return status;
}

static dip_status make_batch(worker *w, slot *to)
{
    dip_status status = DIP_OK;
    for (size_t i = 0; !status && i < to->batch.n; i++)
        status = make_pair(w, to->epoch, to->batch.pair[i], i, &to->batch);
    return status;
}

/* ---- the threads ---- */

/* With the lock held: writes down which pairs the next batch is of, and moves on. */
static void begin_batch(dip_loader *loader, slot *to)
{
    dip_plan *p = &loader->plan;
    if (loader->step == p->steps) {
        loader->step = 0;
        dip_plan_shuffle(p, loader->dataset, loader->options.seed, ++loader->epoch);
    }
    uint32_t batch = p->turn[loader->step++];
    const uint32_t *order = p->order + p->start[batch];
    to->epoch = loader->epoch;
    to->done = false;
    to->batch.n = p->length[batch];
    memcpy(to->batch.pair, order, to->batch.n * sizeof *order);
    memcpy(to->batch.modality, loader->dataset->train[order[0]].modality,
           sizeof to->batch.modality);
}

/* Waits for a free slot; NULL: stop. */
static slot *claim(dip_loader *loader)
{
    slot *free_slot = NULL;
    pthread_mutex_lock(&loader->lock);
    while (!loader->stop && loader->claimed - loader->taken >= loader->slot_count)
        pthread_cond_wait(&loader->changed, &loader->lock);
    if (!loader->stop) {
        free_slot = &loader->slots[loader->claimed++ % loader->slot_count];
        begin_batch(loader, free_slot);
    }
    pthread_mutex_unlock(&loader->lock);
    return free_slot;
}

static void hand_over(dip_loader *loader, slot *made, dip_status status)
{
    pthread_mutex_lock(&loader->lock);
    made->done = true;
    made->status = status;
    if (status) made->line = dip_strdup(dip_last_error());
    pthread_cond_broadcast(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
}

/* Ends after a failure: no later batch is asked for. */
static void *work(void *context)
{
    worker *w = context;
    dip_status status = DIP_OK;
    while (!status) {
        slot *to = claim(w->loader);
        if (!to) break;
        status = make_batch(w, to);
        hand_over(w->loader, to, status);
    }
    return NULL;
}

/* ---- life ---- */

static dip_status make_slots(dip_loader *loader)
{
    size_t px = loader->options.input_px, widest = 0;
    for (uint32_t m = 0; m < loader->dataset->modality_count; m++)
        if (loader->dataset->modality[m].band_count > widest)
            widest = loader->dataset->modality[m].band_count;
    size_t bytes = px * px * widest * sizeof(float);
    for (size_t i = 0; i < loader->worker_count; i++) {
        loader->workers[i].loader = loader;
        loader->workers[i].scratch = dip_alloc_aligned(bytes);
        if (!loader->workers[i].scratch) return DIP_ENOMEM;
    }
    for (size_t i = 0; i < loader->slot_count; i++) {
        dip_train_batch *batch = &loader->slots[i].batch;
        batch->pair = dip_alloc(loader->options.batch * sizeof *batch->pair);
        if (!batch->pair) return DIP_ENOMEM;
        for (int side = 0; side < 2; side++) {
            batch->input[side] = dip_alloc_aligned(loader->options.batch * bytes);
            if (!batch->input[side]) return DIP_ENOMEM;
        }
    }
    return DIP_OK;
}

static size_t choose_threads(size_t wanted)
{
    size_t n = wanted ? wanted : dip_threads() / POOL_SHARE;
    return n < 1 ? 1 : n > MOST_THREADS ? MOST_THREADS : n;
}

dip_status dip_loader_create(dip_loader **out, const dip_dataset *dataset,
                             const dip_tile_cache *cache, const dip_loader_options *options)
{
    dip_loader *loader = dip_calloc(1, sizeof *loader);
    if (!loader) return DIP_ENOMEM;
    loader->dataset = dataset;
    loader->cache = cache;
    loader->options = *options;
    loader->worker_count = choose_threads(options->threads);
    loader->slot_count = loader->worker_count + 1;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->changed, NULL);
    dip_status status = dip_plan_make(&loader->plan, dataset, options->batch);
    if (!status) status = make_slots(loader);
    if (status) {
        dip_loader_destroy(loader);
        return status;
    }
    *out = loader;
    return DIP_OK;
}

static void stop_threads(dip_loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    loader->stop = true;
    pthread_cond_broadcast(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
    while (loader->running) pthread_join(loader->workers[--loader->running].thread, NULL);
    loader->stop = false;
}

static void forget_batches(dip_loader *loader)
{
    for (size_t i = 0; i < loader->slot_count; i++) {
        dip_free(loader->slots[i].line);
        loader->slots[i].line = NULL;
        loader->slots[i].done = false;
    }
    loader->claimed = loader->taken = 0;
    loader->in_use = false;
    loader->waited = 0;
}

void dip_loader_destroy(dip_loader *loader)
{
    if (!loader) return;
    stop_threads(loader);
    forget_batches(loader);
    pthread_mutex_destroy(&loader->lock);
    pthread_cond_destroy(&loader->changed);
    for (size_t i = 0; i < loader->slot_count; i++) {
        dip_train_batch *batch = &loader->slots[i].batch;
        for (int side = 0; side < 2; side++) dip_free_aligned(batch->input[side]);
        dip_free(batch->pair);
    }
    for (size_t i = 0; i < loader->worker_count; i++) {
        dip_free_aligned(loader->workers[i].scratch);
        dip_image_fini(&loader->workers[i].image);
    }
    dip_plan_fini(&loader->plan);
    dip_free(loader);
}

uint64_t dip_loader_steps(const dip_loader *loader) { return loader->plan.steps; }
double dip_loader_waited(const dip_loader *loader) { return loader->waited; }

/* Fewer threads than wanted are no failure, none is. */
dip_status dip_loader_start(dip_loader *loader, uint64_t epoch, uint64_t step)
{
    stop_threads(loader);
    forget_batches(loader);
    loader->epoch = epoch;
    loader->step = step;
    dip_plan_shuffle(&loader->plan, loader->dataset, loader->options.seed, epoch);
    for (size_t i = 0; i < loader->worker_count; i++) {
        if (pthread_create(&loader->workers[i].thread, NULL, work, &loader->workers[i])) break;
        loader->running++;
    }
    if (loader->running) return DIP_OK;
    return dip_fail(DIP_ENOMEM, "cannot start the thread that reads training tiles");
}

dip_status dip_loader_next(dip_loader *loader, const dip_train_batch **batch)
{
    double began = dip_seconds();
    pthread_mutex_lock(&loader->lock);
    if (loader->in_use) loader->taken++;
    pthread_cond_broadcast(&loader->changed);
    const slot *next = &loader->slots[loader->taken % loader->slot_count];
    while (loader->claimed <= loader->taken || !next->done)
        pthread_cond_wait(&loader->changed, &loader->lock);
    loader->in_use = !next->status;
    pthread_mutex_unlock(&loader->lock);
    loader->waited += dip_seconds() - began;
    if (next->status)
        return dip_fail(next->status, "%s", next->line ? next->line : "out of memory");
    *batch = &next->batch;
    return DIP_OK;
}
