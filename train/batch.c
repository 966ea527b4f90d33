/*
 * The loader; see batch.h. Two slots go round: the background thread fills one while the trainer uses the other. The
 * thread does not touch the pool, which belongs to the step.
 */
#define _GNU_SOURCE
#include "train/batch.h"

#include "core/mem.h"
#include "core/status.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLOTS = 2 };

/* Separate streams for separate purposes. */
static const uint64_t order_tag = 0x6f72646572, pair_tag = 0x70616972;

/* The batches of an epoch: batch i takes pairs order[start[i]] .. order[start[i] + length[i] - 1]. */
typedef struct plan {
    uint32_t *order;  /* positions in dataset->train, combination after combination */
    uint32_t *length; /* of each batch */
    uint32_t *start;
    uint32_t *turn; /* the batch that comes at each step */
    size_t steps;
} plan;

struct dip_loader {
    const dip_dataset *dataset;
    const dip_tile_cache *cache;
    dip_loader_options options;
    plan plan;
    dip_image image; /* of the background thread */
    float *scratch;
    dip_train_batch slots[SLOTS];
    double waited;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under the lock */
    uint64_t made, taken; /* batches made and given back; slot i % SLOTS */
    bool in_use;          /* the caller works on batch `taken` */
    bool stop;
    dip_status failure;
    char *line;
    uint64_t epoch, step; /* where the thread begins */
};

/* ---- plan ---- */

static uint32_t combination(const dip_dataset *d, const dip_pair *pair)
{
    return pair->modality[0] * d->modality_count + pair->modality[1];
}

/* Puts the pairs of one combination at order[at...]; returns where the next one begins. */
static uint32_t list_combination(plan *p, const dip_dataset *d, uint32_t wanted, uint32_t at)
{
    for (uint32_t i = 0; i < d->train_count; i++)
        if (combination(d, &d->train[i]) == wanted) p->order[at++] = i;
    return at;
}

static void cut_batches(plan *p, uint32_t first, uint32_t end, size_t batch)
{
    size_t n = end - first, size = n < batch ? n : batch;
    for (size_t k = 0; size >= 2 && k < n / size; k++) {
        p->start[p->steps] = first + (uint32_t)(k * size);
        p->length[p->steps++] = (uint32_t)size;
    }
}

static dip_status plan_make(plan *p, const dip_dataset *d, size_t batch)
{
    uint32_t first = 0, combinations = d->modality_count * d->modality_count;
    p->order = dip_alloc((d->train_count + 1) * sizeof *p->order);
    p->start = dip_alloc((d->train_count + 1) * sizeof *p->start);
    p->length = dip_alloc((d->train_count + 1) * sizeof *p->length);
    p->turn = dip_alloc((d->train_count + 1) * sizeof *p->turn);
    if (!p->order || !p->start || !p->length || !p->turn) return DIP_ENOMEM;
    for (uint32_t c = 0, end; c < combinations; c++, first = end) {
        end = list_combination(p, d, c, first);
        cut_batches(p, first, end, batch);
    }
    if (!p->steps)
        return dip_fail(DIP_ENOENT, "no two places have tiles of the same two modalities");
    return DIP_OK;
}

/* Shuffles the pairs of each combination among themselves, then the batches. */
static void plan_epoch(plan *p, const dip_dataset *d, uint64_t seed, uint64_t epoch)
{
    dip_rng rng;
    dip_rng_init(&rng, seed ^ order_tag, epoch);
    uint32_t first = 0, combinations = d->modality_count * d->modality_count;
    for (uint32_t c = 0, end; c < combinations; c++, first = end) {
        end = list_combination(p, d, c, first);
        dip_rng_shuffle(&rng, p->order + first, end - first);
    }
    for (uint32_t i = 0; i < p->steps; i++) p->turn[i] = i;
    dip_rng_shuffle(&rng, p->turn, p->steps);
}

/* ---- one batch ---- */

static dip_status make_input(dip_loader *loader, const dip_pair *pair, int side,
                             const dip_view *view, uint64_t seed, float *out)
{
    const dip_modality *modality = &loader->dataset->modality[pair->modality[side]];
    uint32_t px = loader->options.input_px;
    dip_rng rng;
    dip_rng_init(&rng, seed, (uint64_t)side);
    uint32_t tile = pair->first[side] + dip_rng_below(&rng, pair->count[side]);
    dip_status status = dip_tile_cache_get(loader->cache, tile, &loader->image);
    if (!status)
        status = dip_view_cut(view, loader->image.values, loader->image.width, loader->image.height,
                              modality->band_count, px, loader->scratch, out);
    if (!status) dip_augment_values(&loader->options.augment, modality, px, &rng, out);
    return status;
}

static dip_status make_pair(dip_loader *loader, uint64_t epoch, uint32_t position, size_t row,
                            dip_train_batch *slot)
{
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
        status = make_input(loader, pair, side, view, seed, slot->input[side] + row * size);
    }
    return status;
}

static dip_status make_batch(dip_loader *loader, uint64_t epoch, uint64_t step,
                             dip_train_batch *slot)
{
    const plan *p = &loader->plan;
    uint32_t batch = p->turn[step];
    const uint32_t *order = p->order + p->start[batch];
    slot->n = p->length[batch];
    memcpy(slot->pair, order, slot->n * sizeof *order);
    memcpy(slot->modality, loader->dataset->train[order[0]].modality, sizeof slot->modality);
    dip_status status = DIP_OK;
    for (size_t i = 0; !status && i < slot->n; i++)
        status = make_pair(loader, epoch, order[i], i, slot);
    return status;
}

