/**
 * Safetensors files: named tensors and a map of strings.
 *
 *   u64 LE   length of the header, at most 100 MB
 *   header   JSON {"name":{"dtype":"F32","shape":[..],"data_offsets":[begin,end]},...,"__metadata__":{"key":"text"}},
 *            padded with spaces to a multiple of 8
 *   data     the tensors, little-endian, row-major, without gaps or overlaps; offsets count from here
 *
 * Files of ours begin with {"__metadata__":{"checksum":"<16 hexadecimal digits>": XXH3 of the bytes before the digits,
 * continued over those behind them. Other readers take it for a text like any other.
 *
 * The reader trusts nothing: every length, offset and shape is checked before a tensor is handed out, so what
 * dip_safetensors_open() accepts can be read without further checks.
 */
#ifndef ENCODER_SAFETENSORS_H
#define ENCODER_SAFETENSORS_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

enum { DIP_SAFETENSORS_RANK = 8, DIP_SAFETENSORS_HEADER = 100 * 1000 * 1000 };

typedef struct dip_safetensors dip_safetensors;

/** Everything is borrowed from the file. */
typedef struct dip_safetensors_entry {
    const char *name;
    const char *dtype; /* "F32", "BF16", ... */
    uint32_t rank;
    uint64_t shape[DIP_SAFETENSORS_RANK];
    uint64_t count;      /* product of the shape */
    uint64_t begin, end; /* in the data */
    const uint8_t *bytes;
} dip_safetensors_entry;

/**
 * Maps a file. Expected failures: DIP_ENOENT, DIP_EFORMAT (not safetensors, or a hostile header),
 * DIP_ECORRUPT (shorter than its header says; the checksum does not match).
 */
dip_status dip_safetensors_open(dip_safetensors **out, const char *path);
/** The same from memory, which is borrowed; `name` appears in failure lines. */
dip_status dip_safetensors_parse(dip_safetensors **out, const void *bytes, size_t length,
                                 const char *name);
void dip_safetensors_close(dip_safetensors *file);

/** Tensors in the order of their data. */
size_t dip_safetensors_count(const dip_safetensors *file);
const dip_safetensors_entry *dip_safetensors_at(const dip_safetensors *file, size_t position);
/** NULL if there is none of this name. */
const dip_safetensors_entry *dip_safetensors_find(const dip_safetensors *file, const char *name);
/** A string of __metadata__, or NULL. */
const char *dip_safetensors_metadata(const dip_safetensors *file, const char *key);

/** Copies F32, F16 or BF16 values to `out` (entry->count floats). DIP_ENOTSUP: another type. */
dip_status dip_safetensors_floats(const dip_safetensors_entry *entry, float *out);

/** What to write: `values` are the product of the shape. */
typedef struct dip_safetensors_tensor {
    const char *name;
    uint32_t rank;
    uint64_t shape[DIP_SAFETENSORS_RANK];
    const float *values;
} dip_safetensors_tensor;

typedef struct dip_safetensors_text {
    const char *key, *value;
} dip_safetensors_text;

/** Writes F32 tensors in the given order, aside, then renames. The bytes depend on the arguments alone. */
dip_status dip_safetensors_write(const char *path, const dip_safetensors_tensor *tensors,
                                 size_t tensor_count, const dip_safetensors_text *texts,
                                 size_t text_count);

#endif
