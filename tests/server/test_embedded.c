/* Files inside the program: found by name, the same bytes as in the source tree. */
#include "server/embedded.h"

#include "core/file.h"
#include "core/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_sorted_and_equal(void **state)
{
    (void)state;
    for (size_t i = 0; i < dip_embedded_count; i++) {
        const dip_embedded *file = &dip_embedded_files[i];
        if (i) assert_true(strcmp(file[-1].name, file->name) < 0);
        assert_ptr_equal(dip_embedded_find(file->name), file);
        char path[512], *bytes = NULL;
        size_t length = 0;
        snprintf(path, sizeof path, "%s/server/%s", DIP_SOURCE_DIR, file->name);
        assert_int_equal(dip_file_read(&bytes, &length, path, 1u << 30), 0);
        assert_int_equal((size_t)(file->end - file->bytes), length);
        assert_memory_equal(file->bytes, bytes, length);
        assert_int_equal(*file->end, 0);
        dip_free(bytes);
    }
}

static void test_unknown(void **state)
{
    (void)state;
    const char *names[] = {"",  "web",          "web/dist", "web/dist/", "web/package.json",
                           "~", "../core/mem.c"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_null(dip_embedded_find(names[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sorted_and_equal),
        cmocka_unit_test(test_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
