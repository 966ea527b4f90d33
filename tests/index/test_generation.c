/* Generations: begin, seal, open, switch, prune, verify; damage; writers that were killed. */
#define _GNU_SOURCE
#include "tests/index/support.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "index/generation.h"
#include "index/segment.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { N = 300, DIM = 8 };

static char *archive;
static float *vectors;
static uint64_t *ids;

static int setup(void **state)
{
    (void)state;
    archive = support_folder();
    vectors = support_vectors(N, DIM, 1, 0, 5);
    ids = support_ids(N);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    support_drop(archive);
    free(vectors), free(ids);
    return 0;
}

static dip_status describe(dip_generation *g, const char *modality, dip_engine engine, size_t n)
{
    dip_index_recipe recipe = {.engine = engine};
    dip_manifest *m = dip_generation_manifest(g);
    snprintf(m->modality[m->modality_count].name, sizeof m->modality[0].name, "%s", modality);
    m->modality[m->modality_count++].count = n;
    return dip_index_build(dip_generation_folder(g), modality, &recipe, vectors, ids, n, DIM, NULL);
}

/* One whole generation: s1 exact with n vectors, s2 faiss. */
static dip_status make(size_t n)
{
    dip_generation *g = NULL;
    dip_status status = dip_generation_begin(&g, archive, "model", DIM);
    if (status) return status;
    status = describe(g, "s1", DIP_ENGINE_EXACT, n);
    if (!status) status = describe(g, "s2", DIP_ENGINE_FAISS, N);
    if (status) {
        dip_generation_abort(g);
        return status;
    }
    dip_manifest *m = dip_generation_manifest(g);
    m->points = dip_calloc(1, sizeof *m->points);
    m->points[m->point_count++] = (dip_operating_point){"s1", "s2", {4, 8, 0}, .99, .995, 12};
    return dip_generation_seal(g);
}

static size_t live_count(void)
{
    dip_generation *g;
    const dip_index *index;
    assert_ok(dip_generation_open(&g, archive, NULL));
    assert_ok(dip_generation_index(g, "s1", &index));
    size_t n = dip_index_count(index);
    dip_generation_close(g);
    return n;
}

static char lines[8192];

static void keep_line(void *payload, const char *line)
{
    (void)payload;
    snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%s\n", line);
}

static uint64_t faults(void)
{
    uint64_t n = 12345;
    lines[0] = '\0';
    assert_ok(dip_generation_verify(archive, keep_line, NULL, &n));
    return n;
}

static void no_index_says_what_to_do(void **state)
{
    (void)state;
    dip_generation *g;
    char **names;
    size_t n;
    assert_fails(DIP_ENOENT, "run diptych index", dip_generation_open(&g, archive, NULL));
    assert_fails(DIP_ENOENT, "run diptych index", dip_generation_prune(archive, 1));
    assert_int_equal(faults(), 0);
    assert_ok(dip_generation_list(&names, &n, archive));
    assert_int_equal(n, 0);
}

static void a_sealed_generation_opens(void **state)
{
    (void)state;
    assert_ok(make(100));
    dip_generation *g;
    const dip_index *s1, *s2, *again, *none = (const dip_index *)(void *)archive;
    assert_ok(dip_generation_open(&g, archive, NULL));
    const dip_manifest *m = dip_generation_read_manifest(g);
    assert_string_equal(m->generation, "000001");
    assert_string_equal(m->model, "model");
    assert_int_equal(m->dim, DIM);
    assert_int_equal(m->modality_count, 2);
    assert_string_equal(m->modality[1].describe, "IVF4,PQ4x4fsr,Refine(SQfp16)");
    assert_int_equal(m->file_count, 3);
    assert_int_equal(m->points[0].params.depth, 8);
    assert_ok(dip_generation_index(g, "s1", &s1));
    assert_ok(dip_generation_index(g, "s2", &s2));
    assert_ok(dip_generation_index(g, "s2", &again));
    assert_ptr_equal(s2, again);
    assert_int_equal(dip_index_count(s1), 100);
    assert_ok(dip_generation_index(g, "s9", &none));
    assert_null(none);
    dip_generation_close(g);
    assert_int_equal(faults(), 0);
}

