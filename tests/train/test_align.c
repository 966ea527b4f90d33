/*
 * Alignment: two spaces that know nothing of each other become one; the same bytes for any threads, however often it was
 * stopped; gradients; vectors that do not belong to the archive are refused.
 */
#include "support.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "encoder/model.h"
#include "train/aligner.h"
#include "train/encode.h"
#include "train/metrics.h"

#include <math.h>

enum { PLACES = 240, LATENT = 12, DIM_A = 20, DIM_B = 36 };

/* Three of four places are for training. */
static const support_plan plan = {.places = PLACES, .splits = "ttvt"};

/* ---- vectors ---- */

/* Places have a latent vector; each modality sees it through a random matrix and a bend, with noise. */
static void make_vector(size_t place, size_t dim, uint64_t seed, float *out)
{
    dip_rng latent, matrix, noise;
    double z[LATENT];
    dip_rng_init(&latent, 5, place);
    dip_rng_init(&matrix, seed, 0);
    dip_rng_init(&noise, seed, 1 + place);
    for (int i = 0; i < LATENT; i++) z[i] = dip_rng_normal(&latent);
    for (size_t k = 0; k < dim; k++) {
        double sum = 0;
        for (int i = 0; i < LATENT; i++) sum += z[i] * dip_rng_normal(&matrix);
        out[k] = (float)(5 + tanh(0.5 * sum) + 0.05 * dip_rng_normal(&noise));
    }
}

/* Tile i of a modality is of place i: the archive's order is the places'. */
static const char *write_vectors(const char *name, size_t rows, size_t dim, uint64_t seed,
                                 size_t nan_row)
{
    const char *path = support_path("%s", name);
    dip_aside file;
    float *row = dip_alloc(dim * sizeof *row);
    assert_int_equal(dip_file_begin(&file, path), DIP_OK);
    dip_npy_heading(file.stream, rows, dim);
    for (size_t i = 0; i < rows; i++) {
        make_vector(i, dim, seed, row);
        if (i == nan_row) row[3] = NAN;
        fwrite(row, sizeof *row, dim, file.stream);
    }
    assert_int_equal(dip_file_commit(&file), DIP_OK);
    dip_free(row);
    return path;
}

static dip_align_options make_options(const char *name)
{
    dip_align_options o = {.steps = 0};
    dip_options_defaults(dip_align_table, &o);
    o.train.name = name;
    o.train.batch = 64;
    o.train.embed_dim = 32;
    o.train.head_hidden = 64;
    o.train.checkpoint_every = 16;
    o.train.warmup = 5;
    o.train.rate = 0.005;
    o.steps = 60;
    return o;
}

static void open_vectors(const dip_archive *archive, dip_vectors vectors[2])
{
    const char *a = write_vectors("a.npy", PLACES, DIM_A, 1, SIZE_MAX);
    const char *b = write_vectors("b.npy", PLACES, DIM_B, 2, SIZE_MAX);
    assert_int_equal(dip_vectors_open(&vectors[0], archive, "a", a, NULL, NULL), DIP_OK);
    assert_int_equal(dip_vectors_open(&vectors[1], archive, "b", b, NULL, NULL), DIP_OK);
}

/* ---- a run ---- */

typedef struct stopper {
    int left;
} stopper;

static int tick(void *payload, const char *phase, uint64_t done, uint64_t total)
{
    stopper *s = payload;
    (void)phase, (void)done, (void)total;
    return --s->left == 0;
}

/* stop_at: the tick that stops it; 0: none. */
static dip_status align(const char *archive_name, const dip_align_options *options, int stop_at,
                        dip_train_result *result)
{
    stopper s = {stop_at};
    const dip_progress progress = {tick, &s};
    const dip_train_listener listener = {.progress = &progress};
    dip_archive *archive = support_open(archive_name);
    dip_vectors vectors[2];
    open_vectors(archive, vectors);
    dip_status status = dip_align(archive, options, vectors, 2, &listener, result);
    for (int i = 0; i < 2; i++) dip_vectors_close(&vectors[i]);
    dip_archive_close(archive);
    return status;
}

