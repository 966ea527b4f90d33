/* Vectors in pieces: the same index as from an array; shelves keep what is put on them. */
#define _GNU_SOURCE
#include "tests/index/support.h"

#include "core/file.h"
#include "index/shelves.h"
#include "index/supply.h"

enum { N = 9000, DIM = 24 };

typedef struct pieces {
    const float *vectors;
    size_t reads, broken; /* the read that fails; 0: none */
} pieces;

static dip_status read_piece(void *payload, size_t first, size_t count, float *out)
{
    pieces *p = payload;
    if (++p->reads == p->broken) return dip_fail(DIP_EIO, "the disk is gone");
    memcpy(out, p->vectors + first * DIM, count * DIM * sizeof *out);
    return DIP_OK;
}

static void pieces_give_the_bytes_of_an_array(void **state)
{
    (void)state;
    static const struct {
        dip_engine engine;
        const char *suffix;
    } cases[] = {{DIP_ENGINE_EXACT, "exact"},
                 {DIP_ENGINE_NATIVE, "segment"},
                 {DIP_ENGINE_FAISS, "ivfpq"},
                 {DIP_ENGINE_FAISS, "ids"}};
    float *vectors = support_vectors(N, DIM, 3, 0, 200);
    uint64_t *ids = support_ids(N);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pieces p = {.vectors = vectors};
        dip_supply supply = {.n = N, .dim = DIM, .ids = ids, .read = read_piece, .payload = &p};
        dip_index_recipe recipe = {.engine = cases[i].engine};
        char one[32], two[32];
        size_t length, other_length;
        snprintf(one, sizeof one, "array.%s", cases[i].suffix);
        snprintf(two, sizeof two, "pieces.%s", cases[i].suffix);
        assert_ok(dip_index_build(scratch, "array", &recipe, vectors, ids, N, DIM, NULL));
        assert_ok(dip_index_build_from(scratch, "pieces", &recipe, &supply, NULL));
        char *bytes = support_read(support_path(scratch, one), &length);
        char *other = support_read(support_path(scratch, two), &other_length);
        assert_int_equal(length, other_length);
        assert_memory_equal(bytes, other, length);
        free(bytes), free(other);
    }
    free(vectors), free(ids);
}

static void what_cannot_be_read_stops_a_build(void **state)
{
    (void)state;
    float *vectors = support_vectors(N, DIM, 3, 0, 200);
    uint64_t *ids = support_ids(N);
    pieces p = {.vectors = vectors};
    dip_supply supply = {.n = N, .dim = DIM, .ids = ids, .read = read_piece, .payload = &p};
    const dip_index_recipe recipe = {.engine = DIP_ENGINE_NATIVE};
    assert_ok(dip_index_build_from(scratch, "whole", &recipe, &supply, NULL));
    const size_t reads = p.reads;
    for (size_t broken = 1; broken <= reads; broken += broken < reads ? reads - 1 : 1) {
        p.reads = 0;
        p.broken = broken;
        assert_fails(DIP_EIO, "gone",
                     dip_index_build_from(scratch, "none", &recipe, &supply, NULL));
        p.broken = 0;
    }
    for (size_t j = 0; j < DIM; j++) vectors[(N - 1) * DIM + j] *= 2;
    assert_fails(DIP_EINVAL, "tile 27007 is no unit vector",
                 dip_index_build_from(scratch, "none", &recipe, &supply, NULL));
    char **names;
    size_t count;
    assert_ok(dip_folder_list(&names, &count, scratch));
    for (size_t i = 0; i < count; i++) assert_null(strstr(names[i], "none"));
    for (size_t i = 0; i < count; i++) assert_null(strstr(names[i], "partial"));
    dip_names_free(names, count);
    free(vectors), free(ids);
}

static void picked_rows_are_those_asked_for(void **state)
{
    (void)state;
    static const size_t rows[] = {0, 1, 2, 7, 8, 600, 3000, 3511, 3513, N - 1};
    enum { COUNT = sizeof rows / sizeof *rows };
    float *vectors = support_vectors(N, DIM, 4, 0, 50), out[COUNT * DIM];
    pieces p = {.vectors = vectors};
    const dip_supply supplies[] = {{.n = N, .dim = DIM, .values = vectors},
                                   {.n = N, .dim = DIM, .read = read_piece, .payload = &p}};
    for (size_t s = 0; s < 2; s++) {
        memset(out, 0, sizeof out);
        assert_ok(dip_supply_pick(&supplies[s], rows, COUNT, out));
        for (size_t i = 0; i < COUNT; i++)
            assert_memory_equal(out + i * DIM, vectors + rows[i] * DIM, DIM * sizeof *out);
    }
    assert_true(p.reads < COUNT);
    free(vectors);
}

typedef struct seen {
    size_t count, low, high, lists;
    uint8_t *rows;
} seen;

/* Row r stands in list r % lists, and its record is r over and over. */
static void look(void *context, uint32_t row, const uint8_t *record)
{
    seen *s = context;
    assert_in_range(row % s->lists, s->low, s->high - 1);
    for (size_t i = 0; i < 10; i++) assert_int_equal(record[i], (uint8_t)row);
    assert_false(s->rows[row]++);
    s->count++;
}

static void shelves_give_back_what_is_put_on_them(void **state)
{
    (void)state;
    enum { ROWS = 20000, MANY = 200000000 };
    static const size_t lists[] = {1, 7, 3001};
    for (size_t l = 0; l < 3; l++) {
        dip_shelves shelves;
        uint8_t record[DIM + 2];
        seen s = {.lists = lists[l], .rows = calloc(ROWS, 1)};
        /* so many are announced that there are many shelves */
        assert_ok(dip_shelves_init(&shelves, scratch, DIP_REFINE_INT8, MANY, lists[l], DIM));
        assert_int_equal(shelves.count > 1, lists[l] > 1);
        for (uint32_t row = 0; row < ROWS; row++) {
            memset(record, (uint8_t)row, sizeof record);
            assert_ok(dip_shelves_put(&shelves, row % (uint32_t)lists[l], row, record));
        }
        for (size_t i = 0; i < shelves.count; i++) {
            s.low = dip_shelves_first_list(&shelves, i);
            s.high = dip_shelves_first_list(&shelves, i + 1);
            assert_ok(dip_shelves_empty(&shelves, i, look, &s));
        }
        assert_int_equal(s.high, lists[l]);
        assert_int_equal(s.count, ROWS);
        dip_shelves_fini(&shelves);
        free(s.rows);
    }
}

static void shelves_need_a_folder(void **state)
{
    (void)state;
    dip_shelves shelves;
    assert_fails(
        DIP_ENOENT, "missing",
        dip_shelves_init(&shelves, support_path(scratch, "missing"), DIP_REFINE_INT8, 10, 1, DIM));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_give_the_bytes_of_an_array),
        cmocka_unit_test(what_cannot_be_read_stops_a_build),
        cmocka_unit_test(picked_rows_are_those_asked_for),
        cmocka_unit_test(shelves_give_back_what_is_put_on_them),
        cmocka_unit_test(shelves_need_a_folder),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
