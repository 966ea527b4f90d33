/*
 * Geometry of the passes, packing of weights, padding and gathering of pixels; see conv.h.
 *
 * Backward-data: input pixel y receives output row i through tap a when y + p = i * s + a. For stride 1 that is
 * a correlation of the gradient with the mirrored taps. For stride 2 only taps with a = y + p (mod 2) take
 * part, so the pixels of one parity class form a dense correlation with about half the taps each way.
 */
#include "encoder/conv.h"

#include <float.h>
#include <math.h>

static size_t round_up(size_t n) { return (n + DIP_BLOCK - 1) / DIP_BLOCK * DIP_BLOCK; }

void dip_conv_forward_pass(dip_conv_pass *pass, const dip_conv *conv)
{
    const uint32_t side = dip_conv_out_side(conv), pad = conv->kernel / 2;
    *pass = (dip_conv_pass){.channels = conv->in_channels,
                            .height = conv->in_side,
                            .width = conv->in_side,
                            .taps_y = conv->kernel,
                            .taps_x = conv->kernel,
                            .stride = conv->stride,
                            .top = pad,
                            .left = pad,
                            .out_channels = conv->out_channels,
                            .rows = side,
                            .columns = side,
                            .out_height = side,
                            .out_width = side,
                            .step = 1};
    for (uint32_t t = 0; t < conv->kernel; t++) pass->tap_y[t] = pass->tap_x[t] = (uint8_t)t;
}

/*
 * Taps that reach the pixels of one parity along one axis, in the order in which their output rows ascend. Returns
 * their number; *before: zeros before the first row.
 */
static uint32_t class_taps(const dip_conv *conv, uint32_t parity, uint8_t *taps, uint32_t *before)
{
    const uint32_t reach = parity + conv->kernel / 2;
    uint32_t count = 0;
    for (uint32_t a = conv->kernel; a-- > 0;)
        if ((reach + conv->stride - a % conv->stride) % conv->stride == 0) {
            if (count == 0) *before = (a - reach) / conv->stride;
            taps[count++] = (uint8_t)a;
        }
    return count;
}

unsigned dip_conv_backward_passes(dip_conv_pass pass[DIP_MAX_CLASSES], const dip_conv *conv)
{
    const uint32_t side = dip_conv_out_side(conv), s = conv->stride;
    unsigned count = 0;
    for (uint32_t class = 0; class < s * s; class ++) {
        dip_conv_pass *p = &pass[count];
        *p = (dip_conv_pass){.channels = conv->out_channels,
                             .height = side,
                             .width = side,
                             .stride = 1,
                             .out_channels = conv->in_channels,
                             .out_height = conv->in_side,
                             .out_width = conv->in_side,
                             .step = s,
                             .first_y = class / s,
                             .first_x = class % s};
        p->rows = (conv->in_side + s - 1 - p->first_y) / s;
        p->columns = (conv->in_side + s - 1 - p->first_x) / s;
        p->taps_y = class_taps(conv, p->first_y, p->tap_y, &p->top);
        p->taps_x = class_taps(conv, p->first_x, p->tap_x, &p->left);
        if (p->taps_y && p->taps_x && p->rows && p->columns) count++;
    }
    return count;
}

size_t dip_conv_pass_depth(const dip_conv_pass *pass)
{
    return round_up((size_t)pass->taps_y * pass->taps_x * pass->channels);
}

size_t dip_conv_pass_panels(const dip_conv_pass *pass)
{
    return dip_conv_pass_depth(pass) * pass->out_channels;
}

/* ---- weights ---- */

void dip_conv_pack_forward(const dip_product_body *body, const dip_conv *conv, const float *weights,
                           const float *scale, size_t first, dip_bf16 *panels)
{
    const size_t depth = dip_conv_row(conv);
    dip_bf16 *panel = panels + first * depth, rows[DIP_HALF * DIP_BLOCK];
    for (size_t k = 0; k < depth; k += DIP_BLOCK)
        for (size_t half = 0; half < 2; half++, panel += DIP_TILE) {
            for (size_t r = 0; r < DIP_HALF; r++) {
                const size_t channel = first + half * DIP_HALF + r;
                float row[DIP_BLOCK];
                for (size_t i = 0; i < DIP_BLOCK; i++)
                    row[i] = weights[channel * depth + k + i] * (scale ? scale[channel] : 1);
                body->round(row, rows + r * DIP_BLOCK, DIP_BLOCK);
            }
            body->transpose(rows, DIP_BLOCK, panel);
        }
}

void dip_conv_pack_backward(const dip_product_body *body, const dip_conv *conv,
                            const dip_conv_pass *pass, const float *weights, size_t first,
                            dip_bf16 *panels)
{
    const size_t depth = dip_conv_row(conv);
    dip_bf16 *panel = panels + first * dip_conv_pass_depth(pass), rows[DIP_PANEL];
    const dip_bf16 *row[DIP_BLOCK];
    for (size_t r = 0; r < DIP_BLOCK; r++) row[r] = rows + r * DIP_BLOCK;
    for (size_t y = 0; y < pass->taps_y; y++)
        for (size_t x = 0; x < pass->taps_x; x++)
            for (size_t out = 0; out < conv->out_channels; out += DIP_BLOCK, panel += DIP_PANEL) {
                const size_t tap = pass->tap_y[y] * conv->kernel + pass->tap_x[x];
                const float *from = weights + out * depth + tap * conv->in_channels + first;
                for (size_t r = 0; r < DIP_BLOCK; r++)
                    body->round(from + r * depth, rows + r * DIP_BLOCK, DIP_BLOCK);
                body->panel(row, 0, panel, DIP_TILE);
            }
}