static void generations_switch_and_go_back(void **state)
{
    (void)state;
    assert_ok(make(100));
    dip_generation *old;
    const dip_index *index;
    assert_ok(dip_generation_open(&old, archive, NULL));
    assert_ok(make(120));
    assert_int_equal(live_count(), 120);
    assert_ok(dip_generation_index(old, "s1", &index)); /* who has the old one keeps it */
    assert_int_equal(dip_index_count(index), 100);
    dip_generation_close(old);
    assert_ok(dip_generation_use(archive, "000001"));
    assert_int_equal(live_count(), 100);
    assert_fails(DIP_ENOENT, "no index generation '000009'", dip_generation_use(archive, "000009"));
    assert_fails(DIP_ENOENT, "no index generation", dip_generation_use(archive, "../index/000002"));
    assert_fails(DIP_ENOENT, "no index generation 'x'", dip_generation_open(&old, archive, "x"));
    assert_ok(make(140)); /* numbers are never given twice */
    char *name;
    assert_ok(dip_generation_current(&name, archive));
    assert_string_equal(name, "000003");
    dip_free(name);
    support_write(support_path(archive, "index/CURRENT"), "000002", 6); /* by hand */
    assert_int_equal(live_count(), 120);
    assert_int_equal(faults(), 0);
}

static void assert_generations(const char *wanted)
{
    char **names, text[256] = "";
    size_t n;
    assert_ok(dip_generation_list(&names, &n, archive));
    for (size_t i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s ", names[i]);
    dip_names_free(names, n);
    assert_string_equal(text, wanted);
}

static void prune_keeps_the_live_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < 5; i++) assert_ok(make(100 + i));
    assert_ok(dip_generation_use(archive, "000004"));
    assert_ok(dip_generation_prune(archive, 9));
    assert_generations("000001 000002 000003 000004 ");
    assert_ok(dip_generation_prune(archive, 1));
    assert_generations("000003 000004 ");
    assert_int_equal(live_count(), 103);
    assert_ok(dip_generation_prune(archive, 0));
    assert_generations("000004 ");
    assert_int_equal(faults(), 0);
}

static void one_writer_at_a_time(void **state)
{
    (void)state;
    dip_generation *first, *second;
    assert_ok(make(100));
    assert_ok(dip_generation_begin(&first, archive, "model", DIM));
    assert_fails(DIP_EBUSY, "another process",
                 dip_generation_begin(&second, archive, "model", DIM));
    assert_fails(DIP_EBUSY, "another process", dip_generation_prune(archive, 0));
    assert_true(dip_file_is_folder(dip_generation_folder(first)));
    dip_generation_abort(first);
    assert_ok(dip_generation_begin(&second, archive, "model", DIM));
    dip_generation_abort(second);
    assert_int_equal(live_count(), 100);
}

static void an_aborted_build_leaves_nothing(void **state)
{
    (void)state;
    dip_generation *g;
    assert_ok(dip_generation_begin(&g, archive, "model", DIM));
    assert_ok(describe(g, "s1", DIP_ENGINE_EXACT, 50));
    char *folder = strdup(dip_generation_folder(g));
    dip_generation_abort(g);
    dip_generation_abort(NULL);
    assert_false(dip_file_exists(folder));
    assert_false(dip_file_exists(support_path(archive, "index/CURRENT")));
    free(folder);
}

