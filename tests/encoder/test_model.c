/* Model files and embeddings: what is written encodes the same when opened; what does not fit is refused by name. */
#define _GNU_SOURCE
#include "encoder/model.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/rng.h"
#include "core/status.h"
#include "encoder/model_metadata.h"
#include "encoder/prepare.h"
#include "tests/scratch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PX = 16, TILES = 5, DIM = 32, GRID = 4, CELL = 3, LAYOUT = GRID * GRID * CELL };

static char *folder;

static const char *model_path(void)
{
    static char path[96];
    if (!folder) folder = scratch_folder("model");
    snprintf(path, sizeof path, "%s/tiny.safetensors", folder);
    return path;
}

static int clean_up(void **state)
{
    (void)state;
    if (folder) assert_int_equal(dip_file_remove(folder), DIP_OK);
    free(folder);
    folder = NULL;
    return 0;
}

static dip_net_spec tiny(void)
{
    return (dip_net_spec){
        .input_px = PX,
        .stem_kernel = 3,
        .stem_stride = 1,
        .stage_count = 2,
        .width = {32, 32},
        .blocks = {1, 1},
        .shared_from = 1,
        .head = DIP_HEAD_MLP,
        .head_shared = true,
        .head_hidden = 32,
        .embed_dim = DIM,
        .modality_count = 2,
        .modality = {
            {.name = "sar",
             .display = {"VV"},
             .band_count = 2,
             .bands = {{"VV", "dB", 10, -12.5, 5.25}, {"VH", "dB", 10, -19, 5}}},
            {.name = "optical", .band_count = 1, .bands = {{"B04", "", 20, 0.1, 1.0 / 3}}}}};
}

typedef struct rig {
    dip_net_spec spec;
    dip_net *net;
    dip_embedding *embedding;
} rig;

static rig make_rig(dip_embed_spec parts)
{
    rig r = {.spec = tiny()};
    dip_rng rng;
    if (parts.part[DIP_LAYOUT].weight > 0) {
        r.spec.layout_grid = GRID;
        r.spec.layout_channels = CELL;
    }
    dip_rng_init(&rng, 3, 0);
    assert_int_equal(dip_net_create(&r.net, &r.spec, 8, DIP_NET_TRAIN), DIP_OK);
    dip_net_init(r.net, &rng, false);
    dip_net_refresh(r.net);
    assert_int_equal(dip_embedding_create(&r.embedding, &parts, &r.spec), DIP_OK);
    return r;
}

static void free_rig(rig *r)
{
    dip_embedding_destroy(r->embedding);
    dip_net_destroy(r->net);
}

static const dip_embed_spec plain = {.part = {{1, DIP_EMBED_UNIT}, {0, DIP_EMBED_UNIT}},
                                     .views = 1};

static dip_model *write_and_open(rig *r)
{
    const dip_safetensors_text text = {"seed", "7"};
    dip_model *model = NULL;
    assert_int_equal(dip_model_write(model_path(), r->net, &r->spec, r->embedding, &text, 1),
                     DIP_OK);
    assert_int_equal(dip_model_open(&model, model_path()), DIP_OK);
    return model;
}

/* ---- tiles ---- */

typedef struct tile_set {
    float pixels[TILES][2][PX * PX];
    dip_tile tiles[TILES];
    const dip_tile *list[TILES];
} tile_set;

static void make_tiles(tile_set *set, uint64_t seed)
{
    dip_rng rng;
    dip_rng_init(&rng, seed, 0);
    for (int t = 0; t < TILES; t++) {
        for (int b = 0; b < 2; b++)
            for (int i = 0; i < PX * PX; i++)
                set->pixels[t][b][i] = (float)(-14 + 5 * dip_rng_normal(&rng));
        set->tiles[t] = (dip_tile){.meta = {.name = "tile"}, .plane_count = 2};
        for (int b = 0; b < 2; b++)
            set->tiles[t].planes[b] = (dip_plane){DIP_DTYPE_F32, PX, PX, set->pixels[t][b]};
        set->list[t] = &set->tiles[t];
    }
}

