/* The block product with all its strides, body by body, against plain arithmetic; and which body is chosen. */
#define _GNU_SOURCE
#include "tests/core/support.h"

#include "core/product.h"
#include "core/rng.h"

#include <math.h>
#include <stdlib.h>

extern const dip_product_body dip_product_amx_emulated;

static dip_rng rng;

static int seed(void **state)
{
    (void)state;
    dip_rng_init(&rng, 5, 0);
    return 0;
}

/* The bodies that can run here, AMX in software included; NULL past the end. */
static const dip_product_body *body_at(size_t position)
{
    size_t found = 0;
    for (size_t i = 0; dip_product_at(i); i++)
        if (dip_product_at(i)->usable(dip_cpu_get()) && found++ == position)
            return dip_product_at(i);
    return position == found ? &dip_product_amx_emulated : NULL;
}

/* Buffers of exactly n values, so that a sanitizer sees their ends. */
static float *random_float(size_t n)
{
    float *values = malloc(n * sizeof *values);
    if (!values) abort();
    for (size_t i = 0; i < n; i++) values[i] = (float)dip_rng_normal(&rng);
    return values;
}

static dip_bf16 *random_bf16(size_t n)
{
    dip_bf16 *values = malloc(n * sizeof *values);
    if (!values) abort();
    for (size_t i = 0; i < n; i++) values[i] = dip_bf16_round((float)dip_rng_normal(&rng));
    return values;
}

static bool near_float(float got, double want, double magnitude)
{
    return fabs(got - want) <= 2e-6 * (magnitude + fabs(want)) + 1e-30;
}

/* ---- rounding ---- */

static float float_of(uint32_t word)
{
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

static void test_rounding(void **state)
{
    (void)state;
    static const struct {
        uint32_t word;
        dip_bf16 want;
    } cases[] = {
        {0x3f800000, 0x3f80}, {0x3f807fff, 0x3f80}, {0x3f808000, 0x3f80}, /* tie to even */
        {0x3f808001, 0x3f81}, {0x3f818000, 0x3f82}, {0xbf818000, 0xbf82},
        {0x80000000, 0x8000}, {0x7f7fffff, 0x7f80}, /* overflows to infinity */
        {0x7f800000, 0x7f80}, {0xff800000, 0xff80},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float in[DIP_BLOCK];
        dip_bf16 out[DIP_BLOCK];
        for (size_t k = 0; k < DIP_BLOCK; k++) in[k] = float_of(cases[i].word);
        assert_int_equal(dip_bf16_round(in[0]), cases[i].want);
        for (size_t b = 0; body_at(b); b++) {
            body_at(b)->round(in, out, DIP_BLOCK - 3);
            for (size_t k = 0; k < DIP_BLOCK - 3; k++) assert_int_equal(out[k], cases[i].want);
        }
    }
}

static void test_nan_stays_nan(void **state)
{
    (void)state;
    static const uint32_t words[] = {0x7fc00000, 0x7f800001, 0x7fffffff, 0xffffffff, 0xff800001};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        float in[DIP_BLOCK];
        dip_bf16 out[DIP_BLOCK];
        for (size_t k = 0; k < DIP_BLOCK; k++) in[k] = float_of(words[i]);
        for (size_t b = 0; body_at(b); b++) {
            body_at(b)->round(in, out, DIP_BLOCK);
            for (size_t k = 0; k < DIP_BLOCK; k++) assert_true(isnan(dip_bf16_float(out[k])));
        }
    }
}

/* ---- block product ---- */

typedef struct product_case {
    unsigned rows[2], segments, steps;
    size_t a_row, a_step, a_segment, b_half, b_step, b_segment, c_row;
    bool accumulate;
} product_case;

static dip_product product_of(const product_case *p, const dip_bf16 *const a[2], const dip_bf16 *b,
                              float *c)
{
    return (dip_product){.a = {a[0], a[1]},
                         .rows = {p->rows[0], p->rows[1]},
                         .a_row = (ptrdiff_t)p->a_row,
                         .a_step = (ptrdiff_t)p->a_step,
                         .a_segment = (ptrdiff_t)p->a_segment,
                         .b = b,
                         .b_half = (ptrdiff_t)p->b_half,
                         .b_step = (ptrdiff_t)p->b_step,
                         .b_segment = (ptrdiff_t)p->b_segment,
                         .segments = p->segments,
                         .steps = p->steps,
                         .c = c,
                         .c_row = (ptrdiff_t)p->c_row,
                         .accumulate = p->accumulate};
}

