/**
 * The manifest of a generation: what it was built from, how to search it, and what its files are.
 *
 * JSON, one object: format ("diptych index"), version (2), generation, model, dim, modalities [{name, count, describe}],
 * points [{from, to, nprobe, depth, gap, target, recall, us}], calibrations [{from, to, quantiles [1001 numbers]}], files [{name,
 * bytes, xxh3}], and last checksum: the XXH3 of the file's bytes with the checksum's own 16 digits as zeros.
 * Checksums are 16 hex digits. Version 1 had one point a direction, without `us`; it is read too. A point without a gap has none.
 */
#ifndef INDEX_MANIFEST_H
#define INDEX_MANIFEST_H

#include "index/index.h"

enum { DIP_CALIBRATION_STEPS = 1001 };

/** What the archive's random cross-modal pairs score: quantiles 0, 0.001, ... 1 of the cosine. */
typedef struct dip_calibration {
    char from[DIP_WORD_CAPACITY], to[DIP_WORD_CAPACITY]; /* modalities */
    float quantile[DIP_CALIBRATION_STEPS];
} dip_calibration;

/**
 * An operating point of one (probe modality -> target modality). A direction has several, one after the other, each
 * with a higher recall and a higher cost than the one before.
 */
typedef struct dip_operating_point {
    char from[DIP_WORD_CAPACITY], to[DIP_WORD_CAPACITY];
    dip_index_params params; /* zeros: all vectors are compared */
    double
        target; /* recall@10 that searches are to reach if they do not ask for another; the same in all of a direction */
    double recall; /* recall@10 measured on queries that had no part in choosing the point */
    double
        us; /* microseconds of a query on one thread, by the clock when the index was built; 0: not measured */
} dip_operating_point;

typedef struct dip_manifest_file {
    char name[64];
    uint64_t bytes, hash;
} dip_manifest_file;

typedef struct dip_manifest {
    char generation[64];
    char model[128];
    uint32_t dim;
    uint32_t modality_count;
    struct {
        char name[DIP_WORD_CAPACITY];
        uint64_t count;
        char describe[96];
    } modality[DIP_MAX_MODALITIES];
    uint32_t point_count;
    dip_operating_point *points;
    uint32_t calibration_count;
    dip_calibration *calibrations;
    uint32_t file_count; /* the manifest itself is not among them */
    dip_manifest_file *files;
} dip_manifest;

/** Frees the arrays; the struct is the caller's. */
void dip_manifest_fini(dip_manifest *manifest);

/** What a search asks of an index; zeros: what was asked for when the index was built. */
typedef struct dip_effort {
    double recall; /* at least this share of the exact 10 nearest */
    double us;     /* at most so many microseconds, by the point's clock; goes before recall */
} dip_effort;

/**
 * The point of a direction for a search: of those within the time (the cheapest, if none is; all, without a time) the
 * first that reaches the recall, or the best if none does. Without a recall, but with a time: the best within it. `from` "": the
 * probe's modality is not known, so of the points that suit each direction to `to` the one with the most lists. NULL: there
 * is no such direction.
 */
const dip_operating_point *dip_manifest_point(const dip_manifest *manifest, const char *from,
                                              const char *to, const dip_effort *effort);

/**
 * The text of a manifest, with its checksum; free with dip_free(). Expected failure: DIP_EINVAL (a number is not finite, a
 * name is empty or no UTF-8).
 */
dip_status dip_manifest_format(char **text, size_t *length, const dip_manifest *manifest);

/**
 * Reads a text. `path` is for the message. Expected failures: DIP_ECORRUPT (the checksum is wrong, something
 * is missing, of the wrong kind or out of range), DIP_EFORMAT (a later version).
 */
dip_status dip_manifest_parse(dip_manifest *out, const char *text, size_t length, const char *path);

/** The same without looking at the checksum: what is left to guard against is a mistaken writer. For the fuzzer. */
dip_status dip_manifest_parse_unchecked(dip_manifest *out, const char *text, size_t length,
                                        const char *path);

#endif
