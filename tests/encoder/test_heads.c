/* Heads on vectors: what they compute, against plain loops; their file; and the chain of a source model and a head. */
#define _GNU_SOURCE
#include "encoder/heads.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "encoder/chain.h"
#include "encoder/model.h"
#include "tests/scratch.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS = 70, OUT = 32, HIDDEN = 64 };

static char *folder;

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state)
{
    (void)state;
    folder = scratch_folder("heads");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    dip_status status = dip_file_remove(folder);
    free(folder);
    return status;
}

/* Vectors of 5 and of 40 values: less and more than a block of 32. */
static dip_heads_spec *make_spec(dip_head head)
{
    static dip_heads_spec spec;
    spec = (dip_heads_spec){.head = head, .hidden = HIDDEN, .embed_dim = OUT, .modality_count = 2};
    spec.modality[0] = (dip_modality){.name = "a", .band_count = 1, .bands = {{.name = "V"}}};
    spec.modality[1] = (dip_modality){.name = "b", .band_count = 1, .bands = {{.name = "W"}}};
    spec.input[0] = (dip_heads_input){.dim = 5, .origin = "a.npy"};
    spec.input[1] = (dip_heads_input){
        .dim = 40, .model = "m", .fingerprint = "0123456789abcdef", .origin = "m"};
    return &spec;
}

static dip_heads *make_heads(dip_head head, uint64_t seed)
{
    dip_heads *heads = NULL;
    dip_rng rng;
    dip_rng_init(&rng, seed, 0);
    assert_int_equal(dip_heads_create(&heads, make_spec(head)), DIP_OK);
    dip_heads_init(heads, &rng);
    for (uint32_t m = 0; m < 2; m++) {
        for (uint32_t i = 0; i < heads->spec.input[m].dim; i++) {
            heads->mean[m][i] = (float)dip_rng_normal(&rng);
            heads->scale[m][i] = (float)dip_rng_range(&rng, 0.5, 2);
        }
    }
    return heads;
}

static void fill(float *values, size_t n, uint64_t seed)
{
    dip_rng rng;
    dip_rng_init(&rng, seed, 1);
    for (size_t i = 0; i < n; i++) values[i] = (float)dip_rng_normal(&rng);
}

/* out = W in + b, in double. */
static void plain_layer(const dip_heads *h, const dip_linear *l, size_t used, const double *in,
                        double *out)
{
    for (size_t o = 0; o < l->out; o++) {
        out[o] = h->params[l->bias + o];
        for (size_t i = 0; i < used; i++) out[o] += h->params[l->weight + o * l->in + i] * in[i];
    }
}

static void plain_encode(const dip_heads *h, size_t m, const float *vector, double *out)
{
    double x[64], hidden[HIDDEN], norm = 0;
    size_t dim = h->spec.input[m].dim;
    for (size_t i = 0; i < dim; i++) x[i] = (vector[i] - h->mean[m][i]) * h->scale[m][i];
    if (h->depth > 1) {
        plain_layer(h, &h->layer[m][0], dim, x, hidden);
        for (size_t i = 0; i < HIDDEN; i++) hidden[i] = hidden[i] > 0 ? hidden[i] : 0;
        plain_layer(h, &h->layer[m][1], HIDDEN, hidden, out);
    } else {
        plain_layer(h, &h->layer[m][0], dim, x, out);
    }
    for (size_t i = 0; i < OUT; i++) norm += out[i] * out[i];
    for (size_t i = 0; i < OUT; i++) out[i] /= sqrt(norm);
}

static void heads_are_what_the_formulas_say(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        size_t m = (size_t)kind % 2;
        dip_heads *h = make_heads(kind / 2 ? DIP_HEAD_MLP : DIP_HEAD_LINEAR, 3);
        size_t dim = h->spec.input[m].dim;
        float vectors[ROWS * 40], out[ROWS * OUT];
        fill(vectors, ROWS * dim, 4);
        assert_int_equal(dip_heads_encode(h, m, vectors, ROWS, out), DIP_OK);
        for (size_t r = 0; r < ROWS; r++) {
            double expected[OUT];
            plain_encode(h, m, vectors + r * dim, expected);
            for (size_t i = 0; i < OUT; i++)
                assert_true(fabs(out[r * OUT + i] - expected[i]) < 1e-5);
        }
        dip_heads_destroy(h);
    }
}

static void threads_change_nothing(void **state)
{
    (void)state;
    float vectors[ROWS * 40], one[ROWS * OUT], two[ROWS * OUT];
    dip_heads *h = make_heads(DIP_HEAD_MLP, 5);
    fill(vectors, ROWS * 40, 6);
    dip_threads_set(1);
    assert_int_equal(dip_heads_encode(h, 1, vectors, ROWS, one), DIP_OK);
    dip_threads_set(2);
    assert_int_equal(dip_heads_encode(h, 1, vectors, ROWS, two), DIP_OK);
    dip_threads_set(0);
    assert_memory_equal(one, two, sizeof one);
    dip_heads_destroy(h);
}

static void a_vector_without_direction_is_refused(void **state)
{
    (void)state;
    dip_heads *h = NULL;
    float vector[5] = {0}, out[OUT];
    assert_int_equal(dip_heads_create(&h, make_spec(DIP_HEAD_LINEAR)), DIP_OK);
    dip_heads_refresh(h); /* all weights are zero */
    assert_int_equal(dip_heads_encode(h, 0, vector, 1, out), DIP_EINVAL);
    dip_heads_destroy(h);
}

