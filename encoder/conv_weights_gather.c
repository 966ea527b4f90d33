/* Gradient of weights with few input channels: windows gathered into rows; see conv_weights_parts.h. */
#include "encoder/conv_weights_parts.h"

enum { POINTS = 256, STEPS = POINTS / DIP_BLOCK }; /* gathered at a time */

typedef struct gathered {
    dip_bf16 *rows;   /* (POINTS, stride): windows */
    dip_bf16 *tiles;  /* (out / 16, STEPS): dY transposed */
    dip_bf16 *panels; /* (STEPS): one block of columns */
    dip_gather gather;
} gathered;

static size_t row_stride(const dip_conv_pass *p) { return dip_conv_pass_depth(p) + DIP_BLOCK; }

size_t dip_weights_gather_scratch(const dip_conv_pass *p)
{
    const size_t values = (POINTS + 1) * row_stride(p) + (size_t)POINTS * p->out_channels +
                          (size_t)POINTS * DIP_BLOCK;
    return values * sizeof(dip_bf16) + dip_gather_bytes(p) + 4 * 64;
}

static void carve(gathered *s, const dip_weights_part *part)
{
    const dip_conv_pass *p = part->job->pass;
    char *scratch = part->scratch;
    s->rows = dip_carve(&scratch, (POINTS + 1) * row_stride(p) * sizeof(dip_bf16));
    s->tiles = dip_carve(&scratch, (size_t)POINTS * p->out_channels * sizeof(dip_bf16));
    s->panels = dip_carve(&scratch, (size_t)POINTS * DIP_BLOCK * sizeof(dip_bf16));
    s->gather = (dip_gather){.pass = p,
                             .in = part->job->in,
                             .padded = (dip_bf16 *)scratch,
                             .image = SIZE_MAX,
                             .row_stride = row_stride(p)};
}

static void transpose(const dip_weights_part *part, const gathered *s, size_t first, size_t count)
{
    const size_t channels = part->job->pass->out_channels;
    const dip_bf16 *rows[DIP_BLOCK];
    for (size_t k = 0; k * DIP_BLOCK < count; k++) {
        for (size_t r = 0; r < DIP_BLOCK; r++) {
            const size_t point = k * DIP_BLOCK + r;
            rows[r] = point < count ? part->job->gradient + (first + point) * channels
                                    : dip_weights_zeros;
        }
        dip_weights_tiles(part->workspace->kernel->product, rows, channels, s->tiles + k * DIP_TILE,
                          STEPS * DIP_TILE);
    }
}

/* Points [first, first + count), numbered over all images. */
static void add_points(const dip_weights_part *part, gathered *s, size_t first, size_t count)
{
    const size_t steps = (count + DIP_BLOCK - 1) / DIP_BLOCK;
    const dip_bf16 *rows[POINTS];
    dip_gather_rows(&s->gather, first, count, s->rows);
    transpose(part, s, first, count);
    /* rows past the last meet a gradient of zero, but must be numbers */
    for (size_t r = 0; r < steps * DIP_BLOCK; r++)
        rows[r] = s->rows + (r < count ? r : 0) * s->gather.row_stride;
    dip_product product = {.a_step = DIP_TILE,
                           .b = s->panels,
                           .b_half = DIP_TILE,
                           .b_step = DIP_PANEL,
                           .segments = 1,
                           .steps = (unsigned)steps};
    for (size_t block = part->first_block; block < part->last_block; block++) {
        for (size_t k = 0; k < steps; k++)
            part->workspace->kernel->product->panel(rows + k * DIP_BLOCK, block * DIP_BLOCK,
                                                    s->panels + k * DIP_PANEL, DIP_TILE);
        dip_weights_multiply(part, &product, s->tiles, STEPS * DIP_TILE, block * DIP_BLOCK);
    }
}

void dip_weights_gather(const dip_weights_part *part)
{
    const size_t points = (size_t)part->job->pass->rows * part->job->pass->columns;
    const size_t last = part->last_image * points;
    gathered s;
    carve(&s, part);
    for (size_t n = part->first_image * points; n < last; n += POINTS)
        add_points(part, &s, n, last - n < POINTS ? last - n : POINTS);
}
