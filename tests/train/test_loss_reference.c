/* The losses against PyTorch's autograd: reference/losses.txt, made by reference/make_losses.py. */
#include "train/loss.h"
#include "train/sigreg.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 100 };

typedef struct reference {
    FILE *file;
    size_t n, d;
    float x1[MOST], x2[MOST];
    dip_past past; /* count 0 until the file has some */
    float past_x[MOST], norm[MOST], mark[MOST];
} reference;

static void read_floats(FILE *file, const char *name, float *out, size_t count)
{
    char word[32];
    assert_int_equal(fscanf(file, "%31s", word), 1);
    assert_string_equal(word, name);
    for (size_t i = 0; i < count; i++) assert_int_equal(fscanf(file, "%f", &out[i]), 1);
}

static void assert_close(const float *a, const float *b, size_t count, double tolerance)
{
    for (size_t i = 0; i < count; i++)
        if (fabs(a[i] - b[i]) > tolerance) fail_msg("value %zu: %g, PyTorch %g", i, a[i], b[i]);
}

static double run_sigreg(const reference *r, const dip_loss_batch *batch)
{
    size_t directions;
    float values[MOST];
    dip_sigreg *sigreg = NULL;
    assert_int_equal(fscanf(r->file, "%zu", &directions), 1);
    assert_true(directions * r->d <= MOST);
    read_floats(r->file, "along", values, directions * r->d);
    assert_int_equal(dip_sigreg_create(&sigreg, r->n, r->d, directions), DIP_OK);
    double value = dip_loss_sigreg(sigreg, values, batch);
    dip_sigreg_destroy(sigreg);
    return value;
}

static double run_case(const reference *r, dip_loss_space *space, const char *name,
                       const float *targets, const dip_loss_batch *batch)
{
    int form = 0, within = 0;
    double a = 0, b = 0;
    if (!strcmp(name, "contrast")) {
        assert_int_equal(fscanf(r->file, "%lf %lf %d", &a, &b, &within), 3);
        return dip_loss_contrast(space, &(dip_contrast){a, b, within != 0}, batch);
    }
    if (!strcmp(name, "sigreg")) return run_sigreg(r, batch);
    assert_int_equal(fscanf(r->file, "%d", &form), 1);
    if (!strcmp(name, "discrepancy"))
        return dip_loss_discrepancy(space, (dip_discrepancy)form, batch);
    if (!strcmp(name, "similar")) return dip_loss_similar(space, (dip_neighbour)form, batch);
    assert_string_equal(name, "soft");
    assert_int_equal(fscanf(r->file, "%lf %lf", &a, &b), 2);
    return dip_loss_soft(space, b, targets, batch);
}

static dip_loss_batch batch_of(const reference *r, float *d1, float *d2)
{
    static const uint32_t pair[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    return (dip_loss_batch){.n = r->n,
                            .d = r->d,
                            .x1 = r->x1,
                            .x2 = r->x2,
                            .d1 = d1,
                            .d2 = d2,
                            .weight = 1,
                            .past = r->past.count ? &r->past : NULL,
                            .pair = pair};
}

static void check_targets(const reference *r, dip_loss_space *space, float *targets)
{
    int source;
    double temperature;
    float expected[MOST];
    size_t count = r->n * (r->n + r->past.count);
    const dip_loss_batch batch = batch_of(r, NULL, NULL);
    assert_int_equal(fscanf(r->file, "%d %lf", &source, &temperature), 2);
    assert_true(count <= MOST);
    read_floats(r->file, "t", expected, count);
    dip_soft_targets(space, (dip_soft_source)source, temperature, &batch, targets);
    assert_close(targets, expected, count, 1e-5);
}

static void read_past(reference *r)
{
    size_t count, n;
    assert_int_equal(fscanf(r->file, "%zu", &count), 1);
    n = 2 * count;
    assert_true(n * r->d <= MOST);
    read_floats(r->file, "pairs", r->mark, count);
    read_floats(r->file, "x", r->past_x, n * r->d);
    for (size_t k = 0; k < n; k++)
        r->norm[k] = dip_loss_unit(r->past_x + k * r->d, r->d, r->past_x + k * r->d);
    r->past = (dip_past){count, r->mark, r->past_x, r->norm};
}

static void check_case(const reference *r, dip_loss_space *space, const float *targets)
{
    char name[32];
    float d1[MOST] = {0}, d2[MOST] = {0}, expected[MOST];
    double value;
    const dip_loss_batch batch = batch_of(r, d1, d2);
    assert_int_equal(fscanf(r->file, "%31s", name), 1);
    double got = run_case(r, space, name, targets, &batch);
    assert_int_equal(fscanf(r->file, "%lf", &value), 1);
    assert_true(fabs(got - value) < 2e-6 * (1 + fabs(value)));
    read_floats(r->file, "d1", expected, r->n * r->d);
    assert_close(d1, expected, r->n * r->d, 3e-6);
    read_floats(r->file, "d2", expected, r->n * r->d);
    assert_close(d2, expected, r->n * r->d, 3e-6);
}

static void agrees_with_pytorch(void **state)
{
    (void)state;
    reference r = {.file = fopen(DIP_SOURCE_DIR "/tests/train/reference/losses.txt", "r")};
    char word[32];
    float targets[MOST] = {0};
    int cases = 0;
    dip_loss_space *space = NULL;
    assert_non_null(r.file);
    assert_int_equal(fscanf(r.file, "size %zu %zu ", &r.n, &r.d), 2);
    assert_true(r.n * r.n <= MOST && r.n * r.d <= MOST);
    read_floats(r.file, "x1", r.x1, r.n * r.d);
    read_floats(r.file, "x2", r.x2, r.n * r.d);
    assert_int_equal(dip_loss_space_create(&space, r.n, r.d, MOST / r.n), DIP_OK);
    while (fscanf(r.file, "%31s", word) == 1) {
        if (!strcmp(word, "past"))
            read_past(&r);
        else if (!strcmp(word, "targets"))
            check_targets(&r, space, targets);
        else
            check_case(&r, space, targets);
        cases += !strcmp(word, "case");
    }
    assert_int_equal(cases, 33);
    dip_loss_space_destroy(space);
    fclose(r.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
