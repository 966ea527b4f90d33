/* Adapter to xxHash; see hash.h. */
#include "core/hash.h"

#include <xxhash.h>

uint64_t dip_hash64(const void *bytes, size_t length) { return XXH3_64bits(bytes, length); }

uint64_t dip_hash64_seed(const void *bytes, size_t length, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, length, seed);
}
