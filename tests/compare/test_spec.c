/* What a user writes of an engine, and the lines of the protocol. */
#include "support.h"

#include "compare/message.h"
#include "compare/spec.h"

static void a_name_alone_leaves_the_rest_to_the_engine(void **state)
{
    (void)state;
    dip_spec s;
    assert_ok(dip_spec_parse(&s, "  faiss "));
    assert_string_equal(s.command[0], "faiss");
    assert_null(s.command[1]);
    assert_null(s.label);
    assert_true(!s.has_build && !s.has_search);
    dip_spec_fini(&s);
}

static void commands_labels_and_grids_are_told_apart(void **state)
{
    (void)state;
    dip_spec s;
    char text[128];
    assert_ok(dip_spec_parse(&s, "old: /usr/bin/prog --x=1 run M=16,32 ef=200 / ef=10,20,40 n=1"));
    assert_string_equal(s.label, "old");
    assert_string_equal(s.command[0], "/usr/bin/prog");
    assert_string_equal(s.command[1], "--x=1");
    assert_string_equal(s.command[2], "run");
    assert_null(s.command[3]);
    assert_true(s.has_build && s.has_search);
    assert_int_equal(dip_grid_size(&s.build), 2);
    assert_int_equal(dip_grid_size(&s.search), 3);
    dip_grid_text(&s.build, 1, ' ', text, sizeof text);
    assert_string_equal(text, "M=32 ef=200");
    dip_grid_text(&s.search, 2, '\t', text, sizeof text);
    assert_string_equal(text, "ef=40\tn=1");
    dip_spec_fini(&s);
}

static void a_slash_alone_means_no_parameters(void **state)
{
    (void)state;
    dip_spec s;
    char text[16] = "x";
    assert_ok(dip_spec_parse(&s, "exact /"));
    assert_true(s.has_search && dip_grid_size(&s.search) == 1);
    dip_grid_text(&s.search, 0, ' ', text, sizeof text);
    assert_string_equal(text, "");
    dip_spec_fini(&s);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"", "names no engine"},
        {"a: / x=1", "names no engine"},
        {"M=16", "names no engine"},
        {"faiss lists=1, / x=2", "'lists=' lacks a value"},
        {"faiss lists=", "'lists=' lacks a value"},
        {"faiss lists=1 lists=2", "given twice"},
        {"faiss lists=1 nprobe", "'nprobe' is no parameter"},
        {"faiss / k=5", "an option of bench"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_spec s;
        assert_fails(dip_spec_parse(&s, cases[i].line), DIP_EINVAL, cases[i].says);
    }
}

static void lines_are_cut_into_fields(void **state)
{
    (void)state;
    dip_message m;
    double value;
    assert_ok(dip_message_parse(&m, "built\tseconds=1.5\tdescribe=a b=c\tbytes=x\tn=-1\n"));
    assert_string_equal(m.word, "built");
    assert_string_equal(dip_message_get(&m, "describe"), "a b=c");
    assert_null(dip_message_get(&m, "none"));
    assert_ok(dip_message_number(&m, "seconds", &value));
    assert_true(value == 1.5);
    assert_fails(dip_message_number(&m, "bytes", &value), DIP_EFORMAT, "bytes=x");
    assert_fails(dip_message_number(&m, "n", &value), DIP_EFORMAT, "no number from 0");
    assert_fails(dip_message_number(&m, "none", &value), DIP_EFORMAT, "without none=");
    dip_message_fini(&m);
    assert_fails(dip_message_parse(&m, "built\tseconds"), DIP_EFORMAT,
                 "not of the form name=value");
    assert_fails(dip_message_parse(&m, "built\t=1"), DIP_EFORMAT, "not of the form name=value");
    assert_ok(dip_message_parse(&m, ""));
    assert_string_equal(m.word, "");
    dip_message_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_alone_leaves_the_rest_to_the_engine),
        cmocka_unit_test(commands_labels_and_grids_are_told_apart),
        cmocka_unit_test(a_slash_alone_means_no_parameters),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(lines_are_cut_into_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
