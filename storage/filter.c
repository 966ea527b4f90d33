/*
 * Plane filters; see filter.h.
 *
 * Both ways go in stages over an array of 32-bit values, each stage a plain loop that compilers vectorise. The one
 * serial stage is undoing MED, where every value waits for its left neighbour; it runs four rows at a time, each one
 * pixel behind the row above, so that four chains are under way at once.
 */
#define _GNU_SOURCE
#include "storage/filter.h"

#include <math.h>
#include <string.h>

static size_t pixel_count(const dip_plane *plane) { return (size_t)plane->width * plane->height; }

static uint32_t value_mask(const dip_plane *plane)
{
    return UINT32_MAX >> (32 - 8 * dip_dtype_size(plane->dtype));
}

static bool same_grid(const dip_plane *a, const dip_plane *b)
{
    return a->dtype == b->dtype && a->width == b->width && a->height == b->height;
}

bool dip_filter_fits(dip_filter filter, const dip_plane *plane, const dip_plane *previous)
{
    if ((unsigned)filter >= DIP_FILTER_COUNT) return false;
    if (filter == DIP_FILTER_PLANES) return true;
    if (plane->dtype == DIP_DTYPE_F64) return false;
    return filter != DIP_FILTER_MED_BAND || (previous && same_grid(plane, previous));
}

/* ---- pixels <-> unsigned values in the same order ---- */

static uint32_t flip_float(uint32_t v) { return v ^ ((uint32_t)((int32_t)v >> 31) | 0x80000000u); }
static uint32_t unflip_float(uint32_t v)
{
    return v ^ ((uint32_t)((int32_t)~v >> 31) | 0x80000000u);
}

static void to_ordered(uint32_t *restrict out, const dip_plane *plane)
{
    size_t n = pixel_count(plane);
    const uint8_t *p8 = plane->pixels;
    const uint16_t *p16 = plane->pixels;
    const uint32_t *p32 = plane->pixels;
    switch (plane->dtype) {
    case DIP_DTYPE_U8:
        for (size_t i = 0; i < n; i++) out[i] = p8[i];
        break;
    case DIP_DTYPE_U16:
        for (size_t i = 0; i < n; i++) out[i] = p16[i];
        break;
    case DIP_DTYPE_I16:
        for (size_t i = 0; i < n; i++) out[i] = p16[i] ^ 0x8000u;
        break;
    case DIP_DTYPE_U32: memcpy(out, p32, n * sizeof *out); break;
    case DIP_DTYPE_I32:
        for (size_t i = 0; i < n; i++) out[i] = p32[i] ^ 0x80000000u;
        break;
    case DIP_DTYPE_F32:
        for (size_t i = 0; i < n; i++) out[i] = flip_float(p32[i]);
        break;
    case DIP_DTYPE_F64: break;
    }
}

static void from_ordered(const dip_plane *plane, const uint32_t *restrict in)
{
    size_t n = pixel_count(plane);
    uint8_t *p8 = plane->pixels;
    uint16_t *p16 = plane->pixels;
    uint32_t *p32 = plane->pixels;
    switch (plane->dtype) {
    case DIP_DTYPE_U8:
        for (size_t i = 0; i < n; i++) p8[i] = (uint8_t)in[i];
        break;
    case DIP_DTYPE_U16:
        for (size_t i = 0; i < n; i++) p16[i] = (uint16_t)in[i];
        break;
    case DIP_DTYPE_I16:
        for (size_t i = 0; i < n; i++) p16[i] = (uint16_t)(in[i] ^ 0x8000u);
        break;
    case DIP_DTYPE_U32: memcpy(p32, in, n * sizeof *in); break;
    case DIP_DTYPE_I32:
        for (size_t i = 0; i < n; i++) p32[i] = in[i] ^ 0x80000000u;
        break;
    case DIP_DTYPE_F32:
        for (size_t i = 0; i < n; i++) p32[i] = unflip_float(in[i]);
        break;
    case DIP_DTYPE_F64: break;
    }
}