static double dot(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * b[i];
    return sum;
}

/* ---- the file ---- */

static void a_model_tells_what_it_is(void **state)
{
    (void)state;
    rig r = make_rig(plain);
    dip_model *model = write_and_open(&r);
    assert_string_equal(dip_model_id(model), "tiny");
    assert_int_equal(dip_model_dim(model), DIM);
    assert_int_equal(dip_model_modality_count(model), 2);
    assert_int_equal(dip_model_find_modality(model, "optical"), 1);
    assert_int_equal(dip_model_find_modality(model, "lidar"), -1);
    assert_string_equal(dip_model_metadata(model, "seed"), "7");
    assert_null(dip_model_metadata(model, "absent"));
    const dip_modality *sar = dip_model_modality(model, 0);
    assert_memory_equal(sar, &r.spec.modality[0], sizeof *sar);
    assert_true(dip_model_modality(model, 1)->bands[0].stddev == 1.0 / 3);
    dip_model_close(model);
    free_rig(&r);
}

/* As the training net computes it from inputs prepared by hand. */
static void opened_model_encodes_as_the_net_did(void **state)
{
    (void)state;
    static tile_set set;
    static float inputs[TILES * PX * PX * 2];
    rig r = make_rig(plain);
    float z[TILES * DIM], h[TILES * DIM], expected[TILES * DIM], vectors[TILES * DIM];
    make_tiles(&set, 1);
    for (int t = 0; t < TILES; t++)
        assert_int_equal(dip_prepare(&set.tiles[t], &r.spec.modality[0], inputs + t * PX * PX * 2),
                         DIP_OK);
    assert_int_equal(dip_net_forward(r.net, 0, inputs, TILES, (dip_net_out){z, h}), DIP_OK);
    dip_embedding_combine(r.embedding, 0, (dip_net_out){z, h}, TILES, expected);
    dip_model *model = write_and_open(&r);
    assert_int_equal(dip_model_encode(model, 0, set.list, TILES, vectors), DIP_OK);
    for (int t = 0; t < TILES; t++) {
        assert_true(fabs(dot(vectors + t * DIM, vectors + t * DIM, DIM) - 1) < 1e-5);
        assert_true(dot(vectors + t * DIM, expected + t * DIM, DIM) > 0.999);
    }
    dip_model_close(model);
    free_rig(&r);
}

static void a_tile_does_not_depend_on_its_neighbours(void **state)
{
    (void)state;
    static tile_set set;
    rig r = make_rig(plain);
    float together[TILES * DIM], alone[DIM];
    dip_model *model = write_and_open(&r);
    make_tiles(&set, 1);
    assert_int_equal(dip_model_encode(model, 0, set.list, TILES, together), DIP_OK);
    for (int t = 0; t < TILES; t++) {
        assert_int_equal(dip_model_encode(model, 0, &set.list[t], 1, alone), DIP_OK);
        assert_memory_equal(alone, together + t * DIM, sizeof alone);
    }
    dip_model_close(model);
    free_rig(&r);
}

static void bad_tiles_are_refused_by_band(void **state)
{
    (void)state;
    static tile_set set;
    rig r = make_rig(plain);
    float vectors[TILES * DIM];
    dip_model *model = write_and_open(&r);
    make_tiles(&set, 1);
    set.pixels[3][1][9] = NAN;
    assert_int_equal(dip_model_encode(model, 0, set.list, TILES, vectors), DIP_EFORMAT);
    assert_non_null(strstr(dip_last_error(), "'VH'"));
    assert_int_equal(dip_model_encode(model, 1, set.list, TILES, vectors), DIP_EMISMATCH);
    assert_int_equal(dip_model_encode(model, 2, set.list, TILES, vectors), DIP_EINVAL);
    dip_model_close(model);
    free_rig(&r);
}

