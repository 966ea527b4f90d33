/* Shared by the tests of search/; see support.h. */
#define _GNU_SOURCE
#include "support.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/rng.h"
#include "encoder/model.h"
#include "tests/scratch.h"

#include <pthread.h>
#include <unistd.h>

static const char *const band_names[2][3] = {{"VV", "VH"}, {"B04", "B03", "B02"}};

static dip_modality modality_of(int which)
{
    dip_modality m = {.band_count = which == S1 ? 2 : 3};
    snprintf(m.name, sizeof m.name, which == S1 ? "s1" : "s2");
    for (uint32_t b = 0; b < m.band_count; b++) {
        snprintf(m.bands[b].name, sizeof m.bands[b].name, "%s", band_names[which][b]);
        m.bands[b].gsd_m = 10;
        m.bands[b].mean = 100;
        m.bands[b].stddev = 50;
    }
    return m;
}

static void write_model(const char *path)
{
    dip_net_spec spec = {.input_px = 16,
                         .stem_kernel = 3,
                         .stem_stride = 1,
                         .stage_count = 1,
                         .width = {32},
                         .blocks = {1},
                         .shared_from = 1,
                         .embed_dim = DIM,
                         .modality_count = 2};
    dip_embed_spec embed = {.part = {[DIP_Z] = {.weight = 1}}, .views = 1};
    dip_net *net;
    dip_embedding *embedding;
    dip_rng rng;
    for (int m = 0; m < 2; m++) spec.modality[m] = modality_of(m);
    dip_rng_init(&rng, 3, 0);
    assert_ok(dip_net_create(&net, &spec, 4, DIP_NET_INFER));
    dip_net_init(net, &rng, false);
    assert_ok(dip_embedding_create(&embedding, &embed, &spec));
    assert_ok(dip_model_write(path, net, &spec, embedding, NULL, 0));
    dip_embedding_destroy(embedding);
    dip_net_destroy(net);
}

/* The same place has the same vectors, whenever it is added. */
static void make_vectors(size_t place, float *s1, float *s2)
{
    dip_rng rng;
    double a = 0, b = 0;
    dip_rng_init(&rng, 7, place);
    for (int i = 0; i < DIM; i++) {
        s2[i] = (float)dip_rng_normal(&rng);
        s1[i] = s2[i] + 0.8F * (float)dip_rng_normal(&rng);
        a += (double)s1[i] * (double)s1[i];
        b += (double)s2[i] * (double)s2[i];
    }
    for (int i = 0; i < DIM; i++) {
        s1[i] /= (float)sqrt(a);
        s2[i] /= (float)sqrt(b);
    }
}

static const char *labels_of(size_t place)
{
    static const char *const labels[] = {"water", "water|wood", "town"};
    return labels[place % 3];
}

bool support_has_label(size_t place, const char *label) { return strstr(labels_of(place), label); }

static uint64_t add_tile(dip_batch *batch, int which, size_t place)
{
    enum { SIDE = 8 };
    uint8_t pixels[3][SIDE * SIDE];
    char name[32], extra[100];
    dip_rng rng;
    snprintf(extra, sizeof extra,
             "{\"eo:cloud_cover\":%zu,\"tags\":[\"t%zu\",\"all\"],\"nested\":{\"a\":1}%s}",
             place % 100, place % 4, which == S1 ? ",\"orbit\":\"ascending\"" : "");
    dip_rng_init(&rng, 11, place * 2 + (size_t)which);
    snprintf(name, sizeof name, "p%zu", place);
    double west = -10 + (double)(place % 20), south = 40 + (double)(place / 20);
    dip_tile tile = {.meta = {.modality = (uint32_t)which,
                              .name = name,
                              .place_name = name,
                              .time = FIRST_DAY + (int64_t)place * DAY,
                              .west = west,
                              .south = south,
                              .east = west + 0.5,
                              .north = south + 0.5,
                              .labels = labels_of(place),
                              .scene = place % 2 ? "odd" : "even",
                              .extra = extra,
                              .split = place % 5 ? "train" : "test"},
                     .plane_count = which == S1 ? 2 : 3};
    for (uint32_t b = 0; b < tile.plane_count; b++) {
        for (int i = 0; i < SIDE * SIDE; i++) pixels[b][i] = (uint8_t)dip_rng_below(&rng, 256);
        tile.planes[b] = (dip_plane){DIP_DTYPE_U8, SIDE, SIDE, pixels[b]};
    }
    assert_ok(dip_batch_add_tile(batch, &tile));
    return tile.meta.id;
}

void support_add(fixture *f, size_t first, size_t end, bool with_embeddings)
{
    dip_batch *batch;
    assert_ok(dip_batch_begin(&batch, f->archive));
    for (int m = 0; m < 2; m++) {
        f->id[m] = realloc(f->id[m], end * sizeof **f->id);
        f->vectors[m] = realloc(f->vectors[m], end * DIM * sizeof **f->vectors);
    }
    for (size_t i = first; i < end; i++) {
        make_vectors(i, f->vectors[S1] + i * DIM, f->vectors[S2] + i * DIM);
        for (int m = 0; m < 2; m++) f->id[m][i] = add_tile(batch, m, i);
    }
    for (uint32_t m = 0; m < 2 && with_embeddings; m++)
        assert_ok(dip_batch_add_embeddings(batch, "m", m, f->id[m] + first,
                                           f->vectors[m] + first * DIM, end - first, DIM));
    assert_ok(dip_batch_commit(batch));
    f->places = end;
    for (uint32_t m = 0; m < 2 && with_embeddings; m++)
        assert_ok(dip_archive_embeddings_of(f->archive, "m", m, f->id[m] + first, end - first, DIM,
                                            f->vectors[m] + first * DIM, NULL));
}

