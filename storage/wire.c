/* The frame of records; see wire.h. */
#include "storage/wire.h"

#include "core/hash.h"
#include "core/mem.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the archive's records are little-endian, and so must be the machine"
#endif

uint8_t *dip_out_room(dip_out *out, size_t size)
{
    if (out->failed ||
        dip_array_reserve((void **)&out->bytes, &out->capacity, out->size + size, 1)) {
        out->failed = true;
        return NULL;
    }
    uint8_t *at = out->bytes + out->size;
    out->size += size;
    return at;
}

void dip_out_bytes(dip_out *out, const void *bytes, size_t size)
{
    uint8_t *at = dip_out_room(out, size);
    if (at && size) memcpy(at, bytes, size);
}

void dip_out_fini(dip_out *out)
{
    dip_free(out->bytes);
    *out = (dip_out){.bytes = NULL};
}

void dip_record_begin(dip_out *out, char kind, uint8_t version)
{
    out->size = 0;
    out->failed = false;
    dip_out_u8(out, (uint8_t)kind);
    dip_out_u8(out, version);
}

dip_status dip_record_seal(dip_out *out, uint64_t seed)
{
    if (!out->failed) dip_out_u64(out, dip_hash64_seed(out->bytes, out->size, seed));
    return out->failed ? DIP_ENOMEM : DIP_OK;
}

dip_status dip_record_peek(dip_in *in, const void *bytes, size_t size, char kind, uint8_t version)
{
    const uint8_t *at = bytes;
    if (size < DIP_RECORD_OVERHEAD)
        return dip_fail(DIP_ECORRUPT, "its record has %zu bytes, too few", size);
    if (at[0] != (uint8_t)kind)
        return dip_fail(DIP_ECORRUPT, "its record is of kind %u, expected '%c'", at[0], kind);
    if (at[1] > version)
        return dip_fail(DIP_EFORMAT,
                        "its record has version %u, written by a newer diptych than this one, "
                        "which reads up to %u",
                        at[1], version);
    if (at[1] == 0) return dip_fail(DIP_EFORMAT, "its record has version 0, which never was");
    *in = (dip_in){at + 2, at + size - sizeof(uint64_t), false};
    return DIP_OK;
}

dip_status dip_record_open(dip_in *in, const void *bytes, size_t size, char kind, uint8_t version,
                           uint64_t seed)
{
    uint64_t stored;
    if (size >= DIP_RECORD_OVERHEAD) {
        memcpy(&stored, (const uint8_t *)bytes + size - sizeof stored, sizeof stored);
        if (stored != dip_hash64_seed(bytes, size - sizeof stored, seed))
            return dip_fail(DIP_ECORRUPT, "its checksum is wrong, so its stored bytes are damaged");
    }
    return dip_record_peek(in, bytes, size, kind, version);
}
