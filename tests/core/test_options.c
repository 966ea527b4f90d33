/* The options table: parsing, ranges, suggestions, help. */
#define _GNU_SOURCE
#include "tests/core/support.h"

#include "core/options.h"

#include <stdbool.h>
#include <stdlib.h>

typedef struct knobs {
    bool exact, colour;
    int64_t k, seed;
    double rate;
    const char *model, *name;
    int engine, metric;
    int64_t limit;
    double margin;
} knobs;

#define FIELD(f) offsetof(knobs, f)
static const dip_option table[] = {
    {"exact", 'e', DIP_OPTION_FLAG, FIELD(exact), 0, 0, NULL, NULL, "scan all"},
    {"colour", 0, DIP_OPTION_FLAG, FIELD(colour), 0, 0, "yes", NULL, "paint"},
    {"k", 'k', DIP_OPTION_INT, FIELD(k), 1, 1000, "10", NULL, "hits wanted"},
    {"seed", 's', DIP_OPTION_INT, FIELD(seed), 0, 0, "0", NULL, "of all random numbers"},
    {"rate", 0, DIP_OPTION_REAL, FIELD(rate), 0, 1, "0.001", NULL, "learning rate"},
    {"model", 'm', DIP_OPTION_TEXT, FIELD(model), 0, 0, NULL, "FILE", "which model"},
    {"name", 0, DIP_OPTION_TEXT, FIELD(name), 0, 0, "run", NULL, "of the run"},
    {"engine", 0, DIP_OPTION_CHOICE, FIELD(engine), 0, 0, "native", "faiss|native|exact", "by"},
    {"metric", 0, DIP_OPTION_CHOICE, FIELD(metric), 0, 0, NULL, "l2|cosine", "distance"},
    {"limit", 0, DIP_OPTION_INT, FIELD(limit), 0, 0, NULL, NULL, "none by default"},
    {"margin", 0, DIP_OPTION_REAL, FIELD(margin), 0, 0, NULL, "METRES", "none by default"},
    {.name = NULL},
};

static knobs defaults(void)
{
    knobs values;
    memset(&values, 0xee, sizeof values);
    dip_options_defaults(table, &values);
    return values;
}

static void test_defaults(void **state)
{
    knobs v = defaults();
    (void)state;
    assert_false(v.exact);
    assert_true(v.colour);
    assert_int_equal(v.k, 10);
    assert_int_equal(v.seed, 0);
    assert_true(v.rate == 0.001);
    assert_null(v.model);
    assert_string_equal(v.name, "run");
    assert_int_equal(v.engine, 1);
    assert_int_equal(v.metric, 0);
    assert_int_equal(v.limit, 0);
    assert_true(v.margin == 0);
}

/* Splits `line` at spaces into argv and parses it; what is left over comes back joined. */
static dip_status parse(knobs *values, const char *line, char *rest, size_t capacity)
{
    static char words[256];
    char *argv[32] = {(char *)"diptych"};
    int argc = 1, kept = 0;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    *values = defaults();
    dip_status status = dip_options_parse(table, values, argc, argv, &kept);
    rest[0] = '\0';
    for (int i = 1; !status && i <= kept; i++) {
        size_t length = strlen(rest);
        snprintf(rest + length, capacity - length, "%s%s", i > 1 ? " " : "", argv[i]);
    }
    return status;
}

