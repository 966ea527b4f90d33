/* .npy files: float32 and float16 tables come back, everything else is refused by name and with what to do. */
#include "support.h"

#include "core/file.h"
#include "storage/npy.h"

#include <stdio.h>
#include <string.h>

/* A file in memory, version 1, unpadded: the header, then `values` bytes counting up from 0. */
static size_t make(uint8_t *out, const char *header, size_t values)
{
    size_t length = strlen(header);
    memcpy(out, "\x93NUMPY\x01\x00", 8);
    out[8] = (uint8_t)length;
    out[9] = (uint8_t)(length >> 8);
    memcpy(out + 10, header, length);
    for (size_t i = 0; i < values; i++) out[10 + length + i] = (uint8_t)i;
    return 10 + length + values;
}

static dip_status parse(const char *header, size_t values, dip_npy *npy)
{
    uint8_t bytes[1024];
    dip_error_clear();
    dip_status status = dip_npy_parse(npy, bytes, make(bytes, header, values), "v.npy");
    assert_int_equal(!status, !*dip_last_error());
    return status;
}

static void what_is_written_is_read(void **state)
{
    const float values[6] = {1, -2, 3.5f, 0, 1e30f, -0.25f};
    const char *path = inside(*state, "round.npy");
    dip_aside file;
    dip_npy npy;
    float row[3];
    assert_int_equal(dip_file_begin(&file, path), DIP_OK);
    dip_npy_heading(file.stream, 2, 3);
    assert_int_equal(ftell(file.stream) % 64, 0);
    fwrite(values, sizeof *values, 6, file.stream);
    assert_int_equal(dip_file_commit(&file), DIP_OK);
    assert_int_equal(dip_npy_open(&npy, path), DIP_OK);
    assert_true(npy.rows == 2 && npy.dim == 3 && !npy.half);
    dip_npy_read(&npy, 1, 1, row);
    assert_memory_equal(row, values + 3, sizeof row);
    dip_npy_close(&npy);
}

static void half_precision_is_widened(void **state)
{
    (void)state;
    uint8_t bytes[256];
    const uint8_t halves[] = {0x00, 0x3c, 0x00, 0xc0,
                              0x01, 0x00, 0x00, 0x35}; /* 1 -2 2^-24 0.3125 */
    const char *header = "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2), }";
    const float expected[4] = {1, -2, 0x1p-24f, 0.3125f};
    dip_npy npy;
    float values[4];
    size_t length = make(bytes, header, 8);
    memcpy(bytes + length - 8, halves, 8);
    assert_int_equal(dip_npy_parse(&npy, bytes, length, "v.npy"), DIP_OK);
    assert_true(npy.half && npy.rows == 2);
    dip_npy_read(&npy, 0, 2, values);
    assert_memory_equal(values, expected, sizeof values);
}

static void python_may_write_it_in_many_ways(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }",
        "{\"shape\":(1,2),\"descr\":\"<f4\",\"fortran_order\":False}",
        "{ 'fortran_order' : False , 'shape' : ( 1 , 2 , ) , 'descr' : '<f4' , }   \n",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }", /* one row has no order */
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        dip_npy npy;
        assert_int_equal(parse(headers[i], 8, &npy), DIP_OK);
        assert_true(npy.rows == 1 && npy.dim == 2);
    }
}

static void the_rest_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header, *says;
        dip_status status;
    } cases[] = {
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }", "astype", DIP_ENOTSUP},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1, 2), }", "'>f4'", DIP_ENOTSUP},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }", "ascontiguous", DIP_ENOTSUP},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2), }", "3 dim", DIP_ENOTSUP},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "0 dim", DIP_ENOTSUP},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (0, 2), }", "empty", DIP_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", "cut off", DIP_ECORRUPT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1), }", "bytes", DIP_ECORRUPT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387905, 4), }", "rows",
         DIP_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 1), }", "header",
         DIP_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2), }", "header", DIP_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, }", "header", DIP_EFORMAT},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)}", "header",
         DIP_EFORMAT},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", "header",
         DIP_EFORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2)} or more", "header",
         DIP_EFORMAT},
        {"", "header", DIP_EFORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_npy npy;
        assert_int_equal(parse(cases[i].header, 8, &npy), cases[i].status);
        assert_non_null(strstr(dip_last_error(), cases[i].says));
        assert_non_null(strstr(dip_last_error(), "v.npy"));
    }
}

static void other_files_are_refused(void **state)
{
    (void)state;
    dip_npy npy;
    assert_int_equal(dip_npy_open(&npy, inside(*state, "none.npy")), DIP_ENOENT);
    assert_int_equal(dip_npy_parse(&npy, "PK\x03\x04 a .npz", 13, "v.npz"), DIP_EFORMAT);
    assert_int_equal(dip_npy_parse(&npy, "\x93NUMPY\x04\x00\x00\x00\x00\x00", 12, "v"),
                     DIP_EFORMAT);
    assert_int_equal(dip_npy_parse(&npy, "\x93NUMPY\x02\x00\xff\xff\xff\xff", 12, "v"),
                     DIP_EFORMAT);
    assert_int_equal(dip_file_write(inside(*state, "empty.npy"), "", 0), DIP_OK);
    assert_int_equal(dip_npy_open(&npy, inside(*state, "empty.npy")), DIP_EFORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(half_precision_is_widened),
        cmocka_unit_test(python_may_write_it_in_many_ways),
        cmocka_unit_test(the_rest_is_refused),
        cmocka_unit_test(other_files_are_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
