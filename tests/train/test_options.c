/* The options of training: defaults, presets, the last word of the command line, checks, text. */
#include "support.h"

#include "core/mem.h"

static dip_train_options parse(int argc, char **argv)
{
    dip_train_options options;
    int rest = 0;
    dip_train_options_init(&options, argc, argv);
    assert_int_equal(dip_options_parse(dip_train_table, &options, argc, argv, &rest), DIP_OK);
    return options;
}

static void defaults_make_a_network(void **state)
{
    (void)state;
    char *argv[] = {(char *)"train", NULL};
    dip_train_options options = parse(1, argv);
    dip_net_spec spec = {.modality_count = 1};
    strcpy(spec.modality[0].name, "a");
    spec.modality[0].band_count = 1;
    assert_int_equal(dip_train_options_check(&options), DIP_OK);
    assert_int_equal(dip_train_network(&options, &spec), DIP_OK);
    assert_int_equal(dip_net_spec_check(&spec), DIP_OK);
}

static void preset_is_the_published_method(void **state)
{
    (void)state;
    char *argv[] = {(char *)"train", (char *)"archive", (char *)"--preset", (char *)"ss-cmir",
                    NULL};
    dip_train_options options = parse(4, argv);
    dip_net_spec spec = {.modality_count = 0};
    assert_int_equal(dip_train_options_check(&options), DIP_OK);
    assert_int_equal(dip_train_network(&options, &spec), DIP_OK);
    static const uint32_t widths[] = {64, 128, 256, 512}, blocks[] = {3, 4, 6, 3};
    assert_memory_equal(spec.width, widths, sizeof widths);
    assert_memory_equal(spec.blocks, blocks, sizeof blocks);
    assert_int_equal(dip_net_spec_dim(&spec, DIP_H), 2048);
    assert_int_equal(spec.shared_from, 4); /* separate encoders */
    assert_true(spec.stem_kernel == 7 && spec.stem_stride == 2 && spec.stem_pool);
    assert_true(spec.head == DIP_HEAD_LINEAR && spec.embed_dim == 128 && !spec.head_shared);
    assert_int_equal(options.ramp, DIP_RAMP_GEOMETRIC);
    assert_int_equal(options.mde_form, DIP_DISCREPANCY_LOG);
    assert_int_equal(options.msp_source, DIP_NEIGHBOUR_OWN);
    assert_true(options.mde == 1 && options.msp == 1);
}

static void command_line_has_the_last_word(void **state)
{
    (void)state;
    char *argv[] = {(char *)"train",   (char *)"--epochs",
                    (char *)"7",       (char *)"--preset=ss-cmir",
                    (char *)"--mde=0", NULL};
    dip_train_options options = parse(5, argv);
    assert_int_equal(options.epochs, 7);
    assert_true(options.mde == 0 && options.msp == 1);
}

/* ResNet-18 in place of ResNet-50 takes two words. */
static void preset_takes_other_blocks(void **state)
{
    (void)state;
    char *argv[] = {(char *)"train",    (char *)"--preset=ss-cmir", (char *)"--block=basic",
                    (char *)"--blocks", (char *)"2,2,2,2",          NULL};
    dip_train_options options = parse(5, argv);
    dip_net_spec spec = {.modality_count = 0};
    assert_int_equal(dip_train_options_check(&options), DIP_OK);
    assert_int_equal(dip_train_network(&options, &spec), DIP_OK);
    assert_int_equal(spec.block, DIP_BLOCK_BASIC);
    assert_int_equal(spec.blocks[2], 2);
    assert_int_equal(dip_net_spec_dim(&spec, DIP_H), 512);
}

static void unknown_preset_is_refused_by_the_parser(void **state)
{
    (void)state;
    char *argv[] = {(char *)"train", (char *)"--preset=best", NULL};
    dip_train_options options;
    int rest;
    dip_error_clear();
    dip_train_options_init(&options, 2, argv);
    assert_string_equal(dip_last_error(), "");
    assert_int_equal(dip_options_parse(dip_train_table, &options, 2, argv, &rest), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "preset"));
}

