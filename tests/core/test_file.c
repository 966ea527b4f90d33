/* Files: reads, maps, writes that are there or not, folders, paths. */
#define _GNU_SOURCE
#include "tests/core/support.h"

#include "core/file.h"
#include "core/mem.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_read_gives_all_bytes_and_a_zero(void **state)
{
    const char *path = support_path("read");
    char *bytes;
    size_t length;
    (void)state;
    support_write(path, "tile\nplace");
    assert_int_equal(dip_file_read(&bytes, &length, path, 100), DIP_OK);
    assert_int_equal(length, 10);
    assert_string_equal(bytes, "tile\nplace");
    dip_free(bytes);
    support_write(path, "");
    assert_int_equal(dip_file_read(&bytes, &length, path, 0), DIP_OK);
    assert_int_equal(length, 0);
    assert_int_equal(bytes[0], 0);
    dip_free(bytes);
}

static void test_read_holds_to_its_limit(void **state)
{
    const char *path = support_path("limit");
    char *bytes;
    size_t length;
    (void)state;
    support_write(path, "12345");
    assert_int_equal(dip_file_read(&bytes, &length, path, 5), DIP_OK);
    dip_free(bytes);
    assert_fails(dip_file_read(&bytes, &length, path, 4), DIP_EFORMAT, path);
}

/* What cannot be read, and what the line says. */
static void test_read_failures_name_the_path(void **state)
{
    char *bytes;
    size_t length;
    dip_map map;
    uint64_t size;
    (void)state;
    const char *missing = support_path("missing");
    assert_fails(dip_file_read(&bytes, &length, missing, 10), DIP_ENOENT, missing);
    assert_fails(dip_file_map(&map, missing), DIP_ENOENT, missing);
    assert_fails(dip_file_size(&size, missing), DIP_ENOENT, missing);
    assert_fails(dip_file_read(&bytes, &length, support_folder(), 10), DIP_EINVAL, "is a folder");
    assert_fails(dip_file_map(&map, support_folder()), DIP_EINVAL, "is a folder");
}

/* A pipe has no size beforehand; `lines` are written into it by a child. */
static void write_to_pipe(const char *path, size_t lines)
{
    if (fork()) return;
    FILE *pipe = fopen(path, "w");
    for (size_t i = 0; pipe && i < lines; i++) fputs("0123456789abcde\n", pipe);
    if (pipe) fclose(pipe);
    _exit(0);
}

static void test_read_takes_a_pipe_to_its_end(void **state)
{
    const char *path = support_path("pipe");
    char *bytes;
    size_t length, lines = 10000;
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    write_to_pipe(path, lines);
    assert_int_equal(dip_file_read(&bytes, &length, path, 1 << 20), DIP_OK);
    assert_int_equal(length, lines * 16);
    assert_memory_equal(bytes + length - 16, "0123456789abcde\n", 17);
    dip_free(bytes);
    write_to_pipe(path, lines);
    assert_fails(dip_file_read(&bytes, &length, path, 100000), DIP_EFORMAT, path);
    while (wait(NULL) > 0) continue;
}

/* The kernel's own files say that they have no bytes, or 4096, whatever they hold. */
static void test_read_takes_files_that_misstate_their_size(void **state)
{
    char *bytes;
    size_t length;
    (void)state;
    assert_int_equal(dip_file_read(&bytes, &length, "/proc/self/status", 1 << 20), DIP_OK);
    assert_in_range(length, 100, 1 << 20);
    assert_int_equal(strlen(bytes), length);
    dip_free(bytes);
}

static void test_size_and_kind(void **state)
{
    const char *path = support_path("sized");
    uint64_t size = 0;
    (void)state;
    support_write(path, "12345678");
    assert_int_equal(dip_file_size(&size, path), DIP_OK);
    assert_int_equal(size, 8);
    assert_true(dip_file_exists(path));
    assert_false(dip_file_is_folder(path));
    assert_true(dip_file_is_folder(support_folder()));
    assert_false(dip_file_is_folder(support_path("missing")));
    assert_null(dip_file_network_fs("/proc"));
    assert_null(dip_file_network_fs(support_path("missing")));
}

