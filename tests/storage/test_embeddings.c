/* Embeddings: precision, order, replacing, removal, what is refused. */
#define _GNU_SOURCE
#include "support.h"

#include "storage/block.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PAIRS = 200, DIM = 48 };

/* Tiles 0, 2, 4 ... are s1; 1, 3, 5 ... s2. */
static dip_archive *with_pairs(const char *folder)
{
    dip_archive *archive = new_archive(folder);
    add_pairs(archive, "p", 0, PAIRS, 4);
    return archive;
}

static void store(dip_archive *archive, const char *model, uint32_t modality, const uint64_t *ids,
                  const float *vectors, size_t n, size_t dim)
{
    dip_batch *batch;
    assert_ok(dip_batch_begin(&batch, archive));
    assert_ok(dip_batch_add_embeddings(batch, model, modality, ids, vectors, n, dim));
    assert_ok(dip_batch_commit(batch));
}

/* Ids of a modality in random order, and vectors for them. */
static void make_vectors(uint32_t modality, uint64_t seed, uint64_t *ids, float *vectors)
{
    dip_rng rng;
    uint32_t order[PAIRS];
    dip_rng_init(&rng, seed, 0);
    for (uint32_t i = 0; i < PAIRS; i++) order[i] = i;
    dip_rng_shuffle(&rng, order, PAIRS);
    for (size_t i = 0; i < PAIRS; i++) ids[i] = order[i] * 2 + modality;
    random_vectors(&rng, vectors, PAIRS, DIM);
}

static void assert_close(const float *got, const float *wanted, size_t dim)
{
    double norm = 0;
    for (size_t k = 0; k < dim; k++) {
        norm += (double)got[k] * got[k];
        if (fabsf(got[k] - wanted[k]) > fabsf(wanted[k]) * 0x1.4p-11f + 6e-8f)
            fail_msg("component %zu: %g, expected %g", k, got[k], wanted[k]);
    }
    assert_true(fabs(norm - 1) < 1e-6);
}

static void come_back_in_any_order(void **state)
{
    dip_archive *archive = with_pairs(*state);
    uint64_t ids[PAIRS];
    static float vectors[PAIRS * DIM], back[PAIRS * DIM];
    bool found[PAIRS];
    make_vectors(1, 1, ids, vectors);
    store(archive, "model.v1", 1, ids, vectors, PAIRS, DIM);
    assert_ok(dip_archive_embeddings_of(archive, "model.v1", 1, ids, PAIRS, DIM, back, NULL));
    for (size_t i = 0; i < PAIRS; i++) assert_close(back + i * DIM, vectors + i * DIM, DIM);
    dip_embeddings all;
    assert_ok(dip_archive_embeddings(archive, "model.v1", 1, &all));
    assert_int_equal(all.n, PAIRS);
    assert_int_equal(all.dim, DIM);
    assert_int_equal((uintptr_t)all.vectors % 64, 0);
    for (size_t i = 0; i < PAIRS; i++) {
        assert_int_equal(all.ids[i], 2 * i + 1);
        size_t at = 0;
        while (ids[at] != all.ids[i]) at++;
        assert_memory_equal(all.vectors + i * DIM, back + at * DIM, DIM * sizeof(float));
    }
    dip_embeddings_fini(&all);
    uint64_t some[3] = {1, 2, 100000};
    assert_ok(dip_archive_embeddings_of(archive, "model.v1", 1, some, 3, DIM, back, found));
    assert_true(found[0] && !found[1] && !found[2]);
    assert_fails(dip_archive_embeddings_of(archive, "model.v1", 1, some, 3, DIM, back, NULL),
                 DIP_ENOENT, "tile 2 has no embedding of model 'model.v1'");
    assert_sound(archive);
    dip_archive_close(archive);
}

static void none_is_no_failure(void **state)
{
    dip_archive *archive = with_pairs(*state);
    dip_embeddings all;
    uint64_t *ids, id = 0;
    size_t n;
    float vector[DIM];
    bool found = true;
    dip_embedding_set *sets;
    assert_ok(dip_archive_embeddings(archive, "none", 0, &all));
    assert_int_equal(all.n, 0);
    dip_embeddings_fini(&all);
    assert_ok(dip_archive_embedded_ids(archive, "none", 0, &ids, &n));
    assert_int_equal(n, 0);
    dip_ids_free(ids);
    assert_ok(dip_archive_embeddings_of(archive, "none", 0, &id, 1, DIM, vector, &found));
    assert_false(found);
    assert_ok(dip_archive_embedding_sets(archive, &sets, &n));
    assert_int_equal(n, 0);
    dip_embedding_sets_free(sets);
    store(archive, "none", 0, NULL, NULL, 0, DIM);
    dip_archive_close(archive);
}