static void wrong_bands_are_named_on_both_sides(void **state)
{
    (void)state;
    rig r = make_rig(plain);
    dip_model *model = write_and_open(&r);
    dip_modality m = r.spec.modality[0];
    assert_int_equal(dip_model_check(model, &m), DIP_OK);
    m.bands[1].unit[0] = 0; /* not known: fits */
    assert_int_equal(dip_model_check(model, &m), DIP_OK);
    strcpy(m.bands[1].unit, "power");
    assert_int_equal(dip_model_check(model, &m), DIP_EMISMATCH);
    assert_non_null(strstr(dip_last_error(), "VV (dB), VH (dB)"));
    assert_non_null(strstr(dip_last_error(), "VV (dB), VH (power)"));
    m.band_count = 1;
    assert_int_equal(dip_model_check(model, &m), DIP_EMISMATCH);
    strcpy(m.name, "lidar");
    assert_int_equal(dip_model_check(model, &m), DIP_EMISMATCH);
    assert_non_null(strstr(dip_last_error(), "sar, optical"));
    dip_model_close(model);
    free_rig(&r);
}

/* ---- damaged files ---- */

/* Writes a model file with one tensor left out, cut short, or with a value that is not finite. */
static dip_status open_spoiled(const char *victim, int how)
{
    rig r = make_rig(plain);
    dip_tensor_list list;
    dip_model *model = NULL;
    float bad[32] = {NAN};
    char *network = dip_network_text(&r.spec),
         *modalities = dip_modalities_text(r.spec.modality, r.spec.modality_count);
    char *embedding = dip_embedding_text(&plain);
    const dip_safetensors_text texts[] = {{"format", DIP_MODEL_FORMAT},
                                          {"network", network},
                                          {"modalities", modalities},
                                          {"embedding", embedding}};
    assert_int_equal(dip_tensor_list_init(&list, r.net, 0), DIP_OK);
    for (size_t i = 0; i < list.count; i++) {
        if (strcmp(list.tensors[i].name, victim) != 0) continue;
        if (how == 0) list.tensors[i] = list.tensors[--list.count];
        if (how == 1) list.tensors[i].shape[0] = 16;
        if (how == 2) list.tensors[i].values = bad;
    }
    assert_int_equal(dip_safetensors_write(model_path(), list.tensors, list.count, texts, 4),
                     DIP_OK);
    dip_status status = dip_model_open(&model, model_path());
    assert_null(model);
    assert_non_null(strstr(dip_last_error(), victim));
    dip_tensor_list_fini(&list);
    dip_free(network);
    dip_free(modalities);
    dip_free(embedding);
    free_rig(&r);
    return status;
}

static void damaged_tensors_are_named(void **state)
{
    (void)state;
    assert_int_equal(open_spoiled("sar.bn1.bias", 0), DIP_EFORMAT);
    assert_int_equal(open_spoiled("sar.bn1.weight", 1), DIP_EFORMAT);
    assert_int_equal(open_spoiled("sar.bn1.running_var", 2), DIP_ECORRUPT);
}

