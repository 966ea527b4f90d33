/* Safetensors: what is written is read back; what is hostile is refused by name and never read. */
#define _GNU_SOURCE
#include "encoder/safetensors.h"

#include "core/file.h"
#include "core/mem.h"
#include "tests/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <stdlib.h>

#include <cmocka.h>

/* A file in memory: the header's length, the header, `data` bytes counting up from 0. */
static size_t make(uint8_t *out, const char *header, size_t data)
{
    size_t length = strlen(header);
    for (int i = 0; i < 8; i++) out[i] = (uint8_t)(length >> 8 * i);
    memcpy(out + 8, header, length);
    for (size_t i = 0; i < data; i++) out[8 + length + i] = (uint8_t)i;
    return 8 + length + data;
}

static dip_status parse(const char *header, size_t data)
{
    uint8_t bytes[4096];
    dip_safetensors *file = NULL;
    dip_error_clear();
    dip_status status = dip_safetensors_parse(&file, bytes, make(bytes, header, data), "it");
    dip_safetensors_close(file);
    assert_int_equal(!status, !*dip_last_error());
    return status;
}

static void round_trip(void **state)
{
    (void)state;
    char *folder = scratch_folder("safetensors"), path[4096];
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    const float first[6] = {1, -2, 3.5f, 4, 5, 6}, second[1] = {0.25f};
    const dip_safetensors_tensor tensors[] = {
        {"z.weight", 2, {2, 3}, first}, {"a.bias", 1, {1}, second}, {"none", 1, {0}, NULL}};
    const dip_safetensors_text texts[] = {{"format", "1"}, {"odd \"key\"", "line\nbreak \\ \x01"}};
    assert_int_equal(dip_safetensors_write(path, tensors, 3, texts, 2), DIP_OK);

    dip_safetensors *file = NULL;
    assert_int_equal(dip_safetensors_open(&file, path), DIP_OK);
    assert_int_equal(dip_safetensors_count(file), 3);
    const dip_safetensors_entry *entry = dip_safetensors_find(file, "z.weight");
    assert_non_null(entry);
    assert_int_equal(entry->rank, 2);
    assert_int_equal(entry->shape[1], 3);
    float values[6];
    assert_int_equal(dip_safetensors_floats(entry, values), DIP_OK);
    assert_memory_equal(values, first, sizeof first);
    assert_string_equal(dip_safetensors_at(file, 1)->name, "a.bias");
    assert_string_equal(dip_safetensors_metadata(file, "odd \"key\""), "line\nbreak \\ \x01");
    assert_null(dip_safetensors_metadata(file, "absent"));
    assert_null(dip_safetensors_find(file, "absent"));
    dip_safetensors_close(file);
    assert_int_equal(dip_file_remove(folder), DIP_OK);
    free(folder);
}

/* Every byte of a file of ours counts, those of metadata and names too. */
static void every_changed_byte_is_noticed(void **state)
{
    (void)state;
    char *folder = scratch_folder("safetensors"), path[4096], *bytes;
    size_t length;
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    const float values[5] = {1, -2, 3.5f, 4, 5};
    const dip_safetensors_tensor tensors[] = {{"w", 1, {3}, values}, {"b", 1, {2}, values + 3}};
    const dip_safetensors_text texts[] = {{"mean", "12.25"}};
    assert_int_equal(dip_safetensors_write(path, tensors, 2, texts, 1), DIP_OK);
    assert_int_equal(dip_file_read(&bytes, &length, path, 1 << 20), DIP_OK);
    const char *mark = "checksum";
    for (size_t i = 0; i < length; i++) {
        dip_safetensors *file = NULL;
        /* A broken mark is another program's file: nothing to compare. */
        bool in_mark = i >= 8 + 18 && i < 8 + 18 + strlen(mark);
        bytes[i] ^= 1;
        dip_status status = dip_safetensors_parse(&file, bytes, length, "it");
        if (!status && !in_mark) fail_msg("byte %zu of %zu was changed unseen", i, length);
        dip_safetensors_close(file);
        bytes[i] ^= 1;
    }
    dip_free(bytes);
    assert_int_equal(dip_file_remove(folder), DIP_OK);
    free(folder);
}