static void storing_again_gives_the_same_bits(void **state)
{
    dip_archive *archive = with_pairs(*state);
    uint64_t ids[PAIRS];
    static float vectors[PAIRS * DIM];
    dip_embeddings first, second;
    dip_archive_counts before, after;
    make_vectors(0, 2, ids, vectors);
    store(archive, "m", 0, ids, vectors, PAIRS, DIM);
    assert_ok(dip_archive_embeddings(archive, "m", 0, &first));
    assert_ok(dip_archive_count(archive, &before));
    store(archive, "m", 0, ids, vectors, PAIRS, DIM);
    store(archive, "m", 0, ids + 10, vectors + 10 * DIM, 7, DIM);
    assert_ok(dip_archive_embeddings(archive, "m", 0, &second));
    assert_ok(dip_archive_count(archive, &after));
    assert_memory_equal(first.vectors, second.vectors, PAIRS * DIM * sizeof(float));
    assert_int_equal(before.embeddings, after.embeddings);
    assert_int_equal(before.embedding_bytes, after.embedding_bytes);
    dip_embeddings_fini(&first);
    dip_embeddings_fini(&second);
    assert_sound(archive);
    dip_archive_close(archive);
}

static void the_later_one_counts(void **state)
{
    dip_archive *archive = with_pairs(*state);
    uint64_t ids[3] = {4, 8, 4};
    float vectors[3 * 2] = {1, 0, 0, 1, 0.6f, 0.8f}, back[2];
    store(archive, "m", 0, ids, vectors, 3, 2);
    assert_ok(dip_archive_embeddings_of(archive, "m", 0, ids, 1, 2, back, NULL));
    assert_close(back, vectors + 4, 2);
    store(archive, "m", 0, ids, vectors, 1, 2);
    assert_ok(dip_archive_embeddings_of(archive, "m", 0, ids, 1, 2, back, NULL));
    assert_close(back, vectors, 2);
    dip_archive_close(archive);
}

static void tells_what_is_embedded(void **state)
{
    dip_archive *archive = with_pairs(*state);
    uint64_t ids[PAIRS], *there;
    static float vectors[PAIRS * DIM];
    size_t n;
    dip_embedding_set *sets;
    make_vectors(0, 3, ids, vectors);
    store(archive, "b", 0, ids, vectors, 20, DIM);
    make_vectors(1, 3, ids, vectors);
    store(archive, "a.b", 1, ids, vectors, 30, DIM);
    assert_ok(dip_archive_embedded_ids(archive, "a.b", 1, &there, &n));
    assert_int_equal(n, 30);
    for (size_t i = 1; i < n; i++) assert_true(there[i - 1] < there[i]);
    dip_ids_free(there);
    assert_ok(dip_archive_embedding_sets(archive, &sets, &n));
    assert_int_equal(n, 2);
    assert_string_equal(sets[0].model, "a.b");
    assert_int_equal(sets[0].modality, 1);
    assert_int_equal(sets[0].count, 30);
    assert_int_equal(sets[0].dim, DIM);
    assert_string_equal(sets[1].model, "b");
    dip_embedding_sets_free(sets);
    dip_archive_close(archive);
}

static void refuses_what_does_not_fit(void **state)
{
    dip_archive *archive = with_pairs(*state);
    dip_batch *batch;
    uint64_t id = 0, other = 1, gone = 9999;
    float unit[2] = {0.6f, 0.8f}, zero[2] = {0}, nan[2] = {NAN, 1}, infinite[2] = {INFINITY, 0};
    float three[3] = {1, 0, 0};
    assert_ok(dip_batch_begin(&batch, archive));
    assert_ok(dip_batch_add_embeddings(batch, "m", 0, &id, unit, 1, 2));
    assert_fails(dip_batch_add_embeddings(batch, "m", 0, &gone, unit, 1, 2), DIP_ENOENT,
                 "tile 9999");
    assert_fails(dip_batch_add_embeddings(batch, "m", 0, &other, unit, 1, 2), DIP_EMISMATCH,
                 "of modality 's1' is for tile 1");
    assert_fails(dip_batch_add_embeddings(batch, "m", 0, &id, zero, 1, 2), DIP_EINVAL, "norm 0");
    assert_fails(dip_batch_add_embeddings(batch, "m", 0, &id, nan, 1, 2), DIP_EINVAL, "norm");
    assert_fails(dip_batch_add_embeddings(batch, "m", 0, &id, infinite, 1, 2), DIP_EINVAL, "norm");
    assert_fails(dip_batch_add_embeddings(batch, "m", 0, &id, three, 1, 3), DIP_EMISMATCH,
                 "has 2 dimensions, not 3");
    assert_fails(dip_batch_add_embeddings(batch, "m", 0, &id, unit, 1, 0), DIP_EINVAL,
                 "0 dimensions");
    assert_fails(dip_batch_add_embeddings(batch, "a/b", 0, &id, unit, 1, 2), DIP_EINVAL, "'a/b'");
    assert_fails(dip_batch_add_embeddings(batch, "", 0, &id, unit, 1, 2), DIP_EINVAL, "model's id");
    assert_fails(dip_batch_add_embeddings(batch, "m", 2, &id, unit, 1, 2), DIP_EINVAL,
                 "no number 2");
    assert_ok(dip_batch_add_embeddings(batch, "n", 0, &id, three, 1, 3)); /* another model */
    assert_ok(dip_batch_commit(batch));
    float back[3];
    assert_fails(dip_archive_embeddings_of(archive, "m", 0, &id, 1, 3, back, NULL), DIP_EMISMATCH,
                 "has 2 dimensions, 3 are asked for");
    assert_sound(archive);
    dip_archive_close(archive);
}

