/* What the tests of ingest/ share. */
#ifndef TESTS_INGEST_SUPPORT_H
#define TESTS_INGEST_SUPPORT_H

#include "tests/checks.h"

#include <diptych/archive.h>

#include "ingest/import.h"

#include <stdio.h>

/** An empty folder of this process, made on first use and removed by support_cleanup(). Borrowed. */
const char *support_folder(void);
/** A path in it, printf-like; borrowed until the next but seven calls. */
const char *support_path(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Writes a file, making the folders above it. */
void support_write(const char *path, const char *text);
/** A cmocka group tear-down. */
int support_cleanup(void **state);

/** The shared test data, or NULL after a line that says what is skipped. */
const char *support_data(const char *what);

/** A raster to be written: band b, pixel i has value base + 10 b + i % 97. */
typedef struct support_raster {
    uint32_t width, height, bands;
    dip_dtype dtype;
    double base;
    const char *names;  /* "VV,VH"; NULL: the bands get none */
    double west, north; /* UTM 33N corner; 0: no georeference */
    double gsd_m;       /* with it */
    size_t nan_pixels;  /* so many of the first band */
} support_raster;

void support_write_raster(const char *path, const support_raster *raster);

/** Value i of a plane, whatever its type. */
double support_value(const dip_plane *plane, size_t i);

/** An archive in the folder, made new. */
dip_archive *support_archive(const char *name);

/** Lines that an import refused. */
typedef struct support_lines {
    size_t count;
    char line[32][512];
} support_lines;

/** Imports one source and gives the report; `lines` (may be NULL) starts empty. */
dip_status support_import(dip_archive *archive, const char *source, support_lines *lines,
                          dip_import_report *report);
/** An `refused` callback; payload is a support_lines. */
void support_keep_line(void *payload, const char *line);

#endif
