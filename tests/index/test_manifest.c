/* The manifest: what is written is read, any flipped byte is noticed, and no text is trusted. */
#include "tests/index/support.h"

#include "core/mem.h"
#include "index/manifest.h"

#include <math.h>

static dip_manifest sample(void)
{
    dip_manifest m = {
        .generation = "000042", .model = "resnet-\xc3\xa9", .dim = 128, .modality_count = 2};
    strcpy(m.modality[0].name, "s1");
    strcpy(m.modality[0].describe, "Flat");
    m.modality[0].count = 17;
    strcpy(m.modality[1].name, "s2");
    strcpy(m.modality[1].describe, "IVF64,PQ64x4fsr,Refine(SQfp16)");
    m.modality[1].count = 4000000000;
    m.points = dip_calloc(2, sizeof *m.points);
    m.calibrations = dip_calloc(1, sizeof *m.calibrations);
    m.files = dip_calloc(1, sizeof *m.files);
    m.point_count = 2, m.calibration_count = 1, m.file_count = 1;
    m.points[0] = (dip_operating_point){"s1", "s2", {32, 16, 0}, .99, 0.99123456789, 123.25};
    m.points[1] = (dip_operating_point){"s2", "s1", {1, 1, 0}, .9, 1, 0};
    strcpy(m.calibrations[0].from, "s1");
    strcpy(m.calibrations[0].to, "s2");
    for (int i = 0; i < DIP_CALIBRATION_STEPS; i++)
        m.calibrations[0].quantile[i] = sinf((float)i) / 3;
    m.files[0] = (dip_manifest_file){"s2.ivfpq", 123456789012, UINT64_C(0xfedcba9876543210)};
    return m;
}

static void assert_equal(const dip_manifest *a, const dip_manifest *b)
{
    assert_string_equal(a->generation, b->generation);
    assert_string_equal(a->model, b->model);
    assert_int_equal(a->dim, b->dim);
    assert_memory_equal(a->modality, b->modality, sizeof a->modality);
    assert_int_equal(a->point_count, b->point_count);
    assert_memory_equal(a->points, b->points, a->point_count * sizeof *a->points);
    assert_int_equal(a->calibration_count, b->calibration_count);
    assert_memory_equal(a->calibrations, b->calibrations,
                        a->calibration_count * sizeof *a->calibrations);
    assert_int_equal(a->file_count, b->file_count);
    assert_memory_equal(a->files, b->files, a->file_count * sizeof *a->files);
}

static void a_manifest_comes_back(void **state)
{
    (void)state;
    dip_manifest m = sample(), read;
    char *text, *again;
    size_t length, length_again;
    assert_ok(dip_manifest_format(&text, &length, &m));
    assert_ok(dip_manifest_parse(&read, text, length, "m"));
    assert_equal(&m, &read);
    assert_ok(dip_manifest_format(&again, &length_again, &read));
    assert_int_equal(length, length_again);
    assert_memory_equal(text, again, length);
    dip_free(text), dip_free(again);
    dip_manifest_fini(&m), dip_manifest_fini(&read);
}

static void every_flipped_byte_is_noticed(void **state)
{
    (void)state;
    dip_manifest m = sample(), read;
    char *text;
    size_t length;
    assert_ok(dip_manifest_format(&text, &length, &m));
    for (size_t i = 0; i < length; i++) {
        text[i] ^= (char)(1 << i % 8);
        assert_fails(DIP_ECORRUPT, "run diptych index again",
                     dip_manifest_parse(&read, text, length, "m"));
        text[i] ^= (char)(1 << i % 8);
    }
    for (size_t i = 0; i < length; i += 13)
        assert_fails(DIP_ECORRUPT, "'m' is damaged", dip_manifest_parse(&read, text, i, "m"));
    dip_free(text);
    dip_manifest_fini(&m);
}

/* A generation of an earlier program: one point a direction, without a time. */
static void version_1_is_read(void **state)
{
    (void)state;
    static const char text[] =
        "{\"format\":\"diptych index\",\"version\":1,\"generation\":\"000001\",\"model\":\"m\","
        "\"dim\":8,\"modalities\":[],\"points\":[{\"from\":\"s1\",\"to\":\"s2\",\"nprobe\":4,"
        "\"depth\":8,\"target\":0.99,\"recall\":0.995}],\"calibrations\":[],\"files\":[]}";
    dip_manifest m;
    assert_ok(dip_manifest_parse_unchecked(&m, text, strlen(text), "m"));
    assert_int_equal(m.point_count, 1);
    const dip_operating_point *p = dip_manifest_point(&m, "s1", "s2", &(dip_effort){.8, 5});
    assert_ptr_equal(p, m.points);
    assert_int_equal(p->params.nprobe, 4);
    assert_true(p->us == 0 && p->recall == 0.995);
    dip_manifest_fini(&m);
}

