/* Simulated embeddings; see latent.h. */
#include "bench/latent.h"

#include "core/mem.h"
#include "core/rng.h"
#include "encoder/kernel.h"

#include <math.h>

enum {
    LATENT = 32,
    HIDDEN = 256,
    SCENES = 6000,
    FAMILIES = 150,
    MIRRORS = 3, /* reflections that turn the axes of the output */
    BLOCK = BENCH_LATENT_BLOCK,
};

/* Weights are (in, out); rows of `padded` columns where out is dim. */
typedef struct mapping {
    float first[LATENT * HIDDEN], *second, *direct, *offset, spread;
} mapping;

struct bench_latent {
    uint64_t seed;
    size_t dim, padded;
    float centre[SCENES][LATENT], width[SCENES];
    double share[SCENES]; /* running sum */
    mapping modality[2];
};

/* ---- model ---- */

static float normal(dip_rng *rng) { return (float)dip_rng_normal(rng); }

static void make_scenes(bench_latent *m, dip_rng *rng)
{
    static const double falling = 0.7; /* frequency of the k-th scene: (k + 20)^-0.7 */
    float families[FAMILIES][LATENT];
    for (size_t f = 0; f < FAMILIES; f++)
        for (size_t j = 0; j < LATENT; j++) families[f][j] = normal(rng);
    double sum = 0;
    for (size_t s = 0; s < SCENES; s++) {
        const float *family = families[dip_rng_below(rng, FAMILIES)];
        for (size_t j = 0; j < LATENT; j++)
            m->centre[s][j] = family[j] + 0.55f * normal(rng) / (1 + 0.08f * (float)j);
        m->width[s] = (float)dip_rng_range(rng, 0.25, 0.6);
        m->share[s] = sum += pow((double)s + 20, -falling);
    }
    for (size_t s = 0; s < SCENES; s++) m->share[s] /= sum;
}

/* Directions of the output matter less and less: their spectrum falls as that of learnt embeddings. */
static float scale_of(size_t direction) { return powf(1 + (float)direction, -0.25f); }

static void draw(const bench_latent *m, dip_rng *rng, mapping *to)
{
    for (size_t i = 0; i < LATENT * HIDDEN; i++) to->first[i] = 1.3f * normal(rng) / sqrtf(LATENT);
    for (size_t d = 0; d < m->dim; d++) {
        for (size_t h = 0; h < HIDDEN; h++)
            to->second[h * m->padded + d] = scale_of(d) * normal(rng) / sqrtf(HIDDEN);
        for (size_t j = 0; j < LATENT; j++)
            to->direct[j * m->padded + d] = 0.5f * scale_of(d) * normal(rng) / sqrtf(LATENT);
        to->offset[d] = 0.35f * scale_of(d) * normal(rng);
    }
}

/* The part of `base` that both modalities share; the rest is the other one's own. */
static void blend(const float *base, float *own, size_t n)
{
    for (size_t i = 0; i < n; i++) own[i] = 0.9f * base[i] + 0.43f * own[i];
}

static void mirror_row(float *row, const float *axis, size_t dim)
{
    float along = 0;
    for (size_t d = 0; d < dim; d++) along += row[d] * axis[d];
    for (size_t d = 0; d < dim; d++) row[d] -= 2 * along * axis[d];
}

static void mirror(const bench_latent *m, const float *axis, mapping *to)
{
    for (size_t h = 0; h < HIDDEN; h++) mirror_row(to->second + h * m->padded, axis, m->dim);
    for (size_t j = 0; j < LATENT; j++) mirror_row(to->direct + j * m->padded, axis, m->dim);
    mirror_row(to->offset, axis, m->dim);
}

static void make_mappings(bench_latent *m, dip_rng *rng, float *axis)
{
    mapping *base = &m->modality[0], *other = &m->modality[1];
    draw(m, rng, base);
    draw(m, rng, other);
    blend(base->first, other->first, LATENT * HIDDEN);
    blend(base->second, other->second, HIDDEN * m->padded);
    blend(base->direct, other->direct, LATENT * m->padded);
    for (size_t d = 0; d < m->dim; d++) base->offset[d] = 0;
    base->spread = 1;
    other->spread = 0.6f;
    for (size_t i = 0; i < MIRRORS; i++) {
        float length = 0;
        for (size_t d = 0; d < m->dim; d++) axis[d] = normal(rng);
        for (size_t d = 0; d < m->dim; d++) length += axis[d] * axis[d];
        for (size_t d = 0; d < m->dim; d++) axis[d] /= sqrtf(length);
        mirror(m, axis, base);
        mirror(m, axis, other);
    }
}

