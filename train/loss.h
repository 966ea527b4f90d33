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
#include <stdint.h>

/** Scratch memory of the losses for up to `pairs` pairs of vectors of up to `dim` values, and `past` past pairs. */
typedef struct dip_loss_space dip_loss_space;
dip_status dip_loss_space_create(dip_loss_space **out, size_t pairs, size_t dim, size_t past);
void dip_loss_space_destroy(dip_loss_space *space);

/** Vectors of pairs of earlier steps. No gradient reaches them. */
typedef struct dip_past {
    size_t count;
    const float *mark; /* (count): dip_loss_mark() of each pair */
    const float *unit; /* (2, count, d): modality 1, then modality 2 */
    const float *norm; /* (2, count): lengths of the vectors */
} dip_past;

/** What pairs are told apart by: their number to 24 bits, which float32 holds exactly. */
float dip_loss_mark(uint32_t pair);
/** unit = x / |x|; returns |x|. In place too. */
float dip_loss_unit(const float *x, size_t d, float *unit);

/** Both modalities' vectors of a batch, (n, d) each, and where their gradients are added. */
typedef struct dip_loss_batch {
    size_t n, d;
    const float *x1, *x2;
    float *d1, *d2;
    double weight;        /* of the gradient */
    const dip_past *past; /* more candidates; a pair's own past is none of its. NULL: none */
    const uint32_t *pair; /* (n) numbers of the pairs; not read without a past */
} dip_loss_batch;

typedef struct dip_contrast {
    double temperature;
    double smoothing; /* share of the target spread evenly over the row's candidates in the batch */
    bool
        within; /* candidates of a row: both modalities (NT-Xent), else the other one alone (CLIP's) */
} dip_contrast;

/**
 * L_MIM: cross-entropy of each vector's softmax over its candidates (cosine / temperature) against its partner. Past
 * vectors are further negatives. [Chen et al., ICML 2020; Radford et al., ICML 2021; He et al., CVPR 2020]
 */
double dip_loss_contrast(dip_loss_space *space, const dip_contrast *contrast,
                         const dip_loss_batch *batch);

/**
 * Cross-entropy of the softmax over the other modality against given target rows: row i is the distribution over pairs
 * for both directions of pair i. targets: (n, n) over the batch, then (n, past) over the past.
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
 * Target rows for dip_loss_soft(): softmax over the other pairs, past ones too, of the similarity of normalised vectors,
 * centred by the batch's mean, divided by `temperature`. No gradient flows through them.
 */
void dip_soft_targets(dip_loss_space *space, dip_soft_source source, double temperature,
                      const dip_loss_batch *batch, float *targets);

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
 * L_MSP: mean cosine between each vector and its most similar one of the same modality in batch and past, averaged over
 * both modalities. It is to be increased: give a negative weight.
 */
double dip_loss_similar(dip_loss_space *space, dip_neighbour source, const dip_loss_batch *batch);

#endif
