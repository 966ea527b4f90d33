/**
 * SIGReg: keeps the vectors of each modality from collapsing by drawing their distribution to N(0, I).
 * [Balestriero and LeCun, 2025; test of Epps and Pulley, 1983]
 *
 * Along each of J random unit directions the empirical characteristic function of the n projections s is held against a
 * Gaussian's, at KNOTS points t of 0..3:
 *
 *   (n/J) sum_j sum_k w_k [ (mean cos(t_k s) - exp(-t_k^2/2))^2 + (mean sin(t_k s))^2 ],  w_k = 2 dt exp(-t_k^2/2),
 *
 * the first and last w_k half of it (the trapezoid rule; twice, for t and -t). The value is the mean of both
 * modalities'. Results do not depend on the number of threads; one thread at a time; a step allocates nothing.
 */
#ifndef TRAIN_SIGREG_H
#define TRAIN_SIGREG_H

#include "train/loss.h"

#include <stdint.h>

enum { DIP_SIGREG_KNOTS = 17 };

typedef struct dip_sigreg dip_sigreg;

/** For batches of up to `pairs` pairs of vectors of `dim` values. */
dip_status dip_sigreg_create(dip_sigreg **out, size_t pairs, size_t dim, size_t directions);
void dip_sigreg_destroy(dip_sigreg *sigreg);

/** The unit directions of a step, (directions, dim), borrowed: they follow from seed and step alone. */
const float *dip_sigreg_draw(dip_sigreg *sigreg, uint64_t seed, uint64_t step);

/** The loss along given directions, (directions, dim); see loss.h for what a loss does. */
double dip_loss_sigreg(dip_sigreg *sigreg, const float *directions, const dip_loss_batch *batch);

#endif