static void reads_half_and_brain_floats(void **state)
{
    (void)state;
    /* f16: 1, -2, 65504, smallest subnormal, infinity; bf16: 1, -0.5 */
    const uint8_t data[] = {0x00, 0x3C, 0x00, 0xC0, 0xFF, 0x7B, 0x01,
                            0x00, 0x00, 0x7C, 0x80, 0x3F, 0x00, 0xBF};
    uint8_t bytes[512];
    size_t length = make(bytes,
                         "{\"h\":{\"dtype\":\"F16\",\"shape\":[5],\"data_offsets\":[0,10]},"
                         "\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[10,14]}}",
                         sizeof data);
    memcpy(bytes + length - sizeof data, data, sizeof data);
    dip_safetensors *file = NULL;
    float v[5];
    assert_int_equal(dip_safetensors_parse(&file, bytes, length, "it"), DIP_OK);
    assert_int_equal(dip_safetensors_floats(dip_safetensors_find(file, "h"), v), DIP_OK);
    assert_true(v[0] == 1 && v[1] == -2 && v[2] == 65504 && v[3] == 0x1p-24f && v[4] > 1e38f);
    assert_int_equal(dip_safetensors_floats(dip_safetensors_find(file, "b"), v), DIP_OK);
    assert_true(v[0] == 1 && v[1] == -0.5f);
    dip_safetensors_close(file);
}

static void other_types_are_not_read_as_floats(void **state)
{
    (void)state;
    uint8_t bytes[256];
    size_t length =
        make(bytes, "{\"n\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8);
    dip_safetensors *file = NULL;
    float value;
    assert_int_equal(dip_safetensors_parse(&file, bytes, length, "it"), DIP_OK);
    assert_int_equal(dip_safetensors_floats(dip_safetensors_at(file, 0), &value), DIP_ENOTSUP);
    assert_non_null(strstr(dip_last_error(), "I64"));
    dip_safetensors_close(file);
}

static void decodes_escapes(void **state)
{
    (void)state;
    uint8_t bytes[256];
    size_t length =
        make(bytes, " {\"__metadata__\" : {\"k\\u00e9\":\"\\uD83D\\uDE00\\t\\/\"}}  ", 0);
    dip_safetensors *file = NULL;
    assert_int_equal(dip_safetensors_parse(&file, bytes, length, "it"), DIP_OK);
    assert_string_equal(dip_safetensors_metadata(file, "k\xC3\xA9"), "\xF0\x9F\x98\x80\t/");
    dip_safetensors_close(file);
}

#define TENSOR(name, dtype, shape, begin, end)                                                     \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end \
    "]}"

static void good_headers(void **state)
{
    (void)state;
    assert_int_equal(parse("{}", 0), DIP_OK);
    assert_int_equal(parse("{\"__metadata__\":{}}", 0), DIP_OK);
    assert_int_equal(parse("{" TENSOR("scalar", "F32", "", "0", "4") "}", 4), DIP_OK);
    assert_int_equal(
        parse("{" TENSOR("b", "U8", "4", "4", "8") "," TENSOR("a", "F32", "1", "0", "4") "}", 8),
        DIP_OK);
}

static void hostile_headers_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        dip_status status;
    } cases[] = {
        {"", 0, DIP_EFORMAT},
        {"[]", 0, DIP_EFORMAT},
        {"{", 0, DIP_EFORMAT},
        {"{}x", 0, DIP_EFORMAT},
        {"{\"a", 0, DIP_EFORMAT},
        {"{\"a\\", 0, DIP_EFORMAT},
        {"{\"a\\u12", 0, DIP_EFORMAT},
        {"{\"__metadata__\":{\"a\":1}}", 0, DIP_EFORMAT},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, DIP_EFORMAT},
        {"{\"__metadata__\":{\"a\":\"\\u0000\"}}", 0, DIP_EFORMAT},
        {"{\"__metadata__\":{\"a\":\"\\uD800x\"}}", 0, DIP_EFORMAT},
        {"{\"__metadata__\":{\"a\":\"\\q\"}}", 0, DIP_EFORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, DIP_EFORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
         DIP_EFORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"size\":[1],\"data_offsets\":[0,4]}}", 4, DIP_EFORMAT},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,4]}}", 4, DIP_EFORMAT},
        {"{" TENSOR("a", "Q4", "1", "0", "4") "}", 4, DIP_EFORMAT},
        {"{" TENSOR("a", "F32", "-1", "0", "4") "}", 4, DIP_EFORMAT},
        {"{" TENSOR("a", "F32", "1.0", "0", "4") "}", 4, DIP_EFORMAT},
        {"{" TENSOR("a", "F32", "01", "0", "4") "}", 4, DIP_EFORMAT},
        {"{" TENSOR("a", "F32", "2", "0", "4") "}", 4, DIP_EFORMAT},
        {"{" TENSOR("a", "F32", "1", "4", "0") "}", 4, DIP_EFORMAT},
        {"{" TENSOR("a", "U8", "1,1,1,1,1,1,1,1,1", "0", "1") "}", 1, DIP_EFORMAT},
        {"{" TENSOR("a", "F32", "4611686018427387904,4", "0", "0") "}", 0, DIP_EFORMAT},
        {"{" TENSOR("a", "F32", "99999999999999999999", "0", "0") "}", 0, DIP_EFORMAT},
        {"{" TENSOR("a", "F32", "1", "4", "8") "}", 8, DIP_EFORMAT},  /* gap */
        {"{" TENSOR("a", "F32", "1", "0", "4") "}", 5, DIP_EFORMAT},  /* rest */
        {"{" TENSOR("a", "F32", "2", "0", "8") "}", 4, DIP_ECORRUPT}, /* cut off */
        {"{" TENSOR("a", "F32", "2", "0", "8") "," TENSOR("b", "F32", "1", "4", "8") "}", 8,
         DIP_EFORMAT}, /* overlap */
        {"{" TENSOR("a", "F32", "1", "0", "4") "," TENSOR("a", "F32", "1", "4", "8") "}", 8,
         DIP_EFORMAT}, /* twice */
        {"{" TENSOR("a\\u001b", "F32", "1", "0", "4") "}", 4, DIP_EFORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (parse(cases[i].header, cases[i].data) != cases[i].status)
            fail_msg("case %zu: %s: %s", i, cases[i].header, dip_last_error());
}

