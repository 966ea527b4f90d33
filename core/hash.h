/** XXH3 (xxHash 0.8), the one checksum of every Diptych file and record. */
#ifndef CORE_HASH_H
#define CORE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t dip_hash64(const void *bytes, size_t length);
/** Continues from an earlier value: order matters. */
uint64_t dip_hash64_seed(const void *bytes, size_t length, uint64_t seed);

#endif
