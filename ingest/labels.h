/** CORINE Land Cover's 43 classes as BigEarthNet names them, and the 19 that its second nomenclature joins them to. */
#ifndef INGEST_LABELS_H
#define INGEST_LABELS_H

#include "core/status.h"

enum { DIP_LABELS_43 = 43, DIP_LABELS_19 = 19 };

/** Names by index; NULL past the end. */
const char *dip_labels_name43(unsigned index);
const char *dip_labels_name19(unsigned index);
/** The 19-class index of a 43-class one, or -1: eleven classes have none. */
int dip_labels_map(unsigned index43);

/**
 * A '|'-separated list of 43-class names as the list of 19-class ones, in the nomenclature's order, each once.
 * Names of the 19 classes stay. *out is the caller's (dip_free).
 * Expected failure: DIP_EFORMAT (a name of neither nomenclature).
 */
dip_status dip_labels_to19(char **out, const char *labels);

#endif
