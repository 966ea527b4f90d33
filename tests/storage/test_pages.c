/* The walk over LMDB's pages: a small file of 256-byte pages is sound; each way of breaking it is named. */
#define _GNU_SOURCE
#include "support.h"

#include "core/file.h"
#include "core/mem.h"
#include "storage/pages.h"

#include <stdio.h>
#include <string.h>

/*
 * Pages of the file: 0, 1 headers (1 is the newer, of snapshot 5); 2 main; 3 journal's branch page over leaves 4 and 5;
 * 6 leaf of `meta`, with a long value on 7 and 8; 9 free list, with page 10 on it.
 */
enum { PAGE = 256, SNAPSHOT = 5, LENGTH = 11 * PAGE };

static fault_list faults;

static void keep(void *payload, const char *line)
{
    (void)payload;
    if (faults.kept < 64) snprintf(faults.lines[faults.kept++], sizeof faults.lines[0], "%s", line);
}

/* The file with `size` bytes at `at` replaced. */
static const char *changed(const char *folder, size_t at, const void *bytes, size_t size)
{
    char *file;
    size_t length;
    const char *path = inside(folder, "pages");
    assert_ok(dip_file_read(&file, &length, DIP_SOURCE_DIR "/tests/fuzz/corpus/store_pages/trees",
                            1 << 20));
    assert_int_equal(length, LENGTH);
    memcpy(file + at, bytes, size);
    assert_ok(dip_file_write(path, file, length));
    dip_free(file);
    return path;
}

static void check(const char *path)
{
    faults.kept = 0;
    faults.faults = 0;
    assert_ok(dip_pages_check_all(path, SNAPSHOT, keep, NULL, &faults.faults));
}

static void a_sound_file_is_sound(void **state)
{
    const char *path = changed(*state, 0, "", 0);
    assert_ok(dip_pages_check_length(path));
    assert_ok(dip_pages_check_small(path, SNAPSHOT));
    check(path);
    assert_int_equal(faults.faults, 0);
    assert_fails(dip_pages_check_small(path, 4), DIP_EBUSY, "changes faster");
}

static void every_damage_is_named(void **state)
{
    static const struct {
        size_t at;
        const char *bytes;
        size_t size;
        const char *part;
    } cases[] = {
        {4 * PAGE, "\7", 1, "page 4 of data.mdb, tree 'journal': its head is damaged (number 7"},
        {4 * PAGE + 10, "\1", 1, "page 4 of data.mdb, tree 'journal': its head is damaged"},
        {4 * PAGE + 12, "\0\0", 2, "its bounds 0.."},
        {4 * PAGE + 12, "\x15", 1, "its bounds 21.."},
        {4 * PAGE + 16, "\xff\xff", 2, "node 0 lies outside"},
        {4 * PAGE + 16, "\x21", 1, "node 0 lies outside"},
        {4 * PAGE + 242, "\x40", 1, "the key of node 0 is damaged"},
        {4 * PAGE + 236, "\xff", 1, "a value runs over the end"},
        {5 * PAGE + 236 + 15, "\1", 1, "keys are out of order"},
        {3 * PAGE + 247, "\1", 1, "separators are out of order"},
        {3 * PAGE + 232, "\4", 1, "page 4, which is in use elsewhere"},
        {3 * PAGE + 248, "\x0b", 1, "page 11, outside of the file"},
        {3 * PAGE + 248, "\1", 1, "page 1, outside of the file"},
        {7 * PAGE + 12, "\3", 1, "should hold a long value"},
        {PAGE + 136, "\x08", 1, "outside of the file"},
        {9 * PAGE + 256 - 8, "\5", 1, "page 5 of data.mdb, tree 'free': it is in use and listed"},
        {9 * PAGE + 256 - 16, "\2", 1, "a list of free pages is damaged"},
        {9 * PAGE + 256 - 8, "\x63", 1, "page 99 is listed as free"},
        {PAGE + 88 + 6, "\x21", 1, "its depth 33 is damaged"},
        {PAGE + 88 + 32, "\3", 1, "it has 2 entries, its record says 3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check(changed(*state, cases[i].at, cases[i].bytes, cases[i].size));
        if (!faults.faults) fail_msg("case %zu was not seen", i);
        assert_reported(&faults, cases[i].part);
    }
}

static void heads_are_checked_before_anything(void **state)
{
    uint64_t far = 11;
    const char *path = changed(*state, PAGE + 136, &far, sizeof far);
    assert_fails(dip_pages_check_length(path), DIP_ECORRUPT, "truncated: 2816 bytes");
    assert_fails(dip_pages_check_small(path, SNAPSHOT), DIP_ECORRUPT, "truncated");
    path = changed(*state, 16, "x", 1);
    assert_fails(dip_pages_check_length(path), DIP_EFORMAT, "not an LMDB");
    path = changed(*state, 40, "\0\3", 2); /* pages of 768 bytes */
    assert_fails(dip_pages_check_length(path), DIP_EFORMAT, "not an LMDB");
    path = changed(*state, PAGE + 44, "\x09", 1); /* would be mapped to a fixed address */
    assert_fails(dip_pages_check_length(path), DIP_EFORMAT, "not an LMDB");
    assert_int_equal(dip_pages_check_length(inside(*state, "none")), DIP_ENOENT);
}

static void opening_checks_names_and_journal(void **state)
{
    const char *path = changed(*state, 4 * PAGE, "\7", 1);
    assert_fails(dip_pages_check_small(path, SNAPSHOT), DIP_ECORRUPT, "page 4");
    path = changed(*state, 6 * PAGE, "\7", 1); /* of `meta`: left to verify */
    assert_ok(dip_pages_check_small(path, SNAPSHOT));
    path = changed(*state, PAGE + 92, "\4", 1); /* sorted duplicates: not ours */
    assert_fails(dip_pages_check_small(path, SNAPSHOT), DIP_EFORMAT, "not a store of Diptych");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sound_file_is_sound),
        TEST(every_damage_is_named),
        TEST(heads_are_checked_before_anything),
        TEST(opening_checks_names_and_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