/* ---- the thread ---- */

/* Waits for a free slot; false: stop. */
static bool wait_for_slot(dip_loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    while (!loader->stop && loader->made - loader->taken >= SLOTS)
        pthread_cond_wait(&loader->changed, &loader->lock);
    bool go_on = !loader->stop;
    pthread_mutex_unlock(&loader->lock);
    return go_on;
}

static void hand_over(dip_loader *loader, dip_status status)
{
    pthread_mutex_lock(&loader->lock);
    if (status) {
        loader->failure = status;
        loader->line = dip_strdup(dip_last_error());
    } else {
        loader->made++;
    }
    pthread_cond_broadcast(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
}

static void *work(void *context)
{
    dip_loader *loader = context;
    uint64_t step = loader->step, slot = 0;
    dip_status status = DIP_OK;
    for (uint64_t epoch = loader->epoch; !status; epoch++, step = 0) {
        plan_epoch(&loader->plan, loader->dataset, loader->options.seed, epoch);
        for (; !status && step < loader->plan.steps; step++) {
            if (!wait_for_slot(loader)) return NULL;
            status = make_batch(loader, epoch, step, &loader->slots[slot++ % SLOTS]);
            hand_over(loader, status);
        }
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
    loader->scratch = dip_alloc_aligned(bytes);
    if (!loader->scratch) return DIP_ENOMEM;
    for (int i = 0; i < SLOTS; i++) {
        loader->slots[i].pair = dip_alloc(loader->options.batch * sizeof(uint32_t));
        if (!loader->slots[i].pair) return DIP_ENOMEM;
        for (int side = 0; side < 2; side++) {
            loader->slots[i].input[side] = dip_alloc_aligned(loader->options.batch * bytes);
            if (!loader->slots[i].input[side]) return DIP_ENOMEM;
        }
    }
    return DIP_OK;
}

dip_status dip_loader_create(dip_loader **out, const dip_dataset *dataset,
                             const dip_tile_cache *cache, const dip_loader_options *options)
{
    dip_loader *loader = dip_calloc(1, sizeof *loader);
    if (!loader) return DIP_ENOMEM;
    loader->dataset = dataset;
    loader->cache = cache;
    loader->options = *options;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->changed, NULL);
    dip_status status = plan_make(&loader->plan, dataset, options->batch);
    if (!status) status = make_slots(loader);
    if (status) {
        dip_loader_destroy(loader);
        return status;
    }
    *out = loader;
    return DIP_OK;
}

static void stop_thread(dip_loader *loader)
{
    if (!loader->running) return;
    pthread_mutex_lock(&loader->lock);
    loader->stop = true;
    pthread_cond_broadcast(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
    pthread_join(loader->thread, NULL);
    loader->running = loader->stop = false;
}

void dip_loader_destroy(dip_loader *loader)
{
    if (!loader) return;
    stop_thread(loader);
    pthread_mutex_destroy(&loader->lock);
    pthread_cond_destroy(&loader->changed);
    for (int i = 0; i < SLOTS; i++) {
        for (int side = 0; side < 2; side++) dip_free_aligned(loader->slots[i].input[side]);
        dip_free(loader->slots[i].pair);
    }
    dip_free_aligned(loader->scratch);
    dip_image_fini(&loader->image);
    dip_free(loader->plan.order);
    dip_free(loader->plan.start);
    dip_free(loader->plan.length);
    dip_free(loader->plan.turn);
    dip_free(loader->line);
    dip_free(loader);
}

uint64_t dip_loader_steps(const dip_loader *loader) { return loader->plan.steps; }
double dip_loader_waited(const dip_loader *loader) { return loader->waited; }

dip_status dip_loader_start(dip_loader *loader, uint64_t epoch, uint64_t step)
{
    stop_thread(loader);
    dip_free(loader->line);
    loader->line = NULL;
    loader->failure = DIP_OK;
    loader->made = loader->taken = 0;
    loader->in_use = false;
    loader->waited = 0;
    loader->epoch = epoch;
    loader->step = step;
    if (pthread_create(&loader->thread, NULL, work, loader))
        return dip_fail(DIP_ENOMEM, "cannot start the thread that reads training tiles");
    loader->running = true;
    return DIP_OK;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

dip_status dip_loader_next(dip_loader *loader, const dip_train_batch **batch)
{
    double began = seconds();
    pthread_mutex_lock(&loader->lock);
    if (loader->in_use) loader->taken++;
    pthread_cond_broadcast(&loader->changed);
    while (loader->made == loader->taken && !loader->failure)
        pthread_cond_wait(&loader->changed, &loader->lock);
    loader->in_use = loader->made > loader->taken;
    dip_status status = loader->in_use ? DIP_OK : loader->failure;
    pthread_mutex_unlock(&loader->lock);
    loader->waited += seconds() - began;
    if (status) return dip_fail(status, "%s", loader->line ? loader->line : "out of memory");
    *batch = &loader->slots[loader->taken % SLOTS];
    return DIP_OK;
}
