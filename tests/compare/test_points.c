/* Files of vectors: every format comes back, every damage is named. */
#include "support.h"

#include "compare/hdf5.h"
#include "compare/points.h"
#include "core/file.h"
#include "core/mem.h"
#include "storage/npy.h"

enum { ROWS = 3, DIM = 4 };

static const float expected[ROWS * DIM] = {0, 1, 2, 3, 4, 5, 6, 7, 100, 101, 102, 103};

/* The expected values as one-byte or four-byte numbers, with the heads of a format. */
static size_t make(uint8_t *out, bool row_heads, size_t size, bool real)
{
    uint32_t rows = ROWS, dim = DIM;
    uint8_t *p = out;
    if (!row_heads) {
        memcpy(p, &rows, 4);
        memcpy(p + 4, &dim, 4);
        p += 8;
    }
    for (size_t i = 0; i < ROWS * DIM; i++) {
        int32_t whole = (int32_t)expected[i];
        if (row_heads && i % DIM == 0) {
            memcpy(p, &dim, 4);
            p += 4;
        }
        if (size == 1)
            *p = (uint8_t)whole;
        else
            memcpy(p, real ? (const void *)&expected[i] : &whole, 4);
        p += size;
    }
    return (size_t)(p - out);
}

static const struct {
    const char *name;
    bool row_heads;
    size_t size;
    bool real;
} formats[] = {{"a.fvecs", true, 4, true},   {"a.bvecs", true, 1, false},
               {"a.ivecs", true, 4, false},  {"a.fbin", false, 4, true},
               {"a.u8bin", false, 1, false}, {"a.i8bin", false, 1, false},
               {"a.ibin", false, 4, false},  {"A.FVECS", true, 4, true}};
enum { FORMATS = sizeof formats / sizeof *formats };

static void every_format_is_read(void **state)
{
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        uint8_t bytes[256];
        float values[2 * DIM];
        dip_points p;
        size_t length = make(bytes, formats[f].row_heads, formats[f].size, formats[f].real);
        assert_ok(dip_points_open(&p, support_write(formats[f].name, bytes, length), NULL));
        assert_true(p.rows == ROWS && p.dim == DIM);
        assert_true((p.plain != NULL) == !strcmp(formats[f].name, "a.fbin"));
        assert_ok(dip_points_read(&p, 1, 2, values));
        assert_memory_equal(values, expected + DIM, sizeof values);
        assert_int_equal(p.name[0] | 32, 'a');
        dip_points_close(&p);
    }
}

static void a_file_that_was_cut_off_is_refused(void **state)
{
    (void)state;
    for (size_t f = 0; f < FORMATS; f++) {
        uint8_t bytes[256];
        dip_points p;
        size_t length = make(bytes, formats[f].row_heads, formats[f].size, formats[f].real);
        for (size_t cut = 1; cut < length; cut++) {
            /* Of rows that each tell their length, whole ones may remain. */
            size_t left = length - cut;
            if (formats[f].row_heads && left % (4 + DIM * formats[f].size) == 0) continue;
            const char *path = support_write(formats[f].name, bytes, left);
            dip_error_clear();
            dip_status status = dip_points_open(&p, path, NULL);
            assert_true(status == DIP_ECORRUPT || status == DIP_EFORMAT);
            assert_non_null(strstr(dip_last_error(), path));
        }
    }
}

static void senseless_heads_are_refused(void **state)
{
    (void)state;
    dip_points p;
    uint8_t bytes[256] = {0};
    assert_fails(dip_points_open(&p, support_write("z.fvecs", bytes, 64), NULL), DIP_EFORMAT,
                 "0 values a row");
    memset(bytes, 0xff, sizeof bytes);
    assert_fails(dip_points_open(&p, support_write("f.fbin", bytes, 64), NULL), DIP_EFORMAT,
                 "is it a .fbin file?");
    assert_fails(dip_points_open(&p, support_write("e.fbin", bytes, 0), NULL), DIP_EFORMAT,
                 "no vectors");
    size_t length = make(bytes, true, 4, true);
    bytes[4 + DIM * 4] = 5;
    float values[ROWS * DIM];
    assert_ok(dip_points_open(&p, support_write("odd.fvecs", bytes, length), NULL));
    assert_fails(dip_points_read(&p, 0, ROWS, values), DIP_ECORRUPT, "row 1 says it has 5 values");
    dip_points_close(&p);
}

static void unknown_files_are_named(void **state)
{
    (void)state;
    dip_points p;
    assert_fails(dip_points_open(&p, support_path("none.fvecs"), NULL), DIP_ENOENT, "none.fvecs");
    assert_fails(dip_points_open(&p, support_path("none.xyz"), NULL), DIP_ENOENT, "none.xyz");
    assert_fails(dip_points_open(&p, support_write("a.csv", "1,2", 3), NULL), DIP_ENOTSUP, ".hdf5");
}

