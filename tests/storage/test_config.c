/* archive.ini: what people may write into it, and what it refuses. */
#define _GNU_SOURCE
#include "support.h"

#include "core/file.h"
#include "core/mem.h"
#include "storage/config.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "[archive]\nformat = 1\n"
#define S1 "[modality.s1]\nposition = 0\nband.1 = VV\n"

static dip_config parsed;

static dip_status parse(const char *text)
{
    dip_config_fini(&parsed);
    return dip_config_parse(&parsed, text, "archive.ini");
}

static void reads_what_people_write(void **state)
{
    (void)state;
    assert_ok(parse("; a note\n[archive]\nformat: 1\ntitle = Los Angeles ; a remark\n"
                    "created-by=x\n\n[modality.s2]\nband.2 = B03\nband.1.gsd_m = 1e1\n"
                    "band.1 = B02\nposition = 1\ndisplay.red = B03\n" S1 "band.1.mean = -12.5\n"
                    "band.1.stddev = 5\nband.1.unit = dB\n"));
    assert_string_equal(parsed.title, "Los Angeles");
    assert_int_equal(parsed.modality_count, 2);
    assert_string_equal(parsed.modalities[0]->name, "s1");
    assert_string_equal(parsed.modalities[0]->bands[0].unit, "dB");
    assert_true(parsed.modalities[0]->bands[0].mean == -12.5);
    assert_int_equal(parsed.modalities[1]->band_count, 2);
    assert_string_equal(parsed.modalities[1]->bands[1].name, "B03");
    assert_true(parsed.modalities[1]->bands[0].gsd_m == 10);
    assert_string_equal(parsed.modalities[1]->display[0], "B03");
    dip_config_fini(&parsed);
}

static void leaves_unknown_keys_alone(void **state)
{
    (void)state;
    assert_ok(parse(HEAD "licence = CC-BY\n[else]\nx = 1\n" S1
                         "band.1.wavelength = 5.5\ncolour = grey\n"));
    assert_int_equal(parsed.modality_count, 1);
    dip_config_fini(&parsed);
}

static void refuses_with_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "format 0"},
        {"[archive]\ntitle = x\n", "format 0"},
        {"[archive]\nformat = 2\n\nnonsense\n", "format 2, written by a newer diptych"},
        {"[archive]\nformat = one\n", "line 2: 'format' is not a number"},
        {HEAD "nonsense\n", "line 3 is not 'key = value'"},
        {HEAD "title = %4\n", "line 3: 'title' is too long or has a bad %XX"},
        {HEAD "title = %00\n", "'title'"},
        {HEAD "[modality.s1]\nband.1 = VV\n", "'s1' has no position"},
        {HEAD S1 "band.1.stddev = -1\n", "line 6: 'band.1.stddev'"},
        {HEAD S1 "band.1.mean = nan\n", "'band.1.mean'"},
        {HEAD S1 "band.1.mean = 1,5\n", "'band.1.mean'"},
        {HEAD S1 "band.0 = VH\n", "'band.0' is no band from 1 to 64"},
        {HEAD S1 "band.65 = VH\n", "'band.65'"},
        {HEAD S1 "band.3 = VH\n", "band 2 has no name"},
        {HEAD S1 "band.2 = VV\n", "two bands"},
        {HEAD S1 "display.red = HH\n", "display band 'HH'"},
        {HEAD S1 "position = 16\n", "'position' is not a number from 0 to 15"},
        {HEAD S1 "position = 1\n", "position 1, which is beyond"},
        {HEAD S1 "[modality.s2]\nposition = 0\nband.1 = B02\n", "beyond the others or taken"},
        {HEAD "[modality.a.b]\nposition = 0\nband.1 = x\n", "'a.b' cannot name"},
        {HEAD "[modality.a123456789012345678901234567890123]\nposition = 0\n", "too long a name"},
        {HEAD S1 "band.2 = a12345678901234567890123456789012\n", "'band.2' is too long"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(parse(cases[i].text), DIP_EFORMAT, cases[i].part);
}

