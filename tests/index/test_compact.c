/* Compact embeddings: what each form keeps, against plain computations; bytes; what is refused. */
#include "support.h"

#include "core/parallel.h"
#include "index/compact.h"

#include <math.h>

enum { N = 400, DIM = 24 };

static double dot(const float *a, const float *b, size_t dim)
{
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (double)a[i] * b[i];
    return sum;
}

static float *packed(dip_compact_form form, const float *vectors, size_t n, size_t dims,
                     const float *mean, size_t *bytes)
{
    dip_compact *compact = NULL;
    assert_ok(dip_compact_create(&compact, form, vectors, n, DIM, dims));
    float *out = calloc(n * dip_compact_dims(compact), sizeof *out);
    assert_non_null(out);
    assert_ok(dip_compact_apply(compact, mean, vectors, n, out));
    *bytes = dip_compact_bytes(compact);
    dip_compact_destroy(compact);
    return out;
}

/* Vectors that lie in `rank` dimensions of DIM, turned. */
static float *flat_vectors(size_t rank)
{
    float *low = support_vectors(N, rank, 3, 0, 10), *turn = support_vectors(rank, DIM, 4, 0, rank);
    float *out = calloc(N * DIM, sizeof *out);
    assert_non_null(out);
    for (size_t r = 0; r < rank; r++) { /* Gram-Schmidt, so that norms stay 1 */
        float *row = turn + r * DIM;
        for (size_t s = 0; s < r; s++) {
            double part = dot(row, turn + s * DIM, DIM);
            for (size_t i = 0; i < DIM; i++) row[i] -= (float)(part * turn[s * DIM + i]);
        }
        double norm = sqrt(dot(row, row, DIM));
        for (size_t i = 0; i < DIM; i++) row[i] /= (float)norm;
    }
    for (size_t n = 0; n < N; n++)
        for (size_t r = 0; r < rank; r++)
            for (size_t i = 0; i < DIM; i++)
                out[n * DIM + i] += low[n * rank + r] * turn[r * DIM + i];
    free(low);
    free(turn);
    return out;
}

static void principal_dimensions_keep_the_scores(void **state)
{
    (void)state;
    size_t bytes;
    float *vectors = flat_vectors(6), *out = packed(DIP_COMPACT_FLOAT, vectors, N, 6, NULL, &bytes);
    assert_int_equal(bytes, 12);
    for (size_t i = 0; i < N; i++) {
        const float *other = vectors + (i * 7 + 1) % N * DIM;
        double score = dot(vectors + i * DIM, other, DIM);
        assert_true(fabs(dot(out + i * 6, out + (i * 7 + 1) % N * 6, 6) - score) < 1e-4);
    }
    free(out);
    free(vectors);
}

static void all_dimensions_are_left_alone(void **state)
{
    (void)state;
    size_t bytes;
    float *vectors = support_vectors(N, DIM, 1, 0, 10);
    float *out = packed(DIP_COMPACT_FLOAT, vectors, N, 0, NULL, &bytes);
    assert_int_equal(bytes, 2 * DIM);
    for (size_t i = 0; i < N * DIM; i++) assert_true(fabsf(out[i] - vectors[i]) < 1e-6F);
    free(out);
    free(vectors);
}

static void int8_rounds_to_the_largest_component(void **state)
{
    (void)state;
    size_t bytes;
    float *vectors = support_vectors(N, DIM, 1, 0, 10);
    float *out = packed(DIP_COMPACT_INT8, vectors, N, 0, NULL, &bytes);
    assert_int_equal(bytes, DIM);
    for (size_t n = 0; n < N; n++) {
        double largest = 0, squares = 0, code[DIM];
        const float *v = vectors + n * DIM;
        for (size_t i = 0; i < DIM; i++) largest = fmax(largest, fabs(v[i]));
        for (size_t i = 0; i < DIM; i++) {
            code[i] = rint(v[i] * 127 / largest);
            squares += code[i] * code[i];
        }
        for (size_t i = 0; i < DIM; i++)
            assert_true(fabs(out[n * DIM + i] * sqrt(squares) - code[i]) < 1.001);
        assert_true(dot(out + n * DIM, v, DIM) > 0.9999);
    }
    free(out);
    free(vectors);
}