void support_open(fixture *f, size_t places)
{
    *f = (fixture){.folder = scratch_folder("search")};
    assert_ok(dip_archive_create(&f->archive, f->folder, "test"));
    for (int m = 0; m < 2; m++) {
        dip_modality modality = modality_of(m);
        assert_ok(dip_archive_declare(f->archive, &modality));
    }
    char *models = dip_path_join(f->folder, "models"),
         *path = dip_path_join(models, "m.safetensors");
    assert_ok(dip_folder_create(models));
    write_model(path);
    dip_free(models);
    dip_free(path);
    if (places) support_add(f, 0, places, true);
}

void support_close(fixture *f)
{
    dip_archive_close(f->archive);
    assert_ok(dip_file_remove(f->folder));
    free(f->folder);
    for (int m = 0; m < 2; m++) {
        free(f->id[m]);
        free(f->vectors[m]);
    }
}

void support_remove(fixture *f, uint64_t id)
{
    dip_batch *batch;
    assert_ok(dip_batch_begin(&batch, f->archive));
    assert_ok(dip_batch_remove_tile(batch, id));
    assert_ok(dip_batch_commit(batch));
}

void support_encode(fixture *f)
{
    dip_model *model;
    dip_batch *batch;
    char *path = dip_sprintf("%s/models/m.safetensors", f->folder);
    assert_ok(dip_model_open(&model, path));
    for (size_t m = 0; m < 2; m++) {
        for (size_t i = 0; i < f->places; i++) {
            dip_tile *tile;
            assert_ok(dip_archive_tile(f->archive, f->id[m][i], &tile));
            const dip_tile *list[1] = {tile};
            assert_ok(dip_model_encode(model, m, list, 1, f->vectors[m] + i * DIM));
            dip_tile_free(tile);
        }
    }
    assert_ok(dip_batch_begin(&batch, f->archive));
    for (uint32_t m = 0; m < 2; m++)
        assert_ok(dip_batch_add_embeddings(batch, "m", m, f->id[m], f->vectors[m], f->places, DIM));
    assert_ok(dip_batch_commit(batch));
    dip_model_close(model);
    dip_free(path);
}

void support_encode_again(fixture *f)
{
    dip_batch *batch;
    float first[DIM], *v = f->vectors[S2];
    memcpy(first, v, sizeof first);
    memmove(v, v + DIM, (f->places - 1) * sizeof first);
    memcpy(v + (f->places - 1) * DIM, first, sizeof first);
    assert_ok(dip_batch_begin(&batch, f->archive));
    assert_ok(dip_batch_add_embeddings(batch, "m", S2, f->id[S2], v, f->places, DIM));
    assert_ok(dip_batch_commit(batch));
}

void support_index(fixture *f, dip_engine engine, bool update, dip_indexing_report *report)
{
    dip_indexing_options options = {.recipe = {.engine = engine, .lists = 16}, .update = update};
    dip_indexing_report unused;
    assert_ok(dip_index_archive(f->archive, &options, report ? report : &unused));
}

dip_search *support_search(fixture *f)
{
    dip_search *search;
    assert_ok(dip_search_open(&search, f->archive, NULL));
    return search;
}

float support_dot(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < DIM; i++) sum += (double)a[i] * (double)b[i];
    return (float)sum;
}

size_t support_expect(const fixture *f, int to, const float *vector, bool (*keep)(size_t place),
                      size_t k, uint64_t *ids)
{
    bool *used = calloc(f->places, sizeof *used);
    size_t n = 0;
    for (; n < k; n++) {
        size_t best = SIZE_MAX;
        float best_score = -2;
        for (size_t i = 0; i < f->places; i++) {
            float score = support_dot(vector, f->vectors[to] + i * DIM);
            if (used[i] || (keep && !keep(i)) || score <= best_score) continue;
            best = i;
            best_score = score;
        }
        if (best == SIZE_MAX) break;
        used[best] = true;
        ids[n] = f->id[to][best];
    }
    free(used);
    return n;
}

dip_search *support_ready(fixture *f, size_t places)
{
    support_open(f, places);
    support_index(f, DIP_ENGINE_AUTO, false, NULL);
    return support_search(f);
}

void support_done(fixture *f, dip_search *search)
{
    dip_search_close(search);
    support_close(f);
}

void support_at_once(void *(*fn)(void *asker), void *askers, size_t size, size_t count)
{
    enum { MOST = 16 };
    pthread_t threads[MOST];
    assert_true(count <= MOST);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fn, (char *)askers + i * size), 0);
    for (size_t i = 0; i < count; i++) pthread_join(threads[i], NULL);
}
