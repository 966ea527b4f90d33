/* The bytes of our index files: what is written is read, what is damaged is refused. */
#include "tests/index/support.h"

#include "core/hash.h"
#include "index/layout.h"

enum { ROWS = 70, DIM = 5 };

static char *write_vectors(size_t *length)
{
    float *vectors = support_vectors(ROWS, DIM, 1, 0, 4);
    uint64_t *ids = support_ids(ROWS);
    dip_layout layout = {
        .kind = DIP_LAYOUT_VECTORS, .count = ROWS, .live = ROWS, .dim = DIM, .seed = 9};
    const char *path = support_path(scratch, "x.exact");
    assert_ok(dip_layout_write(path, &layout, ids, NULL, vectors));
    free(vectors);
    free(ids);
    return support_read(path, length);
}

static char *write_ids(size_t *length, uint64_t live)
{
    uint64_t *ids = support_ids(ROWS);
    uint64_t removed[2] = {1 << 7, 1 << 3};
    dip_layout layout = {
        .kind = DIP_LAYOUT_IDS, .count = ROWS, .live = live, .dim = DIM, .nprobe = 3};
    const char *path = support_path(scratch, "x.ids");
    assert_ok(dip_layout_write(path, &layout, ids, removed, NULL));
    free(ids);
    return support_read(path, length);
}

/* An odd number of values, so that what stands behind them would not be aligned. */
static char *write_delta(size_t *length)
{
    float *vectors = support_vectors(3, DIM, 1, 0, 4);
    uint64_t *ids = support_ids(3);
    uint64_t removed[2] = {1 << 7, 1 << 3};
    dip_layout layout = {
        .kind = DIP_LAYOUT_DELTA, .count = 3, .live = 3 + ROWS - 2, .dim = DIM, .base = ROWS};
    const char *path = support_path(scratch, "x.delta");
    assert_ok(dip_layout_write(path, &layout, ids, removed, vectors));
    free(vectors);
    free(ids);
    return support_read(path, length);
}

static void vectors_come_back(void **state)
{
    (void)state;
    size_t length;
    free(write_vectors(&length));
    float *vectors = support_vectors(ROWS, DIM, 1, 0, 4);
    dip_map map;
    dip_layout_view view;
    assert_ok(dip_layout_open(&view, &map, support_path(scratch, "x.exact")));
    assert_int_equal(view.layout.count, ROWS);
    assert_int_equal(view.layout.seed, 9);
    assert_int_equal(view.ids[1], 13);
    assert_memory_equal(view.vectors, vectors, ROWS * DIM * sizeof *vectors);
    assert_int_equal((uintptr_t)view.vectors % 64, 0);
    dip_file_unmap(&map);
    free(vectors);
}

static void ids_come_back(void **state)
{
    (void)state;
    size_t length;
    free(write_ids(&length, ROWS - 2));
    dip_map map;
    dip_layout_view view;
    assert_ok(dip_layout_open(&view, &map, support_path(scratch, "x.ids")));
    assert_int_equal(view.layout.live, ROWS - 2);
    assert_int_equal(view.layout.nprobe, 3);
    assert_true(dip_bit(view.removed, 7));
    assert_true(dip_bit(view.removed, 67));
    assert_false(dip_bit(view.removed, 8));
    dip_file_unmap(&map);
}

static void a_delta_comes_back(void **state)
{
    (void)state;
    size_t length;
    free(write_delta(&length));
    float *vectors = support_vectors(3, DIM, 1, 0, 4);
    dip_map map;
    dip_layout_view view;
    assert_ok(dip_layout_open(&view, &map, support_path(scratch, "x.delta")));
    assert_int_equal(view.layout.base, ROWS);
    assert_int_equal(view.ids[2], 16);
    assert_int_equal((uintptr_t)view.removed % sizeof *view.removed, 0);
    assert_true(dip_bit(view.removed, 7) && dip_bit(view.removed, 67));
    assert_int_equal((uintptr_t)view.vectors % 64, 0);
    assert_memory_equal(view.vectors, vectors, 3 * DIM * sizeof *vectors);
    dip_file_unmap(&map);
    free(vectors);
}

