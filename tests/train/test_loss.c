/* The losses: values and gradients against plain double-precision formulas and their central differences. */
#include "train/loss.h"

#include "core/parallel.h"
#include "core/rng.h"
#include "train/sigreg.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { N = 9, D = 6, J = 5, P = 5 };

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

/* Past pairs as the plain formulas see them: count 0 or P, vectors (2, P, D). Slots 1 and 4 hold pairs 3 and 7. */
typedef struct plain_past {
    size_t count;
    double x[2 * P * D];
} plain_past;

static const uint32_t past_pairs[P] = {100, 3, 101, 102, 7};

static bool may_see(size_t pair, size_t slot) { return past_pairs[slot] != pair; }

/* x: both modalities stacked, (2N, D) */
static double plain_contrast(const double *x, const plain_past *past, const dip_contrast *c)
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
        for (size_t k = 0; k < 2 * past->count; k++)
            if (may_see(a % N, k % P) && (c->within || (k < P) != (a < N)))
                sum += exp(cosine(x + a * D, past->x + k * D, D) / c->temperature);
        double mean = all / (double)candidates;
        loss += log(sum) - (1 - c->smoothing) * positive - c->smoothing * mean;
    }
    return loss / (2 * N);
}

static double plain_soft(const double *x, const plain_past *past, double temperature,
                         const float *targets)
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
        for (size_t j = 0; j < past->count; j++) {
            size_t k = a < N ? P + j : j;
            if (!may_see(a % N, j)) continue;
            double s = cosine(x + a * D, past->x + k * D, D) / temperature;
            sum += exp(s);
            wanted += targets[N * N + (a % N) * P + j] * s;
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

/* How far candidate k, past ones from N on, is from vector i; the less, the nearer. */
static double apart(const double *x, const plain_past *past, size_t m, size_t i, size_t k,
                    dip_neighbour source)
{
    const double *y = k < N ? x + k * D : past->x + (k - N) * D;
    size_t stride = k < N ? N * D : P * D;
    if (source == DIP_NEIGHBOUR_OWN) return distance(x + (m * N + i) * D, y + m * stride);
    return -cosine(x + i * D, y, D) - cosine(x + (N + i) * D, y + stride, D);
}

static double plain_similar(const double *x, const plain_past *past, dip_neighbour source)
{
    double sum = 0;
    for (size_t m = 0; m < 2; m++) {
        for (size_t i = 0; i < N; i++) {
            size_t best = i ? 0 : 1;
            for (size_t j = 0; j < N + past->count; j++) {
                if (j == i || (j >= N && !may_see(i, j - N))) continue;
                if (apart(x, past, m, i, j, source) < apart(x, past, m, i, best, source)) best = j;
            }
            const double *near =
                best < N ? x + (m * N + best) * D : past->x + (m * P + best - N) * D;
            sum += cosine(x + (m * N + i) * D, near, D);
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
    bool looks_back;
    plain_past past;
    float targets[N * (N + P)];
    dip_sigreg *sigreg;
    const float *directions;
} subject;

static double plain(const subject *s, const double *x)
{
    switch (s->kind) {
    case CONTRAST: return plain_contrast(x, &s->past, &s->contrast);
    case SOFT: return plain_soft(x, &s->past, 0.3, s->targets);
    case DISCREPANCY: return plain_discrepancy(x, (dip_discrepancy)s->form);
    case SIMILAR: return plain_similar(x, &s->past, (dip_neighbour)s->form);
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

/* Past vectors as they are for both sides; `view` gets floats of `unit`, `norm` and `mark`. */
static void fill_past(subject *s, dip_rng *rng, dip_past *view, float *unit, float *norm,
                      float *mark)
{
    *view = (dip_past){P, mark, unit, norm};
    s->past.count = P;
    for (size_t k = 0; k < 2 * P; k++) {
        for (size_t i = 0; i < D; i++) {
            unit[k * D + i] = (float)dip_rng_normal(rng);
            s->past.x[k * D + i] = unit[k * D + i];
        }
        norm[k] = dip_loss_unit(unit + k * D, D, unit + k * D);
        mark[k % P] = dip_loss_mark(past_pairs[k % P]);
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
    assert_int_equal(dip_loss_space_create(&space, N, D, P), DIP_OK);
    dip_rng_init(&rng, 5, (uint64_t)s->kind);
    for (size_t i = 0; i < 2 * HALF; i++) {
        exact[i] = x[i] = (float)dip_rng_normal(&rng);
        gradient[i] = 1; /* losses add to what is there */
    }
    float unit[2 * P * D], norm[2 * P], mark[P];
    const uint32_t pair[N] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    dip_past past;
    if (s->looks_back) fill_past(s, &rng, &past, unit, norm, mark);
    dip_loss_batch batch = {
        N, D, x, x + HALF, gradient, gradient + HALF, weight, s->looks_back ? &past : NULL, pair};
    if (s->kind == SOFT) dip_soft_targets(space, (dip_soft_source)s->form, 0.2, &batch, s->targets);
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
                s.looks_back = true;
                check_gradient(&s);
            }
}

static void gradient_of_soft_targets(void **state)
{
    (void)state;
    for (int source = DIP_SOFT_FUSED; source <= DIP_SOFT_ACROSS; source++) {
        subject s = {.kind = SOFT, .form = source};
        check_gradient(&s);
        s.looks_back = true;
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
        s.looks_back = true;
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
        const dip_loss_batch batch = {MANY, D, x, x, gradient, gradient, 1, NULL, NULL};
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
    float x[2 * N * D], targets[N * N + N * P], unit[2 * P * D], norm[2 * P], mark[P];
    const uint32_t pair[N] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    subject s = {.kind = SOFT};
    dip_past past;
    dip_rng rng;
    dip_loss_space *space = NULL;
    assert_int_equal(dip_loss_space_create(&space, N, D, P), DIP_OK);
    dip_rng_init(&rng, 6, 0);
    for (size_t i = 0; i < 2 * N * D; i++) x[i] = (float)dip_rng_normal(&rng);
    fill_past(&s, &rng, &past, unit, norm, mark);
    const dip_loss_batch batch = {
        .n = N, .d = D, .x1 = x, .x2 = x + N * D, .past = &past, .pair = pair};
    dip_soft_targets(space, DIP_SOFT_ALL, 0.05, &batch, targets);
    assert_true(targets[N * N + 3 * P + 1] == 0 && targets[N * N + 7 * P + 4] == 0);
    for (size_t i = 0; i < N; i++) {
        double sum = 0;
        for (size_t k = 0; k < P; k++) sum += targets[N * N + i * P + k];
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
    enum { PAIRS = 100, WIDTH = 32, QUEUE = 70, SIZE = 2 * PAIRS * WIDTH };
    static float x[SIZE], first[SIZE], gradient[SIZE];
    static const float mark[QUEUE], norm[2 * QUEUE];
    static const uint32_t pair[PAIRS];
    const dip_past past = {QUEUE - 1, mark, x, norm};
    double values[3];
    dip_rng rng;
    dip_loss_space *space = NULL;
    dip_sigreg *sigreg = NULL;
    assert_int_equal(dip_loss_space_create(&space, PAIRS, WIDTH, QUEUE), DIP_OK);
    assert_int_equal(dip_sigreg_create(&sigreg, PAIRS, WIDTH, 37), DIP_OK);
    dip_rng_init(&rng, 7, 0);
    for (size_t i = 0; i < SIZE; i++) x[i] = (float)dip_rng_normal(&rng);
    for (unsigned threads = 1; threads <= 3; threads++) {
        dip_threads_set(threads);
        memset(gradient, 0, sizeof gradient);
        dip_loss_batch batch = {PAIRS, WIDTH, x,   x + SIZE / 2, gradient, gradient + SIZE / 2,
                                1,     &past, pair};
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
