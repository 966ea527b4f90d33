/* Drafts and modalities: names, units, order, what does not fit. */
#include "tests/ingest/support.h"

#include "core/mem.h"
#include "ingest/modality.h"

#include <math.h>

/* A draft of bands of 4 x 4 pixels that all have one value. */
static dip_draft *make_draft(uint32_t bands, dip_dtype dtype, double value, const char *names)
{
    dip_draft *d = dip_alloc(sizeof *d);
    assert_non_null(d);
    dip_draft_init(d);
    char copy[256];
    snprintf(copy, sizeof copy, "%s", names);
    char *word = strtok(copy, ",");
    for (uint32_t b = 0; b < bands; b++, word = word ? strtok(NULL, ",") : NULL) {
        dip_plane *p = &d->planes[b];
        *p = (dip_plane){dtype, 4, 4, dip_calloc(16, 8)};
        assert_non_null(p->pixels);
        for (int i = 0; i < 16; i++) {
            if (dtype == DIP_DTYPE_F32) ((float *)p->pixels)[i] = (float)(value + b);
            if (dtype == DIP_DTYPE_U16) ((uint16_t *)p->pixels)[i] = (uint16_t)(value + b);
            if (dtype == DIP_DTYPE_U8) ((uint8_t *)p->pixels)[i] = (uint8_t)(value + b);
        }
        if (word) snprintf(d->band_name[b], DIP_WORD_CAPACITY, "%s", word);
        d->band_count++;
    }
    return d;
}

static void drop(dip_draft *draft)
{
    dip_draft_fini(draft);
    dip_free(draft);
}

static void test_guesses(void **state)
{
    (void)state;
    static const struct {
        const char *modality, *names;
        uint32_t bands;
        dip_dtype dtype;
        double value;
        const char *unit, *first_name, *display;
    } cases[] = {
        {"s1", "VV,VH", 2, DIP_DTYPE_F32, -12, "dB", "VV", "VV"},
        {"s1", "VV,VH", 2, DIP_DTYPE_F32, 0.07, "power", "VV", "VV"},
        {"radar", "hh", 1, DIP_DTYPE_F32, -12, "dB", "hh", "hh"},
        {"s1", "", 1, DIP_DTYPE_U8, 90, "amplitude", "band1", "band1"},
        {"SAR-x", "", 1, DIP_DTYPE_U16, 90, "amplitude", "band1", "band1"},
        {"s2", "B02,B03,B04,B08", 4, DIP_DTYPE_U16, 900, "reflectance", "B02", "B04"},
        {"s2", "B05,B06,B8A", 3, DIP_DTYPE_U16, 900, "reflectance", "B05", "B05"},
        {"s2", "B05,B06,B8A", 3, DIP_DTYPE_F32, 900, "", "B05", "B05"},
        {"rgb", "", 3, DIP_DTYPE_U8, 90, "", "band1", "band1"},
        {"rgb", "a,,c", 3, DIP_DTYPE_U8, 90, "", "band1", "band1"},
        {"rgb", "a,a,c", 3, DIP_DTYPE_U8, 90, "", "band1", "band1"},
    };
    dip_import_options options = {.bands = NULL};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_draft *d = make_draft(cases[i].bands, cases[i].dtype, cases[i].value, cases[i].names);
        dip_modality m;
        assert_ok(dip_modality_name_bands(d, cases[i].modality, NULL, &options));
        assert_ok(dip_modality_of_draft(&m, cases[i].modality, d, &options));
        assert_string_equal(m.bands[0].name, cases[i].first_name);
        assert_string_equal(m.bands[0].unit, cases[i].unit);
        assert_string_equal(m.display[0], cases[i].display);
        assert_int_equal(m.display[1][0] != '\0', cases[i].bands >= 3);
        drop(d);
    }
}

static void test_given_names_and_units(void **state)
{
    (void)state;
    dip_import_options options = {.bands = "s2=B02,B03;s1=VV,VH", .units = "s1=dB;s2=x,y"};
    dip_modality m;
    dip_draft *d = make_draft(2, DIP_DTYPE_U8, 3, "p,q");
    assert_ok(dip_modality_name_bands(d, "s1", NULL, &options));
    assert_ok(dip_modality_of_draft(&m, "s1", d, &options));
    assert_string_equal(m.bands[1].name, "VH");
    assert_string_equal(m.bands[1].unit, "dB");
    assert_ok(dip_modality_name_bands(d, "s2", NULL, &options));
    assert_ok(dip_modality_of_draft(&m, "s2", d, &options));
    assert_string_equal(m.bands[0].name, "B02");
    assert_string_equal(m.bands[1].unit, "y");
    drop(d);
    d = make_draft(3, DIP_DTYPE_U8, 3, "");
    assert_fails(dip_modality_name_bands(d, "s1", NULL, &options), DIP_EMISMATCH,
                 "it has 3 bands, --bands names 2");
    options.bands = "r,g,b";
    assert_ok(dip_modality_name_bands(d, "anything", NULL, &options));
    assert_string_equal(d->band_name[2], "b");
    options.units = "x,y";
    assert_fails(dip_modality_of_draft(&m, "s2", d, &options), DIP_EINVAL,
                 "2 units for the 3 bands");
    drop(d);
}

