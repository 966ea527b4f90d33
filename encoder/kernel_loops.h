/**
 * The row loops of dip_loops, once for all instruction sets.
 *
 * Included by kernel_*.c; DIP_LOOPS is the table's initialiser.
 */
#ifndef ENCODER_KERNEL_LOOPS_H
#define ENCODER_KERNEL_LOOPS_H

#include "core/vector.h"
#include "encoder/kernel.h"

/* ---- finishing a block ---- */

static void finish_store(const dip_finish_block *b, int half, bool add)
{
    const float *c = b->c + half * DIP_HALF * DIP_BLOCK;
    for (unsigned r = 0; r < b->rows[half]; r++, c += DIP_BLOCK) {
        dip_bf16 *out = b->out + b->pixel[half * DIP_HALF + r] * b->channels + b->column;
        for (int v = 0; v < DIP_BLOCK; v += LANES) {
            vf value = vf_load(c + v);
            vf_store_bf16(out + v, add ? value + vf_load_bf16(out + v) : value);
        }
    }
}

static void finish_sums(const dip_finish_block *b, int half)
{
    const float *c = b->c + half * DIP_HALF * DIP_BLOCK;
    vf sum[VECTORS] = {{0}}, square[VECTORS] = {{0}};
    for (unsigned r = 0; r < b->rows[half]; r++, c += DIP_BLOCK) {
        dip_bf16 *out = b->out + b->pixel[half * DIP_HALF + r] * b->channels + b->column;
        for (int v = 0; v < VECTORS; v++) {
            vf value = vf_load(c + v * LANES);
            vf_store_bf16(out + v * LANES, value);
            sum[v] += value;
            square[v] = vf_fma(value, value, square[v]);
        }
    }
    for (int v = 0; v < VECTORS; v++) {
        float *s = b->sums + v * LANES, *q = s + DIP_BLOCK;
        vf_store(s, vf_load(s) + sum[v]);
        vf_store(q, vf_load(q) + square[v]);
    }
}

static void finish_mask(const dip_finish *f, const dip_finish_block *b, int half)
{
    const float *c = b->c + half * DIP_HALF * DIP_BLOCK;
    for (int v = 0; v < DIP_BLOCK; v += LANES) {
        const size_t column = b->column + v;
        vf scale = vf_load(f->scale + column), shift = vf_load(f->shift + column);
        vf sum = {0}, product = {0};
        for (unsigned r = 0; r < b->rows[half]; r++) {
            size_t at = b->pixel[half * DIP_HALF + r] * b->channels + column;
            vf raw = vf_load_bf16(f->raw + at);
            vf g = vf_keep(vf_positive(vf_fma(scale, raw, shift)), vf_load(c + r * DIP_BLOCK + v));
            vf_store_bf16(b->out + at, g);
            sum += g;
            product = vf_fma(g, raw, product);
        }
        float *s = b->sums + v, *q = s + DIP_BLOCK;
        vf_store(s, vf_load(s) + sum);
        vf_store(q, vf_load(q) + product);
    }
}

static void finish_bias(const dip_finish *f, const dip_finish_block *b, int half)
{
    const float *c = b->c + half * DIP_HALF * DIP_BLOCK;
    for (unsigned r = 0; r < b->rows[half]; r++, c += DIP_BLOCK) {
        size_t at = b->pixel[half * DIP_HALF + r] * b->channels + b->column;
        for (int v = 0; v < DIP_BLOCK; v += LANES) {
            vf value = vf_load(c + v) + vf_load(f->shift + b->column + v);
            if (f->residual) value += vf_load_bf16(f->residual + at + v);
            if (f->relu) value = vf_relu(value);
            vf_store_bf16(b->out + at + v, value);
        }
    }
}

typedef enum added8 { ADDS_NOTHING, ADDS_VALUES, ADDS_BYTES } added8;

