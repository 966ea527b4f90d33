/* Choosing a model of an archive. */
#define _GNU_SOURCE
#include "support.h"

#include "core/file.h"
#include "core/mem.h"
#include "search/models.h"
#include "tests/scratch.h"

#include <fcntl.h>
#include <sys/stat.h>

static char *folder;

static void put(const char *name, long seconds)
{
    struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    char *path = dip_sprintf("%s/models/%s", folder, name);
    assert_ok(dip_file_write(path, "x", 1));
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    dip_free(path);
}

static int begin(void **state)
{
    (void)state;
    folder = scratch_folder("models");
    return 0;
}

static int end(void **state)
{
    (void)state;
    dip_file_remove(folder);
    free(folder);
    return 0;
}

static void assert_chosen(const char *wanted, const char *expected)
{
    char *id;
    assert_ok(dip_models_choose(folder, wanted, &id));
    assert_string_equal(id, expected);
    dip_free(id);
}

static void test_none(void **state)
{
    char *id;
    (void)state;
    assert_fails(DIP_ENOENT, "run diptych train", dip_models_choose(folder, NULL, &id));
    assert_fails(DIP_ENOENT, "run diptych train", dip_models_choose(folder, "a", &id));
}

static void test_the_newest_or_the_named_one(void **state)
{
    char *id, *models = dip_path_join(folder, "models");
    (void)state;
    assert_ok(dip_folder_create(models));
    dip_free(models);
    put("b.safetensors", 1000);
    put("a.safetensors", 2000);
    put("newer.txt", 3000);
    put(".safetensors", 3000);
    assert_chosen(NULL, "a");
    assert_chosen("b", "b");
    put("c.safetensors", 2000); /* as old as a: the later name */
    assert_chosen(NULL, "c");
    assert_fails(DIP_ENOENT, "no model 'd'; it has a, b, c", dip_models_choose(folder, "d", &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_none, begin, end),
        cmocka_unit_test_setup_teardown(test_the_newest_or_the_named_one, begin, end),
    };
    return cmocka_run_group_tests_name("search/models", tests, NULL, NULL);
}
