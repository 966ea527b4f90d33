/* Filters, pixel records, float16 and blocks of embeddings: what goes in comes out, whatever it is. */
#define _GNU_SOURCE
#include "support.h"

#include "core/cpu.h"
#include "core/mem.h"
#include "storage/block.h"
#include "core/half.h"
#include "storage/pixels.h"
#include "storage/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const dip_dtype all_types[] = {DIP_DTYPE_U8,  DIP_DTYPE_U16, DIP_DTYPE_I16, DIP_DTYPE_U32,
                                      DIP_DTYPE_I32, DIP_DTYPE_F32, DIP_DTYPE_F64};
enum { TYPES = sizeof all_types / sizeof *all_types };

/* Four kinds of content: noise over all bits, a ramp, few values, one value. */
static void fill(dip_plane *plane, dip_rng *rng, int kind)
{
    size_t size = dip_dtype_size(plane->dtype), n = (size_t)plane->width * plane->height;
    uint8_t *at = plane->pixels;
    for (size_t i = 0; i < n; i++) {
        uint64_t v = kind == 0   ? dip_rng_u64(rng)
                     : kind == 1 ? i * 3 + i / plane->width * 7
                     : kind == 2 ? dip_rng_u64(rng) % 3 * 0x0101010101010101u
                                 : 0xff7fc00055aa33ccu;
        memcpy(at + i * size, &v, size);
    }
}

static void filters_are_undone(void **state)
{
    static const uint32_t sizes[][2] = {{1, 1}, {1, 9}, {9, 1}, {2, 3},   {4, 5},
                                        {5, 4}, {5, 5}, {6, 9}, {17, 13}, {120, 31}};
    (void)state;
    dip_rng rng;
    dip_rng_init(&rng, 1, 0);
    enum { MOST = 120 * 31 };
    static uint64_t pixels[3][MOST];
    static uint8_t filtered[MOST * 8];
    static uint32_t scratch[2 * MOST];
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (int t = 0; t < TYPES; t++)
            for (int kind = 0; kind < 4; kind++) {
                dip_plane before = {all_types[t], sizes[s][0], sizes[s][1], pixels[0]};
                dip_plane plane = before, back = before;
                plane.pixels = pixels[1];
                back.pixels = pixels[2];
                fill(&before, &rng, 1);
                fill(&plane, &rng, kind);
                for (dip_filter f = DIP_FILTER_PLANES; f < DIP_FILTER_COUNT; f++) {
                    if (!dip_filter_fits(f, &plane, &before)) continue;
                    memset(pixels[2], 0x5a, sizeof pixels[2]);
                    dip_filter_apply(f, &plane, &before, filtered, scratch);
                    dip_filter_undo(f, filtered, &before, &back, scratch);
                    assert_memory_equal(plane.pixels, back.pixels, dip_plane_bytes(&plane));
                }
            }
}

static void filters_know_where_they_fit(void **state)
{
    (void)state;
    dip_plane a = {DIP_DTYPE_F32, 4, 4, NULL}, b = {DIP_DTYPE_F32, 4, 5, NULL};
    dip_plane d = {DIP_DTYPE_F64, 4, 4, NULL};
    assert_true(dip_filter_fits(DIP_FILTER_MED, &a, NULL));
    assert_true(dip_filter_fits(DIP_FILTER_MED_BAND, &a, &a));
    assert_false(dip_filter_fits(DIP_FILTER_MED_BAND, &a, NULL));
    assert_false(dip_filter_fits(DIP_FILTER_MED_BAND, &a, &b));
    assert_true(dip_filter_fits(DIP_FILTER_PLANES, &d, NULL));
    assert_false(dip_filter_fits(DIP_FILTER_DELTA, &d, NULL));
    assert_false(dip_filter_fits(DIP_FILTER_COUNT, &a, &a));
}