static void wrong_metadata_is_refused(void **state)
{
    (void)state;
    static const char *const good =
        "{\"input_px\":16,\"stem\":{\"kernel\":3,\"stride\":1,\"pool\":false},"
        "\"stages\":[{\"width\":32,\"blocks\":1}],\"shared_from\":1,"
        "\"head\":{\"kind\":\"linear\",\"hidden\":0,\"shared\":true},"
        "\"embed_dim\":32}";
    static const char *const networks[][2] = {
        {"{}", "input_px"},
        {"[1", "JSON"},
        {"{\"input_px\":-1}", "input_px"},
        {"{\"input_px\":16,\"stem\":3}", "kernel"},
        {"{\"input_px\":16,\"stem\":{\"kernel\":3,\"stride\":1,"
         "\"pool\":false},\"block\":\"odd\"}",
         "block"},
        {"{\"input_px\":16,\"stem\":{\"kernel\":3,\"stride\":1,\"pool\":false},"
         "\"stages\":[{\"width\":32,\"blocks\":1}],\"shared_from\":1,"
         "\"pooling\":{\"kind\":\"gem\",\"stages\":2}}",
         "stages"},
        {"{\"input_px\":16,\"input_px\":17}", "JSON"}};
    dip_net_spec spec = {.block = DIP_BLOCK_BOTTLENECK,
                         .pooling = DIP_POOLING_GEM,
                         .pooled_before = 1,
                         .layout_grid = 4};
    dip_embed_spec embedding;
    assert_int_equal(dip_network_parse(good, "f", &spec), DIP_OK);
    /* a file from before there was a choice */
    assert_int_equal(spec.block, DIP_BLOCK_BASIC);
    assert_int_equal(spec.pooling, DIP_POOLING_MEAN);
    assert_int_equal(spec.pooled_before, 0);
    assert_int_equal(spec.layout_grid, 0);
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        assert_int_equal(dip_network_parse(networks[i][0], "f", &spec), DIP_EFORMAT);
        assert_non_null(strstr(dip_last_error(), networks[i][1]));
    }
    assert_int_equal(dip_network_parse(NULL, "f", &spec), DIP_EFORMAT);
    assert_int_equal(dip_modalities_parse("[]", "f", spec.modality, &spec.modality_count),
                     DIP_EFORMAT);
    assert_int_equal(
        dip_modalities_parse("[{\"name\":\"a-name-that-is-much-too-long-for-a-word\"}]", "f",
                             spec.modality, &spec.modality_count),
        DIP_EFORMAT);
    assert_int_equal(
        dip_embedding_parse("{\"views\":1,\"z\":{\"weight\":1,\"form\":\"odd\"}}", "f", &embedding),
        DIP_EFORMAT);
    assert_int_equal(dip_embedding_parse("{\"views\":1,\"z\":{\"weight\":1,\"form\":\"unit\"},"
                                         "\"h\":{\"weight\":0,\"form\":\"unit\"}}",
                                         "f", &embedding),
                     DIP_OK);
    assert_true(embedding.part[DIP_LAYOUT].weight == 0); /* a file from before there was one */
}

static void texts_come_back(void **state)
{
    (void)state;
    dip_net_spec spec = tiny(), read = {.input_px = 0};
    spec.block = DIP_BLOCK_BOTTLENECK;
    spec.pooling = DIP_POOLING_GEM;
    spec.pooled_before = spec.stage_count - 1;
    spec.layout_grid = GRID;
    spec.layout_stage = 1;
    spec.layout_channels = CELL;
    spec.layout_centred = true;
    dip_embed_spec parts = {.part = {{0.1, DIP_EMBED_CENTRED},
                                     {1.0 / 3, DIP_EMBED_STANDARD},
                                     {0.25, DIP_EMBED_CENTRED}},
                            .views = 4};
    dip_embed_spec parts_read;
    char *network = dip_network_text(&spec),
         *modalities = dip_modalities_text(spec.modality, spec.modality_count);
    char *embedding = dip_embedding_text(&parts);
    assert_true(network && modalities && embedding);
    assert_int_equal(dip_network_parse(network, "f", &read), DIP_OK);
    assert_int_equal(dip_modalities_parse(modalities, "f", read.modality, &read.modality_count),
                     DIP_OK);
    assert_memory_equal(&read, &spec, sizeof spec);
    assert_int_equal(dip_embedding_parse(embedding, "f", &parts_read), DIP_OK);
    assert_true(parts_read.part[0].weight == 0.1 && parts_read.part[1].weight == 1.0 / 3);
    assert_int_equal(parts_read.part[1].form, DIP_EMBED_STANDARD);
    assert_true(parts_read.part[DIP_LAYOUT].weight == 0.25);
    assert_int_equal(parts_read.part[DIP_LAYOUT].form, DIP_EMBED_CENTRED);
    assert_int_equal(parts_read.views, 4);
    dip_free(network);
    dip_free(modalities);
    dip_free(embedding);
}