/* Signs of turned vectors tell angles: the share of bits that differ is angle / pi (Goemans and Williamson). */
static void signs_tell_angles(void **state)
{
    (void)state;
    size_t bytes;
    double error = 0, pairs = 0;
    const float mean[DIM] = {0};
    float *vectors = support_vectors(N, DIM, 1, 0, 10);
    float *out = packed(DIP_COMPACT_SIGN, vectors, N, 0, mean, &bytes);
    assert_int_equal(bytes, DIM / 8);
    for (size_t i = 0; i < N * DIM; i++) assert_true(fabs(fabs(out[i]) - 1 / sqrt(DIM)) < 1e-6);
    for (size_t a = 0; a < N; a++)
        for (size_t b = 0; b < a; b++, pairs++) {
            double angle = acos(fmax(-1, fmin(1, dot(vectors + a * DIM, vectors + b * DIM, DIM))));
            double bits = dot(out + a * DIM, out + b * DIM, DIM);
            error += (1 - bits) / 2 - angle / 3.14159265358979;
        }
    assert_true(fabs(error / pairs) < 0.02);
    free(out);
    free(vectors);
}

/* A shift that a whole modality has is no matter, since its mean is taken away. */
static void signs_do_not_see_the_mean(void **state)
{
    (void)state;
    dip_compact *compact = NULL;
    float zero[DIM] = {0}, mean[DIM], first[2 * DIM], second[2 * DIM], shifted[2 * DIM];
    float *vectors = support_vectors(N, DIM, 1, 0, 10);
    for (size_t i = 0; i < DIM; i++) mean[i] = i % 2 ? 0.5F : -0.25F;
    for (size_t i = 0; i < 2 * DIM; i++) shifted[i] = vectors[i] + mean[i % DIM];
    assert_ok(dip_compact_create(&compact, DIP_COMPACT_SIGN, vectors, N, DIM, 16));
    assert_int_equal(dip_compact_bytes(compact), 2);
    assert_ok(dip_compact_apply(compact, zero, vectors, 2, first));
    assert_ok(dip_compact_apply(compact, mean, shifted, 2, second));
    assert_memory_equal(first, second, 2 * 16 * sizeof(float));
    dip_compact_destroy(compact);
    free(vectors);
}

static void threads_change_nothing(void **state)
{
    (void)state;
    size_t bytes;
    const float mean[DIM] = {0};
    float *vectors = support_vectors(N, DIM, 1, 0, 10), *out[2];
    for (unsigned i = 0; i < 2; i++) {
        dip_threads_set(i + 1);
        out[i] = packed(DIP_COMPACT_SIGN, vectors, N, 16, mean, &bytes);
    }
    dip_threads_set(0);
    assert_memory_equal(out[0], out[1], N * 16 * sizeof(float));
    free(out[0]);
    free(out[1]);
    free(vectors);
}

static void impossible_wishes_are_refused(void **state)
{
    (void)state;
    dip_compact *compact = NULL;
    float *vectors = support_vectors(N, DIM, 1, 0, 10);
    assert_fails(DIP_EINVAL, "have 24 dimensions, not 25",
                 dip_compact_create(&compact, DIP_COMPACT_FLOAT, vectors, N, DIM, 25));
    assert_fails(DIP_EINVAL, "16 dimensions cannot be learned from 5 vectors",
                 dip_compact_create(&compact, DIP_COMPACT_FLOAT, vectors, 5, DIM, 16));
    assert_null(compact);
    free(vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(principal_dimensions_keep_the_scores),
        cmocka_unit_test(all_dimensions_are_left_alone),
        cmocka_unit_test(int8_rounds_to_the_largest_component),
        cmocka_unit_test(signs_tell_angles),
        cmocka_unit_test(signs_do_not_see_the_mean),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(impossible_wishes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
