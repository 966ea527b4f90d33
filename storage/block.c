/* The record of a block of embeddings; see block.h. */
#define _GNU_SOURCE
#include "storage/block.h"

#include "core/mem.h"

enum { VERSION = 1, PLAIN = 0, PLANES = 1 };

unsigned dip_block_rank(const dip_block *block, unsigned slot)
{
    unsigned rank = 0;
    for (unsigned i = 0; i < slot >> 3; i++)
        rank += (unsigned)__builtin_popcount(block->present[i]);
    return rank +
           (unsigned)__builtin_popcount(block->present[slot >> 3] & ((1u << (slot & 7)) - 1));
}

static size_t halves_bytes(const dip_block *block)
{
    return (size_t)block->count * block->dim * sizeof(uint16_t);
}

static dip_status read_head(dip_block *block, dip_in *in)
{
    block->encoding = dip_in_u8(in);
    uint8_t zero = dip_in_u8(in);
    block->dim = dip_in_u32(in);
    const uint8_t *present = dip_in_take(in, DIP_BLOCK_BITMAP);
    if (!present || zero || block->encoding > PLANES || block->dim == 0 ||
        block->dim > DIP_DIM_MAX || present[DIP_BLOCK_IDS >> 3] >> (DIP_BLOCK_IDS & 7))
        return dip_fail(DIP_ECORRUPT, "its record is not laid out as it should be");
    memcpy(block->present, present, DIP_BLOCK_BITMAP);
    block->count = 0;
    for (int i = 0; i < DIP_BLOCK_BITMAP; i++)
        block->count += (unsigned)__builtin_popcount(present[i]);
    block->payload_bytes = dip_in_left(in);
    block->payload = dip_in_take(in, block->payload_bytes);
    if (block->count == 0 ||
        (block->encoding == PLAIN && block->payload_bytes != halves_bytes(block)))
        return dip_fail(DIP_ECORRUPT, "its record has %zu bytes of vectors, expected %zu",
                        block->payload_bytes, halves_bytes(block));
    return DIP_OK;
}

dip_status dip_block_peek(dip_block *block, const void *bytes, size_t size)
{
    dip_in in;
    dip_status status = dip_record_peek(&in, bytes, size, 'E', VERSION);
    return status ? status : read_head(block, &in);
}

dip_status dip_block_open(dip_block *block, const void *bytes, size_t size, uint64_t number)
{
    dip_in in;
    dip_status status = dip_record_open(&in, bytes, size, 'E', VERSION, number);
    return status ? status : read_head(block, &in);
}

static dip_status unfold(const dip_block *block, uint8_t *out, dip_codec *codec)
{
    size_t n = halves_bytes(block) / 2;
    dip_in in = {block->payload, block->payload + block->payload_bytes, false};
    size_t high_size = dip_in_u32(&in);
    const uint8_t *high = dip_in_take(&in, high_size);
    size_t low_size = dip_in_left(&in);
    const uint8_t *low = dip_in_take(&in, low_size);
    if (!high || !low) return dip_fail(DIP_ECORRUPT, "its record is cut short");
    uint8_t *planes = dip_codec_borrow(codec, 2 * n);
    if (!planes) return DIP_ENOMEM;
    dip_status status = dip_codec_unpack(codec, planes, n, low, low_size);
    if (!status) status = dip_codec_unpack(codec, planes + n, n, high, high_size);
    for (size_t i = 0; !status && i < n; i++) {
        out[2 * i] = planes[i];
        out[2 * i + 1] = planes[n + i];
    }
    dip_codec_return(codec, planes);
    return status;
}

dip_status dip_block_halves(const dip_block *block, const void **halves, void *scratch,
                            dip_codec *codec)
{
    if (block->encoding == PLAIN) {
        *halves = block->payload;
        return DIP_OK;
    }
    dip_status status = unfold(block, scratch, codec);
    if (!status) *halves = scratch;
    return status;
}

/* Both planes packed into `scratch` as encoding 1 stores them; *size is 0 if that saves too little. */
static dip_status fold(uint8_t *scratch, size_t *size, const uint8_t *halves, size_t n,
                       dip_codec *codec)
{
    uint8_t *plane = scratch, *out = scratch + n + sizeof(uint32_t);
    size_t high_size, low_size;
    for (size_t i = 0; i < n; i++) plane[i] = halves[2 * i + 1];
    dip_status status = dip_codec_pack(codec, out, &high_size, plane, n);
    if (status) return status;
    *size = 0;
    /* The low bytes of what does not repeat hardly shrink: do not try if the high ones do not. */
    if (high_size > n * 5 / 8) return DIP_OK;
    for (size_t i = 0; i < n; i++) plane[i] = halves[2 * i];
    status = dip_codec_pack(codec, out + high_size, &low_size, plane, n);
    if (status) return status;
    if (sizeof(uint32_t) + high_size + low_size > 2 * n * 3 / 4) return DIP_OK;
    uint32_t stored = (uint32_t)high_size;
    memcpy(out - sizeof stored, &stored, sizeof stored);
    *size = sizeof stored + high_size + low_size;
    return DIP_OK;
}

static void put_head(dip_out *out, const dip_block *block, uint8_t encoding)
{
    dip_record_begin(out, 'E', VERSION);
    dip_out_u8(out, encoding);
    dip_out_u8(out, 0);
    dip_out_u32(out, block->dim);
    dip_out_bytes(out, block->present, DIP_BLOCK_BITMAP);
}

dip_status dip_block_encode(dip_out *out, uint64_t number, const dip_block *block,
                            const uint16_t *halves, dip_codec *codec)
{
    size_t n = halves_bytes(block) / 2, packed = 0;
    uint8_t *scratch = dip_codec_borrow(codec, n + sizeof(uint32_t) + 2 * dip_codec_bound(n));
    if (!scratch) return DIP_ENOMEM;
    dip_status status = fold(scratch, &packed, (const uint8_t *)halves, n, codec);
    if (!status) {
        put_head(out, block, packed ? PLANES : PLAIN);
        if (packed)
            dip_out_bytes(out, scratch + n, packed);
        else
            dip_out_bytes(out, halves, 2 * n);
        status = dip_record_seal(out, number);
    }
    dip_codec_return(codec, scratch);
    return status;
}
