/* What the tests of train/ share: a folder of their own, and small archives whose pairs can be learned. */
#ifndef TESTS_TRAIN_SUPPORT_H
#define TESTS_TRAIN_SUPPORT_H

#include <diptych/archive.h>

#include "core/status.h"
#include "train/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/** A path in an empty folder of this process, printf-like; borrowed until the next but seven calls. */
const char *support_path(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** A cmocka group tear-down: removes the folder. */
int support_cleanup(void **state);

/** What to make. Zero fields: 24 places, no splits, no scenes, two modalities, nothing wrong. */
typedef struct support_plan {
    size_t places;
    const char *splits;  /* one letter a place, repeated: t rain, v al, e (test), '-' none */
    size_t scene_places; /* places a scene; 0: scenes are not known */
    size_t modalities;   /* 2 or 3 */
    size_t dates;        /* tiles of each modality at a place; 0: 1 */
    bool labels;         /* place i is of land i % 3, "field", "water" or "town" */
    size_t nan_place;    /* 1-based: the radar tile there has a NaN; 0: none */
} support_plan;

/**
 * Makes an archive: modality "a", one float band in dB of 24 x 24; "b", two uint16 bands of 24 x 24 and 12 x 12;
 * "c", one uint8 band of 12 x 12. All show the place's own pattern, each with its own scale and noise.
 */
dip_archive *support_archive(const char *name, const support_plan *plan);
/** Opened again, for writing. */
dip_archive *support_open(const char *name);

/** Options of a run of seconds: a tiny network, few epochs. */
dip_train_options support_options(const char *name);

/** A whole file, NUL-terminated; free with dip_free(). */
char *support_read(const char *path, size_t *length);

#endif