/* `added` and `to_u8` are constants where this is inlined. */
static ALWAYS_INLINE void finish_int8_as(const dip_finish *f, const dip_finish_block *b, int half,
                                         const added8 added, const bool to_u8)
{
    const size_t channels = b->channels;
    const unsigned rows = b->rows[half];
    const uint32_t *pixel = b->pixel + half * DIP_HALF;
    const float unit8 = f->unit8, per_unit = f->per_unit;
    for (int v = 0; v < DIP_BLOCK; v += LANES) {
        const size_t column = b->column + v;
        const vf scale = vf_load(f->scale + column), shift = vf_load(f->shift + column);
        const float *c = b->c + half * DIP_HALF * DIP_BLOCK + v;
        dip_bf16 *out = b->out;
        const dip_bf16 *residual = f->residual;
        const uint8_t *residual8 = f->residual8;
        for (unsigned r = 0; r < rows; r++, c += DIP_BLOCK) {
            const size_t at = pixel[r] * channels + column;
            vf value = vf_load_integers(c) * scale + shift;
            if (added == ADDS_VALUES) value += vf_load_bf16(residual + at);
            if (added == ADDS_BYTES) value += vf_load_u8(residual8 + at) * unit8;
            if (to_u8)
                vf_store_u8((uint8_t *)out + at, value * per_unit);
            else
                vf_store_bf16(out + at, f->relu ? vf_relu(value) : value);
        }
    }
}

static void finish_int8(const dip_finish *f, const dip_finish_block *b, int half)
{
    const bool to_u8 = f->per_unit > 0;
    if (f->residual && to_u8)
        finish_int8_as(f, b, half, ADDS_VALUES, true);
    else if (f->residual)
        finish_int8_as(f, b, half, ADDS_VALUES, false);
    else if (f->residual8 && to_u8)
        finish_int8_as(f, b, half, ADDS_BYTES, true);
    else if (f->residual8)
        finish_int8_as(f, b, half, ADDS_BYTES, false);
    else if (to_u8)
        finish_int8_as(f, b, half, ADDS_NOTHING, true);
    else
        finish_int8_as(f, b, half, ADDS_NOTHING, false);
}

static void loop_finish(const dip_finish *f, const dip_finish_block *b)
{
    for (int half = 0; half < 2; half++) switch (f->kind) {
        case DIP_FINISH_STORE: finish_store(b, half, false); break;
        case DIP_FINISH_ADD: finish_store(b, half, true); break;
        case DIP_FINISH_SUMS: finish_sums(b, half); break;
        case DIP_FINISH_MASK: finish_mask(f, b, half); break;
        case DIP_FINISH_BIAS: finish_bias(f, b, half); break;
        case DIP_FINISH_INT8: finish_int8(f, b, half); break;
        }
}

/* ---- bytes and batch norm ---- */

static void loop_round8(const dip_bf16 *in, float per_unit, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) vf_store_u8(out + i, vf_load_bf16(in + i) * per_unit);
}

static void loop_affine(const dip_affine *a, size_t first_pixel, size_t pixels)
{
    const size_t begin = first_pixel * a->channels, end = begin + pixels * a->channels;
    for (size_t row = begin; row < end; row += a->channels)
        for (size_t c = 0; c < a->channels; c += LANES) {
            vf v = vf_fma(vf_load(a->scale + c), vf_load_bf16(a->raw + row + c),
                          vf_load(a->shift + c));
            if (a->residual) v += vf_load_bf16(a->residual + row + c);
            if (a->raw2)
                v += vf_fma(vf_load(a->scale2 + c), vf_load_bf16(a->raw2 + row + c),
                            vf_load(a->shift2 + c));
            if (a->relu) v = vf_relu(v);
            vf_store_bf16(a->out + row + c, v);
        }
}

