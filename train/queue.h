/**
 * What the losses look back to: rings of the last pairs' outputs, one ring for each two modalities.
 *
 * A pair pushed replaces the oldest. A ring is not looked at before it is full. [He et al., MoCo, CVPR 2020, without
 * the slow copy of the encoder: the vectors are as the network of their own step made them]
 */
#ifndef TRAIN_QUEUE_H
#define TRAIN_QUEUE_H

#include "train/loss.h"

typedef struct dip_queue dip_queue;

enum { DIP_QUEUE_MOST = 1 << 20 }; /* pairs */

/** `dim`: of each of the two outputs that are kept; 0: this one is not. */
dip_status dip_queue_create(dip_queue **out, size_t pairs, size_t rings, const size_t dim[2]);
void dip_queue_destroy(dip_queue *queue);

/** The pairs of a ring for one of the outputs; NULL: the ring is not full, or `queue` is NULL. Borrowed. */
const dip_past *dip_queue_past(const dip_queue *queue, size_t ring, int output);

/**
 * Pushes n pairs; x[output][side] is (n, dim[output]) and not read if dim[output] is 0. Allocates nothing.
 */
void dip_queue_push(dip_queue *queue, size_t ring, size_t n, const uint32_t *pair,
                    float *const x[2][2]);

/** All that a checkpoint needs, as whole or real numbers that float32 holds exactly: borrowed. */
float *dip_queue_state(dip_queue *queue, size_t *count);

#endif
