/**
 * Inside view of loss.h: the scratch memory and what all losses do with it.
 *
 * All work on unit vectors u = x / |x|, stacked: rows 0..n-1 modality 1, rows n..2n-1 modality 2. A loss makes the
 * gradient with respect to u, and dip_loss_spread() carries it to x: dx = (I - u u') du / |x|.
 *
 * Cosines with the batch are in `matrix`, those with past vectors in `past`, row beside row. A past vector that a row
 * must not see, its own pair's, has cosine minus infinity.
 */
#ifndef TRAIN_LOSS_SPACE_H
#define TRAIN_LOSS_SPACE_H

#include "train/loss.h"

enum { DIP_LOSS_ROWS = 32 }; /* rows a task */

struct dip_loss_space {
    size_t pairs, dim, past_pairs;
    float *unit;     /* (2n, d) */
    float *gradient; /* (2n, d), with respect to `unit` */
    float *norm;     /* (2n) */
    float *matrix;   /* (2n, 2n) */
    float *past;     /* (2n, 2 past) */
    float *centred;  /* (2 past, d) */
    double *partial; /* one a task */
    size_t *nearest; /* (2n); n and more: past vectors */
};

double dip_loss_dot(const float *a, const float *b, size_t d);

/** Sets `unit` and `norm`. */
void dip_loss_units(dip_loss_space *space, const dip_loss_batch *batch);
/** Adds weight * gradient, carried from the unit vectors to the inputs, to d1 and d2. */
void dip_loss_spread(const dip_loss_space *space, const dip_loss_batch *batch);

/** Past vectors of each modality; 0: none. */
size_t dip_loss_past_count(const dip_loss_batch *batch);
/** Minus infinity for each pair's own past: rows i, i + n, ..., columns j, j + past, ... of (rows, columns) values. */
void dip_loss_hide_own(const dip_loss_batch *batch, float *values, size_t rows, size_t columns);

#endif
