/*
 * Alignment on real radar and optical tiles: two models are trained apart, one sees for the radar tiles, the other for the
 * optical ones, so that across the two nothing is found but by chance. Skipped where the data is not there.
 * ctest: slow
 */
#include "support.h"

#include "core/file.h"
#include "core/mem.h"
#include "ingest/import.h"
#include "train/align.h"
#include "train/encode.h"
#include "train/metrics.h"
#include "train/trainer.h"

#include <stdlib.h>

enum { PLACES = 500, VAL_FROM = 400, DIM = 64, SKIPPED = 77 };

static char source[1024];

/* The first rows of the manifest, with absolute paths and their own splits: 400 places to learn from, 100 held out. */
static void write_manifest(const char *path)
{
    char line[2048], tile[256], modality[32], file[256];
    int places = 0;
    dip_aside out;
    char *manifest = dip_sprintf("%s/manifest.csv", source);
    FILE *in = fopen(manifest, "r");
    assert_non_null(in);
    assert_int_equal(dip_file_begin(&out, path), DIP_OK);
    fputs("tile_id,modality,path,split\n", out.stream);
    assert_non_null(fgets(line, sizeof line, in));
    while (places < 2 * PLACES && fgets(line, sizeof line, in)) {
        assert_int_equal(sscanf(line, "%255[^,],%31[^,],%255[^,]", tile, modality, file), 3);
        fprintf(out.stream, "%s,%s,%s/%s,%s\n", tile, modality, source, file,
                places / 2 < VAL_FROM ? "train" : "val");
        places++;
    }
    assert_int_equal(places, 2 * PLACES);
    fclose(in);
    assert_int_equal(dip_file_commit(&out), DIP_OK);
    dip_free(manifest);
}

static void train_and_encode(dip_archive *archive, const char *name, int seed)
{
    dip_train_options o = support_options(name);
    const dip_encode_options all = {.batch = 1024};
    dip_encode_report report;
    dip_train_result r;
    o.seed = seed;
    o.epochs = 12;
    o.batch = 32;
    o.input_px = 32;
    o.stem_stride = 2;
    o.widths = "32,64";
    o.eval_every = 0;
    o.checkpoint_every = 0;
    assert_int_equal(dip_train(archive, &o, NULL, &r), DIP_OK);
    char *path = dip_sprintf("%s/models/%s.safetensors", dip_archive_path(archive), name);
    assert_int_equal(dip_encode(archive, path, &all, &report), DIP_OK);
    assert_int_equal(report.encoded, 2 * PLACES);
    dip_free(path);
}

/* Of the held-out places: optical tiles found by the second model's vectors with the first's radar vectors. */
static double unaligned(const dip_archive *archive, const char *first, const char *second)
{
    enum { N = PLACES - VAL_FROM };
    size_t rank[N];
    dip_embeddings a, b;
    assert_int_equal(dip_archive_embeddings(archive, first, 0, &a), DIP_OK);
    assert_int_equal(dip_archive_embeddings(archive, second, 1, &b), DIP_OK);
    assert_true(a.n == PLACES && b.n == PLACES && a.dim == DIM && b.dim == DIM);
    assert_int_equal(
        dip_pair_ranks(a.vectors + VAL_FROM * DIM, b.vectors + VAL_FROM * DIM, N, DIM, rank),
        DIP_OK);
    dip_embeddings_fini(&a);
    dip_embeddings_fini(&b);
    return dip_share_found(rank, N, 10);
}

static void models_that_never_met_find_each_others_tiles(void **state)
{
    (void)state;
    const char *manifest = support_path("manifest.csv"), *sources[] = {manifest};
    const dip_import_options import = {.labels19 = 1};
    dip_import_report report;
    dip_archive *archive = NULL;
    dip_vectors vectors[2];
    dip_train_result r;
    dip_align_options o = {.steps = 0};
    write_manifest(manifest);
    assert_int_equal(dip_archive_create(&archive, support_path("real"), "real"), DIP_OK);
    assert_int_equal(dip_import(archive, sources, 1, &import, &report), DIP_OK);
    train_and_encode(archive, "radar", 1);
    train_and_encode(archive, "optical", 2);
    double before = unaligned(archive, "radar", "optical");
    assert_int_equal(dip_vectors_open(&vectors[0], archive, "s1", "radar", NULL, NULL), DIP_OK);
    assert_int_equal(dip_vectors_open(&vectors[1], archive, "s2", "optical", NULL, NULL), DIP_OK);
    dip_options_defaults(dip_align_table, &o);
    o.steps = 100;
    o.train.batch = 128;
    o.train.warmup = 10;
    o.train.rate = 0.003;
    assert_int_equal(dip_align(archive, &o, vectors, 2, NULL, &r), DIP_OK);
    assert_int_equal(r.held_pairs, PLACES - VAL_FROM);
    printf("recall@10 among %d: %.2f before, %.2f and %.2f aligned\n", PLACES - VAL_FROM, before,
           r.recall[0], r.recall[1]);
    assert_true(before < 0.25); /* chance: 0.1 */
    assert_true(r.recall[0] + r.recall[1] > 2 * (before + 0.1));
    for (int i = 0; i < 2; i++) dip_vectors_close(&vectors[i]);
    dip_archive_close(archive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_that_never_met_find_each_others_tiles),
    };
    const char *base = getenv("DIPTYCH_DATA");
    snprintf(source, sizeof source, "%s/s1s2_la_sa", base && *base ? base : DIP_SHARED_DATA);
    if (!dip_file_exists(source)) {
        printf("skipped: there is no test data '%s'; DIPTYCH_DATA names its folder\n", source);
        return SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, support_cleanup);
}