static void writes_what_it_reads(void **state)
{
    dip_config config = {.format = 1, .modality_count = 2}, back;
    dip_modality s1 = s1_modality(), s2 = s2_modality();
    strcpy(config.title, " 100 % \t; \xc3\xa9 # = [x] ");
    strcpy(config.created_by, "diptych 1");
    s1.bands[0].mean = -12.619993741972035;
    s1.bands[0].stddev = 1.0 / 3;
    memset(s1.bands[1].name, 0, sizeof s1.bands[1].name);
    strcpy(s1.bands[1].name, "VV/VH = 1; [x]");
    s2.bands[2].gsd_m = 0.1;
    config.modalities[0] = &s1;
    config.modalities[1] = &s2;
    const char *path = inside(*state, "archive.ini");
    assert_ok(dip_config_write(&config, path));
    assert_ok(dip_config_read(&back, path));
    assert_string_equal(back.title, config.title);
    assert_string_equal(back.created_by, config.created_by);
    assert_memory_equal(back.modalities[0], &s1, sizeof s1);
    assert_memory_equal(back.modalities[1], &s2, sizeof s2);
    dip_config_fini(&back);
}

/* A program around us may have set a locale whose numbers have a comma. */
static void numbers_do_not_depend_on_the_locale(void **state)
{
    const char *comma[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", NULL};
    const char *set = NULL;
    for (int i = 0; comma[i] && !set; i++) set = setlocale(LC_ALL, comma[i]);
    if (!set) print_message("no locale with a decimal comma is installed: plain locale tested\n");
    dip_config config = {.format = 1, .modality_count = 1}, back;
    dip_modality s1 = s1_modality();
    s1.bands[0].mean = 1.5;
    s1.bands[0].stddev = 2.25;
    config.modalities[0] = &s1;
    assert_ok(dip_config_write(&config, inside(*state, "archive.ini")));
    assert_ok(dip_config_read(&back, inside(*state, "archive.ini")));
    setlocale(LC_ALL, "C");
    assert_true(back.modalities[0]->bands[0].mean == 1.5);
    assert_true(back.modalities[0]->bands[0].stddev == 2.25);
    dip_config_fini(&back);
}

static void refuses_files_that_are_no_text(void **state)
{
    dip_config config;
    const char *path = inside(*state, "archive.ini");
    assert_ok(dip_file_write(path, HEAD "\0x", sizeof HEAD + 1));
    assert_fails(dip_config_read(&config, path), DIP_EFORMAT, "0 byte");
    char *large = malloc(DIP_CONFIG_MAX_BYTES + 1);
    memset(large, '\n', DIP_CONFIG_MAX_BYTES + 1);
    assert_ok(dip_file_write(path, large, DIP_CONFIG_MAX_BYTES + 1));
    free(large);
    assert_fails(dip_config_read(&config, path), DIP_EFORMAT, "4194305 bytes");
    assert_int_equal(dip_config_read(&config, inside(*state, "none")), DIP_ENOENT);
}

static void survives_any_allocation_failing(void **state)
{
    (void)state;
    for (size_t n = 1;; n++) {
        dip_mem_fail_after(n);
        dip_status status = parse(HEAD S1 "[modality.s2]\nposition = 1\nband.1 = B02\n");
        dip_mem_fail_after(0);
        if (!status) break;
        assert_int_equal(status, DIP_ENOMEM);
        assert_int_equal(parsed.modality_count, 0);
    }
    dip_config_fini(&parsed);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_people_write),
        cmocka_unit_test(leaves_unknown_keys_alone),
        cmocka_unit_test(refuses_with_the_line),
        TEST(writes_what_it_reads),
        TEST(numbers_do_not_depend_on_the_locale),
        TEST(refuses_files_that_are_no_text),
        cmocka_unit_test(survives_any_allocation_failing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
