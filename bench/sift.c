/*
 * Descriptors; see sift.h. A scale is the picture blurred and, for all but the first, halved. Gradients are taken once a scale.
 */
#include "bench/sift.h"

#include "core/mem.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum {
    SCALES = 3,
    BORDER = 20,   /* the farthest that a window reaches, and one more */
    REACH = 18,    /* half a window, at most */
    SIDE = 4,      /* cells */
    TURNS = 8,     /* directions of a cell */
    BINS = 36,     /* directions of a keypoint */
    TRIES = 60,    /* random pixels a wanted descriptor */
    LEAST = 150,   /* pixels of a picture's side */
    RADIUS_MAX = 8 /* of a blur */
};
static const float PI = 3.14159265f;

/* Gradients of one scale. */
typedef struct field {
    size_t width, height;
    float *dx, *dy, *strength, *angle;
    float mean; /* strength */
} field;

/* ---- scales ---- */

static size_t clamp(ptrdiff_t at, size_t size)
{
    return at < 0 ? 0 : (size_t)at >= size ? size - 1 : (size_t)at;
}

/* Along rows, or down columns. */
static void blur_lines(const float *in, float *out, const bench_picture *p, const float *weights,
                       int radius, bool down)
{
    for (size_t y = 0; y < p->height; y++)
        for (size_t x = 0; x < p->width; x++) {
            float sum = 0;
            for (int i = -radius; i <= radius; i++) {
                const size_t row = down ? clamp((ptrdiff_t)y + i, p->height) : y;
                const size_t column = down ? x : clamp((ptrdiff_t)x + i, p->width);
                sum += weights[i + radius] * in[row * p->width + column];
            }
            out[y * p->width + x] = sum;
        }
}

static void blur(bench_picture *p, float sigma, float *scratch)
{
    const int radius = (int)ceilf(3 * sigma);
    float weights[2 * RADIUS_MAX + 1], total = 0;
    for (int i = -radius; i <= radius; i++)
        total += weights[i + radius] = expf(-(float)(i * i) / (2 * sigma * sigma));
    for (int i = 0; i <= 2 * radius; i++) weights[i] /= total;
    blur_lines(p->grey, scratch, p, weights, radius, false);
    blur_lines(scratch, p->grey, p, weights, radius, true);
}

/* In place: a pixel is written after those that it is made of were read for the last time. */
static void halve(bench_picture *p)
{
    const size_t width = p->width / 2, height = p->height / 2;
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++) {
            const float *from = p->grey + 2 * y * p->width + 2 * x;
            p->grey[y * width + x] = (from[0] + from[1] + from[p->width] + from[p->width + 1]) / 4;
        }
    p->width = width;
    p->height = height;
}

static void take_gradients(const bench_picture *p, field *f)
{
    const size_t w = f->width = p->width, h = f->height = p->height;
    double sum = 0;
    for (size_t y = 1; y + 1 < h; y++)
        for (size_t x = 1; x + 1 < w; x++) {
            const size_t at = y * w + x;
            f->dx[at] = p->grey[at + 1] - p->grey[at - 1];
            f->dy[at] = p->grey[at + w] - p->grey[at - w];
            f->strength[at] = sqrtf(f->dx[at] * f->dx[at] + f->dy[at] * f->dy[at]);
            f->angle[at] = atan2f(f->dy[at], f->dx[at]);
            sum += f->strength[at];
        }
    f->mean = (float)(sum / (double)(w * h));
}

/* ---- keypoints ---- */

/* Both principal gradients around a pixel are strong (Harris and Stephens, 1988). */
static bool is_corner(const field *f, size_t x, size_t y)
{
    float xx = 0, xy = 0, yy = 0;
    for (size_t j = y - 3; j <= y + 3; j++)
        for (size_t i = x - 3; i <= x + 3; i++) {
            const float dx = f->dx[j * f->width + i], dy = f->dy[j * f->width + i];
            xx += dx * dx;
            xy += dx * dy;
            yy += dy * dy;
        }
    return xx * yy - xy * xy >= 0.08f * (xx + yy) * (xx + yy);
}

static float main_direction(const field *f, size_t x, size_t y)
{
    float bins[BINS] = {0};
    for (int j = -8; j <= 8; j++)
        for (int i = -8; i <= 8; i++) {
            const size_t at = (size_t)((ptrdiff_t)y + j) * f->width + (size_t)((ptrdiff_t)x + i);
            const int bin = (int)((f->angle[at] + PI) / (2 * PI) * BINS) % BINS;
            bins[bin] += expf(-(float)(i * i + j * j) / 32) * f->strength[at];
        }
    size_t best = 0;
    for (size_t i = 1; i < BINS; i++)
        if (bins[i] > bins[best]) best = i;
    return ((float)best + 0.5f) / BINS * 2 * PI - PI;
}

