/**
 * Encoders to begin with that were trained elsewhere: ResNets in safetensors files, under the names of torchvision and
 * timm (conv1, bn1, layer1.0.conv1, ..., layer2.0.downsample.0), with any prefix. Classifiers are ignored.
 *
 * The network is the files', the order of the first convolution's channels becomes the archive's.
 */
#ifndef TRAIN_INIT_H
#define TRAIN_INIT_H

#include "encoder/net.h"
#include "train/dataset.h"
#include "train/options.h"

typedef struct dip_init dip_init;

/**
 * Opens the files of options->init and puts their network into the options, which borrow from `init` then; *out is
 * NULL if there are none. Expected failures: DIP_EINVAL (modality, bands or network do not fit, an option is missing),
 * DIP_EFORMAT (no such ResNet in a file), DIP_ENOENT.
 */
dip_status dip_init_open(dip_init **out, const dip_dataset *dataset, dip_train_options *options);
void dip_init_close(dip_init *init);

/** Whether a modality's encoder is taken from a file; false for init NULL. */
bool dip_init_has(const dip_init *init, uint32_t modality);
/** Of the files' content. */
uint64_t dip_init_fingerprint(const dip_init *init);

/** Gives bands the statistics that the weights were trained with, where they are known. */
dip_status dip_init_normalise(const dip_init *init, dip_dataset *dataset);

/** Sets the tensors of the modalities that it has. DIP_EFORMAT, DIP_ECORRUPT name file and tensor. */
dip_status dip_init_load(const dip_init *init, dip_net *net);

/** What is taken from where, a line for people. */
void dip_init_describe(const dip_init *init, uint32_t modality, char *line, size_t capacity);

#endif
