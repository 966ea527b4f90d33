/** zstd, with its contexts kept for reuse. The only user of zstd.h is codec.c. Thread-safe. */
#ifndef STORAGE_CODEC_H
#define STORAGE_CODEC_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dip_codec dip_codec;

dip_status dip_codec_create(dip_codec **out);
void dip_codec_destroy(dip_codec *codec);

/** The most bytes that compressing `size` bytes can give. */
size_t dip_codec_bound(size_t size);
/** One zstd frame into `out`, which has room for dip_codec_bound(size). */
dip_status dip_codec_pack(dip_codec *codec, void *out, size_t *packed, const void *bytes,
                          size_t size);
/** Whether the head of a frame says `size`, and the frame is long enough for so much: no memory bombs. */
bool dip_codec_can_hold(const void *frame, size_t frame_size, size_t size);
/** A frame that must unfold to exactly `size` bytes. DIP_ECORRUPT. */
dip_status dip_codec_unpack(dip_codec *codec, void *out, size_t size, const void *frame,
                            size_t frame_size);

/**
 * Scratch memory of at least `bytes`, 64-byte aligned, kept for the next caller; NULL when memory is short.
 * Give it back with dip_codec_return().
 */
void *dip_codec_borrow(dip_codec *codec, size_t bytes);
void dip_codec_return(dip_codec *codec, void *scratch);

#endif
