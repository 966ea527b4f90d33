/**
 * The record of a tile's pixels ('T', version 1), in the frame of wire.h:
 *
 *   u8 planes, then a plane: u8 dtype, u8 filter, u32 width, u32 height; then one zstd frame, which unfolds to the
 *   filtered planes (filter.h) one after the other, as many bytes as their shapes say
 *
 * The record comes from outside: every length is checked before anything is allocated.
 */
#ifndef STORAGE_PIXELS_H
#define STORAGE_PIXELS_H

#include "storage/codec.h"
#include "storage/filter.h"
#include "storage/wire.h"

enum { DIP_TILE_MAX_BYTES = 1 << 28 }; /* of pixels: 256 MiB */

typedef struct dip_pixels_shape {
    uint32_t plane_count;
    dip_plane planes[DIP_MAX_BANDS]; /* pixels: NULL */
    dip_filter filters[DIP_MAX_BANDS];
    size_t raw_bytes;
    const uint8_t *frame;
    size_t frame_bytes;
} dip_pixels_shape;

/** Bytes of pixels of a plane, 0 if the plane is not one that can be stored. */
size_t dip_plane_bytes(const dip_plane *plane);

/** planes: with pixels, of at most DIP_TILE_MAX_BYTES in all. */
dip_status dip_pixels_encode(dip_out *out, uint64_t id, const dip_plane *planes, uint32_t count,
                             dip_codec *codec);

/** Reads and checks all but the compressed bytes. */
dip_status dip_pixels_open(dip_pixels_shape *shape, const void *bytes, size_t size, uint64_t id);
/** The same without the checksum: touches the head of the record alone. */
dip_status dip_pixels_peek(dip_pixels_shape *shape, const void *bytes, size_t size, uint64_t id);
/** Fills the pixels of shape->planes, which point to memory of dip_plane_bytes() each. */
dip_status dip_pixels_decode(dip_pixels_shape *shape, uint64_t id, dip_codec *codec);

#endif
