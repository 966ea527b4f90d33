/**
 * The losses, each a function of the two modalities' batches (n, d) with its gradient written by hand.
 *
 * Every function returns the loss's value (without `weight`) and adds weight * d(value)/d(input) to d1 and d2, which
 * have the inputs' shape. S(u, v) is the cosine. Sums are kept a chunk of rows and added in order: results do
 * not depend on the number of threads. One thread at a time per dip_loss_space; nothing is allocated.
 */
#ifndef TRAIN_LOSS_H
#define TRAIN_LOSS_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

/** Scratch memory of the losses for up to `pairs` pairs of vectors of up to `dim` values. */
typedef struct dip_loss_space dip_loss_space;
dip_status dip_loss_space_create(dip_loss_space **out, size_t pairs, size_t dim);
void dip_loss_space_destroy(dip_loss_space *space);

/** Both modalities' vectors of a batch, (n, d) each, and where their gradients are added. */
typedef struct dip_loss_batch {
    size_t n, d;
    const float *x1, *x2;
    float *d1, *d2;
    double weight; /* of the gradient */
} dip_loss_batch;

typedef struct dip_contrast {
    double temperature;
    double smoothing; /* share of the target spread evenly over the row's candidates */
    bool
        within; /* candidates of a row: both modalities (NT-Xent), else the other one alone (CLIP's) */
} dip_contrast;

/**
 * L_MIM: cross-entropy of each vector's softmax over its candidates (cosine / temperature) against its partner.
 * [Chen et al., ICML 2020; Radford et al., ICML 2021]
 */
double dip_loss_contrast(dip_loss_space *space, const dip_contrast *contrast,
                         const dip_loss_batch *batch);

/**
 * Cross-entropy of the softmax over the other modality against given target rows, targets (n, n): row i is the
 * distribution over pairs for both directions of pair i.
 */
double dip_loss_soft(dip_loss_space *space, double temperature, const float *targets,
                     const dip_loss_batch *batch);

typedef enum dip_soft_source {
    DIP_SOFT_FUSED,  /* mean of the similarities inside modality 1 and inside modality 2 */
    DIP_SOFT_ALL,    /* and of both directions across */
    DIP_SOFT_FIRST,  /* inside modality 1 */
    DIP_SOFT_SECOND, /* inside modality 2 */
    DIP_SOFT_ACROSS  /* both directions across alone */
} dip_soft_source;

/**
 * Target rows for dip_loss_soft(): softmax over the other pairs (itself left out) of the similarity of centred,
 * normalised vectors divided by `temperature`. No gradient flows through them.
 */
void dip_soft_targets(dip_loss_space *space, dip_soft_source source, double temperature,
                      const float *x1, const float *x2, size_t n, size_t d, float *targets);

typedef enum dip_discrepancy {
    DIP_DISCREPANCY_COSINE, /* mean of 1 - S */
    DIP_DISCREPANCY_LOG     /* mean of -log(1 + exp S), the published form */
} dip_discrepancy;

/** L_MDE: draws the two vectors of a pair together. */
double dip_loss_discrepancy(dip_loss_space *space, dip_discrepancy form,
                            const dip_loss_batch *batch);

typedef enum dip_neighbour {
    DIP_NEIGHBOUR_OWN,  /* nearest other vector of the modality, Euclidean, as published */
    DIP_NEIGHBOUR_FUSED /* nearest other pair by the sum of both modalities' cosines */
} dip_neighbour;

/**
 * L_MSP: mean cosine between each vector and its most similar one of the same modality in the batch, averaged over
 * both modalities. It is to be increased: give a negative weight.
 */
double dip_loss_similar(dip_loss_space *space, dip_neighbour source, const dip_loss_batch *batch);

#endif