dip_conv_pass dip_conv_pass_int8(const dip_conv_pass *pass)
{
    dip_conv_pass words = *pass;
    words.channels /= 2;
    return words;
}

/* What a 1 is worth: the largest weight is 127; if that is no normal number, all become 0. */
static float int8_unit(const float *weights, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(weights[i]));
    return most / 127 >= FLT_MIN ? most / 127 : 1;
}

/* One column of all panels of a pass; k past the window is zero. */
static void pack_int8_column(const float *weights, float unit, size_t n, size_t depth,
                             int8_t *column)
{
    enum { FOUR = 4, STEP = 2 * DIP_BLOCK, PANEL = 2 * DIP_PANEL, QUAD = FOUR * DIP_HALF };
    for (size_t k = 0; k < depth; k++) {
        const size_t at = k / STEP * PANEL + k % STEP / FOUR * QUAD + k % FOUR;
        column[at] = (int8_t)(k < n ? lrintf(weights[k] / unit) : 0);
    }
}

void dip_conv_pack_int8(const dip_conv *conv, const float *weights, const float *scale,
                        size_t first, dip_bf16 *panels, float *unit)
{
    const size_t row = dip_conv_row(conv);
    const size_t n = (size_t)conv->kernel * conv->kernel * conv->in_channels;
    const size_t depth = 2 * round_up(n / 2);
    for (size_t c = 0; c < DIP_BLOCK; c++) {
        const size_t o = first + c;
        const float factor = scale ? scale[o] : 1, worth = int8_unit(weights + o * row, n);
        int8_t *column = (int8_t *)(panels + first * (depth / 2) + c / DIP_HALF * DIP_TILE);
        pack_int8_column(weights + o * row, worth, n, depth, column + c % DIP_HALF * 4);
        unit[o] = worth * factor;
    }
}

/* ---- pixels ---- */

size_t dip_conv_padded_width(const dip_conv_pass *pass)
{
    return (size_t)(pass->columns - 1) * pass->stride + pass->taps_x;
}

size_t dip_conv_padded_height(const dip_conv_pass *pass)
{
    return (size_t)(pass->rows - 1) * pass->stride + pass->taps_y;
}

void dip_conv_pad(const dip_conv_pass *pass, const dip_bf16 *image, size_t first, size_t count,
                  dip_bf16 *out)
{
    const size_t C = pass->channels, width = dip_conv_padded_width(pass), left = pass->left;
    const size_t inside = width - left < pass->width ? width - left : pass->width;
    for (size_t row = first; row < first + count; row++, out += width * C) {
        if (row < pass->top || row - pass->top >= pass->height) {
            memset(out, 0, width * C * sizeof *out);
            continue;
        }
        memset(out, 0, left * C * sizeof *out);
        memcpy(out + left * C, image + (row - pass->top) * pass->width * C,
               inside * C * sizeof *out);
        memset(out + (left + inside) * C, 0, (width - left - inside) * C * sizeof *out);
    }
}

/* ---- gathering ---- */

enum {
    COPY = 16,
    SLACK = 64
}; /* values a copy moves at least; values readable past the padded image */

size_t dip_gather_bytes(const dip_conv_pass *pass)
{
    size_t pixels = dip_conv_padded_width(pass) * dip_conv_padded_height(pass);
    return (pixels * pass->channels + SLACK) * sizeof(dip_bf16);
}

static void gather_image(dip_gather *g, size_t image)
{
    const dip_conv_pass *p = g->pass;
    const size_t rows = dip_conv_padded_height(p);
    if (g->image == image) return;
    dip_conv_pad(p, g->in + image * p->height * p->width * p->channels, 0, rows, g->padded);
    memset(g->padded + rows * dip_conv_padded_width(p) * p->channels, 0, SLACK * sizeof(dip_bf16));
    g->image = image;
}

/* Whole vectors, past the end if need be: the next tap, or the zeros, overwrite it. */
static inline void copy_over(dip_bf16 *to, const dip_bf16 *from, size_t count)
{
    for (size_t i = 0; i < count; i += COPY) memcpy(to + i, from + i, COPY * sizeof *to);
}

/* One window; the values past it, up to `depth`, are zero. */
static inline void gather_window(const dip_bf16 *from, size_t line, size_t run, size_t taps_y,
                                 size_t depth, dip_bf16 *out)
{
    for (size_t y = 0; y < taps_y; y++) copy_over(out + y * run, from + y * line, run);
    for (size_t k = taps_y * run; k < depth; k += COPY) memset(out + k, 0, COPY * sizeof *out);
}

void dip_gather_rows(dip_gather *gather, size_t first, size_t count, dip_bf16 *out)
{
    const dip_conv_pass *p = gather->pass;
    const size_t depth = dip_conv_pass_depth(p), line = dip_conv_padded_width(p) * p->channels;
    const size_t run = (size_t)p->taps_x * p->channels, step = (size_t)p->stride * p->channels;
    size_t row = first / p->columns, j = first % p->columns; /* rows of all images */
    while (count > 0) {
        gather_image(gather, row / p->rows);
        const dip_bf16 *from = gather->padded + row % p->rows * p->stride * line + j * step;
        for (; j < p->columns && count > 0; j++, count--, from += step, out += gather->row_stride)
            gather_window(from, line, run, p->taps_y, depth, out);
        j = 0;
        row++;
    }
}