/* Adds a gradient to the eight bins around its place in the cells (u, v) and its direction. */
static void spread(float cells[SIDE][SIDE][TURNS], float u, float v, float turn, float weight)
{
    const int u0 = (int)floorf(u), v0 = (int)floorf(v), t0 = (int)floorf(turn);
    for (int corner = 0; corner < 8; corner++) {
        const int a = corner & 1, b = corner >> 1 & 1, c = corner >> 2;
        if (u0 + a < 0 || u0 + a >= SIDE || v0 + b < 0 || v0 + b >= SIDE) continue;
        const float du = u - (float)u0, dv = v - (float)v0, dt = turn - (float)t0;
        cells[v0 + b][u0 + a][(t0 + c) % TURNS] +=
            (a ? du : 1 - du) * (b ? dv : 1 - dv) * (c ? dt : 1 - dt) * weight;
    }
}

static void gather(const field *f, size_t x, size_t y, float direction, float cell,
                   float cells[SIDE][SIDE][TURNS])
{
    const float c = cosf(direction), s = sinf(direction);
    const float reach = ceilf(cell * 2.5f * 1.4142f);
    const int radius = reach < REACH ? (int)reach : REACH;
    for (int j = -radius; j <= radius; j++)
        for (int i = -radius; i <= radius; i++) {
            const float u = (c * (float)i + s * (float)j) / cell;
            const float v = (c * (float)j - s * (float)i) / cell;
            if (fabsf(u) >= 2.5f || fabsf(v) >= 2.5f) continue;
            const size_t at = (size_t)((ptrdiff_t)y + j) * f->width + (size_t)((ptrdiff_t)x + i);
            float turn = (f->angle[at] - direction) / (2 * PI) * TURNS;
            if (turn < 0) turn += TURNS;
            if (turn >= TURNS) turn -= TURNS;
            spread(cells, u + 1.5f, v + 1.5f, turn, f->strength[at] * expf(-(u * u + v * v) / 8));
        }
}

static void to_bytes(float *values, uint8_t *out)
{
    for (int round = 0; round < 2; round++) {
        float square = 1e-9f;
        for (size_t i = 0; i < BENCH_SIFT_DIM; i++) square += values[i] * values[i];
        for (size_t i = 0; i < BENCH_SIFT_DIM; i++) {
            values[i] /= sqrtf(square);
            if (round == 0 && values[i] > 0.2f) values[i] = 0.2f;
        }
    }
    for (size_t i = 0; i < BENCH_SIFT_DIM; i++)
        out[i] = (uint8_t)(values[i] * 512 < 255 ? values[i] * 512 : 255);
}

static size_t describe(const field *f, size_t n, dip_rng *rng, uint8_t *out)
{
    const float least = f->mean * 1.5f > 4 ? f->mean * 1.5f : 4;
    size_t count = 0;
    for (size_t i = 0; i < n * TRIES && count < n; i++) {
        const size_t x = BORDER + dip_rng_below(rng, (uint32_t)(f->width - 2 * BORDER));
        const size_t y = BORDER + dip_rng_below(rng, (uint32_t)(f->height - 2 * BORDER));
        if (f->strength[y * f->width + x] < least || !is_corner(f, x, y)) continue;
        float cells[SIDE][SIDE][TURNS] = {{{0}}};
        const float cell = 3 * (float)dip_rng_range(rng, 0.75, 1.25);
        gather(f, x, y, main_direction(f, x, y), cell, cells);
        to_bytes(&cells[0][0][0], out + count++ * BENCH_SIFT_DIM);
    }
    return count;
}

dip_status bench_sift(const bench_picture *picture, size_t n, dip_rng *rng, uint8_t *out,
                      size_t *count)
{
    static const float shares[SCALES] = {0.7f, 0.22f, 0.08f};
    const size_t pixels = picture->width * picture->height;
    bench_picture p = {picture->width, picture->height, dip_alloc(pixels * sizeof(float))};
    float *memory = dip_calloc(4 * pixels, sizeof *memory);
    *count = 0;
    if (p.grey && memory) {
        memcpy(p.grey, picture->grey, pixels * sizeof(float));
        for (int scale = 0; scale < SCALES; scale++) {
            if (scale) halve(&p);
            if (p.width < LEAST || p.height < LEAST) break;
            blur(&p, scale ? 0.8f : 1, memory);
            field f = {.dx = memory,
                       .dy = memory + pixels,
                       .strength = memory + 2 * pixels,
                       .angle = memory + 3 * pixels};
            take_gradients(&p, &f);
            *count += describe(&f, (size_t)((float)n * shares[scale]), rng,
                               out + *count * BENCH_SIFT_DIM);
        }
    }
    const bool there = p.grey && memory;
    dip_free(p.grey);
    dip_free(memory);
    return there ? DIP_OK : DIP_ENOMEM;
}
