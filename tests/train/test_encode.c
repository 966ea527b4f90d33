/* Encoding an archive: all tiles once, on from where it stopped, bad tiles left out by name, replaced models anew. */
#include "support.h"

#include "core/file.h"
#include "core/mem.h"
#include "encoder/model.h"
#include "train/encode.h"

#include <math.h>

typedef struct listener {
    size_t refused, ticks, stop_at;
    char last[1024];
} listener;

static void keep_line(void *payload, const char *line)
{
    listener *l = payload;
    l->refused++;
    snprintf(l->last, sizeof l->last, "%s", line);
}

static int tick(void *payload, const char *phase, uint64_t done, uint64_t total)
{
    listener *l = payload;
    (void)phase, (void)done, (void)total;
    return ++l->ticks == l->stop_at;
}

/* An untrained model: random weights of `seed`. */
static const char *write_model(const char *archive, uint64_t seed, const char *second_band)
{
    dip_train_options o = support_options("m");
    dip_embed_spec parts = dip_train_embedding(&o);
    dip_net_spec spec = {.modality_count = 2};
    dip_net *net = NULL;
    dip_embedding *embedding = NULL;
    dip_rng rng;
    const char *path = support_path("%s/models/m.safetensors", archive);
    assert_int_equal(dip_folder_create(support_path("%s/models", archive)), DIP_OK);
    assert_int_equal(dip_train_network(&o, &spec), DIP_OK);
    spec.modality[0] =
        (dip_modality){.name = "a", .band_count = 1, .bands = {{"V", "dB", 10, -12, 4}}};
    spec.modality[1] =
        (dip_modality){.name = "b",
                       .band_count = 2,
                       .bands = {{"R", "reflectance", 10, 2000, 300}, {"", "", 10, 2000, 300}}};
    strcpy(spec.modality[1].bands[1].name, second_band);
    dip_rng_init(&rng, seed, 0);
    assert_int_equal(dip_net_create(&net, &spec, 2, DIP_NET_TRAIN), DIP_OK);
    dip_net_init(net, &rng, false);
    assert_int_equal(dip_embedding_create(&embedding, &parts, &spec), DIP_OK);
    assert_int_equal(dip_model_write(path, net, &spec, embedding, NULL, 0), DIP_OK);
    dip_embedding_destroy(embedding);
    dip_net_destroy(net);
    return path;
}

static dip_status encode(dip_archive *archive, const char *model, listener *l,
                         dip_encode_report *report)
{
    const dip_progress progress = {tick, l};
    const dip_encode_options options = {
        .batch = 64, .progress = &progress, .refused = keep_line, .payload = l};
    return dip_encode(archive, model, &options, report);
}

/* The stored embedding of a tile is the model's. */
static void assert_embedding(const dip_archive *archive, const char *model_path, uint64_t id)
{
    dip_model *model = NULL;
    dip_tile *tile = NULL;
    float expected[32], stored[32];
    assert_int_equal(dip_model_open(&model, model_path), DIP_OK);
    assert_int_equal(dip_model_dim(model), 32);
    assert_int_equal(dip_archive_tile(archive, id, &tile), DIP_OK);
    const dip_tile *one = tile;
    assert_int_equal(dip_model_encode(model, tile->meta.modality, &one, 1, expected), DIP_OK);
    assert_int_equal(
        dip_archive_embeddings_of(archive, "m", tile->meta.modality, &id, 1, 32, stored, NULL),
        DIP_OK);
    for (int i = 0; i < 32; i++) assert_true(fabsf(stored[i] - expected[i]) < 2e-3f);
    dip_tile_free(tile);
    dip_model_close(model);
}

static void every_tile_gets_one_embedding(void **state)
{
    (void)state;
    const support_plan plan = {.places = 100, .modalities = 3};
    dip_archive *archive = support_archive("all", &plan);
    const char *model = write_model("all", 1, "N");
    dip_encode_report report;
    listener l = {.refused = 0};
    uint64_t *ids;
    size_t n;
    assert_int_equal(encode(archive, model, &l, &report), DIP_OK);
    assert_int_equal(report.encoded, 200); /* the model does not know modality c */
    assert_int_equal(report.refused, 0);
    assert_int_equal(dip_archive_ids(archive, 1, &ids, &n), DIP_OK);
    assert_embedding(archive, model, ids[0]);
    assert_embedding(archive, model, ids[n - 1]);
    dip_ids_free(ids);
    assert_int_equal(encode(archive, model, &l, &report), DIP_OK);
    assert_true(report.encoded == 0 && report.present == 200);
    dip_archive_close(archive);
}

static void stopped_it_goes_on(void **state)
{
    (void)state;
    const support_plan plan = {.places = 150};
    dip_archive *archive = support_archive("stopped", &plan);
    const char *model = write_model("stopped", 1, "N");
    dip_encode_report first, second;
    listener l = {.stop_at = 2};
    assert_int_equal(encode(archive, model, &l, &first), DIP_ECANCEL);
    assert_int_equal(first.encoded, 128);
    assert_int_equal(encode(archive, model, &l, &second), DIP_OK);
    assert_int_equal(second.present, 128);
    assert_int_equal(second.encoded, 172);
    dip_archive_close(archive);
}