/* The value of plane `previous` at i, ordered, without a copy of the plane. */
static void combine_band(uint32_t *restrict values, const dip_plane *previous, uint32_t mask,
                         bool add)
{
    enum { STRIP = 1024 };
    uint32_t strip[STRIP];
    uint32_t half = mask / 2 + 1;
    size_t n = pixel_count(previous), size = dip_dtype_size(previous->dtype);
    for (size_t from = 0; from < n; from += STRIP) {
        size_t count = n - from < STRIP ? n - from : STRIP;
        dip_plane part = {previous->dtype, (uint32_t)count, 1,
                          (char *)previous->pixels + from * size};
        to_ordered(strip, &part);
        uint32_t *at = values + from;
        if (add)
            for (size_t i = 0; i < count; i++) at[i] = (at[i] + strip[i] + half) & mask;
        else
            for (size_t i = 0; i < count; i++) at[i] = (at[i] - strip[i] + half) & mask;
    }
}

/* ---- values <-> residuals; signs go to the lowest bit ---- */

static uint32_t fold(uint32_t difference, uint32_t mask)
{
    uint32_t sign = difference & (mask / 2 + 1) ? mask : 0;
    return ((difference << 1) & mask) ^ sign;
}

static uint32_t unfold(uint32_t folded, uint32_t mask)
{
    return (folded >> 1) ^ (mask & (0u - (folded & 1)));
}

static void delta_forward(uint32_t *restrict out, const uint32_t *restrict in, size_t width,
                          size_t height, uint32_t mask)
{
    for (size_t y = 0; y < height; y++) {
        const uint32_t *row = in + y * width;
        out[y * width] = fold((row[0] - (y ? in[(y - 1) * width] : 0)) & mask, mask);
        for (size_t x = 1; x < width; x++)
            out[y * width + x] = fold((row[x] - row[x - 1]) & mask, mask);
    }
}

static void delta_backward(uint32_t *values, size_t width, size_t height, uint32_t mask)
{
    for (size_t y = 0; y < height; y++) {
        uint32_t *row = values + y * width;
        uint32_t sum = y ? values[(y - 1) * width] : 0;
        for (size_t x = 0; x < width; x++) row[x] = sum = (sum + row[x]) & mask;
    }
}

/* left + upper - corner, held between left and upper, by comparisons alone: nothing can overflow. */
static inline uint32_t median(uint32_t left, uint32_t upper, uint32_t corner)
{
    uint32_t low = left < upper ? left : upper, high = left < upper ? upper : left;
    uint32_t plane = left + upper - corner;
    plane = corner >= high ? low : plane;
    return corner <= low ? high : plane;
}

static void med_forward(uint32_t *restrict out, const uint32_t *restrict in, size_t width,
                        size_t height, uint32_t mask)
{
    delta_forward(out, in, width, 1, mask);
    for (size_t y = 1; y < height; y++) {
        const uint32_t *row = in + y * width, *up = row - width;
        uint32_t *to = out + y * width;
        to[0] = fold((row[0] - up[0]) & mask, mask);
        for (size_t x = 1; x < width; x++)
            to[x] = fold((row[x] - median(row[x - 1], up[x], up[x - 1])) & mask, mask);
    }
}

/* Pixels from..to-1 of one row. */
static void med_run(uint32_t *row, size_t width, size_t from, size_t to, uint32_t mask)
{
    const uint32_t *up = row - width;
    if (from == 0 && to > 0) {
        row[0] = (row[0] + up[0]) & mask;
        from = 1;
    }
    for (size_t x = from; x < to; x++)
        row[x] = (row[x] + median(row[x - 1], up[x], up[x - 1])) & mask;
}

/* Narrow values have room for signs, and then a shorter chain of operations does. */
static inline int32_t median_narrow(int32_t left, int32_t upper, int32_t rise)
{
    int32_t low = left < upper ? left : upper, high = left < upper ? upper : left;
    int32_t plane = left + rise;
    plane = plane < high ? plane : high;
    return plane > low ? plane : low;
}

enum { SKEW = 4 };