static void numpy_tables_are_read(void **state)
{
    (void)state;
    dip_aside file;
    dip_points p;
    float values[DIM];
    const char *path = support_path("n.npy");
    assert_ok(dip_file_begin(&file, path));
    dip_npy_heading(file.stream, ROWS, DIM);
    fwrite(expected, sizeof expected, 1, file.stream);
    assert_ok(dip_file_commit(&file));
    assert_ok(dip_points_open(&p, path, NULL));
    assert_ok(dip_points_read(&p, 2, 1, values));
    assert_memory_equal(values, expected + 2 * DIM, sizeof values);
    dip_points_close(&p);
}

static void whole_numbers_stay_exact(void **state)
{
    (void)state;
    const int32_t ids[4] = {16777217, -1, 2147483647, 0};
    int32_t *read;
    size_t rows, dim;
    const char *path = support_path("w.ibin");
    assert_ok(dip_points_write(path, ids, 2, 2));
    assert_ok(dip_points_whole(path, &read, &rows, &dim));
    assert_true(rows == 2 && dim == 2);
    assert_memory_equal(read, ids, sizeof ids);
    dip_free(read);
    const char *floats = support_path("w.fbin");
    assert_ok(dip_points_write(floats, ids, 2, 2));
    assert_fails(dip_points_whole(floats, &read, &rows, &dim), DIP_ENOTSUP, "no whole numbers");
}

static void identity_follows_the_file(void **state)
{
    (void)state;
    dip_points a, b;
    const float one[4] = {1, 2, 3, 4};
    const char *path = support_path("id.fbin");
    assert_ok(dip_points_write(path, one, 2, 2));
    assert_ok(dip_points_open(&a, path, NULL));
    assert_ok(dip_points_open(&b, path, NULL));
    assert_true(a.identity == b.identity);
    dip_points_close(&b);
    assert_ok(dip_points_write(path, one, 1, 2));
    assert_ok(dip_points_open(&b, path, NULL));
    assert_true(a.identity != b.identity);
    dip_points_close(&a);
    dip_points_close(&b);
}

/* ---- HDF5 ---- */

/* A result file is HDF5 with two tables: what is written is read. */
static const char *write_result(const char *name)
{
    static const int32_t neighbors[4] = {3, -1, 16777217, 0};
    static const float distances[4] = {0, 0.5F, 0.25F, 1}, times[2] = {0.1F, 0.2F};
    const dip_hdf5_result r = {"algo",    "algo(M=16)", "set", "angular", 2, 2, times, neighbors,
                               distances, 1.5,          0.01,  12,        2, 3, false};
    const char *path = support_path(name);
    assert_ok(dip_hdf5_write(path, &r));
    return path;
}

static void hdf5_tables_are_read(void **state)
{
    (void)state;
    dip_hdf5_table *t;
    dip_points p;
    size_t rows, dim;
    int32_t ids[2];
    float values[2];
    char text[32];
    const char *path = write_result("r.hdf5");
    assert_ok(dip_hdf5_open(&t, path, "neighbors", &rows, &dim));
    assert_true(rows == 2 && dim == 2);
    assert_ok(dip_hdf5_read_whole(t, 1, 1, ids));
    assert_int_equal(ids[0], 16777217);
    dip_hdf5_close(t);
    assert_ok(dip_points_open(&p, path, "distances"));
    assert_ok(dip_points_read(&p, 0, 1, values));
    assert_true(values[1] == 0.5F);
    dip_points_close(&p);
    dip_hdf5_text(path, "distance", text, sizeof text);
    assert_string_equal(text, "angular");
    dip_hdf5_text(path, "none", text, sizeof text);
    assert_string_equal(text, "");
}

static void bad_hdf5_is_refused(void **state)
{
    (void)state;
    dip_points p;
    char *bytes;
    size_t length;
    const char *path = write_result("bad.hdf5");
    assert_fails(dip_points_open(&p, path, "train"), DIP_ENOENT, "no dataset 'train'");
    assert_fails(dip_points_open(&p, path, "times"), DIP_EFORMAT, "no table of numbers");
    assert_fails(dip_points_open(&p, support_path("none.hdf5"), "train"), DIP_ENOENT, "none.hdf5");
    assert_fails(dip_points_open(&p, support_write("no.hdf5", "text", 4), "train"), DIP_EFORMAT,
                 "no HDF5 file");
    assert_ok(dip_file_read(&bytes, &length, path, 1 << 20));
    for (size_t left = 0; left < length; left += 97) {
        const char *cut = support_write("cut.hdf5", bytes, left);
        dip_error_clear();
        if (dip_points_open(&p, cut, "distances") == DIP_OK) dip_points_close(&p);
    }
    dip_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_is_read),
        cmocka_unit_test(a_file_that_was_cut_off_is_refused),
        cmocka_unit_test(senseless_heads_are_refused),
        cmocka_unit_test(unknown_files_are_named),
        cmocka_unit_test(numpy_tables_are_read),
        cmocka_unit_test(whole_numbers_stay_exact),
        cmocka_unit_test(identity_follows_the_file),
        cmocka_unit_test(hdf5_tables_are_read),
        cmocka_unit_test(bad_hdf5_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
