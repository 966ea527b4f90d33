/*
 * Reading ahead; see tile_reader.h. Tile i goes to slot i % DIP_READ_AHEAD once the tile that was there is given back.
 * The threads do not touch the pool, which belongs to the encoder: while one of its regions is short of work, they have
 * the processor.
 */
#define _GNU_SOURCE
#include "train/tile_reader.h"

#include "core/clock.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "core/status.h"

#include <pthread.h>
#include <stdbool.h>

enum { MAX_READERS = 32 };

struct dip_tile_reader {
    dip_archive *archive;
    const uint64_t *ids;
    size_t n;
    pthread_t threads[MAX_READERS];
    unsigned thread_count;
    double wait;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under the lock */
    dip_read_tile slots[DIP_READ_AHEAD];
    bool ready[DIP_READ_AHEAD];
    size_t begun, given, returned; /* tiles: taken on, asked for, given back */
    size_t bytes;                  /* of the tiles in slots */
    bool stop;
    double work;
};

static dip_read_tile read_tile(const dip_tile_reader *reader, uint64_t id)
{
    dip_read_tile read = {.id = id};
    read.status = dip_archive_tile(reader->archive, id, &read.tile);
    if (!read.status) return read;
    read.tile = NULL;
    read.line = dip_strdup(dip_last_error());
    return read;
}

static size_t bytes_of(const dip_tile *tile)
{
    size_t bytes = 0;
    for (uint32_t i = 0; tile && i < tile->plane_count; i++)
        bytes += (size_t)tile->planes[i].width * tile->planes[i].height *
                 dip_dtype_size(tile->planes[i].dtype);
    return bytes;
}

/* With the lock held. What is asked for is read in any case. */
static bool may_begin(const dip_tile_reader *r)
{
    if (r->begun < r->given) return true;
    return r->begun < r->returned + DIP_READ_AHEAD && r->bytes < DIP_READ_AHEAD_BYTES;
}

static void clear_slot(dip_read_tile *slot)
{
    dip_tile_free(slot->tile);
    dip_free(slot->line);
    *slot = (dip_read_tile){.id = 0};
}

static void *work(void *argument)
{
    dip_tile_reader *r = argument;
    pthread_mutex_lock(&r->lock);
    while (!r->stop && r->begun < r->n) {
        if (!may_begin(r)) {
            pthread_cond_wait(&r->changed, &r->lock);
            continue;
        }
        const size_t i = r->begun++, slot = i % DIP_READ_AHEAD;
        pthread_mutex_unlock(&r->lock);
        const double began = dip_seconds();
        const dip_read_tile read = read_tile(r, r->ids[i]);
        const double took = dip_seconds() - began;
        pthread_mutex_lock(&r->lock);
        r->slots[slot] = read;
        r->ready[slot] = true;
        r->bytes += bytes_of(read.tile);
        r->work += took;
        pthread_cond_broadcast(&r->changed);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static unsigned wanted_threads(size_t n)
{
    const unsigned threads = dip_threads() < MAX_READERS ? dip_threads() : MAX_READERS;
    return n < threads ? (unsigned)n : threads;
}

dip_status dip_tile_reader_open(dip_tile_reader **out, dip_archive *archive, const uint64_t *ids,
                                size_t n)
{
    dip_tile_reader *r = dip_calloc(1, sizeof *r);
    if (!r) return DIP_ENOMEM;
    r->archive = archive;
    r->ids = ids;
    r->n = n;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    const unsigned wanted = wanted_threads(n);
    while (r->thread_count < wanted &&
           pthread_create(&r->threads[r->thread_count], NULL, work, r) == 0)
        r->thread_count++;
    if (n && !r->thread_count) {
        dip_tile_reader_close(r);
        return dip_fail(DIP_ENOMEM, "cannot start a thread that reads tiles");
    }
    *out = r;
    return DIP_OK;
}

/* With the lock held. */
static void give_back(dip_tile_reader *r)
{
    for (; r->returned < r->given; r->returned++) {
        const size_t slot = r->returned % DIP_READ_AHEAD;
        r->bytes -= bytes_of(r->slots[slot].tile);
        clear_slot(&r->slots[slot]);
        r->ready[slot] = false;
    }
}

void dip_tile_reader_next(dip_tile_reader *r, size_t count, const dip_read_tile **tiles)
{
    const double began = dip_seconds();
    pthread_mutex_lock(&r->lock);
    give_back(r);
    const size_t first = r->given;
    r->given += count;
    pthread_cond_broadcast(&r->changed);
    for (size_t k = 0; k < count; k++) {
        const size_t slot = (first + k) % DIP_READ_AHEAD;
        while (!r->ready[slot]) pthread_cond_wait(&r->changed, &r->lock);
        tiles[k] = &r->slots[slot];
    }
    pthread_mutex_unlock(&r->lock);
    r->wait += dip_seconds() - began;
}

void dip_tile_reader_seconds(dip_tile_reader *r, double *work_seconds, double *wait)
{
    pthread_mutex_lock(&r->lock);
    *work_seconds = r->work;
    *wait = r->wait;
    pthread_mutex_unlock(&r->lock);
}

void dip_tile_reader_close(dip_tile_reader *r)
{
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    for (unsigned i = 0; i < r->thread_count; i++) pthread_join(r->threads[i], NULL);
    for (size_t i = 0; i < DIP_READ_AHEAD; i++) clear_slot(&r->slots[i]);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    dip_free(r);
}