static void test_map(void **state)
{
    const char *path = support_path("map");
    dip_map map;
    (void)state;
    support_write(path, "mapped");
    assert_int_equal(dip_file_map(&map, path), DIP_OK);
    assert_int_equal(map.length, 6);
    assert_memory_equal(map.bytes, "mapped", 6);
    dip_file_unmap(&map);
    support_write(path, "");
    assert_int_equal(dip_file_map(&map, path), DIP_OK);
    assert_null(map.bytes);
    assert_int_equal(map.length, 0);
    dip_file_unmap(&map);
}

static void test_the_old_file_stands_until_commit(void **state)
{
    const char *path = support_path("aside"), *partial = support_path("aside.partial");
    dip_aside file;
    (void)state;
    support_write(path, "old");
    assert_int_equal(dip_file_begin(&file, path), DIP_OK);
    fputs("new", file.stream);
    fflush(file.stream);
    assert_string_equal(support_read(path), "old");
    assert_string_equal(support_read(partial), "new");
    assert_int_equal(dip_file_commit(&file), DIP_OK);
    assert_string_equal(support_read(path), "new");
    assert_null(support_read(partial));
    dip_file_abandon(&file);
    assert_string_equal(support_read(path), "new");
}

static void test_abandon_leaves_no_trace(void **state)
{
    const char *path = support_path("abandoned");
    dip_aside file;
    (void)state;
    assert_int_equal(dip_file_begin(&file, path), DIP_OK);
    fputs("half", file.stream);
    dip_file_abandon(&file);
    assert_null(support_read(path));
    assert_null(support_read(support_path("abandoned.partial")));
    assert_fails(dip_file_begin(&file, support_path("no/such/folder")), DIP_ENOENT, "no/such");
    dip_file_abandon(&file);
}

static void test_a_writer_killed_before_commit_changes_nothing(void **state)
{
    const char *path = support_path("killed");
    int how;
    (void)state;
    support_write(path, "old");
    pid_t writer = fork();
    if (writer == 0) {
        dip_aside file;
        if (dip_file_begin(&file, path)) _exit(1);
        fputs("new and half written", file.stream);
        fflush(file.stream);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(writer, &how, 0), writer);
    assert_true(WIFSIGNALED(how));
    assert_string_equal(support_read(path), "old");
    assert_string_equal(support_read(support_path("killed.partial")), "new and half written");
    /* What it left behind is in nobody's way. */
    assert_int_equal(dip_file_write(path, "next", 4), DIP_OK);
    assert_string_equal(support_read(path), "next");
    assert_null(support_read(support_path("killed.partial")));
}

/* In a child that may not write more than 4 KiB to a file: stdio's buffer hides it until commit or not. */
static int write_past_quota(const char *path, size_t bytes, bool in_one_piece)
{
    struct rlimit limit = {4096, 4096};
    dip_aside file;
    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) || dip_file_begin(&file, path)) return 1;
    if (in_one_piece) setvbuf(file.stream, NULL, _IOFBF, 1 << 16);
    for (size_t i = 0; i < bytes; i++) fputc('x', file.stream);
    dip_status status = dip_file_commit(&file);
    return status == DIP_EIO && strstr(dip_last_error(), path) && !strstr(dip_last_error(), "Succ")
               ? 0
               : 2;
}

static void test_a_failed_write_is_no_commit(void **state)
{
    const char *path = support_path("quota");
    (void)state;
    support_write(path, "old");
    for (int in_one_piece = 0; in_one_piece < 2; in_one_piece++) {
        int how;
        pid_t writer = fork();
        if (writer == 0) _exit(write_past_quota(path, 20000, in_one_piece));
        assert_int_equal(waitpid(writer, &how, 0), writer);
        assert_true(WIFEXITED(how));
        assert_int_equal(WEXITSTATUS(how), 0);
        assert_string_equal(support_read(path), "old");
        assert_null(support_read(support_path("quota.partial")));
    }
}