/* 32 channels of some pixels; the three sums stay in registers. */
static void mask_columns(const dip_mask *m, size_t begin, size_t end, size_t column)
{
    vf sum[3][VECTORS] = {{{0}}};
    for (size_t row = begin + column; row < end; row += m->channels)
        for (int v = 0; v < VECTORS; v++) {
            const size_t at = row + v * LANES;
            vf g = vf_keep(vf_positive(vf_load_bf16(m->out + at)), vf_load_bf16(m->gradient + at));
            vf_store_bf16(m->gradient + at, g);
            sum[0][v] += g;
            sum[1][v] = vf_fma(g, vf_load_bf16(m->raw[0] + at), sum[1][v]);
            if (m->raw[1]) sum[2][v] = vf_fma(g, vf_load_bf16(m->raw[1] + at), sum[2][v]);
        }
    for (int s = 0; s < (m->raw[1] ? 3 : 2); s++)
        for (int v = 0; v < VECTORS; v++) {
            float *to = m->sums + s * m->channels + column + v * LANES;
            vf_store(to, vf_load(to) + sum[s][v]);
        }
}

static void loop_mask(const dip_mask *m, size_t first_pixel, size_t pixels)
{
    const size_t begin = first_pixel * m->channels, end = begin + pixels * m->channels;
    for (size_t column = 0; column < m->channels; column += DIP_BLOCK)
        mask_columns(m, begin, end, column);
}

static void loop_norm_backward(const dip_bf16 *gradient, const dip_bf16 *raw, const float *k,
                               dip_bf16 *out, size_t pixels, size_t channels)
{
    for (size_t row = 0; row < pixels * channels; row += channels)
        for (size_t c = 0; c < channels; c += LANES) {
            vf v = vf_fma(vf_load(k + channels + c), vf_load_bf16(raw + row + c),
                          vf_load(k + 2 * channels + c));
            vf_store_bf16(out + row + c,
                          vf_fma(vf_load(k + c), vf_load_bf16(gradient + row + c), v));
        }
}

/* ---- pooling ---- */

/* One output value of LANES channels: the largest positive input and, if asked, its tap; a NaN is largest. */
static ALWAYS_INLINE void pool_window(const dip_pool *p, size_t row, size_t column, size_t channel,
                                      const bool with_tap)
{
    const size_t pooled = (p->side - 1) / 2 + 1, C = p->channels;
    const vf scale = vf_load(p->scale + channel), shift = vf_load(p->shift + channel);
    vf best = {0};
    vu tap = (vu){0} + DIP_NO_ARGMAX;
    for (uint32_t t = 0; t < DIP_POOL_SIDE * DIP_POOL_SIDE; t++) {
        size_t y = 2 * row + t / DIP_POOL_SIDE, x = 2 * column + t % DIP_POOL_SIDE;
        if (y < 1 || x < 1 || y > p->side || x > p->side) continue; /* one pixel of padding */
        const dip_bf16 *raw = p->raw + ((y - 1) * p->side + x - 1) * C + channel;
        vf value = vf_fma(scale, vf_load_bf16(raw), shift);
        vu better = ((vu)(value > best) | (vu)(value != value)) & (vu)(best == best);
        best = (vf)vu_select(better, (vu)value, (vu)best);
        if (with_tap) tap = vu_select(better, (vu){0} + t, tap);
    }
    const size_t at = (row * pooled + column) * C + channel;
    vf_store_bf16(p->out + at, best);
    if (!with_tap) return;
    for (int i = 0; i < LANES; i++) p->argmax[at + i] = (uint8_t)tap[i];
}

static void loop_pool(const dip_pool *p)
{
    const size_t pooled = (p->side - 1) / 2 + 1;
    for (size_t row = 0; row < pooled; row++)
        for (size_t column = 0; column < pooled; column++)
            for (size_t c = 0; c < p->channels; c += LANES)
                if (p->argmax)
                    pool_window(p, row, column, c, true);
                else
                    pool_window(p, row, column, c, false);
}

