/** What the tests of search/ share: a small archive with made-up embeddings and a real, untrained model. */
#ifndef TESTS_SEARCH_SUPPORT_H
#define TESTS_SEARCH_SUPPORT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <diptych/search.h>

#include "search/build.h"

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

enum { DIM = 32, DAY = 86400, FIRST_DAY = 1577836800 /* 2020-01-01 */ };

/**
 * Place i: tiles "p<i>" of s1 (bands VV, VH) and s2 (bands B04, B03, B02), half a degree wide at
 * (-10 + i % 20, 40 + i / 20), on day i, labelled water, water|wood or town, every fifth of split "test", of scene even or
 * odd; further properties: eo:cloud_cover (i % 100), tags (["t<i % 4>", "all"]), of s1 alone orbit ("ascending").
 * Its s2 vector is random, its s1 vector is near it. Model "m" is in models/.
 */
typedef struct fixture {
    char *folder;
    dip_archive *archive;
    size_t places;
    uint64_t *id[2];   /* (places) of s1, s2 */
    float *vectors[2]; /* (places, DIM), as they come back from the store */
} fixture;

enum { S1, S2 };

void support_open(fixture *f, size_t places);
void support_close(fixture *f);

/** Adds places [first, end) with tiles and embeddings. */
void support_add(fixture *f, size_t first, size_t end, bool with_embeddings);
void support_remove(fixture *f, uint64_t id);
/** Gives all tiles the embeddings that the model makes of them. */
void support_encode(fixture *f);
/** As after another training: all s2 tiles get the vectors of their neighbours. */
void support_encode_again(fixture *f);

/** Builds a generation of model m. */
void support_index(fixture *f, dip_engine engine, bool update, dip_indexing_report *report);
dip_search *support_search(fixture *f);

/** An archive of so many places with its index, open for searches; support_done() closes all. */
dip_search *support_ready(fixture *f, size_t places);
void support_done(fixture *f, dip_search *search);

/** Runs fn(asker) for each of `count` askers of `size` bytes, each on a thread of its own, and waits for all. */
void support_at_once(void *(*fn)(void *asker), void *askers, size_t size, size_t count);

/** Does place i match? The rules above, written once more. */
bool support_has_label(size_t place, const char *label);

/** The hits by the book: places of a modality in order of their product with `vector`, of those that `keep` says. */
size_t support_expect(const fixture *f, int to, const float *vector, bool (*keep)(size_t place),
                      size_t k, uint64_t *ids);

float support_dot(const float *a, const float *b);

#endif