static void test_short_memory_leaves_the_old_file(void **state)
{
    const char *path = support_path("memory");
    (void)state;
    support_write(path, "old");
    for (size_t n = 1; n <= 2; n++) {
        dip_mem_fail_after(n);
        assert_int_equal(dip_file_write(path, "new", 3), DIP_ENOMEM);
        assert_string_equal(support_read(path), "old");
        assert_null(support_read(support_path("memory.partial")));
    }
    dip_mem_fail_after(0);
}

static void test_folders(void **state)
{
    char **names;
    size_t count;
    (void)state;
    assert_int_equal(dip_folder_create(support_path("a/b/c")), DIP_OK);
    assert_int_equal(dip_folder_create(support_path("a/b/c")), DIP_OK);
    assert_true(dip_file_is_folder(support_path("a/b/c")));
    support_write(support_path("a/b/zeta"), "1");
    support_write(support_path("a/b/Alpha"), "2");
    assert_int_equal(dip_folder_sync(support_path("a/b")), DIP_OK);
    assert_int_equal(dip_folder_list(&names, &count, support_path("a/b")), DIP_OK);
    assert_int_equal(count, 3);
    assert_string_equal(names[0], "Alpha");
    assert_string_equal(names[1], "c");
    assert_string_equal(names[2], "zeta");
    dip_names_free(names, count);
    assert_fails(dip_folder_create(support_path("a/b/zeta/under")), DIP_ENOENT, "zeta/under");
    assert_fails(dip_folder_create(support_path("a/b/zeta")), DIP_EEXIST, "zeta");
    assert_int_equal(dip_file_remove(support_path("a")), DIP_OK);
    assert_false(dip_file_exists(support_path("a")));
    assert_int_equal(dip_file_remove(support_path("a")), DIP_OK);
    assert_fails(dip_folder_list(&names, &count, support_path("a")), DIP_ENOENT, "/a'");
}

/* Removing a folder must not follow a link out of it. */
static void test_remove_stops_at_links(void **state)
{
    (void)state;
    assert_int_equal(dip_folder_create(support_path("kept")), DIP_OK);
    support_write(support_path("kept/file"), "kept");
    assert_int_equal(dip_folder_create(support_path("gone")), DIP_OK);
    assert_int_equal(symlink(support_path("kept"), support_path("gone/link")), 0);
    assert_int_equal(dip_file_remove(support_path("gone")), DIP_OK);
    assert_false(dip_file_exists(support_path("gone")));
    assert_string_equal(support_read(support_path("kept/file")), "kept");
}

static void test_paths(void **state)
{
    static const struct {
        const char *folder, *name, *joined;
    } joins[] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a", "/b", "/b"}, {"", "b", "b"}, {"/", "b", "/b"},
    };
    static const struct {
        const char *path, *folder, *base;
    } parts[] = {
        {"a/b/c", "a/b", "c"}, {"a", ".", "a"}, {"/a", "/", "a"}, {"a/", "a", ""}, {"", ".", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof joins / sizeof *joins; i++) {
        char *joined = dip_path_join(joins[i].folder, joins[i].name);
        assert_string_equal(joined, joins[i].joined);
        dip_free(joined);
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char *folder = dip_path_folder(parts[i].path);
        assert_string_equal(folder, parts[i].folder);
        assert_string_equal(dip_path_base(parts[i].path), parts[i].base);
        dip_free(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_gives_all_bytes_and_a_zero),
        cmocka_unit_test(test_read_holds_to_its_limit),
        cmocka_unit_test(test_read_failures_name_the_path),
        cmocka_unit_test(test_read_takes_a_pipe_to_its_end),
        cmocka_unit_test(test_read_takes_files_that_misstate_their_size),
        cmocka_unit_test(test_size_and_kind),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_the_old_file_stands_until_commit),
        cmocka_unit_test(test_abandon_leaves_no_trace),
        cmocka_unit_test(test_a_writer_killed_before_commit_changes_nothing),
        cmocka_unit_test(test_a_failed_write_is_no_commit),
        cmocka_unit_test(test_short_memory_leaves_the_old_file),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_remove_stops_at_links),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
