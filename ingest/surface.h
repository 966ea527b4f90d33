/** What grows and stands on simulated land: reflectance and backscatter by kind, season and chance. */
#ifndef INGEST_SURFACE_H
#define INGEST_SURFACE_H

#include "ingest/land.h"

/** Finer than covers: what a patch is made of. */
typedef enum dip_kind {
    DIP_KIND_LAKE,
    DIP_KIND_RIVER,
    DIP_KIND_BROADLEAVED,
    DIP_KIND_CONIFEROUS,
    DIP_KIND_CEREAL,
    DIP_KIND_RAPESEED,
    DIP_KIND_MAIZE,
    DIP_KIND_BEET,
    DIP_KIND_FALLOW,
    DIP_KIND_PASTURE,
    DIP_KIND_HEDGE,
    DIP_KIND_TRACK,
    DIP_KIND_ROAD,
    DIP_KIND_STREET,
    DIP_KIND_LOT,    /* of a town: house and garden */
    DIP_KIND_CENTRE, /* of a town: closely built */
    DIP_KIND_HALL,
    DIP_KIND_YARD,
    DIP_KIND_MARSH
} dip_kind;

/**
 * The surface of a patch. `hash` is the patch's chance; `facing` in 0..1 tells how squarely its walls face the radar.
 */
dip_surface dip_surface_make(dip_kind kind, const dip_region *region, uint64_t hash, float facing);

#endif
