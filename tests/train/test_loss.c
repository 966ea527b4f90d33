/*
 * The losses: gradients against central differences of plain double-precision formulas, and values and gradients
 * against PyTorch's autograd (reference/losses.txt, made by reference/make_losses.py).
 */
#include "train/loss.h"

#include "core/parallel.h"
#include "core/rng.h"
#include "train/sigreg.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { N = 9, D = 6, J = 5, MOST = 64 };

/* ---- the formulas once more, plainly, in double ---- */

static double cosine(const double *a, const double *b, size_t d)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < d; i++) {
        ab += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

/* x: both modalities stacked, (2N, D) */
static double plain_contrast(const double *x, const dip_contrast *c)
{
    double loss = 0;
    for (size_t a = 0; a < 2 * N; a++) {
        double sum = 0, all = 0, positive = 0;
        size_t candidates = 0;
        for (size_t k = 0; k < 2 * N; k++) {
            if (k == a || (!c->within && (k < N) == (a < N))) continue;
            double s = cosine(x + a * D, x + k * D, D) / c->temperature;
            sum += exp(s);
            all += s;
            candidates++;
            if (k == (a + N) % (2 * N)) positive = s;
        }
        double mean = all / (double)candidates;
        loss += log(sum) - (1 - c->smoothing) * positive - c->smoothing * mean;
    }
    return loss / (2 * N);
}

static double plain_soft(const double *x, double temperature, const float *targets)
{
    double loss = 0;
    for (size_t a = 0; a < 2 * N; a++) {
        double sum = 0, wanted = 0;
        for (size_t j = 0; j < N; j++) {
            size_t k = a < N ? N + j : j;
            double s = cosine(x + a * D, x + k * D, D) / temperature;
            sum += exp(s);
            wanted += targets[(a % N) * N + j] * s;
        }
        loss += log(sum) - wanted;
    }
    return loss / (2 * N);
}

static double plain_discrepancy(const double *x, dip_discrepancy form)
{
    double sum = 0;
    for (size_t i = 0; i < N; i++) {
        double s = cosine(x + i * D, x + (N + i) * D, D);
        sum += form == DIP_DISCREPANCY_LOG ? -log(1 + exp(s)) : 1 - s;
    }
    return sum / N;
}

static double distance(const double *a, const double *b)
{
    double sum = 0;
    for (size_t i = 0; i < D; i++) sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

/* The less, the nearer. */
static double apart(const double *x, size_t m, size_t i, size_t j, dip_neighbour source)
{
    if (source == DIP_NEIGHBOUR_OWN) return distance(x + (m * N + i) * D, x + (m * N + j) * D);
    return -cosine(x + i * D, x + j * D, D) - cosine(x + (N + i) * D, x + (N + j) * D, D);
}

static double plain_similar(const double *x, dip_neighbour source)
{
    double sum = 0;
    for (size_t m = 0; m < 2; m++) {
        for (size_t i = 0; i < N; i++) {
            size_t best = i ? 0 : 1;
            for (size_t j = 0; j < N; j++)
                if (j != i && apart(x, m, i, j, source) < apart(x, m, i, best, source)) best = j;
            sum += cosine(x + (m * N + i) * D, x + (m * N + best) * D, D);
        }
    }
    return sum / (2 * N);
}

/* x: one modality */
static double plain_sigreg(const double *x, const float *directions)
{
    double loss = 0;
    for (int j = 0; j < J; j++) {
        for (int k = 0; k <= 16; k++) {
            double t = 3.0 / 16 * k, real = 0, imaginary = 0, end = k == 0 || k == 16 ? 0.5 : 1;
            for (int i = 0; i < N; i++) {
                double s = 0;
                for (int c = 0; c < D; c++) s += x[i * D + c] * directions[j * D + c];
                real += cos(t * s) / N;
                imaginary += sin(t * s) / N;
            }
            real -= exp(-t * t / 2);
            loss += end * exp(-t * t / 2) * (real * real + imaginary * imaginary);
        }
    }
    return loss * 2 * 3.0 / 16 * N / J;
}

/* ---- central differences ---- */

typedef enum kind { CONTRAST, SOFT, DISCREPANCY, SIMILAR, SIGREG } kind;

typedef struct subject {
    kind kind;
    dip_contrast contrast;
    int form; /* dip_discrepancy, dip_neighbour or dip_soft_source */
    float targets[N * N];
    dip_sigreg *sigreg;
    const float *directions;
} subject;

static double plain(const subject *s, const double *x)
{
    switch (s->kind) {
    case CONTRAST: return plain_contrast(x, &s->contrast);
    case SOFT: return plain_soft(x, 0.3, s->targets);
    case DISCREPANCY: return plain_discrepancy(x, (dip_discrepancy)s->form);
    case SIMILAR: return plain_similar(x, (dip_neighbour)s->form);
    default: return 0.5 * (plain_sigreg(x, s->directions) + plain_sigreg(x + N * D, s->directions));
    }
}

static double ours(const subject *s, dip_loss_space *space, const dip_loss_batch *batch)
{
    switch (s->kind) {
    case CONTRAST: return dip_loss_contrast(space, &s->contrast, batch);
    case SOFT: return dip_loss_soft(space, 0.3, s->targets, batch);
    case DISCREPANCY: return dip_loss_discrepancy(space, (dip_discrepancy)s->form, batch);
    case SIMILAR: return dip_loss_similar(space, (dip_neighbour)s->form, batch);
    default: return dip_loss_sigreg(s->sigreg, s->directions, batch);
    }
}

static void check_gradient(subject *s)
{
    enum { HALF = N * D };
    const double weight = -0.7, step = 1e-5;
    float x[2 * HALF], gradient[2 * HALF];
    double exact[2 * HALF];
    dip_rng rng;
    dip_loss_space *space = NULL;
    assert_int_equal(dip_loss_space_create(&space, N, D), DIP_OK);
    dip_rng_init(&rng, 5, (uint64_t)s->kind);
    for (size_t i = 0; i < 2 * HALF; i++) {
        exact[i] = x[i] = (float)dip_rng_normal(&rng);
        gradient[i] = 1; /* losses add to what is there */
    }
    if (s->kind == SOFT)
        dip_soft_targets(space, (dip_soft_source)s->form, 0.2, x, x + HALF, N, D, s->targets);
    dip_loss_batch batch = {N, D, x, x + HALF, gradient, gradient + HALF, weight};
    assert_true(fabs(ours(s, space, &batch) - plain(s, exact)) < 1e-5);
    for (size_t i = 0; i < 2 * HALF; i++) {
        double old = exact[i];
        exact[i] = old + step;
        double above = plain(s, exact);
        exact[i] = old - step;
        double slope = weight * (above - plain(s, exact)) / (2 * step);
        exact[i] = old;
        if (fabs(gradient[i] - 1 - slope) > 2e-5 + 2e-4 * fabs(slope))
            fail_msg("kind %d, value %zu: gradient %g, difference %g", s->kind, i, gradient[i] - 1,
                     slope);
    }
    dip_loss_space_destroy(space);
}

static void gradient_of_contrast(void **state)
{
    (void)state;
    static const double temperatures[] = {0.1, 0.5, 2}, smoothings[] = {0, 0.1, 0.5};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            for (int within = 0; within < 2; within++) {
                subject s = {.kind = CONTRAST,
                             .contrast = {temperatures[i], smoothings[j], within != 0}};
                check_gradient(&s);
            }
}

static void gradient_of_soft_targets(void **state)
{
    (void)state;
    for (int source = DIP_SOFT_FUSED; source <= DIP_SOFT_ACROSS; source++) {
        subject s = {.kind = SOFT, .form = source};
        check_gradient(&s);
    }
}

static void gradient_of_discrepancy(void **state)
{
    (void)state;
    for (int form = DIP_DISCREPANCY_COSINE; form <= DIP_DISCREPANCY_LOG; form++) {
        subject s = {.kind = DISCREPANCY, .form = form};
        check_gradient(&s);
    }
}

static void gradient_of_similar(void **state)
{
    (void)state;
    for (int source = DIP_NEIGHBOUR_OWN; source <= DIP_NEIGHBOUR_FUSED; source++) {
        subject s = {.kind = SIMILAR, .form = source};
        check_gradient(&s);
    }
}

static void gradient_of_sigreg(void **state)
{
    (void)state;
    subject s = {.kind = SIGREG};
    assert_int_equal(dip_sigreg_create(&s.sigreg, N, D, J), DIP_OK);
    s.directions = dip_sigreg_draw(s.sigreg, 1, 2);
    check_gradient(&s);
    dip_sigreg_destroy(s.sigreg);
}

/* For n samples of N(0, I) the expected value is sum_k w_k (1 - exp(-t_k^2)), 0.79, whatever n is. */
static void sigreg_is_low_for_gaussian_vectors_alone(void **state)
{
    (void)state;
    enum { MANY = 400 };
    static float x[MANY * D], gradient[MANY * D];
    static const float scales[] = {1, 0.1f, 4};
    double values[3];
    dip_sigreg *sigreg = NULL;
    assert_int_equal(dip_sigreg_create(&sigreg, MANY, D, 64), DIP_OK);
    const float *directions = dip_sigreg_draw(sigreg, 3, 0);
    for (int i = 0; i < 3; i++) {
        dip_rng rng;
        dip_rng_init(&rng, 8, 0);
        for (size_t k = 0; k < MANY * D; k++) x[k] = scales[i] * (float)dip_rng_normal(&rng);
        const dip_loss_batch batch = {MANY, D, x, x, gradient, gradient, 1};
        values[i] = dip_loss_sigreg(sigreg, directions, &batch);
    }
    assert_true(values[0] > 0.2 && values[0] < 2);
    assert_true(values[1] > 50 && values[2] > 50);
    dip_sigreg_destroy(sigreg);
}

static void directions_follow_from_seed_and_step(void **state)
{
    (void)state;
    float first[J * D];
    dip_sigreg *sigreg = NULL;
    assert_int_equal(dip_sigreg_create(&sigreg, N, D, J), DIP_OK);
    memcpy(first, dip_sigreg_draw(sigreg, 1, 7), sizeof first);
    assert_memory_not_equal(dip_sigreg_draw(sigreg, 2, 7), first, sizeof first);
    assert_memory_not_equal(dip_sigreg_draw(sigreg, 1, 8), first, sizeof first);
    assert_memory_equal(dip_sigreg_draw(sigreg, 1, 7), first, sizeof first);
    for (int j = 0; j < J; j++) {
        double sum = 0;
        for (int i = 0; i < D; i++) sum += first[j * D + i] * first[j * D + i];
        assert_true(fabs(sum - 1) < 1e-6);
    }
    dip_sigreg_destroy(sigreg);
}

static void target_rows_are_distributions(void **state)
{
    (void)state;
    float x[2 * N * D], targets[N * N];
    dip_rng rng;
    dip_loss_space *space = NULL;
    assert_int_equal(dip_loss_space_create(&space, N, D), DIP_OK);
    dip_rng_init(&rng, 6, 0);
    for (size_t i = 0; i < 2 * N * D; i++) x[i] = (float)dip_rng_normal(&rng);
    dip_soft_targets(space, DIP_SOFT_ALL, 0.05, x, x + N * D, N, D, targets);
    for (size_t i = 0; i < N; i++) {
        double sum = 0;
        for (size_t k = 0; k < N; k++) sum += targets[i * N + k];
        assert_true(fabs(sum - 1) < 1e-5);
        assert_true(targets[i * N + i] == 0);
    }
    dip_loss_space_destroy(space);
}

/* ---- any number of threads ---- */

static void threads_do_not_change_a_bit(void **state)
{
    (void)state;
    enum { PAIRS = 100, WIDTH = 32, SIZE = 2 * PAIRS * WIDTH };
    static float x[SIZE], first[SIZE], gradient[SIZE];
    double values[3];
    dip_rng rng;
    dip_loss_space *space = NULL;
    dip_sigreg *sigreg = NULL;
    assert_int_equal(dip_loss_space_create(&space, PAIRS, WIDTH), DIP_OK);
    assert_int_equal(dip_sigreg_create(&sigreg, PAIRS, WIDTH, 37), DIP_OK);
    dip_rng_init(&rng, 7, 0);
    for (size_t i = 0; i < SIZE; i++) x[i] = (float)dip_rng_normal(&rng);
    for (unsigned threads = 1; threads <= 3; threads++) {
        dip_threads_set(threads);
        memset(gradient, 0, sizeof gradient);
        dip_loss_batch batch = {PAIRS, WIDTH, x, x + SIZE / 2, gradient, gradient + SIZE / 2, 1};
        const dip_contrast contrast = {0.1, 0.1, true};
        values[threads - 1] = dip_loss_contrast(space, &contrast, &batch);
        values[threads - 1] += dip_loss_similar(space, DIP_NEIGHBOUR_FUSED, &batch);
        values[threads - 1] += dip_loss_sigreg(sigreg, dip_sigreg_draw(sigreg, 1, 1), &batch);
        if (threads == 1) memcpy(first, gradient, sizeof first);
        assert_memory_equal(first, gradient, sizeof first);
    }
    assert_memory_equal(&values[0], &values[1], sizeof(double));
    assert_memory_equal(&values[0], &values[2], sizeof(double));
    dip_threads_set(0);
    dip_sigreg_destroy(sigreg);
    dip_loss_space_destroy(space);
}

/* ---- PyTorch ---- */

typedef struct reference {
    FILE *file;
    size_t n, d;
    float x1[MOST], x2[MOST];
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

static void check_targets(const reference *r, dip_loss_space *space, float *targets)
{
    int source;
    double temperature;
    float expected[MOST];
    assert_int_equal(fscanf(r->file, "%d %lf", &source, &temperature), 2);
    read_floats(r->file, "t", expected, r->n * r->n);
    dip_soft_targets(space, (dip_soft_source)source, temperature, r->x1, r->x2, r->n, r->d,
                     targets);
    assert_close(targets, expected, r->n * r->n, 1e-5);
}

static void check_case(const reference *r, dip_loss_space *space, const float *targets)
{
    char name[32];
    float d1[MOST] = {0}, d2[MOST] = {0}, expected[MOST];
    double value;
    dip_loss_batch batch = {r->n, r->d, r->x1, r->x2, d1, d2, 1};
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
    assert_int_equal(dip_loss_space_create(&space, r.n, r.d), DIP_OK);
    while (fscanf(r.file, "%31s", word) == 1) {
        if (!strcmp(word, "targets"))
            check_targets(&r, space, targets);
        else
            check_case(&r, space, targets);
        cases += !strcmp(word, "case");
    }
    assert_int_equal(cases, 18);
    dip_loss_space_destroy(space);
    fclose(r.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradient_of_contrast),
        cmocka_unit_test(gradient_of_soft_targets),
        cmocka_unit_test(gradient_of_discrepancy),
        cmocka_unit_test(gradient_of_similar),
        cmocka_unit_test(gradient_of_sigreg),
        cmocka_unit_test(sigreg_is_low_for_gaussian_vectors_alone),
        cmocka_unit_test(directions_follow_from_seed_and_step),
        cmocka_unit_test(target_rows_are_distributions),
        cmocka_unit_test(threads_do_not_change_a_bit),
        cmocka_unit_test(agrees_with_pytorch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