static void tables_are_checked(void **state)
{
    (void)state;
    dip_heads *h = NULL;
    dip_heads_spec *spec = make_spec(DIP_HEAD_MLP);
    spec->embed_dim = 33;
    assert_int_equal(dip_heads_create(&h, spec), DIP_EINVAL);
    spec = make_spec(DIP_HEAD_MLP);
    spec->hidden = 0;
    assert_int_equal(dip_heads_create(&h, spec), DIP_EINVAL);
    spec = make_spec(DIP_HEAD_LINEAR);
    spec->input[1].dim = 0;
    assert_int_equal(dip_heads_create(&h, spec), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "'b'"));
}

/* ---- the file ---- */

static void the_file_opens_as_a_model(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        dip_heads *h = make_heads(kind ? DIP_HEAD_MLP : DIP_HEAD_LINEAR, 7);
        dip_model *model = NULL;
        float vectors[2 * 40], ours[2 * OUT], theirs[2 * OUT];
        const dip_safetensors_text text = {"run", "aligned"};
        assert_int_equal(dip_heads_write(path_of("aligned.safetensors"), h, &text, 1), DIP_OK);
        assert_int_equal(dip_model_open(&model, path_of("aligned.safetensors")), DIP_OK);
        assert_string_equal(dip_model_id(model), "aligned");
        assert_true(dip_model_dim(model) == OUT && dip_model_modality_count(model) == 2);
        assert_int_equal(dip_model_find_modality(model, "b"), 1);
        assert_string_equal(dip_model_modality(model, 1)->bands[0].name, "W");
        assert_string_equal(dip_model_metadata(model, "run"), "aligned");
        fill(vectors, 2 * 40, 8);
        dip_heads *back = dip_model_heads(model);
        assert_memory_equal(&back->spec.input, &h->spec.input, sizeof back->spec.input);
        assert_int_equal(dip_heads_encode(h, 1, vectors, 2, ours), DIP_OK);
        assert_int_equal(dip_heads_encode(back, 1, vectors, 2, theirs), DIP_OK);
        assert_memory_equal(ours, theirs, sizeof ours);
        dip_model_close(model);
        dip_heads_destroy(h);
    }
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    const char *path = path_of("damaged.safetensors");
    dip_heads *h = make_heads(DIP_HEAD_LINEAR, 9);
    dip_model *model = NULL;
    h->params[h->layer[1][0].weight + 3] = NAN;
    assert_int_equal(dip_heads_write(path, h, NULL, 0), DIP_OK);
    assert_int_equal(dip_model_open(&model, path), DIP_ECORRUPT);
    assert_non_null(strstr(dip_last_error(), "b.head.0.weight"));
    h->params[h->layer[1][0].weight + 3] = 0;
    strcpy(h->spec.input[0].model, "../secret");
    assert_int_equal(dip_heads_write(path, h, NULL, 0), DIP_OK);
    assert_int_equal(dip_model_open(&model, path), DIP_EFORMAT);
    dip_heads_destroy(h);
}

static void pixels_need_the_model_before_the_head(void **state)
{
    (void)state;
    dip_heads *h = make_heads(DIP_HEAD_LINEAR, 10);
    dip_model *model = NULL;
    assert_int_equal(dip_heads_write(path_of("chain.safetensors"), h, NULL, 0), DIP_OK);
    assert_int_equal(dip_model_open(&model, path_of("chain.safetensors")), DIP_OK);
    assert_int_equal(dip_model_takes_pixels(model, 0), DIP_ENOTSUP);
    assert_non_null(strstr(dip_last_error(), "a.npy"));
    assert_int_equal(dip_model_takes_pixels(model, 1), DIP_ENOENT);
    assert_int_equal(dip_file_write(path_of("m.safetensors"), "other", 5), DIP_OK);
    assert_int_equal(dip_model_takes_pixels(model, 1), DIP_EMISMATCH);
    assert_non_null(strstr(dip_last_error(), "trained again"));
    dip_model_close(model);
    dip_heads_destroy(h);
}

/* Each model is heads on the one before; all take 32 values and give 32. */
static void a_chain_comes_to_an_end(void **state)
{
    (void)state;
    dip_model *model = NULL;
    char name[32] = "level-0.safetensors", fingerprint[DIP_FINGERPRINT] = "0123456789abcdef";
    for (int level = 0; level < DIP_CHAIN_DEEPEST + 2; level++) {
        dip_heads *h = NULL;
        dip_heads_spec *spec = make_spec(DIP_HEAD_LINEAR);
        spec->input[1] = (dip_heads_input){.dim = OUT, .origin = "b.npy"};
        if (level)
            snprintf(spec->input[1].model, sizeof spec->input[1].model, "level-%d", level - 1);
        if (level) memcpy(spec->input[1].fingerprint, fingerprint, sizeof fingerprint);
        assert_int_equal(dip_heads_create(&h, spec), DIP_OK);
        snprintf(name, sizeof name, "level-%d.safetensors", level);
        assert_int_equal(dip_heads_write(path_of(name), h, NULL, 0), DIP_OK);
        assert_int_equal(dip_model_fingerprint(path_of(name), fingerprint), DIP_OK);
        dip_heads_destroy(h);
        assert_int_equal(dip_model_open(&model, path_of(name)), DIP_OK);
        assert_int_equal(dip_model_takes_pixels(model, 1), DIP_ENOTSUP);
        const bool too_deep = level > DIP_CHAIN_DEEPEST;
        assert_non_null(strstr(dip_last_error(), too_deep ? "more than 4 deep" : "b.npy"));
        dip_model_close(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_what_the_formulas_say),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(a_vector_without_direction_is_refused),
        cmocka_unit_test(tables_are_checked),
        cmocka_unit_test(the_file_opens_as_a_model),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(pixels_need_the_model_before_the_head),
        cmocka_unit_test(a_chain_comes_to_an_end),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