static void wrong_lengths_are_refused(void **state)
{
    (void)state;
    uint8_t bytes[64] = {0};
    dip_safetensors *file = NULL;
    assert_int_equal(dip_safetensors_parse(&file, bytes, 7, "it"), DIP_EFORMAT);
    bytes[0] = 57; /* the header would need one byte more than there is */
    assert_int_equal(dip_safetensors_parse(&file, bytes, 64, "it"), DIP_ECORRUPT);
    memset(bytes, 0xFF, 8);
    assert_int_equal(dip_safetensors_parse(&file, bytes, 64, "it"), DIP_EFORMAT);
    assert_int_equal(dip_safetensors_open(&file, "/nonexistent/model"), DIP_ENOENT);
    assert_null(file);
}

/* Every prefix of a good file is refused, and none is read beyond its end (ASan watches). */
static void every_prefix_is_refused(void **state)
{
    (void)state;
    uint8_t whole[256];
    size_t length = make(whole, "{" TENSOR("a", "F32", "2", "0", "8") "}", 8);
    for (size_t n = 0; n < length; n++) {
        uint8_t *bytes = dip_alloc(n);
        assert_non_null(bytes);
        memcpy(bytes, whole, n);
        dip_safetensors *file = NULL;
        assert_int_not_equal(dip_safetensors_parse(&file, bytes, n, "it"), DIP_OK);
        dip_free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(every_changed_byte_is_noticed),
        cmocka_unit_test(reads_half_and_brain_floats),
        cmocka_unit_test(other_types_are_not_read_as_floats),
        cmocka_unit_test(decodes_escapes),
        cmocka_unit_test(good_headers),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(wrong_lengths_are_refused),
        cmocka_unit_test(every_prefix_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