/* Choice is about bytes: smooth planes get a predictor, class maps of few values in noise do not. */
static void chooses_by_content(void **state)
{
    (void)state;
    static uint32_t scratch[2 * 64 * 64];
    dip_tile smooth = make_tile(0, "a", "a", 2, DIP_DTYPE_U16, 64, 1);
    dip_filter f = dip_filter_choose(&smooth.planes[0], NULL, scratch);
    assert_true(f == DIP_FILTER_MED || f == DIP_FILTER_DELTA);
    memcpy(smooth.planes[1].pixels, smooth.planes[0].pixels, 64 * 64 * 2);
    assert_int_equal(dip_filter_choose(&smooth.planes[1], &smooth.planes[0], scratch),
                     DIP_FILTER_MED_BAND);
    dip_rng rng;
    dip_rng_init(&rng, 2, 0);
    fill(&smooth.planes[0], &rng, 2);
    assert_int_equal(dip_filter_choose(&smooth.planes[0], NULL, scratch), DIP_FILTER_PLANES);
    free_made(&smooth);
}

static void random_planes(dip_rng *rng, dip_plane *planes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bool like_before = i && dip_rng_below(rng, 2);
        planes[i].dtype = like_before ? planes[i - 1].dtype : all_types[dip_rng_below(rng, TYPES)];
        planes[i].width = like_before ? planes[i - 1].width : 1 + dip_rng_below(rng, 70);
        planes[i].height = like_before ? planes[i - 1].height : 1 + dip_rng_below(rng, 70);
        planes[i].pixels = malloc(dip_plane_bytes(&planes[i]));
        fill(&planes[i], rng, (int)dip_rng_below(rng, 4));
    }
}

static void pixel_records_come_back(void **state)
{
    dip_codec *codec = *state;
    dip_rng rng;
    dip_rng_init(&rng, 3, 0);
    dip_out out = {.bytes = NULL};
    for (int round = 0; round < 60; round++) {
        dip_plane planes[DIP_MAX_BANDS], original[DIP_MAX_BANDS];
        uint32_t count = 1 + dip_rng_below(&rng, round == 0 ? 1 : round == 1 ? DIP_MAX_BANDS : 6);
        random_planes(&rng, planes, count);
        memcpy(original, planes, sizeof planes);
        assert_ok(dip_pixels_encode(&out, 42, planes, count, codec));
        dip_pixels_shape shape;
        assert_ok(dip_pixels_open(&shape, out.bytes, out.size, 42));
        assert_int_equal(shape.plane_count, count);
        for (uint32_t i = 0; i < count; i++)
            shape.planes[i].pixels = malloc(dip_plane_bytes(&shape.planes[i]));
        assert_ok(dip_pixels_decode(&shape, 42, codec));
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(shape.planes[i].dtype, original[i].dtype);
            assert_memory_equal(shape.planes[i].pixels, original[i].pixels,
                                dip_plane_bytes(&original[i]));
            free(shape.planes[i].pixels);
            free(original[i].pixels);
        }
    }
    dip_out_fini(&out);
}

/* Every single-bit flip, the wrong id, every truncation. */
static void damaged_pixel_records_are_refused(void **state)
{
    dip_codec *codec = *state;
    dip_out out = {.bytes = NULL};
    dip_tile tile = make_tile(0, "a", "a", 2, DIP_DTYPE_U8, 9, 1);
    assert_ok(dip_pixels_encode(&out, 5, tile.planes, 2, codec));
    dip_pixels_shape shape;
    assert_fails(dip_pixels_open(&shape, out.bytes, out.size, 6), DIP_ECORRUPT, "tile 6");
    for (size_t i = 0; i < out.size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            out.bytes[i] ^= (uint8_t)(1 << bit);
            assert_int_equal(dip_pixels_open(&shape, out.bytes, out.size, 5), DIP_ECORRUPT);
            out.bytes[i] ^= (uint8_t)(1 << bit);
        }
        assert_int_equal(dip_pixels_open(&shape, out.bytes, i, 5), DIP_ECORRUPT);
    }
    assert_ok(dip_pixels_open(&shape, out.bytes, out.size, 5));
    dip_out_fini(&out);
    free_made(&tile);
}