static void assert_same_model(const char *first, const char *second)
{
    size_t n, m;
    char *a = support_read(support_path("%s/models/same.safetensors", first), &n);
    char *b = support_read(support_path("%s/models/same.safetensors", second), &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    dip_free(a);
    dip_free(b);
}

static void unrelated_spaces_become_one(void **state)
{
    (void)state;
    static const int heads[] = {DIP_HEAD_LINEAR, DIP_HEAD_MLP};
    dip_archive_close(support_archive("one", &plan));
    for (size_t i = 0; i < 2; i++) {
        dip_align_options o = make_options(i ? "mlp" : "linear");
        dip_train_result r;
        o.train.head = heads[i];
        assert_int_equal(align("one", &o, 0, &r), DIP_OK);
        assert_true(r.pairs == 180 && r.held_pairs == 60 && r.steps == 60);
        assert_true(r.recall[0] > 0.8 && r.recall[1] > 0.8); /* chance: 10 of 60 */
        assert_int_equal(align("one", &o, 0, &r), DIP_OK);
        assert_true(r.already);
    }
}

static void threads_and_stops_change_no_byte(void **state)
{
    (void)state;
    static const char *const archives[] = {"calm", "threads", "stopped"};
    dip_align_options o = make_options("same");
    dip_train_result r;
    o.train.noise = 0.1;
    o.train.soft = 0.5;
    for (int i = 0; i < 3; i++) {
        dip_archive_close(support_archive(archives[i], &plan));
        dip_threads_set(i == 1 ? 2 : 1);
        if (i == 2) {
            assert_int_equal(align(archives[i], &o, 20, &r), DIP_ECANCEL);
            assert_int_equal(align(archives[i], &o, 30, &r), DIP_ECANCEL);
            assert_int_equal(r.resumed_from, 20);
        }
        assert_int_equal(align(archives[i], &o, 0, &r), DIP_OK);
    }
    dip_threads_set(0);
    assert_same_model("calm", "threads");
    assert_same_model("calm", "stopped");
}

static void other_vectors_are_another_run(void **state)
{
    (void)state;
    dip_align_options o = make_options("twice");
    dip_train_result r;
    dip_vectors vectors[2];
    dip_archive *archive = support_archive("twice", &plan);
    open_vectors(archive, vectors);
    assert_int_equal(dip_align(archive, &o, vectors, 2, NULL, &r), DIP_OK);
    assert_string_equal(r.model, "twice");
    dip_vectors_close(&vectors[0]);
    const char *other = write_vectors("other.npy", PLACES, DIM_A, 9, SIZE_MAX);
    assert_int_equal(dip_vectors_open(&vectors[0], archive, "a", other, NULL, NULL), DIP_OK);
    assert_int_equal(dip_align(archive, &o, vectors, 2, NULL, &r), DIP_OK);
    assert_string_equal(r.model, "twice-2");
    o.train.rate = 1e30;
    assert_int_equal(dip_align(archive, &o, vectors, 2, NULL, &r), DIP_EINVAL);
    assert_non_null(strstr(dip_last_error(), "--rate"));
    o.train.name = "../x";
    assert_int_equal(dip_align(archive, &o, vectors, 2, NULL, &r), DIP_EINVAL);
    for (int i = 0; i < 2; i++) dip_vectors_close(&vectors[i]);
    dip_archive_close(archive);
}

/* ---- what is stored ---- */

static double twins_found(const dip_archive *archive, const char *model)
{
    size_t rank[PLACES];
    dip_embeddings e[2];
    for (uint32_t m = 0; m < 2; m++)
        assert_int_equal(dip_archive_embeddings(archive, model, m, &e[m]), DIP_OK);
    assert_true(e[0].n == PLACES && e[1].n == PLACES && e[0].dim == 32);
    assert_int_equal(dip_pair_ranks(e[0].vectors, e[1].vectors, PLACES, 32, rank), DIP_OK);
    for (int m = 0; m < 2; m++) dip_embeddings_fini(&e[m]);
    return dip_share_found(rank, PLACES, 10);
}

static void aligned_embeddings_are_stored(void **state)
{
    (void)state;
    dip_align_options o = make_options("stored");
    dip_train_result r;
    dip_vectors vectors[2];
    dip_encode_report report;
    dip_archive *archive = support_archive("stored", &plan);
    open_vectors(archive, vectors);
    assert_int_equal(dip_align(archive, &o, vectors, 2, NULL, &r), DIP_OK);
    const char *path = support_path("stored/models/stored.safetensors");
    const dip_encode_options from = {.batch = 100, .vectors = vectors, .vector_count = 2};
    assert_int_equal(dip_encode(archive, path, &from, &report), DIP_OK);
    assert_true(report.encoded == 2 * PLACES && report.present == 0);
    assert_true(twins_found(archive, "stored") > 0.8);
    assert_int_equal(dip_encode(archive, path, &from, &report), DIP_OK);
    assert_true(report.encoded == 0 && report.present == 2 * PLACES);
    for (int i = 0; i < 2; i++) dip_vectors_close(&vectors[i]);

    /* Without the vectors there is nothing to make further ones from. */
    const dip_encode_options anew = {.batch = 100, .force = true};
    assert_int_equal(dip_encode(archive, path, &anew, &report), DIP_ENOTSUP);
    assert_non_null(strstr(dip_last_error(), "a.npy"));
    dip_archive_close(archive);
}

/* The heads of models of the archive: from stored embeddings, and through pixels where there are none. */
static void chains_encode_new_tiles(void **state)
{
    (void)state;
    dip_train_options t = support_options("first");
    dip_align_options o = make_options("chain");
    dip_train_result r;
    dip_vectors vectors[2];
    dip_encode_report report;
    const dip_encode_options all = {.batch = 100}, anew = {.batch = 100, .force = true};
    dip_archive *archive = support_archive("chain", &(support_plan){.places = 48});
    t.epochs = 1;
    assert_int_equal(dip_train(archive, &t, NULL, &r), DIP_OK);
    const char *first = support_path("chain/models/first.safetensors");
    assert_int_equal(dip_vectors_open(&vectors[0], archive, "a", "first", NULL, NULL), DIP_ENOENT);
    assert_non_null(strstr(dip_last_error(), "diptych encode -m first"));
    assert_int_equal(dip_encode(archive, first, &all, &report), DIP_OK);
    assert_int_equal(dip_vectors_open(&vectors[0], archive, "a", "first", NULL, NULL), DIP_OK);
    assert_int_equal(dip_vectors_open(&vectors[1], archive, "b", "first", NULL, NULL), DIP_OK);
    o.train.batch = 16;
    assert_int_equal(dip_align(archive, &o, vectors, 2, NULL, &r), DIP_OK);
    for (int i = 0; i < 2; i++) dip_vectors_close(&vectors[i]);

    const char *path = support_path("chain/models/chain.safetensors");
    dip_embeddings stored, pixels;
    assert_int_equal(dip_encode(archive, path, &all, &report), DIP_OK);
    assert_int_equal(report.encoded, 96);
    assert_int_equal(dip_archive_embeddings(archive, "chain", 0, &stored), DIP_OK);
    dip_batch *batch;
    assert_int_equal(dip_batch_begin(&batch, archive), DIP_OK);
    assert_int_equal(dip_batch_drop_embeddings(batch, "first"), DIP_OK);
    assert_int_equal(dip_batch_commit(batch), DIP_OK);
    assert_int_equal(dip_encode(archive, path, &anew, &report), DIP_OK);
    assert_int_equal(report.encoded, 96);
    assert_int_equal(dip_archive_embeddings(archive, "chain", 0, &pixels), DIP_OK);
    for (size_t i = 0; i < stored.n * stored.dim; i++)
        assert_true(fabsf(stored.vectors[i] - pixels.vectors[i]) < 0.01f);
    dip_embeddings_fini(&stored);
    dip_embeddings_fini(&pixels);

    /* A source that was trained again is not the one that the heads learned from. */
    t.seed = 5;
    t.force = true;
    t.name = "first";
    assert_int_equal(dip_file_remove(support_path("chain/runs/first")), DIP_OK);
    assert_int_equal(dip_file_remove(first), DIP_OK);
    assert_int_equal(dip_train(archive, &t, NULL, &r), DIP_OK);
    assert_int_equal(dip_encode(archive, path, &anew, &report), DIP_EMISMATCH);
    assert_non_null(strstr(dip_last_error(), "trained again"));
    dip_archive_close(archive);
}

/* ---- vectors and tiles ---- */

static void rows_are_told_apart_by_name(void **state)
{
    (void)state;
    dip_vectors v;
    uint64_t id;
    float found[DIM_A], expected[DIM_A];
    dip_archive *archive = support_archive("named", &plan);
    const char *rows = write_vectors("three.npy", 3, DIM_A, 1, SIZE_MAX);
    const char *names = support_path("names.txt");
    assert_int_equal(dip_file_write(names, "tile-7-0\r\ntile-0-0\ntile-100-0", 29), DIP_OK);
    assert_int_equal(dip_vectors_open(&v, archive, "a", rows, names, NULL), DIP_OK);
    assert_int_equal(dip_archive_find_tile(archive, 0, "tile-100-0", &id), DIP_OK);
    assert_int_equal(dip_vectors_find(&v, id), 2);
    dip_vectors_read(&v, 2, 1, found);
    make_vector(2, DIM_A, 1, expected);
    assert_memory_equal(found, expected, sizeof found);
    assert_int_equal(dip_archive_find_tile(archive, 0, "tile-1-0", &id), DIP_OK);
    assert_true(dip_vectors_find(&v, id) == SIZE_MAX);
    dip_vectors_close(&v);
    dip_archive_close(archive);
}

static void assert_refused(const dip_archive *archive, const char *modality, const char *word,
                           const char *ids, dip_status status, const char *says)
{
    dip_vectors v;
    assert_int_equal(dip_vectors_open(&v, archive, modality, word, ids, NULL), status);
    assert_non_null(strstr(dip_last_error(), says));
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    dip_archive *archive = support_archive("refused", &plan);
    const char *nan = write_vectors("nan.npy", PLACES, DIM_A, 1, 137);
    const char *three = write_vectors("three.npy", 3, DIM_A, 1, SIZE_MAX);
    const char *names = support_path("wrong.txt");
    assert_refused(archive, "a", nan, NULL, DIP_EFORMAT, "row 137 ");
    assert_refused(archive, "a", three, NULL, DIP_EMISMATCH, "240 tiles");
    assert_int_equal(dip_file_write(names, "tile-7-0\ntile-7-0\ntile-1-0\n", 27), DIP_OK);
    assert_refused(archive, "a", three, names, DIP_EFORMAT, "lines 1 and 2");
    assert_int_equal(dip_file_write(names, "tile-7-0\ntile-8-0\n", 18), DIP_OK);
    assert_refused(archive, "a", three, names, DIP_EMISMATCH, "names 2 tiles");
    assert_int_equal(dip_file_write(names, "tile-7-0\nnone\ntile-1-0\n", 23), DIP_OK);
    assert_refused(archive, "a", three, names, DIP_ENOENT, "line 2");
    assert_refused(archive, "x", three, NULL, DIP_ENOENT, "no modality 'x'");
    assert_refused(archive, "a", "none", NULL, DIP_ENOENT, "it has none");
    assert_refused(archive, "a", "none.npy", NULL, DIP_ENOENT, "none.npy");
    dip_archive_close(archive);
}

/* ---- gradients ---- */

/* sum of weight * z: its derivative with respect to z is `weight`. */
static double weighted(const dip_heads *h, const float *x, size_t n, const float *weight)
{
    float hidden[8 * 64], z[8 * 32];
    double sum = 0;
    dip_heads_forward(h, 1, x, n, hidden, z);
    for (size_t i = 0; i < n * 32; i++) sum += (double)weight[i] * z[i];
    return sum;
}

static void gradients_are_those_of_finite_differences(void **state)
{
    (void)state;
    enum { N = 8 };
    static dip_heads_spec spec;
    for (int kind = 0; kind < 2; kind++) {
        dip_heads *h = NULL;
        dip_rng rng;
        float x[N * 64], hidden[N * 64], z[N * 32], weight[N * 32], d_hidden[N * 64];
        spec = (dip_heads_spec){.head = (dip_head)kind,
                                .hidden = 64,
                                .embed_dim = 32,
                                .modality_count = 2,
                                .input = {{.dim = 9}, {.dim = 40}}};
        assert_int_equal(dip_heads_create(&h, &spec), DIP_OK);
        dip_rng_init(&rng, 3, 0);
        dip_heads_init(h, &rng);
        for (size_t i = 0; i < N * 64; i++) x[i] = i % 64 < 40 ? (float)dip_rng_normal(&rng) : 0;
        for (size_t i = 0; i < N * 32; i++) weight[i] = (float)dip_rng_normal(&rng);
        float *grads = dip_calloc(h->param_count, sizeof *grads);
        dip_heads_forward(h, 1, x, N, hidden, z);
        dip_heads_backward(h, 1, x, hidden, N, weight, d_hidden, grads);
        for (size_t i = 0; i < h->param_count; i += 17) {
            const float step = 1.0f / 4096;
            float kept = h->params[i];
            h->params[i] = kept + step;
            dip_heads_refresh(h);
            double up = weighted(h, x, N, weight);
            h->params[i] = kept - step;
            dip_heads_refresh(h);
            double slope = (up - weighted(h, x, N, weight)) / (2 * step);
            h->params[i] = kept;
            assert_true(fabs(slope - grads[i]) < 0.02 + 0.02 * fabs(slope));
            if (i < h->layer[1][0].weight) assert_true(grads[i] == 0); /* the other head */
        }
        dip_free(grads);
        dip_heads_destroy(h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unrelated_spaces_become_one),
        cmocka_unit_test(threads_and_stops_change_no_byte),
        cmocka_unit_test(other_vectors_are_another_run),
        cmocka_unit_test(aligned_embeddings_are_stored),
        cmocka_unit_test(chains_encode_new_tiles),
        cmocka_unit_test(rows_are_told_apart_by_name),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(gradients_are_those_of_finite_differences),
    };
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