dip_status bench_latent_create(bench_latent **out, size_t dim, uint64_t seed)
{
    bench_latent *m = dip_calloc(1, sizeof *m);
    if (!m) return DIP_ENOMEM;
    m->dim = dim;
    m->seed = seed;
    m->padded = (dim + DIP_BLOCK - 1) / DIP_BLOCK * DIP_BLOCK;
    float *axis = dip_alloc(dim * sizeof *axis);
    bool there = axis != NULL;
    for (size_t i = 0; i < 2; i++) {
        mapping *to = &m->modality[i];
        to->second = dip_calloc(HIDDEN * m->padded, sizeof(float));
        to->direct = dip_calloc(LATENT * m->padded, sizeof(float));
        to->offset = dip_calloc(m->padded, sizeof(float));
        there = there && to->second && to->direct && to->offset;
    }
    if (there) {
        dip_rng rng;
        dip_rng_init(&rng, seed, 0);
        make_scenes(m, &rng);
        make_mappings(m, &rng, axis);
        *out = m;
        m = NULL;
    }
    bench_latent_destroy(m);
    dip_free(axis);
    return there ? DIP_OK : DIP_ENOMEM;
}

void bench_latent_destroy(bench_latent *m)
{
    for (size_t i = 0; m && i < 2; i++) {
        dip_free(m->modality[i].second);
        dip_free(m->modality[i].direct);
        dip_free(m->modality[i].offset);
    }
    dip_free(m);
}

/* ---- vectors ---- */

static size_t scene_of(const bench_latent *m, double at)
{
    size_t low = 0, high = SCENES - 1;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (m->share[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void draw_places(const bench_latent *m, const mapping *by, dip_rng *rng, float *places)
{
    for (size_t i = 0; i < BLOCK; i++, places += LATENT) {
        const size_t scene = scene_of(m, dip_rng_uniform(rng));
        for (size_t j = 0; j < LATENT; j++)
            places[j] = m->centre[scene][j] +
                        by->spread * m->width[scene] * normal(rng) / (1 + 0.1f * (float)j);
    }
}

/* Even noise of standard deviation 0.03, four values from a draw; then unit length. */
static void finish(const bench_latent *m, const mapping *by, dip_rng *rng, const float *rows,
                   float *vectors)
{
    const float step = 0.03f * sqrtf(12) / 65536;
    for (size_t i = 0; i < BLOCK; i++, rows += m->padded, vectors += m->dim) {
        uint64_t bits = 0;
        float squares[8] = {0};
        for (size_t d = 0; d < m->dim; d++, bits >>= 16) {
            if (d % 4 == 0) bits = dip_rng_u64(rng);
            vectors[d] = rows[d] + by->offset[d] + step * ((float)(bits & 0xffff) - 32767.5f);
            squares[d % 8] += vectors[d] * vectors[d];
        }
        float square = 0;
        for (size_t j = 0; j < 8; j++) square += squares[j];
        const float share = 1 / sqrtf(square);
        for (size_t d = 0; d < m->dim; d++) vectors[d] *= share;
    }
}

/* c (BLOCK, n) (+)= a (BLOCK, k) * b (k, n) */
static void multiply(const float *a, size_t k, const float *b, size_t n, float *c, bool accumulate)
{
    const dip_matmul product = {.m = BLOCK,
                                .n = n,
                                .k = k,
                                .a = a,
                                .a_row = k,
                                .a_column = 1,
                                .b = b,
                                .b_row = n,
                                .c = c,
                                .c_row = n,
                                .accumulate = accumulate};
    dip_kernel_get()->loops->matmul(&product);
}

size_t bench_latent_scratch(const bench_latent *m) { return BLOCK * (LATENT + HIDDEN + m->padded); }

void bench_latent_block(const bench_latent *m, bench_latent_set set, uint64_t block, float *scratch,
                        float *vectors)
{
    const mapping *by = &m->modality[set == BENCH_LATENT_OTHER];
    float *places = scratch, *hidden = places + BLOCK * LATENT, *rows = hidden + BLOCK * HIDDEN;
    dip_rng rng;
    dip_rng_init(&rng, m->seed, ((uint64_t)set + 1) << 48 | block);
    draw_places(m, by, &rng, places);
    multiply(places, LATENT, by->first, HIDDEN, hidden, false);
    for (size_t i = 0; i < BLOCK * HIDDEN; i++) hidden[i] /= 1 + fabsf(hidden[i]);
    multiply(hidden, HIDDEN, by->second, m->padded, rows, false);
    multiply(places, LATENT, by->direct, m->padded, rows, true);
    finish(m, by, &rng, rows, vectors);
}