static void what_does_not_fit_is_not_sealed(void **state)
{
    (void)state;
    assert_ok(make(100));
    for (int c = 0; c < 4; c++) {
        dip_generation *g;
        assert_ok(dip_generation_begin(&g, archive, "model", c == 0 ? DIM + 1 : DIM));
        assert_ok(describe(g, "s1", DIP_ENGINE_EXACT, 50));
        dip_manifest *m = dip_generation_manifest(g);
        if (c == 1) m->modality[0].count = 51;
        if (c == 2) snprintf(m->modality[m->modality_count++].name, 8, "s7");
        if (c == 3) {
            m->points = dip_calloc(1, sizeof *m->points);
            m->points[m->point_count++].target = 1e300 * 1e300;
        }
        assert_fails(c == 3 ? DIP_EINVAL : DIP_EMISMATCH, "", dip_generation_seal(g));
        assert_generations("000001 ");
        assert_int_equal(live_count(), 100);
        assert_int_equal(faults(), 0);
    }
}

static void any_flipped_byte_is_found(void **state)
{
    (void)state;
    static const char *const files[] = {"index/CURRENT", "index/000001/manifest.json",
                                        "index/000001/s1.exact", "index/000001/s2.ids",
                                        "index/000001/s2.ivfpq"};
    assert_ok(make(20));
    for (size_t f = 0; f < 5; f++) {
        size_t length;
        char path[4096];
        snprintf(path, sizeof path, "%s", support_path(archive, files[f]));
        char *bytes = support_read(path, &length);
        for (size_t i = 0; i < length; i += length < 2000 ? 1 : 41) {
            bytes[i] ^= (char)(1 << i % 8);
            support_write(path, bytes, length);
            if (faults() != 1 || !strstr(lines, "run diptych index again"))
                fail_msg("byte %zu of %s: '%s'", i, files[f], lines);
            bytes[i] ^= (char)(1 << i % 8);
        }
        support_write(path, bytes, length);
        assert_int_equal(faults(), 0);
        unlink(path);
        assert_int_equal(faults(), 1);
        support_write(path, bytes, length);
        free(bytes);
    }
    support_write(support_path(archive, "index/000001/notes.txt"), "x", 1);
    assert_int_equal(faults(), 1);
    assert_non_null(strstr(lines, "notes.txt' is no file of the index"));
}

/* A generation of the native engine, then one that is an update of it: the same segment by a link, and a delta. */
static void make_and_update(void)
{
    dip_generation *g, *old;
    const dip_index *base;
    uint64_t gone = ids[3];
    assert_ok(dip_generation_begin(&g, archive, "model", DIM));
    assert_ok(describe(g, "s3", DIP_ENGINE_NATIVE, 200));
    assert_ok(dip_generation_seal(g));
    assert_ok(dip_generation_open(&old, archive, NULL));
    assert_ok(dip_generation_index(old, "s3", &base));
    assert_ok(dip_generation_begin(&g, archive, "model", DIM));
    assert_ok(dip_index_update(base, dip_generation_folder(g), "s3", &gone, 1, vectors + 200 * DIM,
                               ids + 200, 5));
    dip_manifest *m = dip_generation_manifest(g);
    snprintf(m->modality[m->modality_count].name, sizeof m->modality[0].name, "s3");
    m->modality[m->modality_count++].count = 204;
    dip_generation_close(old);
    assert_ok(dip_generation_seal(g));
}

static void any_flipped_byte_of_an_update_is_found(void **state)
{
    (void)state;
    static const char *const files[] = {"index/000002/s3.segment", "index/000002/s3.delta",
                                        "index/000002/manifest.json"};
    make_and_update();
    assert_ok(dip_generation_prune(archive, 0));
    for (size_t f = 0; f < 3; f++) {
        size_t length;
        char path[4096];
        snprintf(path, sizeof path, "%s", support_path(archive, files[f]));
        char *bytes = support_read(path, &length);
        for (size_t i = 0; i < length; i += length / 500 + 1) {
            bytes[i] ^= (char)(1 << i % 8);
            support_write(path, bytes, length);
            if (faults() != 1 || !strstr(lines, "run diptych index again"))
                fail_msg("byte %zu of %s: '%s'", i, files[f], lines);
            bytes[i] ^= (char)(1 << i % 8);
        }
        support_write(path, bytes, length);
        assert_int_equal(faults(), 0);
        free(bytes);
    }
}