static const product_case products[] = {
    {{16, 16}, 1, 1, 32, 32, 0, 512, 1024, 0, 32, false},
    {{16, 16}, 3, 2, 64, 32, 200, 512, 1024, 2048, 32, false},
    {{5, 0}, 3, 1, 96, 32, 400, 512, 1024, 1024, 32, false},
    {{16, 1}, 1, 5, 160, 32, 0, 512, 1024, 0, 40, true},
    {{9, 13}, 2, 3, 50, 34, 900, 3072, 512, 100, 96, true},    /* halves apart, panels overlap */
    {{16, 16}, 7, 1, 32, 512, 512, 512, 1024, 1024, 64, true}, /* tiles, as for weights */
    {{16, 16}, 0, 0, 32, 32, 32, 512, 1024, 1024, 32, false},
};

/* Room for the largest case, in values. */
enum { A_VALUES = 16 * 200 + 7 * 1000, B_VALUES = 16 * 1024, C_VALUES = 32 * 96 };

static double product_want(const product_case *p, const dip_bf16 *const a[2], const dip_bf16 *b,
                           double from, size_t row, size_t column, double *magnitude)
{
    double sum = p->accumulate ? from : 0;
    *magnitude = fabs(sum);
    for (size_t s = 0; s < p->segments; s++)
        for (size_t k = 0; k < 32 * (size_t)p->steps; k++) {
            const dip_bf16 *x = a[row / 16] + row % 16 * p->a_row + s * p->a_segment;
            const dip_bf16 *y = b + s * p->b_segment + k / 32 * p->b_step + column / 16 * p->b_half;
            const double product = (double)dip_bf16_float(x[k / 32 * p->a_step + k % 32]) *
                                   dip_bf16_float(y[k % 32 / 2 * 32 + column % 16 * 2 + k % 2]);
            sum += product;
            *magnitude += fabs(product);
        }
    return sum;
}

static void check_product(const dip_product_body *body, const product_case *p)
{
    dip_bf16 *upper = random_bf16(A_VALUES), *lower = random_bf16(A_VALUES);
    dip_bf16 *b = random_bf16(B_VALUES);
    float *c = random_float(C_VALUES), before[C_VALUES];
    const dip_bf16 *const a[2] = {upper, lower};
    memcpy(before, c, sizeof before);
    const dip_product product = product_of(p, a, b, c);
    body->enter();
    body->bf16(&product);
    body->leave();
    for (size_t row = 0; row < 32; row++)
        for (size_t column = 0; column < 32 && row % 16 < p->rows[row / 16]; column++) {
            const size_t at = row * p->c_row + column;
            double magnitude, want = product_want(p, a, b, before[at], row, column, &magnitude);
            if (!near_float(c[at], want, magnitude))
                fail_msg("body %s, case %d, row %zu, column %zu: %.9g, must be %.9g", body->name,
                         (int)(p - products), row, column, c[at], want);
        }
    for (size_t row = 0; row + 1 < 32; row++) /* between the rows */
        for (size_t at = row * p->c_row + 32; at < (row + 1) * p->c_row; at++)
            assert_float_equal(c[at], before[at], 0);
    free(upper), free(lower), free(b), free(c);
}

static void test_product(void **state)
{
    (void)state;
    for (size_t b = 0; body_at(b); b++)
        for (size_t i = 0; i < sizeof products / sizeof *products; i++)
            check_product(body_at(b), &products[i]);
}

/* All byte values, the extremes often: what a product in 16 bits would not survive. */
static void *random_bytes(size_t n)
{
    uint8_t *bytes = malloc(n);
    if (!bytes) abort();
    for (size_t i = 0; i < n; i++) {
        const uint32_t r = dip_rng_below(&rng, 4);
        bytes[i] = r == 0 ? 0xff : r == 1 ? 0x7f : (uint8_t)dip_rng_below(&rng, 256);
    }
    return bytes;
}

/* ---- int8 block product ---- */

static const product_case products8[] = {
    {{16, 16}, 1, 1, 32, 32, 0, 512, 1024, 0, 32, false},
    {{16, 16}, 3, 2, 64, 32, 200, 512, 1024, 2048, 32, false},
    {{5, 0}, 3, 1, 96, 32, 400, 512, 1024, 1024, 32, false},
    {{4, 0}, 2, 7, 224, 32, 400, 512, 1024, 7168, 32, true},
    {{16, 1}, 1, 5, 160, 32, 0, 512, 1024, 0, 40, true},
    {{9, 13}, 2, 3, 50, 34, 900, 3072, 512, 100, 96, true}, /* halves apart, panels overlap */
    {{16, 16}, 0, 0, 32, 32, 32, 512, 1024, 1024, 32, false},
};

enum { A_WORDS = 16 * 240 + 7 * 1000, B_WORDS = 16 * 1024, C_WORDS = 32 * 96 };

