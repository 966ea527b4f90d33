/** Backward pass of a dip_net: walks its operators down. */
#ifndef TRAIN_BACKWARD_H
#define TRAIN_BACKWARD_H

#include "encoder/net.h"

/**
 * Adds the parameter gradients of one modality's last dip_net_forward_train() to dip_net_grads().
 * dh: (n, feature_dim) gradient reaching h besides the head's, or NULL; dz: (n, embed_dim), or NULL.
 */
dip_status dip_net_backward(dip_net *net, size_t modality, const float *dh, const float *dz);

#endif