/* Gradient of LANES channels of one raw pixel: from the windows that chose it. */
static inline vf pool_gradient(const dip_pool *p, size_t y, size_t x, size_t channel)
{
    const size_t pooled = (p->side - 1) / 2 + 1;
    vf g = {0};
    for (size_t row = y / 2; row <= (y + 1) / 2 && row < pooled; row++)
        for (size_t column = x / 2; column <= (x + 1) / 2 && column < pooled; column++) {
            const uint32_t tap = (uint32_t)((y + 1 - 2 * row) * DIP_POOL_SIDE + x + 1 - 2 * column);
            const size_t at = (row * pooled + column) * p->channels + channel;
            uint8_t chosen[LANES];
            memcpy(chosen, p->argmax + at, sizeof chosen);
            vu mask;
            for (int i = 0; i < LANES; i++) mask[i] = chosen[i] == tap ? UINT32_MAX : 0;
            g += vf_keep(mask, vf_load_bf16(p->gradient + at));
        }
    return g;
}

static void loop_pool_backward(const dip_pool *p)
{
    for (size_t y = 0; y < p->side; y++)
        for (size_t x = 0; x < p->side; x++)
            for (size_t c = 0; c < p->channels; c += LANES) {
                const size_t at = (y * p->side + x) * p->channels + c;
                vf g = pool_gradient(p, y, x, c);
                vf_store_bf16(p->raw_gradient + at, g);
                float *s = p->sums + c, *q = s + p->channels;
                vf_store(s, vf_load(s) + g);
                vf_store(q, vf_fma(g, vf_load_bf16(p->raw + at), vf_load(q)));
            }
}

static void loop_mean(const dip_bf16 *in, size_t pixels, size_t channels, float *out)
{
    const vf share = vf_set(1.0f / (float)pixels);
    for (size_t c = 0; c < channels; c += LANES) {
        vf sum = {0};
        for (size_t i = 0; i < pixels; i++) sum += vf_load_bf16(in + i * channels + c);
        vf_store(out + c, sum * share);
    }
}

static void loop_mean_backward(const float *gradient, size_t pixels, size_t channels, dip_bf16 *out)
{
    const vf share = vf_set(1.0f / (float)pixels);
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c += LANES)
            vf_store_bf16(out + i * channels + c, vf_load(gradient + c) * share);
}

/* ---- float32 product of the heads ---- */

enum { MATMUL_ROWS = 4 };

/* `rows` <= MATMUL_ROWS rows, 32 columns from `column` on. */
static inline void matmul_block(const dip_matmul *m, size_t row, int rows, size_t column)
{
    vf sum[MATMUL_ROWS][VECTORS];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < VECTORS; v++)
            sum[r][v] =
                m->accumulate ? vf_load(m->c + (row + r) * m->c_row + column + v * LANES) : (vf){0};
    for (size_t k = 0; k < m->k; k++) {
        const float *b = m->b + k * m->b_row + column;
        for (int r = 0; r < rows; r++) {
            vf a = vf_set(m->a[(row + r) * m->a_row + k * m->a_column]);
            for (int v = 0; v < VECTORS; v++)
                sum[r][v] = vf_fma(a, vf_load(b + v * LANES), sum[r][v]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < VECTORS; v++)
            vf_store(m->c + (row + r) * m->c_row + column + v * LANES, sum[r][v]);
}

static void loop_matmul(const dip_matmul *m)
{
    for (size_t column = 0; column < m->n; column += DIP_BLOCK) {
        size_t row = 0;
        for (; row + MATMUL_ROWS <= m->m; row += MATMUL_ROWS)
            matmul_block(m, row, MATMUL_ROWS, column);
        for (; row < m->m; row++) matmul_block(m, row, 1, column);
    }
}

#define DIP_LOOPS                                                                               \
    {                                                                                           \
        .finish = loop_finish, .round8 = loop_round8, .affine = loop_affine, .mask = loop_mask, \
        .norm_backward = loop_norm_backward, .pool = loop_pool,                                 \
        .pool_backward = loop_pool_backward, .mean = loop_mean,                                 \
        .mean_backward = loop_mean_backward, .matmul = loop_matmul                              \
    }

#endif
