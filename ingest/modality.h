/** Drafts meet modalities: what a first tile makes of a modality, and whether a tile belongs to one. */
#ifndef INGEST_MODALITY_H
#define INGEST_MODALITY_H

#include "ingest/source.h"

/** Expected failure: DIP_EINVAL (the text of --bands or --units cannot be understood). */
dip_status dip_modality_check_options(const dip_import_options *options);

/**
 * The modality `name` as its first tile has it, after dip_modality_name_bands(). Units are given or guessed: radar
 * names or a radar modality are dB or power by the sign of the median, amplitude if whole numbers; B02 and the like
 * with 16 bits are reflectance.
 */
dip_status dip_modality_of_draft(dip_modality *out, const char *name, const dip_draft *draft,
                                 const dip_import_options *options);

/**
 * Gives names to a draft's bands: the options' ones, else its own if it has them all, else those of `declared` in
 * order (or band1... if that is NULL). Expected failure: DIP_EMISMATCH (not as many bands as names).
 */
dip_status dip_modality_name_bands(dip_draft *draft, const char *name, const dip_modality *declared,
                                   const dip_import_options *options);

/** Whether dip_modality_name_bands() has to make names up. */
bool dip_modality_makes_up_names(const dip_draft *draft, const char *name,
                                 const dip_modality *declared, const dip_import_options *options);

/** Position of a band by name, or -1. */
int dip_modality_find_band(const dip_modality *modality, const char *name);

/** Pixel i of a plane as a number, of whatever type; NAN: an unknown type. */
double dip_plane_value(const dip_plane *plane, size_t i);

/** The grids of a draft's bands. */
void dip_grids_of_draft(dip_grids *out, const dip_draft *draft);
void dip_grids_of_tile(dip_grids *out, const dip_tile *tile);

/**
 * Puts a named draft's bands into the modality's order. Expected failures: DIP_EMISMATCH (a band is missing or too
 * many; grid or pixel type is not the expected one), DIP_EFORMAT (pixels that are NaN or infinite).
 */
dip_status dip_modality_fit(dip_draft *draft, const dip_modality *modality, const dip_grids *grids);

#endif
