/** What the tests of index/ share: made-up embeddings, a scratch folder, a plain search to compare with. */
#ifndef TESTS_INDEX_SUPPORT_H
#define TESTS_INDEX_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "index/index.h"

/** Fails with the failure line unless the call returned DIP_OK. */
#define assert_ok(call)                                                              \
    do {                                                                             \
        dip_status status_ = (call);                                                 \
        if (status_) fail_msg("%s: %s", dip_status_name(status_), dip_last_error()); \
    } while (0)

/** Fails unless the call returned `code`, with a line that holds `words`. */
#define assert_fails(code, words, call)                                                           \
    do {                                                                                          \
        dip_status status_ = (call);                                                              \
        if (status_ != (code) || !strstr(dip_last_error(), words))                                \
            fail_msg("%s: '%s', wanted '%s'", dip_status_name(status_), dip_last_error(), words); \
    } while (0)

/**
 * Unit vectors around centres: n / 40 clusters that overlap. The same `seed` gives the same centres; `part` tells apart
 * the base (0), queries (1, ...) drawn from them. Free with free().
 */
float *support_vectors(size_t n, size_t dim, uint64_t seed, uint64_t part, size_t clusters);

/** Ascending ids with gaps: 10, 13, 16, ... Free with free(). */
uint64_t *support_ids(size_t n);

/** A fresh folder under TMPDIR; removed with all it holds by support_drop(), which frees it too. */
char *support_folder(void);
void support_drop(char *folder);

/** A test program's one folder, and the set-up and tear-down of those that need no more. */
extern char *scratch;
int support_setup(void **state);
int support_teardown(void **state);

/** "folder/name"; a static buffer. */
const char *support_path(const char *folder, const char *name);

/** Whole file; free with free(). */
char *support_read(const char *path, size_t *length);
void support_write(const char *path, const void *bytes, size_t length);

/** Search by the book: all products in double, sorted by (score, id). `keep` (may be NULL) says which rows count. */
void support_search(const float *vectors, const uint64_t *ids, size_t n, size_t dim,
                    const float *queries, size_t nq, size_t k, bool (*keep)(uint64_t id),
                    uint64_t *hits, double *scores);

/** Share of the rows of `hits` whose true score reaches the k-th true score less 1e-6. */
double support_recall(const float *vectors, const uint64_t *ids, size_t n, size_t dim,
                      const float *queries, size_t nq, size_t k, const uint64_t *hits);

/** Builds and opens. */
dip_index *support_index(const char *folder, const char *name, dip_engine engine,
                         const float *vectors, const uint64_t *ids, size_t n, size_t dim);

#endif