static void test_options_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "s1=",    "=VV",      "s1=VV,", "s1=VV,,VH", "s1=VV,VV",
        "s1=V V", "s1=VV;s2", "a;b=",   ",",         "s1=a23456789012345678901234567890123"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        dip_import_options options = {.bands = wrong[i]};
        if (!strcmp(wrong[i], "s1=VV;s2")) { /* a list for every modality: right */
            assert_ok(dip_modality_check_options(&options));
            continue;
        }
        assert_fails(dip_modality_check_options(&options), DIP_EINVAL, "bands '");
        options = (dip_import_options){.units = wrong[i]};
        assert_fails(dip_modality_check_options(&options), DIP_EINVAL, "units '");
    }
}

/* Bands come into the modality's order by name. */
static void test_order(void **state)
{
    (void)state;
    dip_import_options options = {.bands = NULL};
    dip_draft *first = make_draft(3, DIP_DTYPE_U16, 100, "a,b,c");
    dip_draft *second = make_draft(3, DIP_DTYPE_U16, 200, "c,a,b");
    dip_draft *bare = make_draft(3, DIP_DTYPE_U16, 300, "");
    dip_modality m;
    dip_grids grids;
    assert_ok(dip_modality_of_draft(&m, "x", first, &options));
    dip_grids_of_draft(&grids, first);
    assert_ok(dip_modality_fit(second, &m, &grids));
    assert_string_equal(second->band_name[0], "a");
    assert_true(support_value(&second->planes[0], 0) == 201);
    assert_true(support_value(&second->planes[1], 0) == 202);
    assert_true(support_value(&second->planes[2], 0) == 200);
    assert_ok(dip_modality_name_bands(bare, "x", &m, &options));
    assert_string_equal(bare->band_name[2], "c");
    drop(first);
    drop(second);
    drop(bare);
}

static void check_misfit(dip_draft *draft, dip_status code, const char *words)
{
    dip_import_options options = {.bands = NULL};
    dip_draft *first = make_draft(2, DIP_DTYPE_F32, 100, "a,b");
    dip_modality m;
    dip_grids grids;
    first->gsd_m[1] = 20;
    assert_ok(dip_modality_of_draft(&m, "x", first, &options));
    dip_grids_of_draft(&grids, first);
    assert_fails(dip_modality_fit(draft, &m, &grids), code, words);
    drop(first);
    drop(draft);
}

static void test_misfits(void **state)
{
    (void)state;
    check_misfit(make_draft(1, DIP_DTYPE_F32, 1, "a"), DIP_EMISMATCH,
                 "it has 1 band, modality 'x' has 2");
    check_misfit(make_draft(2, DIP_DTYPE_F32, 1, "a,c"), DIP_EMISMATCH, "no band b, which");
    check_misfit(make_draft(2, DIP_DTYPE_U8, 1, "a,b"), DIP_EMISMATCH,
                 "band a has uint8 pixels, expected float32");
    dip_draft *d = make_draft(2, DIP_DTYPE_F32, 1, "a,b");
    d->planes[1].width = 2;
    check_misfit(d, DIP_EMISMATCH, "band b is 2x4, expected 4x4 (20 m)");
    d = make_draft(2, DIP_DTYPE_F32, 1, "a,b");
    ((float *)d->planes[1].pixels)[3] = NAN;
    check_misfit(d, DIP_EFORMAT, "band b has 1 NaN pixel;");
    d = make_draft(2, DIP_DTYPE_F32, 1, "a,b");
    for (int i = 0; i < 7; i++) ((float *)d->planes[0].pixels)[i] = -INFINITY;
    check_misfit(d, DIP_EFORMAT, "band a has 7 infinite pixels");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guesses),         cmocka_unit_test(test_given_names_and_units),
        cmocka_unit_test(test_options_refused), cmocka_unit_test(test_order),
        cmocka_unit_test(test_misfits),
    };
    return cmocka_run_group_tests_name("modality", tests, NULL, NULL);
}