static void what_does_not_fit_together_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"widths", "32,64,", "widths"},      {"widths", "32,64,128,256,512", "widths"},
        {"widths", "32;64", "widths"},       {"blocks", "1,1", "blocks"},
        {"zoom-max", "0.2", "zoom-min"},     {"mim", "0", "mim"},
        {"epochs", "0", "--init"},           {"freeze", "yes", "--init"},
        {"init-bands", "s1=VV", "--init"},   {"queue", "8", "batch"},
        {"patience", "2", "eval-every"},     {"queue", "512", "looks"},
        {"queue-negatives", "yes", "needs"}, {"name", "../evil", "name"},
        {"name", ".hidden", "name"},         {"name", "", "name"},
        {"embed-views", "3", "views"},       {"embed-h", "0", "weights are 0"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *argv[] = {(char *)"train", NULL};
        dip_train_options options = parse(1, argv);
        options.embed_z = 0;
        options.embed_h = 1;
        options.eval_every = 0;
        options.soft = options.layout = options.embed_layout = 0;
        assert_int_equal(dip_options_set(dip_train_table, &options, cases[i][0], cases[i][1]),
                         DIP_OK);
        assert_int_equal(dip_train_options_check(&options), DIP_EINVAL);
        if (!strstr(dip_last_error(), cases[i][2]))
            fail_msg("'%s' does not name '%s'", dip_last_error(), cases[i][2]);
    }
}

static void no_more_stages_are_pooled_than_there_are(void **state)
{
    (void)state;
    char *argv[] = {(char *)"train", (char *)"--widths=32,64", (char *)"--blocks=1,1",
                    (char *)"--pool-stages=2", NULL};
    dip_train_options options = parse(4, argv);
    dip_net_spec spec = {.modality_count = 0};
    assert_int_equal(dip_train_network(&options, &spec), DIP_OK);
    assert_int_equal(dip_net_spec_dim(&spec, DIP_H), 96);
    options.pool_stages = 3;
    assert_int_equal(dip_train_options_check(&options), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "pool-stages"));
}

static void untaught_parts_of_the_embedding_are_refused(void **state)
{
    (void)state;
    char *argv[] = {(char *)"train", (char *)"--layout=0", NULL};
    dip_train_options options = parse(2, argv);
    assert_int_equal(dip_train_options_check(&options), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "embed-layout"));
    options.embed_layout = 0;
    assert_int_equal(dip_train_options_check(&options), DIP_OK);
    options.mim = options.soft = 0;
    options.layout = 1;
    assert_int_equal(dip_train_options_check(&options), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "embed-z"));
    options.mde = 1;
    options.mde_on = DIP_Z;
    assert_int_equal(dip_train_options_check(&options), DIP_OK);
}

/* The model's images may be smaller than those of training; its layout is the same. */
static void layouts_fit_where_images_are_smallest(void **state)
{
    (void)state;
    char *argv[] = {(char *)"train", (char *)"--encode-px=40", NULL};
    dip_train_options options = parse(2, argv);
    dip_net_spec spec = {.modality_count = 1, .modality = {{.name = "s1", .band_count = 2}}};
    assert_int_equal(dip_train_network(&options, &spec), DIP_OK);
    assert_int_equal(spec.input_px, 96);
    assert_int_equal(spec.layout_grid, 5);
    spec.input_px = 40;
    assert_int_equal(dip_net_spec_check(&spec), DIP_OK);
    options.encode_px = 120;
    assert_int_equal(dip_train_network(&options, &spec), DIP_OK);
    assert_int_equal(spec.layout_grid, 8);
}

static void text_tells_what_decides_the_result(void **state)
{
    (void)state;
    char *argv[] = {(char *)"train", NULL};
    dip_train_options options = parse(1, argv);
    char *text = dip_train_options_text(&options);
    options.memory_mb++;
    options.checkpoint_every++;
    options.force = true;
    char *same = dip_train_options_text(&options);
    options.rate *= 2;
    char *other = dip_train_options_text(&options);
    assert_true(text && same && other);
    assert_string_equal(text, same);
    assert_string_not_equal(text, other);
    assert_non_null(strstr(text, "\nseed = 1\n"));
    dip_free(text);
    dip_free(same);
    dip_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_make_a_network),
        cmocka_unit_test(preset_is_the_published_method),
        cmocka_unit_test(command_line_has_the_last_word),
        cmocka_unit_test(preset_takes_other_blocks),
        cmocka_unit_test(unknown_preset_is_refused_by_the_parser),
        cmocka_unit_test(what_does_not_fit_together_is_refused),
        cmocka_unit_test(no_more_stages_are_pooled_than_there_are),
        cmocka_unit_test(untaught_parts_of_the_embedding_are_refused),
        cmocka_unit_test(layouts_fit_where_images_are_smallest),
        cmocka_unit_test(text_tells_what_decides_the_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