/* Four rows at once; row k is k pixels behind row 0. width > SKEW, mask at most 16 bits. */
static void med_four_rows(uint32_t *rows, size_t width, uint32_t mask)
{
    const uint32_t *up = rows - width;
    uint32_t *r0 = rows, *r1 = r0 + width, *r2 = r1 + width, *r3 = r2 + width;
    int32_t m = (int32_t)mask;
    for (size_t k = 0; k < SKEW; k++) med_run(rows + k * width, width, 0, SKEW - k, mask);
    int32_t l0 = (int32_t)r0[3], l1 = (int32_t)r1[2], l2 = (int32_t)r2[1], l3 = (int32_t)r3[0];
    int32_t c0 = (int32_t)up[3], c1 = (int32_t)r0[2], c2 = (int32_t)r1[1], c3 = (int32_t)r2[0];
    for (size_t x = SKEW; x < width; x++) {
        int32_t u0 = (int32_t)up[x], u1 = l0, u2 = l1, u3 = l2;
        l0 = (median_narrow(l0, u0, u0 - c0) + (int32_t)r0[x]) & m;
        l1 = (median_narrow(l1, u1, u1 - c1) + (int32_t)r1[x - 1]) & m;
        l2 = (median_narrow(l2, u2, u2 - c2) + (int32_t)r2[x - 2]) & m;
        l3 = (median_narrow(l3, u3, u3 - c3) + (int32_t)r3[x - 3]) & m;
        r0[x] = (uint32_t)l0;
        r1[x - 1] = (uint32_t)l1;
        r2[x - 2] = (uint32_t)l2;
        r3[x - 3] = (uint32_t)l3;
        c0 = u0;
        c1 = u1;
        c2 = u2;
        c3 = u3;
    }
    for (size_t k = 1; k < SKEW; k++) med_run(rows + k * width, width, width - k, width, mask);
}

static void med_backward(uint32_t *values, size_t width, size_t height, uint32_t mask)
{
    delta_backward(values, width, 1, mask);
    size_t y = 1;
    if (width > SKEW && mask <= UINT16_MAX)
        for (; y + SKEW <= height; y += SKEW) med_four_rows(values + y * width, width, mask);
    for (; y < height; y++) med_run(values + y * width, width, 0, width, mask);
}

/* ---- values <-> byte planes ---- */

static void split(uint8_t *restrict out, const uint32_t *restrict in, size_t n, size_t size)
{
    for (size_t b = 0; b < size; b++)
        for (size_t i = 0; i < n; i++) out[b * n + i] = (uint8_t)(in[i] >> (8 * b));
}

static void join(uint32_t *restrict out, const uint8_t *restrict in, size_t n, size_t size)
{
    switch (size) {
    case 1:
        for (size_t i = 0; i < n; i++) out[i] = in[i];
        break;
    case 2:
        for (size_t i = 0; i < n; i++) out[i] = in[i] | (uint32_t)in[n + i] << 8;
        break;
    default:
        for (size_t i = 0; i < n; i++)
            out[i] = in[i] | (uint32_t)in[n + i] << 8 | (uint32_t)in[2 * n + i] << 16 |
                     (uint32_t)in[3 * n + i] << 24;
    }
}

/* Pixels of any size, as they are: inlined with a constant size, so that the loops vectorise. */
static inline void interleave(uint8_t *restrict out, const uint8_t *restrict in, size_t n,
                              size_t size, bool apart)
{
    for (size_t b = 0; b < size; b++)
        for (size_t i = 0; i < n; i++)
            if (apart)
                out[b * n + i] = in[i * size + b];
            else
                out[i * size + b] = in[b * n + i];
}

static void interleave_any(uint8_t *out, const uint8_t *in, const dip_plane *plane, bool apart)
{
    size_t n = pixel_count(plane);
    switch (dip_dtype_size(plane->dtype)) {
    case 1: memcpy(out, in, n); break;
    case 2: interleave(out, in, n, 2, apart); break;
    case 4: interleave(out, in, n, 4, apart); break;
    default: interleave(out, in, n, 8, apart);
    }
}

static void split_pixels(uint8_t *out, const dip_plane *plane)
{
    interleave_any(out, plane->pixels, plane, true);
}

/* ---- both ways ---- */

/* Residuals of `filter` into `out`; `values` is scratch. */
static void residuals(dip_filter filter, const dip_plane *plane, const dip_plane *previous,
                      uint32_t *values, uint32_t *out)
{
    uint32_t mask = value_mask(plane);
    to_ordered(values, plane);
    if (filter == DIP_FILTER_MED_BAND) combine_band(values, previous, mask, false);
    if (filter == DIP_FILTER_DELTA)
        delta_forward(out, values, plane->width, plane->height, mask);
    else
        med_forward(out, values, plane->width, plane->height, mask);
}

