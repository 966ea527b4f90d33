/*
 * Gradient of weights on wide maps: pixels of one image in a row; see conv_weights_parts.h.
 *
 * The zero-padded input is one long run of pixels, row after row, and dY another with rows of the same length, zeros
 * where there is no output. In this numbering a tap is a shift: output f meets input f + shift, across the ends
 * of rows too. So 32 consecutive numbers make a step, whatever the width of the map.
 *
 * Panels hold pairs of pixels, so a stream of pairs (0,1) (2,3) ... serves all even shifts from any pair on, and a second
 * stream (1,2) (3,4) ... the odd ones: the input is interleaved twice instead of once a tap.
 *
 * For stride s the padded input is taken apart into s * s planes of every s-th row and column; a tap belongs to one
 * plane and is a shift in it.
 */
#include "encoder/conv_weights_parts.h"

enum { MAX_PLANES = 4, PAIRS = DIP_BLOCK / 2 };

typedef struct flat {
    size_t line;                  /* numbers a row */
    size_t band, first_row, rows; /* of output; band: what the scratch has room for */
    size_t length;                /* numbers of an input plane that the steps of a band can reach */
    size_t steps;
    dip_bf16 *tiles;         /* (out / 16, steps of the band): dY transposed */
    dip_bf16 *streams;       /* (planes, 2 parities, 2 halves, length / 2 pairs, 16, 2) */
    const dip_bf16 **pixels; /* (length): of one plane */
} flat;

static size_t line_length(const dip_conv_pass *p)
{
    return p->columns + (p->taps_x - 1) / p->stride;
}

static size_t planes(const dip_conv_pass *p) { return (size_t)p->stride * p->stride; }

static size_t steps_of(const dip_conv_pass *p, size_t rows)
{
    return ((rows - 1) * line_length(p) + p->columns + DIP_BLOCK - 1) / DIP_BLOCK;
}

/* The longest shift past the last step; and the pixel after, for the odd pairs; whole panels. */
static size_t length_of(const dip_conv_pass *p, size_t rows)
{
    const size_t down = (p->taps_y - 1) / p->stride, right = (p->taps_x - 1) / p->stride;
    const size_t last = steps_of(p, rows) * DIP_BLOCK + down * line_length(p) + right + 1;
    return (last + DIP_BLOCK - 1) / DIP_BLOCK * DIP_BLOCK;
}

static size_t band_of(const dip_conv_pass *p)
{
    const size_t values = planes(p) * 2 * DIP_BLOCK + p->out_channels;
    return dip_weights_band(p, line_length(p) * values * sizeof(dip_bf16));
}

static size_t stream_values(size_t length) { return length * DIP_BLOCK; }

size_t dip_weights_flat_scratch(const dip_conv_pass *p)
{
    const size_t band = band_of(p), length = length_of(p, band);
    const size_t tiles = steps_of(p, band) * DIP_BLOCK * p->out_channels;
    return (tiles + planes(p) * 2 * stream_values(length)) * sizeof(dip_bf16) +
           (length + DIP_BLOCK) * sizeof(dip_bf16 *) + 3 * 64;
}

static void carve(flat *f, const dip_weights_part *part)
{
    const dip_conv_pass *p = part->job->pass;
    char *scratch = part->scratch;
    f->line = line_length(p);
    f->band = band_of(p);
    f->steps = steps_of(p, f->band);
    f->length = length_of(p, f->band);
    f->tiles = dip_carve(&scratch, f->steps * DIP_BLOCK * p->out_channels * sizeof(dip_bf16));
    f->streams = dip_carve(&scratch, planes(p) * 2 * stream_values(f->length) * sizeof(dip_bf16));
    f->pixels = (const dip_bf16 **)(void *)scratch;
}

static void make_tiles(const dip_weights_part *part, const flat *f, size_t image, size_t steps)
{
    const dip_conv_pass *p = part->job->pass;
    const dip_bf16 *first =
        part->job->gradient + (image * p->rows + f->first_row) * p->columns * p->out_channels;
    const dip_bf16 *rows[DIP_BLOCK];
    size_t i = 0, j = 0;
    for (size_t k = 0; k < steps; k++) {
        for (size_t r = 0; r < DIP_BLOCK; r++) {
            rows[r] = i < f->rows && j < p->columns ? first + (i * p->columns + j) * p->out_channels
                                                    : dip_weights_zeros;
            if (++j == f->line) j = 0, i++;
        }
        dip_weights_tiles(part->workspace->kernel->product, rows, p->out_channels,
                          f->tiles + k * DIP_TILE, f->steps * DIP_TILE);
    }
}

