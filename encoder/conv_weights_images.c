/*
 * Gradient of weights on narrow maps: a step is one pixel of 32 images; see conv_weights_parts.h.
 *
 * An input pixel's panel serves every tap, and a tap visits only the output pixels whose window holds it: the
 * border costs nothing. A batch that is no multiple of 32 is filled up with zeros.
 */
#include "encoder/conv_weights_parts.h"

typedef struct chunk {
    size_t image, images;         /* up to 32 */
    size_t first_row, rows, band; /* of output; band: rows that the scratch has room for */
    size_t first_line, lines;     /* of input that these rows see */
    dip_bf16 *tiles;              /* (out / 16, band * columns): dY transposed */
    dip_bf16 *panels;             /* (lines, width) of one block of channels */
} chunk;

static size_t row_bytes(const dip_conv_pass *p)
{
    const size_t tiles = (size_t)p->columns * p->out_channels * DIP_BLOCK;
    const size_t panels = (size_t)p->stride * p->width * DIP_PANEL;
    return (tiles + panels) * sizeof(dip_bf16);
}

static size_t band_lines(const dip_conv_pass *p, size_t band)
{
    return (band - 1) * p->stride + p->taps_y;
}

static size_t tile_values(const dip_conv_pass *p, size_t band)
{
    return band * p->columns * p->out_channels * DIP_BLOCK;
}

size_t dip_weights_images_scratch(const dip_conv_pass *p)
{
    const size_t band = dip_weights_band(p, row_bytes(p));
    const size_t panels = band_lines(p, band) * p->width * DIP_PANEL;
    return (tile_values(p, band) + panels) * sizeof(dip_bf16) + 2 * 64;
}

/* Pixel `at` of 32 images of a (images, pixels, channels) array. */
static void image_rows(const chunk *c, const dip_bf16 *array, size_t pixels, size_t at,
                       size_t channels, const dip_bf16 *rows[DIP_BLOCK])
{
    for (size_t r = 0; r < DIP_BLOCK; r++)
        rows[r] =
            r < c->images ? array + ((c->image + r) * pixels + at) * channels : dip_weights_zeros;
}

static void make_tiles(const dip_weights_part *part, const chunk *c)
{
    const dip_conv_pass *p = part->job->pass;
    const size_t stride = c->band * p->columns * DIP_TILE;
    const dip_bf16 *rows[DIP_BLOCK];
    for (size_t at = 0; at < c->rows * p->columns; at++) {
        image_rows(c, part->job->gradient, (size_t)p->rows * p->columns,
                   c->first_row * p->columns + at, p->out_channels, rows);
        dip_weights_tiles(part->workspace->kernel->loops, rows, p->out_channels,
                          c->tiles + at * DIP_TILE, stride);
    }
}

static void make_panels(const dip_weights_part *part, const chunk *c, size_t channel)
{
    const dip_conv_pass *p = part->job->pass;
    const dip_bf16 *rows[DIP_BLOCK];
    for (size_t at = 0; at < c->lines * p->width; at++) {
        image_rows(c, part->job->in, (size_t)p->height * p->width, c->first_line * p->width + at,
                   p->channels, rows);
        part->workspace->kernel->loops->panel(rows, channel, c->panels + at * DIP_PANEL, DIP_TILE);
    }
}

/* Points [*begin, *end) of [first, last) whose window holds `tap` inside the image. */
static void clip_points(size_t first, size_t last, size_t stride, size_t before, size_t tap,
                        size_t length, size_t *begin, size_t *end)
{
    const size_t low = before > tap ? (before - tap + stride - 1) / stride : 0;
    const size_t high = length + before > tap ? (length + before - tap + stride - 1) / stride : 0;
    *begin = low > first ? low : first;
    *end = high < last ? high : last;
}

static void add_tap(const dip_weights_part *part, const chunk *c, size_t y, size_t x,
                    size_t channel)
{
    const dip_conv_pass *p = part->job->pass;
    const size_t s = p->stride, last_row = c->first_row + c->rows;
    size_t i0, i1, j0, j1;
    clip_points(c->first_row, last_row, s, p->top, y, p->height, &i0, &i1);
    clip_points(0, p->columns, s, p->left, x, p->width, &j0, &j1);
    if (i0 >= i1 || j0 >= j1) return;
    const size_t line = i0 * s + y - p->top - c->first_line;
    const size_t tile = (i0 - c->first_row) * p->columns + j0;
    dip_product product = {.a_step = DIP_TILE,
                           .a_segment = (ptrdiff_t)p->columns * DIP_TILE,
                           .b = c->panels + (line * p->width + j0 * s + x - p->left) * DIP_PANEL,
                           .b_half = DIP_TILE,
                           .b_step = (ptrdiff_t)s * DIP_PANEL,
                           .b_segment = (ptrdiff_t)(s * p->width) * DIP_PANEL,
                           .segments = (unsigned)(i1 - i0),
                           .steps = (unsigned)(j1 - j0)};
    dip_weights_multiply(part, &product, c->tiles + tile * DIP_TILE,
                         c->band * p->columns * DIP_TILE,
                         (y * p->taps_x + x) * p->channels + channel);
}

static void add_band(const dip_weights_part *part, chunk *c)
{
    const dip_conv_pass *p = part->job->pass;
    const size_t begin = c->first_row * p->stride, end = begin + band_lines(p, c->rows);
    c->first_line = begin > p->top ? begin - p->top : 0;
    c->lines = (end - p->top < p->height ? end - p->top : p->height) - c->first_line;
    make_tiles(part, c);
    for (size_t block = part->first_block; block < part->last_block; block++) {
        make_panels(part, c, block * DIP_BLOCK);
        for (size_t tap = 0; tap < (size_t)p->taps_y * p->taps_x; tap++)
            add_tap(part, c, tap / p->taps_x, tap % p->taps_x, block * DIP_BLOCK);
    }
}

void dip_weights_images(const dip_weights_part *part)
{
    const dip_conv_pass *p = part->job->pass;
    char *scratch = part->scratch;
    chunk c = {.band = dip_weights_band(p, row_bytes(p))};
    c.tiles = dip_carve(&scratch, tile_values(p, c.band) * sizeof(dip_bf16));
    c.panels = (dip_bf16 *)scratch;
    for (c.image = part->first_image; c.image < part->last_image; c.image += DIP_BLOCK) {
        const size_t rest = part->last_image - c.image;
        c.images = rest < DIP_BLOCK ? rest : DIP_BLOCK;
        for (c.first_row = 0; c.first_row < p->rows; c.first_row += c.band) {
            c.rows = p->rows - c.first_row < c.band ? p->rows - c.first_row : c.band;
            add_band(part, &c);
        }
    }
}
