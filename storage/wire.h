/**
 * Bytes of records: little-endian, unaligned, without padding.
 *
 * Writing appends to a growing block; a failed allocation sticks, and whoever seals the record reports it. Reading
 * past the end gives zeros and sticks too, so a parser checks once, after its last field.
 *
 * Every record has the same frame, so that damage is told from a newer version:
 *   u8 kind, u8 version, ..., u64 XXH3 of all before it, seeded with the record's place (its key)
 */
#ifndef STORAGE_WIRE_H
#define STORAGE_WIRE_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { DIP_RECORD_OVERHEAD = 10 };

typedef struct dip_out {
    uint8_t *bytes;
    size_t size, capacity;
    bool failed;
} dip_out;

/** Room for `size` more bytes, which count as written; NULL when memory is short. */
uint8_t *dip_out_room(dip_out *out, size_t size);
void dip_out_bytes(dip_out *out, const void *bytes, size_t size);
void dip_out_fini(dip_out *out);

#define DIP_OUT(name, type)                                     \
    static inline void dip_out_##name(dip_out *out, type value) \
    {                                                           \
        dip_out_bytes(out, &value, sizeof value);               \
    }
DIP_OUT(u8, uint8_t)
DIP_OUT(u32, uint32_t)
DIP_OUT(u64, uint64_t)
DIP_OUT(i32, int32_t)
DIP_OUT(i64, int64_t)
DIP_OUT(f64, double)
#undef DIP_OUT

/** Empties `out` and begins a record. */
void dip_record_begin(dip_out *out, char kind, uint8_t version);
/** Adds the checksum. DIP_ENOMEM if anything before it failed. */
dip_status dip_record_seal(dip_out *out, uint64_t seed);

typedef struct dip_in {
    const uint8_t *at, *end;
    bool failed;
} dip_in;

/**
 * Checks the frame; *in then spans what is between version and checksum. Expected failures: DIP_ECORRUPT,
 * DIP_EFORMAT (newer version). The line says only what is wrong; the caller puts the object in front.
 */
dip_status dip_record_open(dip_in *in, const void *bytes, size_t size, char kind, uint8_t version,
                           uint64_t seed);
/** The same without computing the checksum, which reads all of the record: for a look at its head. */
dip_status dip_record_peek(dip_in *in, const void *bytes, size_t size, char kind, uint8_t version);

/** The next `size` bytes, or NULL. */
static inline const uint8_t *dip_in_take(dip_in *in, size_t size)
{
    if (in->failed || (size_t)(in->end - in->at) < size) {
        in->failed = true;
        return NULL;
    }
    const uint8_t *at = in->at;
    in->at += size;
    return at;
}

#define DIP_IN(name, type)                                 \
    static inline type dip_in_##name(dip_in *in)           \
    {                                                      \
        type value = 0;                                    \
        const uint8_t *at = dip_in_take(in, sizeof value); \
        if (at) memcpy(&value, at, sizeof value);          \
        return value;                                      \
    }
DIP_IN(u8, uint8_t)
DIP_IN(u32, uint32_t)
DIP_IN(u64, uint64_t)
DIP_IN(i32, int32_t)
DIP_IN(i64, int64_t)
DIP_IN(f64, double)
#undef DIP_IN

static inline size_t dip_in_left(const dip_in *in) { return (size_t)(in->end - in->at); }

/** All read, nothing left over, nothing missing. */
static inline bool dip_in_done(const dip_in *in) { return !in->failed && in->at == in->end; }

#endif