static dip_status open_sealed(dip_out *out, void (*body)(dip_out *), uint8_t version)
{
    dip_pixels_shape shape;
    dip_record_begin(out, 'T', version);
    body(out);
    assert_ok(dip_record_seal(out, 1));
    return dip_pixels_open(&shape, out->bytes, out->size, 1);
}

static void plane_head(dip_out *out, uint8_t dtype, uint8_t filter, uint32_t width, uint32_t height)
{
    dip_out_u8(out, dtype);
    dip_out_u8(out, filter);
    dip_out_u32(out, width);
    dip_out_u32(out, height);
}

static void no_planes(dip_out *out) { dip_out_u8(out, 0); }
static void cut_short(dip_out *out) { dip_out_u8(out, 2), plane_head(out, 1, 0, 1, 1); }
static void strange_type(dip_out *out) { dip_out_u8(out, 1), plane_head(out, 8, 0, 1, 1); }
static void strange_filter(dip_out *out) { dip_out_u8(out, 1), plane_head(out, 1, 4, 1, 1); }
static void first_on_before(dip_out *out) { dip_out_u8(out, 1), plane_head(out, 1, 3, 1, 1); }
static void no_area(dip_out *out) { dip_out_u8(out, 1), plane_head(out, 1, 0, 5, 0); }
static void huge(dip_out *out) { dip_out_u8(out, 1), plane_head(out, 1, 0, 1u << 31, 1u << 31); }
static void bomb(dip_out *out)
{
    dip_out_u8(out, 1);
    plane_head(out, 1, 0, 1 << 14, 1 << 14);
    /* A frame head that says 2^28 bytes, and nothing behind it. */
    static const uint8_t frame[] = {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0x10, 1, 0, 0};
    dip_out_bytes(out, frame, sizeof frame);
}

/* With good checksums: a hostile writer can compute them. */
static void hostile_pixel_records_are_refused(void **state)
{
    (void)state;
    static void (*const bodies[])(dip_out *) = {
        no_planes, cut_short, strange_type, strange_filter, first_on_before, no_area, huge, bomb};
    dip_out out = {.bytes = NULL};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        assert_int_equal(open_sealed(&out, bodies[i], 1), DIP_ECORRUPT);
    assert_fails(open_sealed(&out, no_planes, 2), DIP_EFORMAT, "written by a newer diptych");
    assert_fails(open_sealed(&out, no_planes, 0), DIP_EFORMAT, "version 0");
    dip_out_fini(&out);
}

/* ---- float16 ---- */

static void halves_agree_with_the_processor(void **state)
{
    (void)state;
    if (!dip_cpu_get()->avx2) {
        print_message("no F16C on this machine: skipped\n");
        return;
    }
    for (uint32_t h = 0; h < 65536; h++) {
        uint16_t half = (uint16_t)h, back;
        float ours = dip_half_value(half), theirs[8];
        uint16_t eight[8] = {half, half, half, half, half, half, half, half};
        dip_half_unpack_avx2(theirs, eight, 8);
        assert_memory_equal(&ours, &theirs[3], sizeof ours);
        back = dip_half_of(ours);
        if (!isnan(ours)) assert_int_equal(back, half);
    }
    dip_rng rng;
    dip_rng_init(&rng, 4, 0);
    for (int round = 0; round < 200000; round++) {
        float values[8];
        uint16_t theirs[8];
        for (int i = 0; i < 8; i++) {
            uint32_t bits = (uint32_t)dip_rng_u64(&rng);
            /* Every other one around the exponents where halves begin and end. */
            if (i & 1) bits = (bits & 0x807fffff) | (95 + dip_rng_below(&rng, 55)) << 23;
            if (i & 2) bits &= 0xfffff000 | (dip_rng_below(&rng, 2) << 12); /* ties */
            memcpy(&values[i], &bits, sizeof bits);
        }
        dip_half_pack_avx2(theirs, values, 8);
        for (int i = 0; i < 8; i++) assert_int_equal(dip_half_of(values[i]), theirs[i]);
    }
}

