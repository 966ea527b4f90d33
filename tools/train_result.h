/** What training and alignment tell of their result in the same words. */
#ifndef TOOLS_TRAIN_RESULT_H
#define TOOLS_TRAIN_RESULT_H

#include "front/json.h"
#include "train/trainer.h"

/** The line of the pair recall, if pairs are held out; to standard output. */
void dip_train_result_print(const dip_train_result *result);
/** The fields of an open object. */
void dip_train_result_json(dip_json *json, const dip_train_result *result);

#endif
