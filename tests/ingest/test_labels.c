/* The two nomenclatures: completeness of the mapping, and lists of labels. */
#include "tests/ingest/support.h"

#include "core/mem.h"
#include "ingest/labels.h"

static void check(const char *labels, const char *expected)
{
    char *mapped;
    assert_ok(dip_labels_to19(&mapped, labels));
    assert_string_equal(mapped, expected);
    dip_free(mapped);
}

/* How many of the 43 each of the 19 joins, and which have none (Sumbul et al., 2021). */
static void test_members(void **state)
{
    (void)state;
    static const int members[DIP_LABELS_19] = {2, 1, 3, 4, 1, 1, 1, 1, 1, 1,
                                               1, 2, 2, 1, 1, 2, 2, 2, 3};
    static const unsigned without[] = {3, 4, 5, 6, 7, 8, 9, 10, 30, 32, 37};
    int found[DIP_LABELS_19] = {0};
    size_t none = 0;
    for (unsigned i = 0; i < DIP_LABELS_43; i++) {
        int joined = dip_labels_map(i);
        if (joined < 0)
            assert_int_equal(i, without[none++]);
        else
            found[joined]++;
    }
    assert_int_equal(none, 11);
    for (int i = 0; i < DIP_LABELS_19; i++) assert_int_equal(found[i], members[i]);
    assert_int_equal(dip_labels_map(43), -1);
    assert_null(dip_labels_name43(43));
    assert_null(dip_labels_name19(19));
}

static void test_lists(void **state)
{
    (void)state;
    check("", "");
    check("Pastures", "Pastures");
    check("Airports|Bare rock", "");
    check("Water bodies|Continuous urban fabric|Discontinuous urban fabric",
          "Urban fabric|Inland waters");
    check("Coniferous forest|Mixed forest|Transitional woodland/shrub|Peatbogs|Water bodies",
          "Coniferous forest|Mixed forest|Transitional woodland, shrub|Inland wetlands|"
          "Inland waters");
    check("Arable land|Rice fields", "Arable land");
}

/* Every 43-class name becomes the class that the table names. */
static void test_each_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DIP_LABELS_43; i++) {
        int joined = dip_labels_map(i);
        check(dip_labels_name43(i), joined < 0 ? "" : dip_labels_name19((unsigned)joined));
    }
}

static void test_unknown(void **state)
{
    (void)state;
    char *mapped;
    assert_fails(dip_labels_to19(&mapped, "Pastures|Moon"), DIP_EFORMAT, "label 'Moon'");
    assert_fails(dip_labels_to19(&mapped, "|Pastures"), DIP_EFORMAT, "label ''");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_each_name),
        cmocka_unit_test(test_unknown),
    };
    return cmocka_run_group_tests_name("labels", tests, NULL, NULL);
}