void dip_filter_apply(dip_filter filter, const dip_plane *plane, const dip_plane *previous,
                      uint8_t *out, uint32_t *scratch)
{
    size_t n = pixel_count(plane);
    if (filter == DIP_FILTER_PLANES) {
        split_pixels(out, plane);
        return;
    }
    residuals(filter, plane, previous, scratch, scratch + n);
    split(out, scratch + n, n, dip_dtype_size(plane->dtype));
}

void dip_filter_undo(dip_filter filter, const uint8_t *in, const dip_plane *previous,
                     dip_plane *plane, uint32_t *scratch)
{
    if (filter == DIP_FILTER_PLANES) {
        interleave_any(plane->pixels, in, plane, false);
        return;
    }
    size_t n = pixel_count(plane);
    uint32_t mask = value_mask(plane);
    join(scratch, in, n, dip_dtype_size(plane->dtype));
    for (size_t i = 0; i < n; i++) scratch[i] = unfold(scratch[i], mask);
    if (filter == DIP_FILTER_DELTA)
        delta_backward(scratch, plane->width, plane->height, mask);
    else
        med_backward(scratch, plane->width, plane->height, mask);
    if (filter == DIP_FILTER_MED_BAND) combine_band(scratch, previous, mask, true);
    from_ordered(plane, scratch);
}

/* ---- choice ---- */

/* Sum of the residuals' lengths in bits: cheap, and ranks predictors as their compressed size does. */
static uint64_t bit_cost(const uint32_t *values, size_t n)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < n; i++) bits += 32 - (uint64_t)__builtin_clz(values[i] | 1);
    return bits;
}

/* Bits that an ideal coder of single bytes needs. */
static double entropy(const uint8_t *bytes, size_t n)
{
    uint32_t count[4][256] = {{0}};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++) count[k][bytes[i + k]]++;
    for (; i < n; i++) count[0][bytes[i]]++;
    double sum = 0;
    for (int v = 0; v < 256; v++) {
        uint32_t c = count[0][v] + count[1][v] + count[2][v] + count[3][v];
        if (c) sum += c * log2f((float)n / (float)c);
    }
    return sum;
}

static double split_entropy(const uint8_t *bytes, size_t n, size_t size)
{
    double sum = 0;
    for (size_t b = 0; b < size; b++) sum += entropy(bytes + b * n, n);
    return sum;
}

/* The middle quarter of a plane's rows (at least 16) speaks for all of it. */
static dip_plane sample(const dip_plane *plane)
{
    uint32_t rows = plane->height / 4 < 16 ? 16 : plane->height / 4;
    if (rows > plane->height) rows = plane->height;
    size_t row_bytes = plane->width * dip_dtype_size(plane->dtype);
    char *from = (char *)plane->pixels + (plane->height - rows) / 2 * row_bytes;
    return (dip_plane){plane->dtype, plane->width, rows, from};
}

dip_filter dip_filter_choose(const dip_plane *whole, const dip_plane *whole_before,
                             uint32_t *scratch)
{
    dip_plane part = sample(whole), part_before;
    const dip_plane *plane = &part, *previous = NULL;
    if (whole_before && same_grid(whole, whole_before)) {
        part_before = sample(whole_before);
        previous = &part_before;
    }
    size_t n = pixel_count(plane), size = dip_dtype_size(plane->dtype);
    dip_filter best = DIP_FILTER_PLANES;
    uint64_t best_cost = UINT64_MAX;
    for (dip_filter f = DIP_FILTER_DELTA; f < DIP_FILTER_COUNT; f++) {
        if (!dip_filter_fits(f, plane, previous)) continue;
        residuals(f, plane, previous, scratch, scratch + n);
        uint64_t cost = bit_cost(scratch + n, n);
        if (cost >= best_cost) continue;
        best = f;
        best_cost = cost;
    }
    if (best == DIP_FILTER_PLANES) return best;
    /* Masks, class maps and noise are better left alone; entropy tells, which scratch's first half has room for. */
    uint8_t *bytes = (uint8_t *)scratch;
    split_pixels(bytes, plane);
    double plain = split_entropy(bytes, n, size);
    residuals(best, plane, previous, scratch, scratch + n);
    split(bytes, scratch + n, n, size);
    return split_entropy(bytes, n, size) < plain ? best : DIP_FILTER_PLANES;
}
