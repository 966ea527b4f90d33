/*
 * Gradient of weights on narrow maps: a step is one pixel of 32 images; see conv_weights_parts.h.
 *
 * An input pixel's panel serves every tap, and a tap visits only the output pixels whose window holds it: the
 * border costs nothing. A batch that is no multiple of 32 is filled up with zeros.
 *
 * The smaller the map, the fewer steps a tap has to offer between loading and storing its sums; so several
 * blocks of 32 images are taken at once, side by side under each pixel. Columns of the input are kept in order of
 * their remainder by the stride: what a tap visits in a row is then one run of panels.
 */
#include "encoder/conv_weights_parts.h"

enum { STEPS_WANTED = 32, MAX_BLOCKS = 8 };

typedef struct chunk {
    size_t image, images, blocks; /* of 32 images */
    size_t first_row, rows, band; /* of output; band: rows that the scratch has room for */
    size_t first_line, lines;     /* of input that these rows see */
    size_t tile_stride;           /* to the tiles of the next 16 channels */
    dip_bf16 *tiles;              /* (out / 16, rows, columns, blocks): dY transposed */
    dip_bf16 *panels;             /* (lines, slots, blocks) of 32 channels */
} chunk;

static size_t most_blocks(const dip_conv_pass *p)
{
    const size_t blocks = STEPS_WANTED / ((size_t)p->rows * p->columns);
    return blocks < 1 ? 1 : blocks > MAX_BLOCKS ? MAX_BLOCKS : blocks;
}

static size_t slots_apart(const dip_conv_pass *p)
{
    return (p->width + p->left + p->stride - 1) / p->stride;
}

/* Column of the padded input to its slot. */
static size_t slot_of(const dip_conv_pass *p, size_t column)
{
    return column % p->stride * slots_apart(p) + column / p->stride;
}

static size_t band_lines(const dip_conv_pass *p, size_t band)
{
    return (band - 1) * p->stride + p->taps_y;
}

static size_t band_of(const dip_conv_pass *p)
{
    const size_t tiles = (size_t)p->columns * p->out_channels * DIP_BLOCK;
    const size_t panels = p->stride * p->stride * slots_apart(p) * DIP_PANEL;
    return dip_weights_band(p, most_blocks(p) * (tiles + panels) * sizeof(dip_bf16));
}

static size_t tile_values(const dip_conv_pass *p)
{
    return most_blocks(p) * band_of(p) * p->columns * p->out_channels * DIP_BLOCK;
}

size_t dip_weights_images_scratch(const dip_conv_pass *p)
{
    const size_t panels = most_blocks(p) * band_lines(p, band_of(p)) * p->stride * slots_apart(p);
    return (tile_values(p) + panels * DIP_PANEL) * sizeof(dip_bf16) + 2 * 64;
}

/* Pixel `at` of 32 images of a (images, pixels, channels) array. */
static void image_rows(const chunk *c, size_t block, const dip_bf16 *array, size_t pixels,
                       size_t at, size_t channels, const dip_bf16 *rows[DIP_BLOCK])
{
    for (size_t r = 0; r < DIP_BLOCK; r++) {
        const size_t n = block * DIP_BLOCK + r;
        rows[r] =
            n < c->images ? array + ((c->image + n) * pixels + at) * channels : dip_weights_zeros;
    }
}

static void make_tiles(const dip_weights_part *part, const chunk *c)
{
    const dip_conv_pass *p = part->job->pass;
    const size_t first = c->first_row * p->columns;
    const dip_bf16 *rows[DIP_BLOCK];
    for (size_t n = 0; n < c->rows * p->columns * c->blocks; n++) {
        image_rows(c, n % c->blocks, part->job->gradient, (size_t)p->rows * p->columns,
                   first + n / c->blocks, p->out_channels, rows);
        dip_weights_tiles(part->workspace->kernel->product, rows, p->out_channels,
                          c->tiles + n * DIP_TILE, c->tile_stride);
    }
}

static void make_panels(const dip_weights_part *part, const chunk *c, size_t channel)
{
    const dip_conv_pass *p = part->job->pass;
    const dip_bf16 *rows[DIP_BLOCK];
    for (size_t n = 0; n < c->lines * p->width * c->blocks; n++) {
        const size_t block = n % c->blocks, x = n / c->blocks % p->width;
        const size_t line = n / c->blocks / p->width;
        const size_t slot = line * p->stride * slots_apart(p) + slot_of(p, x + p->left);
        image_rows(c, block, part->job->in, (size_t)p->height * p->width,
                   (c->first_line + line) * p->width + x, p->channels, rows);
        part->workspace->kernel->product->panel(
            rows, channel, c->panels + (slot * c->blocks + block) * DIP_PANEL, DIP_TILE);
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
    const size_t s = p->stride, slots = s * slots_apart(p);
    size_t i0, i1, j0, j1;
    clip_points(c->first_row, c->first_row + c->rows, s, p->top, y, p->height, &i0, &i1);
    clip_points(0, p->columns, s, p->left, x, p->width, &j0, &j1);
    if (i0 >= i1 || j0 >= j1) return;
    const size_t line = i0 * s + y - p->top - c->first_line;
    const size_t slot = line * slots + slot_of(p, j0 * s + x);
    const size_t tile = (i0 - c->first_row) * p->columns + j0;
    dip_product product = {.a_step = DIP_TILE,
                           .a_segment = (ptrdiff_t)(p->columns * c->blocks * DIP_TILE),
                           .b = c->panels + slot * c->blocks * DIP_PANEL,
                           .b_half = DIP_TILE,
                           .b_step = DIP_PANEL,
                           .b_segment = (ptrdiff_t)(s * slots * c->blocks * DIP_PANEL),
                           .segments = (unsigned)(i1 - i0),
                           .steps = (unsigned)((j1 - j0) * c->blocks)};
    dip_weights_multiply(part, &product, c->tiles + tile * c->blocks * DIP_TILE, c->tile_stride,
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
    const size_t most = most_blocks(p) * DIP_BLOCK;
    char *scratch = part->scratch;
    chunk c = {.band = band_of(p)};
    c.tiles = dip_carve(&scratch, tile_values(p) * sizeof(dip_bf16));
    c.panels = (dip_bf16 *)scratch;
    for (c.image = part->first_image; c.image < part->last_image; c.image += most) {
        const size_t rest = part->last_image - c.image;
        c.images = rest < most ? rest : most;
        c.blocks = (c.images + DIP_BLOCK - 1) / DIP_BLOCK;
        c.tile_stride = c.band * p->columns * c.blocks * DIP_TILE;
        for (c.first_row = 0; c.first_row < p->rows; c.first_row += c.band) {
            c.rows = p->rows - c.first_row < c.band ? p->rows - c.first_row : c.band;
            add_band(part, &c);
        }
    }
}
