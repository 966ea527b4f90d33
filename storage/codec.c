/*
 * zstd contexts and scratch blocks, kept in small stacks under one lock; see codec.h.
 *
 * Level 1: behind the filters what is left to gain is in the entropy coder. On real tiles level 3 is within 1 % of it
 * in bytes either way (worse on 8-bit ones) and takes up to twice the time; level 9 saves 1 % for eight times.
 */
#define _GNU_SOURCE
#include "storage/codec.h"

#include "core/mem.h"

#include <pthread.h>
#include <zstd.h>

enum { LEVEL = 1, MAX_KEPT = 64, SCRATCH_HEAD = 64 };

struct dip_codec {
    pthread_mutex_t lock;
    ZSTD_CCtx *packers[MAX_KEPT];
    ZSTD_DCtx *unpackers[MAX_KEPT];
    size_t *scratch[MAX_KEPT]; /* each begins with its size */
    unsigned packer_count, unpacker_count, scratch_count;
};

dip_status dip_codec_create(dip_codec **out)
{
    dip_codec *codec = dip_calloc(1, sizeof *codec);
    if (!codec) return DIP_ENOMEM;
    pthread_mutex_init(&codec->lock, NULL);
    *out = codec;
    return DIP_OK;
}

void dip_codec_destroy(dip_codec *codec)
{
    if (!codec) return;
    while (codec->packer_count) ZSTD_freeCCtx(codec->packers[--codec->packer_count]);
    while (codec->unpacker_count) ZSTD_freeDCtx(codec->unpackers[--codec->unpacker_count]);
    while (codec->scratch_count) dip_free_aligned(codec->scratch[--codec->scratch_count]);
    pthread_mutex_destroy(&codec->lock);
    dip_free(codec);
}

size_t dip_codec_bound(size_t size) { return ZSTD_compressBound(size); }

dip_status dip_codec_pack(dip_codec *codec, void *out, size_t *packed, const void *bytes,
                          size_t size)
{
    pthread_mutex_lock(&codec->lock);
    ZSTD_CCtx *packer = codec->packer_count ? codec->packers[--codec->packer_count] : NULL;
    pthread_mutex_unlock(&codec->lock);
    if (!packer && !(packer = ZSTD_createCCtx()))
        return dip_fail(DIP_ENOMEM, "out of memory for a zstd compressor");
    size_t got = ZSTD_compressCCtx(packer, out, dip_codec_bound(size), bytes, size, LEVEL);
    pthread_mutex_lock(&codec->lock);
    if (codec->packer_count < MAX_KEPT) {
        codec->packers[codec->packer_count++] = packer;
        packer = NULL;
    }
    pthread_mutex_unlock(&codec->lock);
    ZSTD_freeCCtx(packer);
    if (ZSTD_isError(got))
        return dip_fail(DIP_EIO, "zstd cannot compress %zu bytes: %s", size,
                        ZSTD_getErrorName(got));
    *packed = got;
    return DIP_OK;
}

bool dip_codec_can_hold(const void *frame, size_t frame_size, size_t size)
{
    /* The shortest block has 4 bytes and unfolds to 128 KiB at most. */
    return size / 32768 <= frame_size && ZSTD_getFrameContentSize(frame, frame_size) == size;
}

dip_status dip_codec_unpack(dip_codec *codec, void *out, size_t size, const void *frame,
                            size_t frame_size)
{
    if (!dip_codec_can_hold(frame, frame_size, size))
        return dip_fail(DIP_ECORRUPT, "its compressed bytes are not a zstd frame of %zu bytes",
                        size);
    pthread_mutex_lock(&codec->lock);
    ZSTD_DCtx *unpacker = codec->unpacker_count ? codec->unpackers[--codec->unpacker_count] : NULL;
    pthread_mutex_unlock(&codec->lock);
    if (!unpacker && !(unpacker = ZSTD_createDCtx()))
        return dip_fail(DIP_ENOMEM, "out of memory for a zstd decompressor");
    size_t got = ZSTD_decompressDCtx(unpacker, out, size, frame, frame_size);
    pthread_mutex_lock(&codec->lock);
    if (codec->unpacker_count < MAX_KEPT) {
        codec->unpackers[codec->unpacker_count++] = unpacker;
        unpacker = NULL;
    }
    pthread_mutex_unlock(&codec->lock);
    ZSTD_freeDCtx(unpacker);
    if (ZSTD_isError(got))
        return dip_fail(DIP_ECORRUPT, "its compressed bytes are damaged: %s",
                        ZSTD_getErrorName(got));
    if (got != size)
        return dip_fail(DIP_ECORRUPT, "its compressed bytes give %zu bytes, expected %zu", got,
                        size);
    return DIP_OK;
}

void *dip_codec_borrow(dip_codec *codec, size_t bytes)
{
    pthread_mutex_lock(&codec->lock);
    size_t *block = codec->scratch_count ? codec->scratch[--codec->scratch_count] : NULL;
    pthread_mutex_unlock(&codec->lock);
    if (block && *block < bytes) {
        dip_free_aligned(block);
        block = NULL;
    }
    if (!block) {
        block = dip_alloc_aligned(SCRATCH_HEAD + bytes);
        if (!block) return NULL;
        *block = bytes;
    }
    return (char *)block + SCRATCH_HEAD;
}

void dip_codec_return(dip_codec *codec, void *scratch)
{
    if (!scratch) return;
    size_t *block = (size_t *)(void *)((char *)scratch - SCRATCH_HEAD);
    pthread_mutex_lock(&codec->lock);
    if (codec->scratch_count < MAX_KEPT) {
        codec->scratch[codec->scratch_count++] = block;
        block = NULL;
    }
    pthread_mutex_unlock(&codec->lock);
    dip_free_aligned(block);
}
