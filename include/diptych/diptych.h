/** Everything: archive, model, search. */
#ifndef DIPTYCH_DIPTYCH_H
#define DIPTYCH_DIPTYCH_H

#include <diptych/archive.h>
#include <diptych/model.h>
#include <diptych/search.h>
#include <diptych/status.h>
#include <diptych/tile.h>

#endif