/* A new set in the middle of a batch restarts its transaction: nothing before it may be lost. */
static void a_new_set_keeps_the_batch(void **state)
{
    dip_archive *archive = new_archive(*state);
    dip_batch *batch;
    float unit[2] = {0.6f, 0.8f}, back[2];
    dip_tile tile = make_tile(0, "t", "t", 2, DIP_DTYPE_U8, 8, 1);
    assert_ok(dip_batch_begin(&batch, archive));
    assert_ok(dip_batch_add_tile(batch, &tile));
    assert_ok(dip_batch_add_embeddings(batch, "m", 0, &tile.meta.id, unit, 1, 2));
    assert_ok(dip_batch_commit(batch));
    assert_ok(dip_archive_embeddings_of(archive, "m", 0, &tile.meta.id, 1, 2, back, NULL));
    assert_ok(dip_batch_begin(&batch, archive));
    assert_ok(dip_batch_add_embeddings(batch, "other", 0, &tile.meta.id, unit, 1, 2));
    dip_batch_abort(batch);
    dip_embeddings all;
    assert_ok(dip_archive_embeddings(archive, "other", 0, &all));
    assert_int_equal(all.n, 0);
    assert_sound(archive);
    dip_embeddings_fini(&all);
    free_made(&tile);
    dip_archive_close(archive);
}

static void removal_takes_them_along(void **state)
{
    dip_archive *archive = with_pairs(*state);
    uint64_t ids[PAIRS], *there;
    static float vectors[PAIRS * DIM];
    size_t n;
    dip_batch *batch;
    dip_archive_counts counts;
    make_vectors(0, 4, ids, vectors);
    store(archive, "m", 0, ids, vectors, PAIRS, DIM);
    store(archive, "n", 0, ids, vectors, PAIRS, DIM);
    assert_ok(dip_batch_begin(&batch, archive));
    for (uint64_t id = 0; id < DIP_BLOCK_IDS; id += 2) assert_ok(dip_batch_remove_tile(batch, id));
    assert_ok(dip_batch_remove_tile(batch, 300));
    assert_ok(dip_batch_commit(batch));
    assert_ok(dip_archive_embedded_ids(archive, "n", 0, &there, &n));
    assert_int_equal(n, PAIRS - DIP_BLOCK_IDS / 2 - 1);
    assert_int_equal(there[0], DIP_BLOCK_IDS);
    dip_ids_free(there);
    assert_ok(dip_archive_count(archive, &counts));
    assert_int_equal(counts.embeddings, 2 * n);
    assert_sound(archive);
    dip_archive_close(archive);
}

static void a_model_can_be_dropped(void **state)
{
    dip_archive *archive = with_pairs(*state);
    uint64_t ids[PAIRS];
    static float vectors[PAIRS * DIM];
    dip_batch *batch;
    dip_archive_counts counts;
    dip_embedding_set *sets;
    size_t n;
    for (uint32_t m = 0; m < 2; m++) {
        make_vectors(m, 5, ids, vectors);
        store(archive, "old", m, ids, vectors, PAIRS, DIM);
        store(archive, "old.2", m, ids, vectors, PAIRS, DIM);
    }
    assert_ok(dip_batch_begin(&batch, archive));
    assert_ok(dip_batch_drop_embeddings(batch, "old"));
    assert_ok(dip_batch_drop_embeddings(batch, "never was"));
    assert_ok(dip_batch_commit(batch));
    assert_ok(dip_archive_embedding_sets(archive, &sets, &n));
    assert_int_equal(n, 2);
    assert_string_equal(sets[0].model, "old.2");
    dip_embedding_sets_free(sets);
    assert_ok(dip_archive_count(archive, &counts));
    assert_int_equal(counts.embeddings, 2 * PAIRS);
    assert_sound(archive);
    dip_archive_close(archive);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(come_back_in_any_order),
        TEST(none_is_no_failure),
        TEST(storing_again_gives_the_same_bits),
        TEST(the_later_one_counts),
        TEST(tells_what_is_embedded),
        TEST(refuses_what_does_not_fit),
        TEST(a_new_set_keeps_the_batch),
        TEST(removal_takes_them_along),
        TEST(a_model_can_be_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
