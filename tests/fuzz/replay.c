/*
 * Runs a fuzz target without libFuzzer: over every file of its seed corpus, over truncations of it, and over a fixed
 * sequence of small damages. So any compiler and any sanitizer takes the parsers through hostile bytes, the same every time.
 */
#include "core/file.h"
#include "core/mem.h"
#include "core/rng.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_TRUNCATIONS = 256, DAMAGES = 256, LARGEST_SEED = 1 << 24 };

/* A copy of exactly `size` bytes, so that a read past the end is a fault that AddressSanitizer sees. */
static int run_once(const uint8_t *data, size_t size)
{
    uint8_t *copy = dip_alloc(size);
    if (!copy) return -1;
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    dip_free(copy);
    return 0;
}

static void damage(uint8_t *bytes, size_t size, dip_rng *rng)
{
    static const uint8_t telling[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '"', '{', ']', '\n', '-'};
    uint32_t times = 1 + dip_rng_below(rng, 4);
    for (uint32_t i = 0; i < times; i++) {
        size_t at = dip_rng_below(rng, (uint32_t)size);
        switch (dip_rng_below(rng, 3)) {
        case 0: bytes[at] ^= (uint8_t)(1u << dip_rng_below(rng, 8)); break;
        case 1: bytes[at] = telling[dip_rng_below(rng, sizeof telling)]; break;
        default: memset(bytes + at, 0xff, size - at < 4 ? size - at : 4); break;
        }
    }
}

static int run_seed(const uint8_t *seed, size_t size)
{
    if (run_once(seed, size)) return -1;
    size_t step = size / MOST_TRUNCATIONS + 1;
    for (size_t shorter = 0; shorter < size; shorter += step)
        if (run_once(seed, shorter)) return -1;
    dip_rng rng;
    dip_rng_init(&rng, 1, size);
    uint8_t *copy = dip_alloc(size);
    if (!copy) return -1;
    for (int i = 0; size && i < DAMAGES; i++) {
        memcpy(copy, seed, size);
        damage(copy, size, &rng);
        LLVMFuzzerTestOneInput(copy, size);
    }
    dip_free(copy);
    return 0;
}

int main(int argc, char **argv)
{
    char **names = NULL;
    size_t n = 0;
    if (argc != 2 || dip_folder_list(&names, &n, argv[1])) {
        fprintf(stderr, "usage: %s <folder of seeds>: %s\n", argv[0], dip_last_error());
        return 1;
    }
    int failed = n == 0;
    for (size_t i = 0; i < n && !failed; i++) {
        char *bytes = NULL, *path = dip_path_join(argv[1], names[i]);
        size_t size = 0;
        failed = !path || dip_file_read(&bytes, &size, path, LARGEST_SEED) ||
                 run_seed((const uint8_t *)bytes, size);
        dip_free(bytes);
        dip_free(path);
    }
    if (failed) fprintf(stderr, "%s: %s\n", argv[1], n ? dip_last_error() : "no seeds");
    dip_names_free(names, n);
    return failed;
}