/* Where the pixels of a plane are; outside the image they are zero. One more than `length`, for odd pairs. */
static void find_pixels(const dip_weights_part *part, const flat *f, size_t image, size_t plane,
                        size_t length)
{
    const dip_conv_pass *p = part->job->pass;
    const dip_bf16 *first = part->job->in + image * p->height * p->width * p->channels;
    size_t y = f->first_row * p->stride + plane / p->stride, x = plane % p->stride, column = 0;
    for (size_t at = 0; at <= length; at++) {
        const bool inside =
            y >= p->top && y - p->top < p->height && x >= p->left && x - p->left < p->width;
        f->pixels[at] = inside ? first + ((y - p->top) * p->width + x - p->left) * p->channels
                               : dip_weights_zeros;
        x += p->stride;
        if (++column == f->line) {
            column = 0;
            x = plane % p->stride;
            y += p->stride;
        }
    }
}

static size_t shift_of(const dip_conv_pass *p, const flat *f, size_t tap)
{
    return tap / p->taps_x / p->stride * f->line + tap % p->taps_x / p->stride;
}

static size_t plane_of(const dip_conv_pass *p, size_t tap)
{
    return tap / p->taps_x % p->stride * p->stride + tap % p->taps_x % p->stride;
}

/* The pair streams of a plane that some tap wants. */
static void make_streams(const dip_weights_part *part, const flat *f, size_t plane, size_t channel,
                         size_t length)
{
    const dip_conv_pass *p = part->job->pass;
    bool wanted[2] = {false, false};
    for (size_t tap = 0; tap < (size_t)p->taps_y * p->taps_x; tap++)
        if (plane_of(p, tap) == plane) wanted[shift_of(p, f, tap) % 2] = true;
    for (size_t parity = 0; parity < 2; parity++) {
        if (!wanted[parity]) continue;
        dip_bf16 *stream = f->streams + (plane * 2 + parity) * stream_values(f->length);
        for (size_t at = 0; at < length; at += DIP_BLOCK)
            part->workspace->kernel->product->panel(f->pixels + at + parity, channel,
                                                    stream + at / 2 * DIP_BLOCK,
                                                    stream_values(f->length) / 2);
    }
}

static void add_taps(const dip_weights_part *part, const flat *f, size_t channel, size_t steps)
{
    const dip_conv_pass *p = part->job->pass;
    for (size_t tap = 0; tap < (size_t)p->taps_y * p->taps_x; tap++) {
        const size_t shift = shift_of(p, f, tap);
        const size_t stream = plane_of(p, tap) * 2 + shift % 2;
        dip_product product = {.a_step = DIP_TILE,
                               .b = f->streams + stream * stream_values(f->length) +
                                    shift / 2 * DIP_BLOCK,
                               .b_half = (ptrdiff_t)stream_values(f->length) / 2,
                               .b_step = PAIRS * DIP_BLOCK,
                               .segments = 1,
                               .steps = (unsigned)steps};
        dip_weights_multiply(part, &product, f->tiles, f->steps * DIP_TILE,
                             tap * p->channels + channel);
    }
}

static void add_band(const dip_weights_part *part, flat *f, size_t image)
{
    const dip_conv_pass *p = part->job->pass;
    const size_t steps = steps_of(p, f->rows), length = length_of(p, f->rows);
    make_tiles(part, f, image, steps);
    for (size_t block = part->first_block; block < part->last_block; block++) {
        for (size_t plane = 0; plane < planes(p); plane++) {
            find_pixels(part, f, image, plane, length);
            make_streams(part, f, plane, block * DIP_BLOCK, length);
        }
        add_taps(part, f, block * DIP_BLOCK, steps);
    }
}

void dip_weights_flat(const dip_weights_part *part)
{
    const dip_conv_pass *p = part->job->pass;
    flat f = {0};
    carve(&f, part);
    for (size_t image = part->first_image; image < part->last_image; image++)
        for (f.first_row = 0; f.first_row < p->rows; f.first_row += f.band) {
            f.rows = p->rows - f.first_row < f.band ? p->rows - f.first_row : f.band;
            add_band(part, &f, image);
        }
}