/* Each line sets one thing away from the default; `read` gives it as text. */
static void test_accepted(void **state)
{
    static const struct {
        const char *line, *row, *value, *rest;
    } cases[] = {
        {"", "k", "10", ""},
        {"--k 5", "k", "5", ""},
        {"--k=5", "k", "5", ""},
        {"-k 5", "k", "5", ""},
        {"-k5", "k", "5", ""},
        {"--k 1", "k", "1", ""},
        {"--k 1000", "k", "1000", ""},
        {"--k 1e2", "k", "100", ""},
        {"--k 3 --k 4", "k", "4", ""},
        {"--seed 9007199254740993", "seed", "9007199254740993", ""},
        {"--seed -9223372036854775808", "seed", "-9223372036854775808", ""},
        {"--seed=-7", "seed", "-7", ""},
        {"--exact", "exact", "yes", ""},
        {"-e", "exact", "yes", ""},
        {"--exact --no-exact", "exact", "no", ""},
        {"--exact=off", "exact", "no", ""},
        {"--exact=true", "exact", "yes", ""},
        {"--exact=on", "exact", "yes", ""},
        {"--exact=1", "exact", "yes", ""},
        {"--colour=false", "colour", "no", ""},
        {"--colour=0", "colour", "no", ""},
        {"--colour=no", "colour", "no", ""},
        {"--margin -1e300", "margin", "-1e+300", ""},
        {"--limit -9.2e18", "limit", "-9200000000000000000", ""},

        {"--no-colour", "colour", "no", ""},
        {"--rate .5", "rate", "0.5", ""},
        {"--rate 1e-4", "rate", "0.0001", ""},
        {"--rate 0.1234567890123", "rate", "0.1234567890123", ""},
        {"--model a.safetensors", "model", "a.safetensors", ""},
        {"--model=a=b", "model", "a=b", ""},
        {"--model=", "model", "", ""},
        {"--model -", "model", "-", ""},
        {"-m -x", "model", "-x", ""},
        {"--engine faiss", "engine", "faiss", ""},
        {"--engine exact", "engine", "exact", ""},
        {"one --k 3 two", "k", "3", "one two"},
        {"--k 3 -- --k 4", "k", "3", "--k 4"},
        {"- --k 3", "k", "3", "-"},
        {"-73.9,40.7 --k 3", "k", "3", "-73.9,40.7"},
        {"-.5", "k", "10", "-.5"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        knobs values;
        char rest[256], text[64] = "";
        if (parse(&values, cases[i].line, rest, sizeof rest))
            fail_msg("'%s': %s", cases[i].line, dip_last_error());
        for (const dip_option *row = table; row->name; row++)
            if (!strcmp(row->name, cases[i].row)) dip_options_get(row, &values, text, sizeof text);
        if (strcmp(text, cases[i].value) || strcmp(rest, cases[i].rest))
            fail_msg("'%s': %s is '%s', rest '%s'", cases[i].line, cases[i].row, text, rest);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *line, *words;
    } cases[] = {
        {"--k", "'k' needs a value"},
        {"-k", "'k' needs a value"},
        {"--k five", "'five' is not a number"},
        {"--k 5x", "'5x' is not a number"},
        {"--k=", "is not a number"},
        {"--k 2.5", "'2.5' is not a whole number"},
        {"--k 0", "0 is outside 1..1000"},
        {"--k 1001", "1001 is outside 1..1000"},
        {"--k nan", "not a number"},
        {"--k 1e400", "not a number"},
        {"--seed 1e30", "not a whole number"},
        {"--seed 9223372036854775808", "not a whole number"},
        {"--rate inf", "not a number"},
        {"--rate -1", "outside 0..1"},
        {"--exact=maybe", "neither yes nor no"},
        {"-ex", "neither yes nor no"},
        {"--engine turbo", "none of faiss|native|exact"},
        {"--engine fais", "none of faiss|native|exact"},
        {"--engine", "needs a value"},
        {"--no-k", "unknown option 'no-k'"},
        {"--no-exact=yes", "unknown option 'no-exact'"},
        {"--modle x", "did you mean 'model'?"},
        {"--egnine x", "did you mean 'engine'?"},
        {"--eng x", "did you mean 'engine'?"},
        {"--color", "did you mean 'colour'?"},
        {"--quite-another", "see --help"},
        {"--ex=1", "unknown option 'ex'"},
        {"-z", "unknown option '-z'"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        knobs values;
        char rest[256];
        dip_error_clear();
        dip_status status = parse(&values, cases[i].line, rest, sizeof rest);
        if (status != DIP_EINVAL || !strstr(dip_last_error(), cases[i].words))
            fail_msg("'%s': %s: '%s'", cases[i].line, dip_status_name(status), dip_last_error());
    }
}

static void test_a_name_far_too_long_is_refused(void **state)
{
    static char line[240];
    knobs values;
    char rest[256];
    (void)state;
    memset(line, 'x', sizeof line - 1);
    memcpy(line, "--", 2);
    assert_fails(parse(&values, line, rest, sizeof rest), DIP_EINVAL, "unknown option 'xxx");
}

static void test_set_by_name(void **state)
{
    knobs v = defaults();
    (void)state;
    assert_int_equal(dip_options_set(table, &v, "exact", NULL), DIP_OK);
    assert_true(v.exact);
    assert_int_equal(dip_options_set(table, &v, "engine", "exact"), DIP_OK);
    assert_int_equal(v.engine, 2);
    assert_fails(dip_options_set(table, &v, "k", NULL), DIP_EINVAL, "needs a value");
    assert_fails(dip_options_set(table, &v, "rat", "1"), DIP_EINVAL, "did you mean 'rate'?");
    assert_int_equal(v.k, 10);
}

/* What get() prints, set() takes back to the same value. */
static void test_values_survive_a_round_trip(void **state)
{
    static const double rates[] = {0, 1, 1.0 / 3, 1e-9, 0.1, 0.30000000000000004, 5e-5};
    (void)state;
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        knobs v = defaults(), w = defaults();
        v.rate = rates[i];
        v.seed = INT64_MAX - (int64_t)i;
        v.exact = i & 1;
        v.engine = (int)(i % 3);
        for (const dip_option *row = table; row->name; row++) {
            char text[64];
            dip_options_get(row, &v, text, sizeof text);
            if (row->type != DIP_OPTION_TEXT)
                assert_int_equal(dip_options_set(table, &w, row->name, text), DIP_OK);
        }
        assert_true(w.rate == v.rate && w.seed == v.seed && w.exact == v.exact);
        assert_int_equal(w.engine, v.engine);
    }
}

static void test_get_cuts_what_does_not_fit(void **state)
{
    knobs v = defaults();
    char text[4];
    (void)state;
    v.model = "abcdefgh";
    dip_options_get(&table[5], &v, text, sizeof text);
    assert_string_equal(text, "abc");
}

static char *printed(void (*print)(const dip_option *, FILE *))
{
    static char text[8192];
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    print(table, out);
    fclose(out);
    return text;
}

static void test_help_tells_every_row(void **state)
{
    const char *text = printed(dip_options_help);
    (void)state;
    assert_non_null(strstr(text, "  -e, --exact "));
    assert_non_null(strstr(text, "  --[no-]colour "));
    assert_non_null(strstr(text, "  -k, --k N "));
    assert_non_null(strstr(text, "hits wanted [default: 10]\n"));
    assert_non_null(strstr(text, "  -m, --model FILE "));
    assert_non_null(strstr(text, "  --rate X "));
    assert_non_null(strstr(text, "  --name TEXT "));
    assert_non_null(strstr(text, "--engine faiss|native|exact"));
    assert_null(strstr(text, "which model [default"));
}

static void test_markdown_escapes_its_bars(void **state)
{
    const char *text = printed(dip_options_markdown);
    (void)state;
    assert_non_null(strstr(text, "| option | meaning | default |\n|---|---|---|\n"));
    assert_non_null(strstr(text, "| `--engine faiss\\|native\\|exact` | by | native |\n"));
    assert_non_null(strstr(text, "| `-k, --k N` | hits wanted | 10 |\n"));
    assert_non_null(strstr(text, "| `-e, --exact` | scan all |  |\n"));
    assert_non_null(strstr(text, "| `--[no-]colour` | paint | yes |\n"));
}

/* A title is no option, though it has a name, and its field (offset 0) is left alone. */
static void test_headings_are_titles_only(void **state)
{
    static const dip_option titled[] = {
        {.name = "First", .type = DIP_OPTION_HEADING},
        {"k", 'k', DIP_OPTION_INT, FIELD(k), 1, 1000, "10", NULL, "hits wanted"},
        {.name = "Second", .type = DIP_OPTION_HEADING},
        {"exact", 'e', DIP_OPTION_FLAG, FIELD(exact), 0, 0, "yes", NULL, "scan all"},
        {.name = NULL},
    };
    knobs v = {.exact = false};
    char text[1024] = "";
    (void)state;
    dip_options_defaults(titled, &v);
    assert_true(v.exact && v.k == 10);
    assert_int_equal(dip_options_set(titled, &v, "First", "1"), DIP_EINVAL);
    assert_int_equal(dip_options_set(titled, &v, "Secon", "1"), DIP_EINVAL);
    assert_null(strstr(dip_last_error(), "'Second'"));
    FILE *out = fmemopen(text, sizeof text, "w");
    dip_options_help(titled, out);
    dip_options_markdown(titled, out);
    fclose(out);
    assert_ptr_equal(strstr(text, "First:\n  -k, --k N "), text);
    assert_non_null(strstr(text, "\n\nSecond:\n  -e, --[no-]exact "));
    assert_non_null(strstr(text, "scan all [default: yes]\n"));
    assert_non_null(strstr(text, "\n\n### Second\n\n| option | meaning | default |\n|---|"));
}

static void test_nearest_word(void **state)
{
    static const char *const words[] = {"import", "index", "info", "search", "serve"};
    static const struct {
        const char *word, *nearest;
    } cases[] = {
        {"serach", "search"}, {"indx", "index"},   {"improt", "import"},
        {"inde", "index"},    {"imp", "import"},   {"searching", "search"},
        {"zebra", NULL},      {"", NULL},          {"x", NULL},
        {"inex", "index"},    {"iindex", "index"}, {"nfo", "info"},
        {"infos", "info"},    {"im", NULL},        {"index", "index"},
        {"sea", "search"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *found = dip_nearest_word(cases[i].word, words, 5);
        if (cases[i].nearest ? !found || strcmp(found, cases[i].nearest) : found != NULL)
            fail_msg("'%s' gave '%s'", cases[i].word, found ? found : "nothing");
    }
    assert_null(dip_nearest_word("index", words, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_a_name_far_too_long_is_refused),
        cmocka_unit_test(test_set_by_name),
        cmocka_unit_test(test_values_survive_a_round_trip),
        cmocka_unit_test(test_get_cuts_what_does_not_fit),
        cmocka_unit_test(test_help_tells_every_row),
        cmocka_unit_test(test_markdown_escapes_its_bars),
        cmocka_unit_test(test_headings_are_titles_only),
        cmocka_unit_test(test_nearest_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
