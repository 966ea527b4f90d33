/** What the tests of the archive share. */
#ifndef TESTS_STORAGE_SUPPORT_H
#define TESTS_STORAGE_SUPPORT_H

#include "tests/checks.h"

#include <diptych/archive.h>

#include "core/rng.h"

/** cmocka set-up and tear-down: *state is the path of a new empty folder, removed afterwards. */
int make_folder(void **state);
int remove_folder(void **state);
/** "folder/name" in one of a few static buffers. */
const char *inside(const char *folder, const char *name);

/** s1 = VV,VH dB and s2 = B02,B03,B04. */
dip_modality s1_modality(void);
dip_modality s2_modality(void);
/** A new archive "<folder>/a" with both modalities, open for writing. */
dip_archive *new_archive(const char *folder);
dip_archive *open_archive(const char *folder, dip_archive_mode mode);

/** A tile with smooth-and-noisy pixels that depend on `seed` alone; free with free_made(). */
dip_tile make_tile(uint32_t modality, const char *name, const char *place, uint32_t planes,
                   dip_dtype dtype, uint32_t side, uint64_t seed);
void free_made(dip_tile *tile);
void assert_same_pixels(const dip_tile *a, const dip_tile *b);
/** The texts and numbers of both; NAN equals NAN. */
void assert_same_meta(const dip_meta *a, const dip_meta *b);

/** Adds s1 and s2 tiles "<prefix>-<i>" of place "<prefix>-<i>" for i in [from, to), in one batch. */
void add_pairs(dip_archive *archive, const char *prefix, unsigned from, unsigned to, uint32_t side);

/** Unit vectors (n, dim). */
void random_vectors(dip_rng *rng, float *out, size_t n, size_t dim);

/** Runs verify; the number of faults, of which up to 64 lines are kept. */
typedef struct fault_list {
    uint64_t faults;
    unsigned kept;
    char lines[64][512];
} fault_list;
void collect_faults(const dip_archive *archive, fault_list *out);
/** No faults, or it fails with the first line. */
void assert_sound(const dip_archive *archive);
/** Some line has `part` in it. */
void assert_reported(const fault_list *faults, const char *part);

#endif