static int32_t product8_want(const product_case *p, const dip_bf16 *const a[2], const dip_bf16 *b,
                             int32_t from, size_t row, size_t column)
{
    int32_t sum = p->accumulate ? from : 0;
    for (size_t s = 0; s < p->segments; s++)
        for (size_t k = 0; k < 64 * (size_t)p->steps; k++) {
            const uint8_t *x = (const uint8_t *)(a[row / 16] + row % 16 * p->a_row +
                                                 s * p->a_segment + k / 64 * p->a_step);
            const int8_t *y = (const int8_t *)(b + s * p->b_segment + k / 64 * p->b_step +
                                               column / 16 * p->b_half);
            sum += x[k % 64] * y[k % 64 / 4 * 64 + column % 16 * 4 + k % 4];
        }
    return sum;
}

static void check_product8(const dip_product_body *body, const product_case *p)
{
    dip_bf16 *upper = random_bytes(2 * A_WORDS), *lower = random_bytes(2 * A_WORDS);
    dip_bf16 *b = random_bytes(2 * B_WORDS);
    int32_t c[C_WORDS], before[C_WORDS];
    const dip_bf16 *const a[2] = {upper, lower};
    for (size_t i = 0; i < C_WORDS; i++) c[i] = before[i] = (int32_t)dip_rng_below(&rng, 100000);
    const dip_product product = product_of(p, a, b, (float *)(void *)c);
    body->enter();
    body->int8(&product);
    body->leave();
    for (size_t row = 0; row < 32; row++)
        for (size_t column = 0; column < 32 && row % 16 < p->rows[row / 16]; column++) {
            const size_t at = row * p->c_row + column;
            const int32_t want = product8_want(p, a, b, before[at], row, column);
            if (c[at] != want)
                fail_msg("body %s, case %d, row %zu, column %zu: %d, must be %d", body->name,
                         (int)(p - products8), row, column, c[at], want);
        }
    for (size_t row = 0; row + 1 < 32; row++) /* between the rows */
        for (size_t at = row * p->c_row + 32; at < (row + 1) * p->c_row; at++)
            assert_int_equal(c[at], before[at]);
    free(upper), free(lower), free(b);
}

static void test_product8(void **state)
{
    (void)state;
    for (size_t b = 0; body_at(b); b++)
        for (size_t i = 0; i < sizeof products8 / sizeof *products8; i++)
            check_product8(body_at(b), &products8[i]);
}

/* ---- operand layouts ---- */

static void test_panel_and_transpose(void **state)
{
    (void)state;
    enum { APART = 700 }; /* between the halves */
    dip_bf16 *values = random_bf16(32 * 50), panel[2 * APART], tile[DIP_TILE];
    const dip_bf16 *rows[32];
    for (size_t r = 0; r < 32; r++) rows[r] = values + (r * 7 % 32) * 50;
    for (size_t b = 0; body_at(b); b++) {
        const dip_product_body *body = body_at(b);
        body->panel(rows, 11, panel, APART);
        for (size_t k = 0; k < 32; k++)
            for (size_t c = 0; c < 32; c++)
                assert_int_equal(panel[c / 16 * APART + k / 2 * 32 + c % 16 * 2 + k % 2],
                                 rows[k][11 + c]);
        body->transpose(values, 50, tile);
        for (size_t r = 0; r < 16; r++)
            for (size_t c = 0; c < 32; c++)
                assert_int_equal(tile[c / 2 * 32 + 2 * r + c % 2], values[r * 50 + c]);
    }
    free(values);
}

/* ---- choice ---- */

static const char *chosen_without(const char *variable)
{
    setenv(variable, "1", 1);
    dip_cpu_refresh();
    const char *name = dip_product_get()->name;
    unsetenv(variable);
    dip_cpu_refresh();
    return name;
}

/* Switching a set off leaves a body that does not need it; switching all off leaves the plain one. */
static void test_switches(void **state)
{
    (void)state;
    assert_string_equal(chosen_without("DIP_NO_AVX2"), "plain");
    assert_null(strstr(chosen_without("DIP_NO_AVX512"), "avx512"));
    const char *name = chosen_without("DIP_NO_AVX512BF16");
    assert_string_not_equal(name, "avx512bf16");
    assert_string_not_equal(name, "amx");
    assert_string_not_equal(chosen_without("DIP_NO_AMX"), "amx");
    assert_true(dip_product_get()->usable(dip_cpu_get()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rounding, seed),
        cmocka_unit_test_setup(test_nan_stays_nan, seed),
        cmocka_unit_test_setup(test_product, seed),
        cmocka_unit_test_setup(test_product8, seed),
        cmocka_unit_test_setup(test_panel_and_transpose, seed),
        cmocka_unit_test_setup(test_switches, seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