static void a_search_gets_the_point_it_asks_for(void **state)
{
    (void)state;
    dip_operating_point points[] = {
        {"a", "b", {1, 1, 0}, .95, .80, 10}, {"a", "b", {2, 1, 0}, .95, .90, 20},
        {"a", "b", {4, 2, 0}, .95, .96, 45}, {"a", "b", {8, 4, 0}, .95, .99, 90},
        {"b", "b", {3, 1, 0}, .95, .97, 15}, {"b", "b", {6, 1, 0}, .95, .98, 25},
    };
    static const struct {
        const char *from;
        double recall, us;
        size_t expected;
    } cases[] = {
        {"a", 0, 0, 2},  /* as tuned */
        {"a", .5, 0, 0}, /* less is not to be had */
        {"a", .85, 0, 1},    {"a", .90, 0, 1},
        {"a", .97, 0, 3},    {"a", .999, 0, 3}, /* the best there is */
        {"a", 0, 50, 2},                        /* the best within the time */
        {"a", 0, 1000, 3},   {"a", 0, 1, 0},    /* nothing is fast enough: the fastest */
        {"a", .85, 1000, 1},                    /* no more than asked for */
        {"a", .97, 50, 2},                      /* the time goes before recall */
        {"b", 0, 0, 4},      {"b", .975, 0, 5},
        {"", .85, 0, 4}, /* not known from where: what suits each direction */
        {"", .97, 0, 3},
    };
    dip_manifest m = {.point_count = sizeof points / sizeof *points, .points = points};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const dip_operating_point *p =
            dip_manifest_point(&m, cases[i].from, "b", &(dip_effort){cases[i].recall, cases[i].us});
        if (p != &points[cases[i].expected])
            fail_msg("case %zu: point %zd, expected %zu", i, p ? p - points : -1,
                     cases[i].expected);
    }
    assert_null(dip_manifest_point(&m, "b", "a", &(dip_effort){0, 0}));
}

static void numbers_that_json_has_not_are_refused(void **state)
{
    (void)state;
    char *text;
    size_t length;
    dip_manifest m = sample();
    m.points[1].recall = NAN;
    assert_fails(DIP_EINVAL, "not finite", dip_manifest_format(&text, &length, &m));
    m.points[1].recall = 1;
    m.calibrations[0].quantile[1000] = INFINITY;
    assert_fails(DIP_EINVAL, "not finite", dip_manifest_format(&text, &length, &m));
    m.calibrations[0].quantile[1000] = 0;
    strcpy(m.model, "\xff\xfe");
    assert_fails(DIP_EINVAL, "UTF-8", dip_manifest_format(&text, &length, &m));
    dip_manifest_fini(&m);
}

#define HEAD                 \
    "{\"format\":\"diptych " \
    "index\",\"version\":1,\"generation\":\"000001\",\"model\":\"m\",\"dim\":8,"

static void texts_that_mean_nothing_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
        dip_status status;
    } cases[] = {
        {"", "no JSON object", DIP_ECORRUPT},
        {"[]", "no JSON object", DIP_ECORRUPT},
        {"{\"format\":", "no JSON object", DIP_ECORRUPT},
        {"{}", "'format'", DIP_ECORRUPT},
        {"{\"format\":\"other\"}", "'format'", DIP_ECORRUPT},
        {"{\"format\":\"diptych index\",\"version\":3}", "version 3", DIP_EFORMAT},
        {"{\"format\":\"diptych index\",\"version\":1,\"generation\":\"../x\"}", "'generation'",
         DIP_ECORRUPT},
        {HEAD "\"modalities\":{}}", "'modalities'", DIP_ECORRUPT},
        {HEAD "\"modalities\":[1]}", "'name'", DIP_ECORRUPT},
        {HEAD "\"modalities\":[{\"name\":\"\",\"count\":1,\"describe\":\"\"}]}", "'name'",
         DIP_ECORRUPT},
        {HEAD "\"modalities\":[{\"name\":\"a/b\",\"count\":1,\"describe\":\"\"}]}", "'name'",
         DIP_ECORRUPT},
        {HEAD "\"modalities\":[{\"name\":\"a\\u0000b\",\"count\":1,\"describe\":\"\"}]}", "",
         DIP_ECORRUPT},
        {HEAD "\"modalities\":[{\"name\":\"a\",\"count\":-1,\"describe\":\"\"}]}", "'count'",
         DIP_ECORRUPT},
        {HEAD "\"modalities\":[{\"name\":\"a\",\"count\":1.5,\"describe\":\"\"}]}", "'count'",
         DIP_ECORRUPT},
        {HEAD "\"modalities\":[],\"points\":[{\"from\":\"a\",\"to\":\"b\",\"nprobe\":4294967296}]}",
         "'nprobe'", DIP_ECORRUPT},
        {HEAD "\"modalities\":[],\"points\":[],\"calibrations\":[{\"from\":\"a\",\"to\":\"b\","
              "\"quantiles\":[1]}]}",
         "'quantiles'", DIP_ECORRUPT},
        {HEAD "\"modalities\":[],\"points\":[],\"calibrations\":[],\"files\":[{\"name\":\"f\","
              "\"bytes\":1,"
              "\"xxh3\":\"00000000000000g0\"}]}",
         "'xxh3'", DIP_ECORRUPT},
        {HEAD "\"dim\":9}", "no JSON object", DIP_ECORRUPT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_manifest m;
        assert_fails(cases[i].status, cases[i].words,
                     dip_manifest_parse_unchecked(&m, cases[i].text, strlen(cases[i].text), "m"));
    }
}

static void the_least_manifest_is_enough(void **state)
{
    (void)state;
    static const char text[] =
        HEAD "\"modalities\":[],\"points\":[],\"calibrations\":[],\"files\":[]}";
    dip_manifest m;
    assert_ok(dip_manifest_parse_unchecked(&m, text, strlen(text), "m"));
    assert_int_equal(m.dim, 8);
    assert_fails(DIP_ECORRUPT, "checksum", dip_manifest_parse(&m, text, strlen(text), "m"));
    dip_manifest_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manifest_comes_back),
        cmocka_unit_test(every_flipped_byte_is_noticed),
        cmocka_unit_test(version_1_is_read),
        cmocka_unit_test(a_search_gets_the_point_it_asks_for),
        cmocka_unit_test(numbers_that_json_has_not_are_refused),
        cmocka_unit_test(texts_that_mean_nothing_are_refused),
        cmocka_unit_test(the_least_manifest_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
