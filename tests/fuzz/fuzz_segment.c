/*
 * Feeds arbitrary bytes to the native engine: opening, searching, updating, a look at everything. First the bytes are a
 * segment as they are; then they are taken for a segment without its zeros between sections, and a delta behind it, which are
 * spread out to files and get right checksums, so that what stands behind the checksums is reached.
 */
#define _GNU_SOURCE
#include "tests/fuzz/index_file.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "index/engine.h"
#include "index/segment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    HEADER = 472,
    SHAPE = 12,
    IDS = 64, /* the first and the last */
    SECTIONS = 80,
    HEADER_HASH = 464,
    CHUNK = 1 << 20, /* a section's checksum begins anew from here on; none is longer */
    MOST_DIM = 64,
};

static char folder[64];

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void remove_folder(void)
{
    static const char *const names[] = {"x.segment", "x.delta", "y.segment", "y.delta"};
    for (size_t i = 0; i < 4; i++) unlink(path_of(names[i]));
    rmdir(folder);
}

static void make_folder(void)
{
    if (folder[0]) return;
    snprintf(folder, sizeof folder, "%s/fuzz-segment-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(folder)) abort();
    dip_threads_set(1);
    atexit(remove_folder);
}

static void put(const char *name, const uint8_t *bytes, size_t size)
{
    FILE *file = fopen(path_of(name), "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) abort();
}

/* The shape that a header claims; false if the file would be large. */
static bool read_shape(const uint8_t *header, dip_segment_shape *shape)
{
    uint32_t word[11];
    uint64_t ids[2];
    memcpy(word, header + SHAPE, sizeof word);
    memcpy(ids, header + IDS, sizeof ids);
    *shape = (dip_segment_shape){.dim = word[0],
                                 .count = word[1] | (uint64_t)word[2] << 32,
                                 .lists = word[3],
                                 .groups = word[4],
                                 .code_count = word[5],
                                 .refinement = word[6],
                                 .blocks = word[7],
                                 .first_id = ids[0],
                                 .last_id = ids[1]};
    return shape->dim <= MOST_DIM && shape->lists < 1000 && shape->groups < 1000 &&
           shape->code_count < 1000 && shape->blocks < 1000 && shape->count < 40000;
}

/* Sections at their places, with their checksums; returns the header's, *used bytes of the input. */
static uint64_t spread(uint8_t *file, const uint8_t *data, size_t size, size_t *used,
                       const uint64_t *offsets, const uint64_t *bytes)
{
    size_t at = HEADER;
    memcpy(file, data, HEADER);
    for (size_t i = 0; i < DIP_SEGMENT_SECTIONS; i++) {
        size_t n = bytes[i] < size - at ? (size_t)bytes[i] : size - at;
        memcpy(file + offsets[i], data + at, n);
        at += n;
        uint64_t entry[3] = {offsets[i], bytes[i], 0};
        if (bytes[i]) entry[2] = dip_hash64_seed(file + offsets[i], (size_t)bytes[i], 0);
        memcpy(file + SECTIONS + i * sizeof entry, entry, sizeof entry);
    }
    *used = at;
    uint64_t hash = dip_hash64(file, HEADER_HASH);
    memcpy(file + HEADER_HASH, &hash, sizeof hash);
    return hash;
}

/* What is left of the input as the delta of a segment. */
static void put_delta(const uint8_t *data, size_t size, uint64_t segment_bytes, uint64_t hash)
{
    uint8_t *bytes = dip_alloc_aligned(size);
    if (!bytes) return;
    memcpy(bytes, data, size);
    memcpy(bytes + 64, &segment_bytes, sizeof segment_bytes);
    memcpy(bytes + 72, &hash, sizeof hash);
    index_file_make_right(bytes, size);
    put("x.delta", bytes, size);
    dip_free_aligned(bytes);
}

static void search(const dip_index *index, float *query, size_t dim)
{
    enum { K = 7, FIRST = 100 };
    static const dip_index_params params[] = {{0, 0, 0}, {1, 1, 0}, {UINT32_MAX, UINT32_MAX, 0}};
    static const uint64_t allow[] = {1, 10, 13, 16, 40, 43, 1000, 1 << 20};
    uint64_t hits[K];
    float scores[K];
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < dim; j++) query[j] = i ? 1 / sqrtf((float)dim) : j == 0;
        (void)dip_index_search(index, query, 1, K, &params[i], NULL, 0, hits, scores);
        (void)dip_index_search(index, query, 1, K, &params[i], allow, 8, hits, scores);
    }
    uint32_t rows[FIRST];
    float all[FIRST];
    size_t n = index->table.count < FIRST ? index->table.count : FIRST;
    for (size_t i = 0; i < n; i++) rows[i] = (uint32_t)i;
    (void)index->ops->scores(index, query, rows, n, all);
}

/* A little is a delta, much is a new segment. */
static void update(const dip_index *index, const float *query)
{
    size_t n = dip_index_count(index);
    uint64_t fresh = UINT64_C(1) << 60, *ids = dip_alloc((n + 1) * sizeof *ids);
    if (!ids) return;
    n = dip_index_ids(index, 0, n, ids);
    (void)dip_index_update(index, folder, "y", ids, n ? 1 : 0, query, &fresh, 1);
    (void)dip_index_update(index, folder, "y", ids, n / 2, query, &fresh, 1);
    dip_free(ids);
}

static void use(void)
{
    dip_index *index;
    dip_segment segment;
    if (!dip_segment_open(&segment, path_of("x.segment"))) {
        (void)dip_segment_verify(&segment, "x.segment");
        dip_segment_close(&segment);
    }
    if (dip_index_open(&index, folder, "x")) return;
    size_t dim = dip_index_dim(index);
    float *query = dip_alloc(dim * sizeof *query);
    if (query) {
        search(index, query, dim);
        update(index, query);
    }
    dip_free(query);
    dip_index_close(index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dip_segment_shape shape;
    uint64_t offsets[DIP_SEGMENT_SECTIONS], bytes[DIP_SEGMENT_SECTIONS];
    make_folder();
    unlink(path_of("x.delta"));
    put("x.segment", data, size);
    use();
    if (size < HEADER || !read_shape(data, &shape)) return 0;
    uint64_t length = dip_segment_layout(&shape, offsets, bytes);
    for (size_t i = 0; i < DIP_SEGMENT_SECTIONS; i++)
        if (bytes[i] > CHUNK) return 0;
    uint8_t *file = dip_calloc(1, (size_t)length);
    if (!file) return 0;
    size_t used;
    uint64_t hash = spread(file, data, size, &used, offsets, bytes);
    put("x.segment", file, (size_t)length);
    dip_free(file);
    use();
    if (size - used < DIP_LAYOUT_HEADER) return 0;
    put_delta(data + used, size - used, length, hash);
    use();
    return 0;
}
