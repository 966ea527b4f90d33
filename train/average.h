/**
 * Moving average of a net: its parameters and its running statistics.
 *
 * The averaged weights are used by swapping them into the net and back.
 */
#ifndef TRAIN_AVERAGE_H
#define TRAIN_AVERAGE_H

#include "encoder/net.h"

typedef struct dip_average dip_average;

/** Begins as a copy of the net, which is borrowed. */
dip_status dip_average_create(dip_average **out, dip_net *net);
void dip_average_destroy(dip_average *average);
/** Begins anew as a copy of the net. */
void dip_average_reset(dip_average *average);

/** average = decay * average + (1 - decay) * net */
void dip_average_step(dip_average *average, double decay);
/** Exchanges net and average; no refresh. */
void dip_average_swap(dip_average *average);

/** For checkpoints: parameters (dip_net_param_count()) and running statistics, borrowed. */
float *dip_average_params(dip_average *average);
float *dip_average_running(dip_average *average, size_t *count);

#endif