/* Random bytes of the file changed: refused or opened, never a crash. */
static void spoiled_files_do_not_crash(void **state)
{
    (void)state;
    rig r = make_rig(plain);
    char *bytes;
    size_t length;
    dip_rng rng;
    dip_model_close(write_and_open(&r));
    assert_int_equal(dip_file_read(&bytes, &length, model_path(), 1 << 24), DIP_OK);
    dip_rng_init(&rng, 11, 0);
    for (int i = 0; i < 60; i++) {
        dip_model *model = NULL;
        uint32_t at = dip_rng_below(&rng, 2500); /* in the header */
        char kept = bytes[at];
        bytes[at] = (char)dip_rng_below(&rng, 256);
        assert_int_equal(dip_file_write(model_path(), bytes, length), DIP_OK);
        dip_error_clear();
        dip_status status = dip_model_open(&model, model_path());
        assert_int_equal(!status, !*dip_last_error());
        dip_model_close(model);
        bytes[at] = kept;
    }
    dip_free(bytes);
    free_rig(&r);
}

/* Whichever allocation fails, opening and encoding say so and leave nothing behind (ASan watches). */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    static tile_set set;
    float vectors[TILES * DIM];
    rig r = make_rig(plain);
    dip_model_close(write_and_open(&r));
    make_tiles(&set, 1);
    size_t n = 1;
    for (dip_status status = DIP_ENOMEM; status; n++) {
        dip_model *model = NULL;
        dip_mem_fail_after(n);
        status = dip_model_open(&model, model_path());
        if (!status) status = dip_model_encode(model, 0, set.list, TILES, vectors);
        dip_mem_fail_after(0);
        dip_model_close(model);
        if (status) assert_int_equal(status, DIP_ENOMEM);
    }
    assert_true(n > 30);
    free_rig(&r);
}

/* ---- the embedding ---- */

static void centring_takes_the_mean_away(void **state)
{
    (void)state;
    enum { N = 40 };
    static float z[N * DIM], h[N * DIM], out[N * 2 * DIM];
    rig r = make_rig(
        (dip_embed_spec){.part = {{1, DIP_EMBED_CENTRED}, {0.25, DIP_EMBED_STANDARD}}, .views = 1});
    dip_rng rng;
    dip_rng_init(&rng, 4, 0);
    for (int i = 0; i < N * DIM; i++) {
        z[i] =
            (float)(3 + dip_rng_normal(&rng)); /* far from zero: without centring all look alike */
        h[i] = (float)(10 + (i % DIM + 1) * dip_rng_normal(&rng));
    }
    assert_int_equal(dip_embedding_dim(r.embedding), 2 * DIM);
    assert_true(dip_embedding_needs_fit(r.embedding));
    dip_embedding_fit(r.embedding, 1, (dip_net_out){z, h}, N);
    dip_embedding_combine(r.embedding, 1, (dip_net_out){z, h}, N, out);
    double like = 0;
    for (int i = 0; i < N; i++) {
        const float *row = out + i * 2 * DIM;
        assert_true(fabs(dot(row, row, 2 * DIM) - 1) < 1e-5);
        assert_true(fabs(dot(row, row, DIM) - 0.8) < 1e-5); /* weights 1 and 0.25 */
        like += dot(row, out + (i + 1) % N * 2 * DIM, 2 * DIM) / N;
    }
    assert_true(fabs(like) < 0.1);
    for (int k = 0; k < DIM; k++) {
        assert_true(fabsf(dip_embedding_mean(r.embedding, 1, DIP_H)[k] - 10) <
                    0.6f * (float)(k + 1));
        assert_true(dip_embedding_scale(r.embedding, 1, DIP_Z)[k] == 1);
    }
    free_rig(&r);
}

