/* Status codes and the failure line. */
#include "tests/core/support.h"

#include <errno.h>
#include <pthread.h>

static void test_every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = 0; a < DIP_STATUS_COUNT; a++) {
        assert_string_not_equal(dip_status_name((dip_status)a), "unknown");
        for (int b = 0; b < a; b++)
            assert_string_not_equal(dip_status_name((dip_status)a), dip_status_name((dip_status)b));
    }
    assert_string_equal(dip_status_name(DIP_STATUS_COUNT), "unknown");
    assert_string_equal(dip_status_name((dip_status)-1), "unknown");
}

static void test_failure_writes_its_line(void **state)
{
    (void)state;
    dip_error_clear();
    assert_string_equal(dip_last_error(), "");
    assert_int_equal(dip_fail(DIP_ENOENT, "no tile %d in '%s'", 7, "a"), DIP_ENOENT);
    assert_string_equal(dip_last_error(), "no tile 7 in 'a'");
}

static void test_line_may_quote_the_line_before(void **state)
{
    (void)state;
    dip_fail(DIP_EIO, "disk is gone");
    dip_fail(DIP_EIO, "cannot save: %s", dip_last_error());
    assert_string_equal(dip_last_error(), "cannot save: disk is gone");
    assert_int_equal(dip_fail_prefix(DIP_EFORMAT, "row %d", 3), DIP_EFORMAT);
    assert_string_equal(dip_last_error(), "row 3: cannot save: disk is gone");
}

static void test_a_line_too_long_is_cut(void **state)
{
    static char text[5000];
    (void)state;
    memset(text, 'x', sizeof text - 1);
    dip_fail(DIP_EINVAL, "%s", text);
    size_t length = strlen(dip_last_error());
    assert_in_range(length, 200, sizeof text - 2);
    assert_memory_equal(dip_last_error(), text, length);
    dip_fail_prefix(DIP_EINVAL, "%s", text);
    assert_true(strlen(dip_last_error()) <= length);
}

static void test_errno_becomes_a_code(void **state)
{
    static const struct {
        int error;
        dip_status status;
    } cases[] = {
        {ENOENT, DIP_ENOENT}, {ENOTDIR, DIP_ENOENT}, {EEXIST, DIP_EEXIST}, {ENOSPC, DIP_ENOSPC},
        {EDQUOT, DIP_ENOSPC}, {ENOMEM, DIP_ENOMEM},  {EIO, DIP_EIO},       {EACCES, DIP_EIO},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[200];
        errno = cases[i].error;
        assert_int_equal(dip_fail_errno("open", "a b"), cases[i].status);
        snprintf(line, sizeof line, "cannot open 'a b': %s", strerror(cases[i].error));
        assert_int_equal(strncmp(dip_last_error(), line, strlen(line)),
                         0); /* a remedy may follow */
    }
    errno = ENOSPC;
    dip_fail_errno("write", "a");
    assert_non_null(strstr(dip_last_error(), "make room"));
}

static void *fail_elsewhere(void *found)
{
    snprintf(found, 64, "%s", dip_last_error());
    dip_fail(DIP_EIO, "from the other thread");
    return NULL;
}

static void test_each_thread_has_its_own_line(void **state)
{
    pthread_t thread;
    char found[64] = "untouched";
    (void)state;
    dip_fail(DIP_EINVAL, "from this thread");
    assert_int_equal(pthread_create(&thread, NULL, fail_elsewhere, found), 0);
    pthread_join(thread, NULL);
    assert_string_equal(found, "");
    assert_string_equal(dip_last_error(), "from this thread");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_has_a_name_of_its_own),
        cmocka_unit_test(test_failure_writes_its_line),
        cmocka_unit_test(test_line_may_quote_the_line_before),
        cmocka_unit_test(test_a_line_too_long_is_cut),
        cmocka_unit_test(test_errno_becomes_a_code),
        cmocka_unit_test(test_each_thread_has_its_own_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
