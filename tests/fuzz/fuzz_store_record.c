/*
 * Feeds arbitrary bytes to the readers of the store's records. The first byte picks the record, the second its version,
 * the rest is its body: the frame's checksum is put on here, as a hostile writer would, so that the bodies are reached.
 * The bytes as they are go to the same reader too.
 */
#include "core/mem.h"
#include "storage/block.h"
#include "core/half.h"
#include "storage/pixels.h"
#include "storage/record.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEED = 77, MOST_PIXEL_BYTES = 1 << 22 };

static dip_codec *codec;

static void read_pixels(dip_bytes bytes)
{
    dip_pixels_shape shape;
    if (dip_pixels_open(&shape, bytes.data, bytes.size, SEED)) return;
    if (shape.raw_bytes > MOST_PIXEL_BYTES) return;
    uint8_t *pixels = dip_alloc_aligned(shape.raw_bytes + 64 * DIP_MAX_BANDS);
    if (!pixels) return;
    size_t at = 0;
    for (uint32_t i = 0; i < shape.plane_count; i++) {
        shape.planes[i].pixels = pixels + at;
        at += (dip_plane_bytes(&shape.planes[i]) + 63) & ~(size_t)63;
    }
    (void)dip_pixels_decode(&shape, SEED, codec);
    dip_free_aligned(pixels);
}

static void read_block(dip_bytes bytes)
{
    dip_block block;
    const void *halves;
    if (dip_block_open(&block, bytes.data, bytes.size, SEED)) return;
    size_t n = (size_t)block.count * block.dim;
    uint16_t *scratch = dip_alloc(n * sizeof *scratch);
    float *values = dip_alloc(n * sizeof *values);
    if (scratch && values && !dip_block_halves(&block, &halves, scratch, codec))
        dip_half_unpack(values, halves, n);
    dip_free(scratch);
    dip_free(values);
}

static void read_meta(dip_bytes bytes)
{
    dip_meta meta;
    if (dip_meta_decode(&meta, bytes, SEED)) return;
    /* What was accepted can be written again, and is the same. */
    dip_out out = {.bytes = NULL};
    if (dip_meta_encode(&out, &meta) == DIP_OK &&
        (out.size != bytes.size || memcmp(out.bytes, bytes.data, out.size) != 0))
        __builtin_trap();
    dip_out_fini(&out);
}

static void read_record(char kind, dip_bytes bytes)
{
    static const char name[] = "0/name";
    dip_totals totals;
    uint64_t id, *ids = NULL;
    size_t n;
    switch (kind) {
    case 'T': read_pixels(bytes); break;
    case 'E': read_block(bytes); break;
    case 'M': read_meta(bytes); break;
    case 'P':
        if (dip_place_decode(&ids, &n, bytes, SEED) == DIP_OK) dip_free(ids);
        break;
    case 'J': (void)dip_totals_decode(&totals, bytes, SEED); break;
    default: (void)dip_name_decode(&id, bytes, (dip_bytes){name, sizeof name - 1});
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!codec && dip_codec_create(&codec)) return 0;
    if (size < 2) return 0;
    dip_out out = {.bytes = NULL};
    dip_record_begin(&out, (char)data[0], data[1]);
    dip_out_bytes(&out, data + 2, size - 2);
    if (dip_record_seal(&out, SEED) == DIP_OK)
        read_record((char)data[0], (dip_bytes){out.bytes, out.size});
    dip_out_fini(&out);
    read_record((char)data[0], (dip_bytes){data, size});
    return 0;
}