static void constants_are_kept_in_the_file(void **state)
{
    (void)state;
    static tile_set set;
    rig r = make_rig(
        (dip_embed_spec){.part = {{0, DIP_EMBED_UNIT}, {1, DIP_EMBED_STANDARD}}, .views = 1});
    float before[TILES * DIM], after[TILES * DIM];
    make_tiles(&set, 1);
    dip_model *model = write_and_open(&r);
    assert_int_equal(dip_model_encode(model, 0, set.list, TILES, before), DIP_OK);
    dip_model_close(model);
    for (int k = 0; k < DIM; k++) dip_embedding_mean(r.embedding, 0, DIP_H)[k] = 0.5f;
    model = write_and_open(&r);
    assert_int_equal(dip_model_encode(model, 0, set.list, TILES, after), DIP_OK);
    dip_model_close(model);
    assert_memory_not_equal(before, after, sizeof before);
    /* a scale of 0 would make vectors that are no numbers */
    dip_embedding_scale(r.embedding, 1, DIP_H)[7] = 0;
    assert_int_equal(dip_model_write(model_path(), r.net, &r.spec, r.embedding, NULL, 0), DIP_OK);
    assert_int_equal(dip_model_open(&model, model_path()), DIP_ECORRUPT);
    assert_non_null(strstr(dip_last_error(), "optical.embedding.h.scale"));
    free_rig(&r);
}

/* With eight views, a turned tile has the embedding of the tile itself. */
static void views_make_it_blind_to_orientation(void **state)
{
    (void)state;
    static tile_set set;
    static float turned[2][PX * PX];
    float vectors[2 * DIM];
    for (uint32_t views = 1; views <= 8; views += 7) {
        rig r = make_rig(
            (dip_embed_spec){.part = {{1, DIP_EMBED_UNIT}, {0, DIP_EMBED_UNIT}}, .views = views});
        dip_model *model = write_and_open(&r);
        make_tiles(&set, 2);
        for (int b = 0; b < 2; b++) dip_orient(set.pixels[0][b], 3, true, PX, 1, turned[b]);
        for (int b = 0; b < 2; b++) set.tiles[1].planes[b].pixels = turned[b];
        assert_int_equal(dip_model_encode(model, 0, set.list, 2, vectors), DIP_OK);
        double like = dot(vectors, vectors + DIM, DIM);
        assert_true(views == 8 ? like > 0.9999 : like < 0.9999);
        dip_model_close(model);
        free_rig(&r);
    }
}

/* With eight views, a turned tile has the turned layout of the tile itself. */
static void layouts_of_views_are_turned_back(void **state)
{
    (void)state;
    static tile_set set;
    static float turned[2][PX * PX];
    float vectors[2 * LAYOUT], want[LAYOUT];
    rig r = make_rig((dip_embed_spec){.part = {[DIP_LAYOUT] = {1, DIP_EMBED_UNIT}}, .views = 8});
    dip_model *model = write_and_open(&r);
    assert_int_equal(dip_model_dim(model), LAYOUT);
    for (unsigned o = 1; o < 8; o++) {
        make_tiles(&set, 2);
        for (int b = 0; b < 2; b++) dip_orient(set.pixels[0][b], o % 4, o >= 4, PX, 1, turned[b]);
        for (int b = 0; b < 2; b++) set.tiles[1].planes[b].pixels = turned[b];
        assert_int_equal(dip_model_encode(model, 0, set.list, 2, vectors), DIP_OK);
        dip_orient(vectors, o % 4, o >= 4, GRID, CELL, want);
        assert_true(dot(vectors, vectors + LAYOUT, LAYOUT) < 0.999);
        assert_true(dot(want, vectors + LAYOUT, LAYOUT) > 0.9999);
    }
    dip_model_close(model);
    free_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_tells_what_it_is),
        cmocka_unit_test(opened_model_encodes_as_the_net_did),
        cmocka_unit_test(a_tile_does_not_depend_on_its_neighbours),
        cmocka_unit_test(bad_tiles_are_refused_by_band),
        cmocka_unit_test(wrong_bands_are_named_on_both_sides),
        cmocka_unit_test(damaged_tensors_are_named),
        cmocka_unit_test(wrong_metadata_is_refused),
        cmocka_unit_test(texts_come_back),
        cmocka_unit_test(spoiled_files_do_not_crash),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(centring_takes_the_mean_away),
        cmocka_unit_test(constants_are_kept_in_the_file),
        cmocka_unit_test(views_make_it_blind_to_orientation),
        cmocka_unit_test(layouts_of_views_are_turned_back),
    };
    return cmocka_run_group_tests(tests, NULL, clean_up);
}