/* The linked segment keeps the checksum it was sealed with. */
static void damage_is_not_sealed_again(void **state)
{
    (void)state;
    make_and_update();
    size_t length;
    char *path = strdup(support_path(archive, "index/000002/s3.segment"));
    char *bytes = support_read(path, &length);
    dip_segment segment;
    assert_ok(dip_segment_open(&segment, path));
    bytes[segment.refinement - segment.map.bytes] ^=
        1; /* nobody looks at it when the file is opened */
    dip_segment_close(&segment);
    support_write(path, bytes, length);
    dip_generation *g, *old;
    const dip_index *base;
    assert_ok(dip_generation_open(&old, archive, NULL));
    assert_ok(dip_generation_index(old, "s3", &base));
    assert_ok(dip_generation_begin(&g, archive, "model", DIM));
    assert_ok(dip_index_update(base, dip_generation_folder(g), "s3", &ids[9], 1, NULL, NULL, 0));
    dip_manifest *m = dip_generation_manifest(g);
    snprintf(m->modality[m->modality_count].name, sizeof m->modality[0].name, "s3");
    m->modality[m->modality_count++].count = 203;
    dip_generation_close(old);
    assert_ok(dip_generation_seal(g));
    assert_int_equal(faults(), 3); /* the two older ones have the same file */
    free(path), free(bytes);
}

/* Right checksums around rows of which one stands nowhere and one twice. */
static void a_segment_that_contradicts_itself_is_found(void **state)
{
    (void)state;
    dip_generation *g;
    dip_segment s;
    dip_segment_writer w;
    uint64_t offsets[DIP_SEGMENT_SECTIONS], bytes[DIP_SEGMENT_SECTIONS];
    assert_ok(dip_generation_begin(&g, archive, "model", DIM));
    assert_ok(describe(g, "s3", DIP_ENGINE_NATIVE, 200));
    char *path = strdup(support_path(dip_generation_folder(g), "s3.segment"));
    assert_ok(dip_segment_open(&s, path));
    dip_segment_layout(&s.shape, offsets, bytes);
    uint8_t *rows = malloc(bytes[DIP_SEGMENT_ROWS]);
    memcpy(rows, s.rows, bytes[DIP_SEGMENT_ROWS]);
    rows[7] = rows[8];
    assert_ok(dip_segment_begin(&w, path, &s.shape));
    for (unsigned i = 0; i < DIP_SEGMENT_SECTIONS; i++)
        assert_ok(dip_segment_write(&w, i, i == DIP_SEGMENT_ROWS ? rows : s.map.bytes + offsets[i],
                                    (size_t)bytes[i]));
    assert_ok(dip_segment_commit(&w));
    dip_segment_close(&s);
    assert_ok(dip_generation_seal(g));
    assert_int_equal(faults(), 1);
    assert_non_null(strstr(lines, "lists and rows do not fit"));
    free(path), free(rows);
}

static void damage_is_a_status_when_opened(void **state)
{
    (void)state;
    dip_generation *g;
    const dip_index *index;
    assert_ok(make(20));
    support_write(support_path(archive, "index/000001/s2.ivfpq"), "no index", 8);
    assert_ok(dip_file_remove(support_path(archive, "index/000001/s1.exact")));
    assert_ok(dip_generation_open(&g, archive, NULL));
    assert_fails(DIP_ECORRUPT, "s2.ivfpq' is damaged", dip_generation_index(g, "s2", &index));
    assert_fails(DIP_ECORRUPT, "run diptych index", dip_generation_index(g, "s1", &index));
    dip_generation_close(g);
    support_write(support_path(archive, "index/000001/manifest.json"), "{}", 2);
    assert_fails(DIP_ECORRUPT, "checksum", dip_generation_open(&g, archive, NULL));
    support_write(support_path(archive, "index/CURRENT"), "000007\n", 7);
    assert_fails(DIP_ECORRUPT, "'000007', which is not there",
                 dip_generation_open(&g, archive, NULL));
    support_write(support_path(archive, "index/CURRENT"), "../../x", 7);
    assert_fails(DIP_ECORRUPT, "is damaged", dip_generation_open(&g, archive, NULL));
    assert_ok(dip_file_remove(support_path(archive, "index/CURRENT")));
    assert_fails(DIP_ENOENT, "write the name of the newest generation, 000001, into it",
                 dip_generation_open(&g, archive, NULL));
    assert_ok(make(30)); /* and indexing again repairs it */
    assert_int_equal(live_count(), 30);
}