static void halves_round_to_even(void **state)
{
    (void)state;
    static const struct {
        float value;
        uint16_t half;
    } cases[] = {{0, 0},          {-0.0f, 0x8000},      {1, 0x3c00},          {65504, 0x7bff},
                 {65519, 0x7bff}, {65520, 0x7c00},      {0x1p-24f, 1},        {0x1p-25f, 0},
                 {0x1.8p-24f, 2}, {0x1.000002p-25f, 1}, {0x1.002p0f, 0x3c00}, {0x1.006p0f, 0x3c02},
                 {-2.5f, 0xc100}, {INFINITY, 0x7c00}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(dip_half_of(cases[i].value), cases[i].half);
    assert_true(isnan(dip_half_value(dip_half_of(NAN))));
}

static void bulk_is_the_same_without_avx2(void **state)
{
    (void)state;
    enum { N = 1003 };
    float values[N], a[N], b[N];
    uint16_t x[N], y[N];
    dip_rng rng;
    dip_rng_init(&rng, 5, 0);
    for (int i = 0; i < N; i++) values[i] = (float)dip_rng_normal(&rng) * 0.1f;
    dip_half_pack(x, values, N);
    dip_half_unpack(a, x, N);
    setenv("DIP_NO_AVX2", "1", 1);
    dip_cpu_refresh();
    dip_half_pack(y, values, N);
    dip_half_unpack(b, y, N);
    unsetenv("DIP_NO_AVX2");
    dip_cpu_refresh();
    assert_memory_equal(x, y, sizeof x);
    assert_memory_equal(a, b, sizeof a);
    for (int i = 0; i < N; i++)
        assert_true(fabsf(a[i] - values[i]) <= fabsf(values[i]) * 0x1p-11f + 0x1p-25f);
}

/* ---- blocks ---- */

static void random_block(dip_rng *rng, dip_block *block, uint16_t *halves, uint32_t dim,
                         bool sparse)
{
    *block = (dip_block){.dim = dim};
    uint32_t share = 1 + dip_rng_below(rng, 4);
    for (unsigned slot = 0; slot < DIP_BLOCK_IDS; slot++)
        if (dip_rng_below(rng, share) == 0 || slot == 7) {
            block->present[slot >> 3] |= (uint8_t)(1 << (slot & 7));
            block->count++;
        }
    for (size_t i = 0; i < (size_t)block->count * dim; i++) {
        float v = (float)dip_rng_normal(rng) * 0.1f;
        halves[i] = dip_half_of(sparse && v < 0.05f ? 0 : v);
    }
}

static void blocks_come_back(void **state)
{
    static const uint32_t dims[] = {1, 3, 64, 128, 257};
    dip_codec *codec = *state;
    dip_rng rng;
    dip_rng_init(&rng, 6, 0);
    static uint16_t halves[DIP_BLOCK_IDS * 257], scratch[DIP_BLOCK_IDS * 257];
    dip_out out = {.bytes = NULL};
    for (int round = 0; round < 40; round++) {
        dip_block block, back;
        bool sparse = round & 1;
        random_block(&rng, &block, halves, dims[round / 2 % 5], sparse);
        size_t raw = (size_t)block.count * block.dim * 2;
        assert_ok(dip_block_encode(&out, 9, &block, halves, codec));
        assert_ok(dip_block_open(&back, out.bytes, out.size, 9));
        if (block.dim >= 64 && block.count > 20) assert_int_equal(back.encoding, sparse);
        if (back.encoding) assert_true(out.size < raw * 3 / 4 + 64);
        assert_int_equal(back.count, block.count);
        assert_memory_equal(back.present, block.present, sizeof block.present);
        const void *got;
        assert_ok(dip_block_halves(&back, &got, scratch, codec));
        assert_memory_equal(got, halves, raw);
        unsigned rank = 0;
        for (unsigned slot = 0; slot < DIP_BLOCK_IDS; slot++) {
            assert_int_equal(dip_block_rank(&back, slot), rank);
            rank += dip_block_has(&back, slot);
        }
    }
    dip_out_fini(&out);
}

static void damaged_blocks_are_refused(void **state)
{
    dip_codec *codec = *state;
    dip_rng rng;
    dip_rng_init(&rng, 7, 0);
    uint16_t halves[DIP_BLOCK_IDS * 3];
    dip_out out = {.bytes = NULL};
    dip_block block, back;
    random_block(&rng, &block, halves, 3, false);
    assert_ok(dip_block_encode(&out, 9, &block, halves, codec));
    assert_int_equal(dip_block_open(&back, out.bytes, out.size, 8), DIP_ECORRUPT);
    for (size_t i = 0; i < out.size; i++) {
        out.bytes[i] ^= 0x10;
        assert_int_equal(dip_block_open(&back, out.bytes, out.size, 9), DIP_ECORRUPT);
        out.bytes[i] ^= 0x10;
        assert_int_equal(dip_block_open(&back, out.bytes, i, 9), DIP_ECORRUPT);
    }
    /* Good checksums, bad contents: too many bits, no dimension, wrong length. */
    for (int what = 0; what < 4; what++) {
        uint8_t present[DIP_BLOCK_BITMAP] = {1};
        if (what == 0) present[DIP_BLOCK_BITMAP - 1] = 0x80;
        dip_record_begin(&out, 'E', 1);
        dip_out_u8(&out, what == 3 ? 2 : 0);
        dip_out_u8(&out, 0);
        dip_out_u32(&out, what == 1 ? 0 : 3);
        dip_out_bytes(&out, present, sizeof present);
        dip_out_bytes(&out, halves, what == 2 ? 5 : 6);
        assert_ok(dip_record_seal(&out, 9));
        assert_int_equal(dip_block_open(&back, out.bytes, out.size, 9), DIP_ECORRUPT);
    }
    dip_out_fini(&out);
}

/* ---- the other records ---- */

static void meta_records_come_back(void **state)
{
    (void)state;
    dip_tile tile = make_tile(1, "name", "place", 1, DIP_DTYPE_U8, 2, 3);
    dip_meta back;
    dip_out out = {.bytes = NULL};
    tile.meta.id = 77;
    tile.meta.place = 12;
    assert_ok(dip_meta_encode(&out, &tile.meta));
    assert_ok(dip_meta_decode(&back, (dip_bytes){out.bytes, out.size}, 77));
    assert_same_meta(&tile.meta, &back);
    for (size_t i = 0; i < out.size; i++) {
        out.bytes[i] ^= 0x80;
        assert_int_equal(dip_meta_decode(&back, (dip_bytes){out.bytes, out.size}, 77),
                         DIP_ECORRUPT);
        out.bytes[i] ^= 0x80;
    }
    char *text = malloc(DIP_TEXT_MAX + 2);
    memset(text, 'x', DIP_TEXT_MAX + 1);
    text[DIP_TEXT_MAX + 1] = '\0';
    tile.meta.extra = text;
    assert_fails(dip_meta_encode(&out, &tile.meta), DIP_EINVAL, "1048577 bytes");
    free(text);
    dip_out_fini(&out);
    free_made(&tile);
}

static int make_codec(void **state) { return dip_codec_create((dip_codec **)state) != DIP_OK; }

static int remove_codec(void **state)
{
    dip_codec_destroy(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_are_undone),
        cmocka_unit_test(filters_know_where_they_fit),
        cmocka_unit_test(chooses_by_content),
        cmocka_unit_test(pixel_records_come_back),
        cmocka_unit_test(damaged_pixel_records_are_refused),
        cmocka_unit_test(hostile_pixel_records_are_refused),
        cmocka_unit_test(halves_agree_with_the_processor),
        cmocka_unit_test(halves_round_to_even),
        cmocka_unit_test(bulk_is_the_same_without_avx2),
        cmocka_unit_test(blocks_come_back),
        cmocka_unit_test(damaged_blocks_are_refused),
        cmocka_unit_test(meta_records_come_back),
    };
    return cmocka_run_group_tests(tests, make_codec, remove_codec);
}