static void a_bad_tile_is_left_out_by_name(void **state)
{
    (void)state;
    const support_plan plan = {.places = 20, .nan_place = 5};
    dip_archive *archive = support_archive("bad", &plan);
    const char *model = write_model("bad", 1, "N");
    dip_encode_report report;
    listener l = {.refused = 0};
    assert_int_equal(encode(archive, model, &l, &report), DIP_OK);
    assert_int_equal(report.encoded, 39);
    assert_int_equal(report.refused, 1);
    assert_int_equal(l.refused, 1);
    assert_non_null(strstr(l.last, "'tile-4-0'"));
    assert_non_null(strstr(l.last, "NaN"));
    dip_archive_close(archive);
}

static void int8_passes_over_bad_tiles_and_keeps_the_embedding(void **state)
{
    (void)state;
    const support_plan plan = {.places = 300, .nan_place = 5};
    dip_archive *archive = support_archive("int8", &plan);
    const char *model = write_model("int8", 1, "N");
    dip_encode_report report;
    uint64_t *ids;
    size_t n;
    listener l = {.refused = 0};
    const dip_encode_options options = {
        .batch = 64, .int8 = true, .refused = keep_line, .payload = &l};
    assert_int_equal(encode(archive, model, &l, &report), DIP_OK);
    assert_int_equal(dip_encode(archive, model, &options, &report), DIP_OK);
    assert_true(report.encoded == 599 && report.present == 0 && report.refused == 1);
    assert_int_equal(dip_archive_embedded_ids(archive, "m", 0, &ids, &n), DIP_OK);
    for (size_t i = 0; i < n; i += 37) {
        dip_model *bf16 = NULL;
        dip_tile *tile = NULL;
        float expected[32], stored[32], cosine = 0;
        assert_int_equal(dip_model_open(&bf16, model), DIP_OK);
        assert_int_equal(dip_archive_tile(archive, ids[i], &tile), DIP_OK);
        const dip_tile *one = tile;
        assert_int_equal(dip_model_encode(bf16, 0, &one, 1, expected), DIP_OK);
        assert_int_equal(dip_archive_embeddings_of(archive, "m", 0, &ids[i], 1, 32, stored, NULL),
                         DIP_OK);
        for (int k = 0; k < 32; k++) cosine += expected[k] * stored[k];
        assert_true(cosine > 0.99f);
        dip_tile_free(tile);
        dip_model_close(bf16);
    }
    dip_ids_free(ids);
    dip_archive_close(archive);
}

static void a_replaced_model_encodes_all_anew(void **state)
{
    (void)state;
    const support_plan plan = {.places = 20};
    dip_archive *archive = support_archive("replaced", &plan);
    dip_encode_report report;
    listener l = {.refused = 0};
    uint64_t *ids;
    size_t n;
    assert_int_equal(encode(archive, write_model("replaced", 1, "N"), &l, &report), DIP_OK);
    const char *model = write_model("replaced", 2, "N");
    assert_int_equal(encode(archive, model, &l, &report), DIP_OK);
    assert_true(report.encoded == 40 && report.present == 0);
    assert_int_equal(dip_archive_ids(archive, 0, &ids, &n), DIP_OK);
    assert_embedding(archive, model, ids[3]);
    dip_ids_free(ids);
    dip_archive_close(archive);
}

static void wrong_bands_are_named_and_nothing_is_lost(void **state)
{
    (void)state;
    const support_plan plan = {.places = 10};
    dip_archive *archive = support_archive("bands", &plan);
    dip_encode_report report;
    listener l = {.refused = 0};
    uint64_t *ids;
    size_t n;
    assert_int_equal(encode(archive, write_model("bands", 1, "N"), &l, &report), DIP_OK);
    assert_int_equal(encode(archive, write_model("bands", 1, "SWIR"), &l, &report), DIP_EMISMATCH);
    assert_non_null(strstr(dip_last_error(), "SWIR"));
    assert_non_null(strstr(dip_last_error(), "R (reflectance), N (reflectance)"));
    assert_int_equal(dip_archive_embedded_ids(archive, "m", 1, &ids, &n), DIP_OK);
    assert_int_equal(n, 10);
    dip_ids_free(ids);
    dip_archive_close(archive);
}

static void one_modality_alone(void **state)
{
    (void)state;
    const support_plan plan = {.places = 10};
    dip_archive *archive = support_archive("alone", &plan);
    const char *model = write_model("alone", 1, "N");
    dip_encode_report report;
    dip_encode_options options = {.modality = "b", .batch = 3};
    assert_int_equal(dip_encode(archive, model, &options, &report), DIP_OK);
    assert_int_equal(report.encoded, 10);
    options.force = true;
    assert_int_equal(dip_encode(archive, model, &options, &report), DIP_OK);
    assert_int_equal(report.encoded, 10);
    options.modality = "x";
    assert_int_equal(dip_encode(archive, model, &options, &report), DIP_ENOENT);
    assert_non_null(strstr(dip_last_error(), "'x'"));
    dip_archive_close(archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tile_gets_one_embedding),
        cmocka_unit_test(stopped_it_goes_on),
        cmocka_unit_test(a_bad_tile_is_left_out_by_name),
        cmocka_unit_test(int8_passes_over_bad_tiles_and_keeps_the_embedding),
        cmocka_unit_test(a_replaced_model_encodes_all_anew),
        cmocka_unit_test(wrong_bands_are_named_and_nothing_is_lost),
        cmocka_unit_test(one_modality_alone),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
