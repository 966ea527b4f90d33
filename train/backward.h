/** Backward pass of a dip_net: walks its operators down. */
#ifndef TRAIN_BACKWARD_H
#define TRAIN_BACKWARD_H

#include "encoder/net.h"

/**
 * Adds the parameter gradients of one modality's last dip_net_forward_train() to dip_net_grads().
 * gradient: of each output, (n, dip_net_spec_dim()), or NULL; what reaches h through z is added here.
 */
dip_status dip_net_backward(dip_net *net, size_t modality, float *const gradient[DIP_OUTPUTS]);

#endif
