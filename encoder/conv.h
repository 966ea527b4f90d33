/**
 * Convolution of NHWC bfloat16 images as block products.
 *
 * A *pass* is one correlation of an image with a window of taps: the forward convolution, its backward-data (taps
 * mirrored), or one of the four parity classes of a strided backward-data (input pixels of equal parity see
 * the same taps). All passes run through dip_conv_run().
 *
 * Weights are float32 rows of `dip_conv_row()` values, one row an output channel: taps row by row, channels
 * innermost (out, kh, kw, in), padded with zeros to a multiple of 32.
 */
#ifndef ENCODER_CONV_H
#define ENCODER_CONV_H

#include "encoder/workspace.h"

enum { DIP_MAX_KERNEL = 7, DIP_MAX_CLASSES = 4, DIP_MAX_CHANNELS = 2048 };

/** A square convolution with padding kernel / 2. out_channels is a multiple of 32; in_channels too, for backward-data. */
typedef struct dip_conv {
    uint32_t in_channels, in_side, out_channels, kernel, stride;
} dip_conv;

static inline uint32_t dip_conv_out_side(const dip_conv *conv)
{
    return (conv->in_side + 2 * (conv->kernel / 2) - conv->kernel) / conv->stride + 1;
}

/** Floats of one row of weights. */
static inline size_t dip_conv_row(const dip_conv *conv)
{
    size_t taps = (size_t)conv->kernel * conv->kernel * conv->in_channels;
    return (taps + DIP_BLOCK - 1) / DIP_BLOCK * DIP_BLOCK;
}

typedef struct dip_conv_pass {
    uint32_t channels, height, width; /* image that is read */
    uint32_t taps_y, taps_x, stride;  /* window, and its step */
    uint32_t top, left;               /* rows and columns of zeros before the image */
    uint32_t out_channels;            /* of the image that is written */
    uint32_t rows, columns;           /* points computed */
    uint32_t out_height,
        out_width; /* point (i, j) is pixel (i * step + first_y, j * step + first_x) */
    uint32_t step, first_y, first_x;
    uint8_t tap_y[DIP_MAX_KERNEL], tap_x[DIP_MAX_KERNEL]; /* taps of the forward window, in order */
} dip_conv_pass;

void dip_conv_forward_pass(dip_conv_pass *pass, const dip_conv *conv);

/** Returns the number of passes, 0..4; together they write every pixel that some tap reaches. */
unsigned dip_conv_backward_passes(dip_conv_pass pass[DIP_MAX_CLASSES], const dip_conv *conv);

/** Length of k: values in one row of gathered pixels, and rows of the packed weights. */
size_t dip_conv_pass_depth(const dip_conv_pass *pass);

/** Elements of the packed weights of a pass. */
size_t dip_conv_pass_panels(const dip_conv_pass *pass);

/**
 * Packs weights for a forward pass, output channels [first, first + 32). scale: a factor for each output
 * channel, or NULL.
 */
void dip_conv_pack_forward(const dip_product_body *body, const dip_conv *conv, const float *weights,
                           const float *scale, size_t first, dip_bf16 *panels);
/** The same for a backward pass; [first, first + 32) are input channels. */
void dip_conv_pack_backward(const dip_product_body *body, const dip_conv *conv,
                            const dip_conv_pass *pass, const float *weights, size_t first,
                            dip_bf16 *panels);

/**
 * The forward pass on u8 images and int8 weights: as `pass`, on words of two values. in_channels is even. Its depth,
 * scratch and all else are asked for as those of any pass.
 */
dip_conv_pass dip_conv_pass_int8(const dip_conv_pass *pass);

/** As dip_conv_pack_forward(). unit: (out_channels), written from `first` on: what a 1 of the packed weights is worth. */
void dip_conv_pack_int8(const dip_conv *conv, const float *weights, const float *scale,
                        size_t first, dip_bf16 *panels, float *unit);

/** With DIP_FINISH_INT8 `in` is u8, and `out` too if the finish makes such. */
typedef struct dip_conv_job {
    const dip_conv_pass *pass;
    const dip_bf16 *in, *panels;
    dip_bf16 *out;
    size_t images;
    dip_finish finish;
    double *sums; /* (2, out_channels) for DIP_FINISH_SUMS and _MASK, else NULL */
} dip_conv_job;

void dip_conv_run(const dip_workspace *workspace, const dip_conv_job *job);

/** What dip_conv_run() needs of a workspace. */
size_t dip_conv_scratch(const dip_conv_pass *pass);
size_t dip_conv_partials(const dip_conv_pass *pass, size_t images);

/* ---- shared with the backward pass of the weights ---- */

/** Rows [first, first + count) of an image with its border of zeros; dip_conv_padded_width() pixels a row. */
void dip_conv_pad(const dip_conv_pass *pass, const dip_bf16 *image, size_t first, size_t count,
                  dip_bf16 *out);
size_t dip_conv_padded_width(const dip_conv_pass *pass);
size_t dip_conv_padded_height(const dip_conv_pass *pass);

/** Copies windows into rows; keeps the padded image between calls. */
typedef struct dip_gather {
    const dip_conv_pass *pass;
    const dip_bf16 *in;
    dip_bf16 *padded;  /* dip_gather_bytes() */
    size_t image;      /* the one in `padded`; SIZE_MAX: none */
    size_t row_stride; /* of the rows written; at least depth + 32, for the copies overshoot */
} dip_gather;

size_t dip_gather_bytes(const dip_conv_pass *pass);
/** Points [first, first + count), numbered over images, rows and columns; k past the window is zero. */
void dip_gather_rows(dip_gather *gather, size_t first, size_t count, dip_bf16 *out);

#endif