static void every_flipped_byte_is_noticed(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        size_t length;
        char *bytes = kind == 2 ? write_delta(&length)
                      : kind    ? write_ids(&length, ROWS - 2)
                                : write_vectors(&length);
        dip_layout_view view;
        for (size_t i = 0; i < length; i++) {
            bytes[i] ^= (char)(1 << i % 8);
            assert_fails(DIP_ECORRUPT, "run diptych index",
                         dip_layout_parse(&view, bytes, length, "x"));
            bytes[i] ^= (char)(1 << i % 8);
        }
        assert_ok(dip_layout_parse(&view, bytes, length, "x"));
        free(bytes);
    }
}

static void every_truncation_is_noticed(void **state)
{
    (void)state;
    size_t length;
    char *bytes = write_vectors(&length);
    dip_layout_view view;
    for (size_t n = 0; n < length; n++)
        assert_fails(DIP_ECORRUPT, "'x' is damaged", dip_layout_parse(&view, bytes, n, "x"));
    free(bytes);
}

/* Sets a 64-bit field of the header and makes its checksum right again. */
static void forge(char *bytes, size_t offset, uint64_t value, size_t width)
{
    memcpy(bytes + offset, &value, width);
    uint64_t hash = dip_hash64(bytes, 120);
    memcpy(bytes + 120, &hash, sizeof hash);
}

static void impossible_headers_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t offset, width;
        uint64_t value;
        dip_status status;
        const char *words;
    } cases[] = {
        {8, 4, 2, DIP_EFORMAT, "version 2"},
        {12, 4, 7, DIP_ECORRUPT, "kind"},
        {16, 8, UINT64_MAX, DIP_ECORRUPT, "counts"},
        {16, 8, UINT64_C(0x2000000000000000), DIP_ECORRUPT, "counts"},
        {16, 8, ROWS + 1, DIP_ECORRUPT, "length"},
        {24, 8, ROWS + 1, DIP_ECORRUPT, "counts"},
        {24, 8, ROWS - 1, DIP_ECORRUPT, "counts"},
        {32, 4, 0, DIP_ECORRUPT, "counts"},
        {32, 4, UINT32_MAX, DIP_ECORRUPT, "counts"},
        {32, 4, DIM - 1, DIP_ECORRUPT, "length"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t length;
        char *bytes = write_vectors(&length);
        dip_layout_view view;
        forge(bytes, cases[i].offset, cases[i].value, cases[i].width);
        assert_fails(cases[i].status, cases[i].words, dip_layout_parse(&view, bytes, length, "x"));
        free(bytes);
    }
}

static void removed_rows_must_fit_the_count(void **state)
{
    (void)state;
    size_t length;
    char *bytes = write_ids(&length, ROWS - 1);
    dip_layout_view view;
    assert_fails(DIP_ECORRUPT, "removed rows", dip_layout_parse(&view, bytes, length, "x"));
    free(bytes);
}

static void ids_of_vectors_must_ascend(void **state)
{
    (void)state;
    uint64_t ids[2] = {5, 5};
    float vectors[2] = {1, 1};
    size_t length;
    dip_layout_view view;
    dip_layout layout = {.kind = DIP_LAYOUT_VECTORS, .count = 2, .live = 2, .dim = 1};
    const char *path = support_path(scratch, "y.exact");
    assert_ok(dip_layout_write(path, &layout, ids, NULL, vectors));
    char *bytes = support_read(path, &length);
    assert_fails(DIP_ECORRUPT, "out of order", dip_layout_parse(&view, bytes, length, "y"));
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_come_back),
        cmocka_unit_test(ids_come_back),
        cmocka_unit_test(a_delta_comes_back),
        cmocka_unit_test(every_flipped_byte_is_noticed),
        cmocka_unit_test(every_truncation_is_noticed),
        cmocka_unit_test(impossible_headers_are_refused),
        cmocka_unit_test(removed_rows_must_fit_the_count),
        cmocka_unit_test(ids_of_vectors_must_ascend),
    };
    return cmocka_run_group_tests(tests, support_setup, support_teardown);
}
