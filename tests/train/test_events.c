/* TensorBoard events: the checksum's known values, and a file taken apart again field by field. */
#define _GNU_SOURCE
#include "train/events.h"

#include "core/file.h"
#include "core/mem.h"
#include "tests/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void checksum_has_the_known_values(void **state)
{
    (void)state;
    uint8_t zeros[32] = {0}, ones[32];
    memset(ones, 0xFF, sizeof ones);
    assert_int_equal(dip_crc32c("123456789", 9), 0xE3069283); /* RFC 3720, appendix B.4 */
    assert_int_equal(dip_crc32c(zeros, 32), 0x8A9136AA);
    assert_int_equal(dip_crc32c(ones, 32), 0x62A8AB43);
}

static uint64_t load(const uint8_t *at, int bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) value |= (uint64_t)at[i] << 8 * i;
    return value;
}

static uint32_t unmask(uint32_t value)
{
    value -= 0xA282EAD8u;
    return value >> 17 | value << 15;
}

/* Checks a record's two checksums; returns its payload and moves on. */
static const uint8_t *next_record(const uint8_t **at, size_t *length)
{
    *length = load(*at, 8);
    assert_int_equal(unmask((uint32_t)load(*at + 8, 4)), dip_crc32c(*at, 8));
    const uint8_t *payload = *at + 12;
    assert_int_equal(unmask((uint32_t)load(payload + *length, 4)), dip_crc32c(payload, *length));
    *at = payload + *length + 4;
    return payload;
}

static char *only_file(const char *folder)
{
    char **names;
    size_t count;
    assert_int_equal(dip_folder_list(&names, &count, folder), DIP_OK);
    assert_int_equal(count, 1);
    assert_non_null(strstr(names[0], "events.out.tfevents."));
    char *path = dip_path_join(folder, names[0]);
    dip_names_free(names, count);
    return path;
}

static void scalars_can_be_read_back(void **state)
{
    (void)state;
    char *folder = scratch_folder("events"), *bytes;
    size_t total, length;
    float value;
    dip_events *events = NULL;
    assert_int_equal(dip_events_open(&events, folder), DIP_OK);
    assert_int_equal(dip_events_scalar(events, "loss/mim", 300, 1.5), DIP_OK);
    assert_int_equal(dip_events_flush(events), DIP_OK);
    dip_events_close(events);
    char *path = only_file(folder);
    assert_int_equal(dip_file_read(&bytes, &total, path, 1 << 20), DIP_OK);

    const uint8_t *at = (const uint8_t *)bytes, *payload = next_record(&at, &length);
    assert_int_equal(payload[0], 1 << 3 | 1);                /* wall_time */
    assert_memory_equal(payload + 9, "\x10\x00\x1a\x0d", 4); /* step 0, file_version */
    assert_memory_equal(payload + 13, "brain.Event:2", 13);
    payload = next_record(&at, &length);
    assert_memory_equal(payload + 9, "\x10\xac\x02", 3);      /* step 300 */
    assert_memory_equal(payload + 12, "\x2a\x11\x0a\x0f", 4); /* summary, value */
    assert_memory_equal(payload + 16, "\x0a\x08loss/mim\x15", 11);
    memcpy(&value, payload + 27, 4);
    assert_true(value == 1.5f && length == 31);
    assert_int_equal((const char *)at - bytes, total);
    dip_free(bytes);
    dip_free(path);
    assert_int_equal(dip_file_remove(folder), DIP_OK);
    free(folder);
}

/* A text longer than any buffer of fixed size. */
static void texts_can_be_read_back(void **state)
{
    (void)state;
    enum { LENGTH = 5000 };
    char *folder = scratch_folder("events"), *bytes, text[LENGTH + 1];
    size_t total, length;
    dip_events *events = NULL;
    for (size_t i = 0; i < LENGTH; i++) text[i] = (char)('a' + i % 26);
    text[LENGTH] = '\0';
    assert_int_equal(dip_events_open(&events, folder), DIP_OK);
    assert_int_equal(dip_events_text(events, "run/options", 7, text), DIP_OK);
    assert_int_equal(dip_events_flush(events), DIP_OK);
    dip_events_close(events);
    char *path = only_file(folder);
    assert_int_equal(dip_file_read(&bytes, &total, path, 1 << 20), DIP_OK);

    const uint8_t *at = (const uint8_t *)bytes, *payload;
    next_record(&at, &length);
    payload = next_record(&at, &length);
    assert_int_equal(length, 11 + 3 + 3 + 13 + 3 + 2 + 6 + 3 + LENGTH + 10);
    assert_memory_equal(payload + 9, "\x10\x07\x2a\xb0\x27\x0a\xad\x27", 8); /* summary, value */
    assert_memory_equal(payload + 17, "\x0a\x0brun/options\x42\x93\x27", 16);
    assert_memory_equal(payload + 33, "\x08\x07\x12\x04\x12\x02\x08\x01\x42\x88\x27", 11);
    assert_memory_equal(payload + 44, text, LENGTH);
    assert_memory_equal(payload + 44 + LENGTH, "\x4a\x08\x0a\x06\x0a\x04text", 10);
    assert_int_equal((const char *)at - bytes, total);
    dip_free(bytes);
    dip_free(path);
    assert_int_equal(dip_file_remove(folder), DIP_OK);
    free(folder);
}

static void a_missing_folder_is_named(void **state)
{
    (void)state;
    dip_events *events = NULL;
    assert_int_not_equal(dip_events_open(&events, "/nonexistent/run"), DIP_OK);
    assert_non_null(strstr(dip_last_error(), "/nonexistent/run"));
    assert_null(events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksum_has_the_known_values),
        cmocka_unit_test(scalars_can_be_read_back),
        cmocka_unit_test(texts_can_be_read_back),
        cmocka_unit_test(a_missing_folder_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
