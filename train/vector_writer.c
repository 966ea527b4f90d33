/* Storing embeddings beside their making; see vector_writer.h. */
#define _GNU_SOURCE
#include "train/vector_writer.h"

#include "core/clock.h"
#include "core/mem.h"
#include "core/status.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

enum { BUFFERS = 2, LINE = 1024 };

struct dip_vector_writer {
    dip_archive *archive;
    const char *model;
    uint32_t modality;
    size_t dim;
    uint64_t *ids[BUFFERS];
    float *vectors[BUFFERS];
    unsigned filling; /* buffer */
    double wait;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under the lock; the thread stores the first `waiting` of the buffer that is not `filling` */
    size_t waiting;
    bool stop;
    uint64_t stored;
    double work;
    dip_status failure; /* of the first that failed; then no more is stored */
    char line[LINE];
};

static dip_status store(const dip_vector_writer *w, unsigned buffer, size_t n)
{
    dip_batch *batch = NULL;
    dip_status status = dip_batch_begin(&batch, w->archive);
    if (status) return status;
    status = dip_batch_add_embeddings(batch, w->model, w->modality, w->ids[buffer],
                                      w->vectors[buffer], n, w->dim);
    if (!status) return dip_batch_commit(batch);
    dip_batch_abort(batch);
    return status;
}

static void *work(void *argument)
{
    dip_vector_writer *w = argument;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->waiting && !w->stop) pthread_cond_wait(&w->changed, &w->lock);
        if (!w->waiting) break;
        const size_t n = w->waiting;
        const unsigned buffer = 1 - w->filling;
        pthread_mutex_unlock(&w->lock);
        const double began = dip_seconds();
        const dip_status status = store(w, buffer, n);
        const double took = dip_seconds() - began;
        pthread_mutex_lock(&w->lock);
        w->work += took;
        if (!status) w->stored += n;
        if (status && !w->failure) {
            w->failure = status;
            snprintf(w->line, sizeof w->line, "%s", dip_last_error());
        }
        w->waiting = 0;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

dip_status dip_vector_writer_open(dip_vector_writer **out, dip_archive *archive, const char *model,
                                  uint32_t modality, size_t dim, size_t room)
{
    dip_vector_writer *w = dip_calloc(1, sizeof *w);
    if (!w) return DIP_ENOMEM;
    w->archive = archive;
    w->model = model;
    w->modality = modality;
    w->dim = dim;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    dip_status status = DIP_OK;
    for (int i = 0; i < BUFFERS; i++) {
        w->ids[i] = dip_alloc(room * sizeof **w->ids);
        w->vectors[i] = dip_alloc_aligned(room * dim * sizeof **w->vectors);
        if (!w->ids[i] || !w->vectors[i]) status = DIP_ENOMEM;
    }
    if (!status && pthread_create(&w->thread, NULL, work, w))
        status = dip_fail(DIP_ENOMEM, "cannot start the thread that stores embeddings");
    w->running = !status;
    if (status)
        dip_vector_writer_close(w);
    else
        *out = w;
    return status;
}

void dip_vector_writer_buffer(const dip_vector_writer *w, uint64_t **ids, float **vectors)
{
    *ids = w->ids[w->filling];
    *vectors = w->vectors[w->filling];
}

/* With the lock held. */
static dip_status wait_until_stored(dip_vector_writer *w)
{
    const double began = dip_seconds();
    while (w->waiting) pthread_cond_wait(&w->changed, &w->lock);
    w->wait += dip_seconds() - began;
    return w->failure ? dip_fail(w->failure, "%s", w->line) : DIP_OK;
}

dip_status dip_vector_writer_store(dip_vector_writer *w, size_t n)
{
    pthread_mutex_lock(&w->lock);
    dip_status status = wait_until_stored(w);
    if (!status && n) {
        w->filling = 1 - w->filling;
        w->waiting = n;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
    return status;
}

dip_status dip_vector_writer_finish(dip_vector_writer *w, uint64_t *stored, double *work_seconds,
                                    double *wait)
{
    pthread_mutex_lock(&w->lock);
    dip_status status = wait_until_stored(w);
    *stored = w->stored;
    *work_seconds = w->work;
    *wait = w->wait;
    pthread_mutex_unlock(&w->lock);
    return status;
}

void dip_vector_writer_close(dip_vector_writer *w)
{
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    if (w->running) pthread_join(w->thread, NULL);
    for (int i = 0; i < BUFFERS; i++) {
        dip_free(w->ids[i]);
        dip_free_aligned(w->vectors[i]);
    }
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
    dip_free(w);
}