/* An index of another generation in the place of the right one is whole in itself, but not what was sealed. */
static void a_swapped_index_is_noticed(void **state)
{
    (void)state;
    assert_ok(make(20));
    assert_ok(make(21));
    size_t length;
    char *bytes = support_read(support_path(archive, "index/000001/s1.exact"), &length);
    support_write(support_path(archive, "index/000002/s1.exact"), bytes, length);
    free(bytes);
    dip_generation *g;
    const dip_index *index;
    assert_ok(dip_generation_open(&g, archive, NULL));
    assert_fails(DIP_ECORRUPT, "its manifest says 21", dip_generation_index(g, "s1", &index));
    dip_generation_close(g);
    assert_int_equal(faults(), 1);
}

static void *open_both(void *argument)
{
    const dip_index *index = NULL;
    if (dip_generation_index(argument, "s1", &index) ||
        dip_generation_index(argument, "s2", &index))
        return NULL;
    return (void *)(uintptr_t)index;
}

static void many_threads_open_one_index(void **state)
{
    (void)state;
    assert_ok(make(20));
    dip_generation *g;
    assert_ok(dip_generation_open(&g, archive, NULL));
    pthread_t threads[6];
    void *seen[6];
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_both, g), 0);
    for (size_t i = 0; i < 6; i++) pthread_join(threads[i], &seen[i]);
    for (size_t i = 0; i < 6; i++) {
        assert_non_null(seen[i]);
        assert_ptr_equal(seen[i], seen[0]);
    }
    dip_generation_close(g);
}

/* A child makes and prunes generations for ever; it is killed; what it leaves must be whole. */
static void killed_writers_leave_a_whole_index(void **state)
{
    (void)state;
    dip_threads_set(1); /* a child with threads of its own would be another test */
    assert_ok(make(10));
    for (long round = 0; round < 25; round++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            for (size_t n = 11;; n++)
                if (make(n % 200) || dip_generation_prune(archive, 1)) _exit(1);
        }
        struct timespec wait = {0, (3 + round * 7 % 40) * 1000000};
        nanosleep(&wait, NULL);
        kill(child, SIGKILL);
        int how;
        assert_int_equal(waitpid(child, &how, 0), child);
        assert_true(WIFSIGNALED(how));
        if (faults()) fail_msg("round %ld: %s", round, lines);
        assert_true(live_count() > 0);
    }
    dip_threads_set(0);
    assert_ok(make(7));
    assert_int_equal(live_count(), 7);
    char **names;
    size_t n;
    assert_ok(dip_folder_list(&names, &n, support_path(archive, "index")));
    for (size_t i = 0; i < n; i++) assert_null(strstr(names[i], ".partial"));
    dip_names_free(names, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_index_says_what_to_do, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sealed_generation_opens, setup, teardown),
        cmocka_unit_test_setup_teardown(generations_switch_and_go_back, setup, teardown),
        cmocka_unit_test_setup_teardown(prune_keeps_the_live_one, setup, teardown),
        cmocka_unit_test_setup_teardown(one_writer_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(an_aborted_build_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_not_sealed, setup, teardown),
        cmocka_unit_test_setup_teardown(any_flipped_byte_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(any_flipped_byte_of_an_update_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(damage_is_not_sealed_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_segment_that_contradicts_itself_is_found, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(damage_is_a_status_when_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(a_swapped_index_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(many_threads_open_one_index, setup, teardown),
        cmocka_unit_test_setup_teardown(killed_writers_leave_a_whole_index, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
