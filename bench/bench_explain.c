/*
 * Does the map of what matches show what matches?
 *
 * A piece of another scene's tile goes into one tile of a pair: a quarter or a half of it, at cells drawn by the seed. A
 * faithful map is lower there than elsewhere: the area under the ROC curve of map against mask, 0.5 by chance, as the mean over
 * the pairs, by the modality that was pasted into. Pairs are tiles of one place, or (look-alikes) a tile and its best match
 * of other places; of split test where the archive has one.
 */
#define _GNU_SOURCE
#include "bench/support.h"

#include <diptych/archive.h>

#include "core/mem.h"
#include "core/rng.h"
#include "encoder/model.h"
#include "index/dot.h"
#include "search/heat.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRID = DIP_EXPLAIN_GRID, CELLS = GRID * GRID, MAPS = DIP_LOOKS + 1, TRIES = 10000 };

static const char *const usage =
    "usage: bench_explain ARCHIVE MODEL.safetensors PAIRS [look-alikes]\n"
    "The first two modalities of the archive; prints one line a map.\n";

static const char *const map_names[MAPS] = {"hidden", "shown alone", "cut out", "all three"};

typedef struct work {
    dip_archive *archive;
    dip_model *model;
    pthread_mutex_t lock;
    size_t position[2]; /* of the modalities in the model */
    bool alike;
    dip_embeddings all[2];
    uint64_t *ids; /* tiles of the first modality */
    size_t id_count;
    dip_rng rng;
} work;

typedef struct pair {
    float *input[2], *foreign;
    dip_heat_side side[2];
    int pasted; /* into this side */
    bool mask[CELLS];
} pair;

static void check(dip_status status)
{
    if (!status) return;
    fprintf(stderr, "bench_explain: %s\n", dip_last_error());
    exit(1);
}

/* ---- pairs ---- */

static uint64_t twin_of(const work *w, uint64_t place, int side)
{
    uint64_t *ids, found = DIP_NO_ID;
    size_t n;
    check(dip_archive_place(w->archive, place, &ids, &n));
    for (size_t i = 0; i < n; i++) {
        dip_meta *meta;
        check(dip_archive_meta(w->archive, ids[i], &meta));
        if ((int)meta->modality == side) found = ids[i];
        dip_meta_free(meta);
    }
    dip_ids_free(ids);
    return found;
}

/* The tile of `side` that scores best with tile `id` of the other modality, `twin` aside. */
static uint64_t best_match(const work *w, uint64_t id, int side, uint64_t twin)
{
    const dip_embeddings *all = &w->all[side];
    float *vector = dip_alloc_aligned(all->dim * sizeof *vector), best = -2;
    uint64_t found = twin;
    check(vector ? dip_archive_embeddings_of(w->archive, dip_model_id(w->model),
                                             (uint32_t)(1 - side), &id, 1, all->dim, vector, NULL)
                 : DIP_ENOMEM);
    for (size_t i = 0; i < all->n; i++) {
        const float score = dip_dot_get()(vector, all->vectors + i * all->dim, all->dim);
        if (all->ids[i] == twin || score <= best) continue;
        best = score;
        found = all->ids[i];
    }
    dip_free_aligned(vector);
    return found;
}

static float *prepare(const work *w, uint64_t id, int side, uint32_t *px)
{
    dip_tile *tile;
    float *input;
    check(dip_archive_tile(w->archive, id, &tile));
    check(dip_model_prepare(w->model, w->position[side], tile, &input, px));
    dip_tile_free(tile);
    return input;
}

/* A place that may be asked with, and one of another scene; by the tiles of the first modality. */
static void draw_places(work *w, uint64_t place[2])
{
    bool fits = false;
    for (int i = 0; i < TRIES && !fits; i++) {
        dip_meta *m[2];
        for (int s = 0; s < 2; s++)
            check(dip_archive_meta(w->archive,
                                   w->ids[dip_rng_below(&w->rng, (uint32_t)w->id_count)], &m[s]));
        fits = (!*m[0]->split || !strcmp(m[0]->split, "test")) && m[0]->place != m[1]->place &&
               (!*m[0]->scene || strcmp(m[0]->scene, m[1]->scene) != 0);
        for (int s = 0; s < 2; s++) place[s] = m[s]->place;
        for (int s = 0; s < 2; s++) dip_meta_free(m[s]);
        for (int s = 0; s < 2; s++) fits = fits && twin_of(w, place[s], 1) != DIP_NO_ID;
    }
    if (fits) return;
    fputs("bench_explain: no pairs of two scenes, of split test or of none\n", stderr);
    exit(1);
}

static void paste(pair *p, work *w)
{
    const dip_heat_side *side = &p->side[p->pasted];
    const uint32_t rows = GRID / 2, columns = dip_rng_below(&w->rng, 2) ? GRID : GRID / 2;
    const uint32_t top = dip_rng_below(&w->rng, GRID - rows + 1);
    const uint32_t left = dip_rng_below(&w->rng, GRID - columns + 1);
    for (uint32_t i = 0; i < CELLS; i++)
        p->mask[i] = i / GRID >= top && i / GRID < top + rows && i % GRID >= left &&
                     i % GRID < left + columns;
    for (uint32_t i = 0; i < side->px * side->px; i++) {
        const size_t at = (size_t)i * side->bands;
        if (p->mask[i / side->px * GRID / side->px * GRID + i % side->px * GRID / side->px])
            memcpy(p->input[p->pasted] + at, p->foreign + at, side->bands * sizeof(float));
    }
}

static void make_pair(work *w, int pasted, pair *p)
{
    uint64_t place[2], id[2];
    uint32_t px;
    p->pasted = pasted;
    draw_places(w, place);
    for (int s = 0; s < 2; s++) id[s] = twin_of(w, place[0], s);
    if (w->alike) id[pasted] = best_match(w, id[1 - pasted], pasted, id[pasted]);
    for (int s = 0; s < 2; s++) {
        const dip_modality *modality = dip_model_modality(w->model, w->position[s]);
        p->input[s] = prepare(w, id[s], s, &px);
        p->side[s] = (dip_heat_side){w->position[s], p->input[s], px, modality->band_count};
    }
    p->foreign = prepare(w, twin_of(w, place[1], pasted), pasted, &px);
    paste(p, w);
}

static void free_pair(pair *p)
{
    for (int s = 0; s < 2; s++) dip_free_aligned(p->input[s]);
    dip_free_aligned(p->foreign);
}

/* ---- measuring ---- */

/* How often a cell outside the mask is higher than one inside. */
static double area(const float *map, const bool *mask)
{
    double wins = 0, all = 0;
    for (int i = 0; i < CELLS; i++) {
        for (int j = 0; mask[i] && j < CELLS; j++) {
            if (mask[j]) continue;
            wins += map[j] > map[i] ? 1 : map[j] == map[i] ? 0.5 : 0;
            all++;
        }
    }
    return wins / all;
}

static void open_work(work *w, char **argv)
{
    check(dip_archive_open(&w->archive, argv[1], DIP_ARCHIVE_READ));
    check(dip_model_open(&w->model, argv[2]));
    pthread_mutex_init(&w->lock, NULL);
    dip_rng_init(&w->rng, 1, 0);
    for (size_t s = 0; s < 2; s++) {
        const dip_modality *modality = dip_archive_modality(w->archive, s);
        check(modality ? dip_model_check(w->model, modality) : DIP_EINVAL);
        w->position[s] = (size_t)dip_model_find_modality(w->model, modality->name);
        if (w->alike)
            check(dip_archive_embeddings(w->archive, dip_model_id(w->model), (uint32_t)s,
                                         &w->all[s]));
    }
    check(dip_archive_ids(w->archive, 0, &w->ids, &w->id_count));
}

int main(int argc, char **argv)
{
    double sum[MAPS][2] = {{0}}, seconds = 0;
    bench_help(argc, argv, usage);
    size_t pairs = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
    work w = {.alike = argc > 4 && !strcmp(argv[4], "look-alikes")};
    if (argc < 4 || argc > 5 || pairs < 2 || (argc == 5 && !w.alike))
        return bench_wrong_words(usage);
    open_work(&w, argv);
    pairs -= pairs % 2;
    for (size_t i = 0; i < pairs; i++) {
        pair p;
        dip_heat heat;
        make_pair(&w, (int)(i % 2), &p);
        const double begin = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
        check(dip_heat_map(w.model, &w.lock, p.side, &heat));
        seconds += bench_clock(CLOCK_PROCESS_CPUTIME_ID) - begin;
        for (int m = 0; m < MAPS; m++)
            sum[m][p.pasted] += area(m < DIP_LOOKS ? heat.look[m][0] : heat.map[0], p.mask);
        free_pair(&p);
    }
    printf("%zu %s; pasted into %-8s %-8s mean\n", pairs, w.alike ? "look-alikes" : "twins",
           dip_archive_modality(w.archive, 0)->name, dip_archive_modality(w.archive, 1)->name);
    for (int m = 0; m < MAPS; m++)
        printf("%-24s %.3f    %.3f    %.3f\n", map_names[m], sum[m][0] * 2 / (double)pairs,
               sum[m][1] * 2 / (double)pairs, (sum[m][0] + sum[m][1]) / (double)pairs);
    printf("%.0f ms of processor time a map\n", 1e3 * seconds / (double)pairs);
    for (int s = 0; s < 2; s++) dip_embeddings_fini(&w.all[s]);
    dip_ids_free(w.ids);
    dip_model_close(w.model);
    dip_archive_close(w.archive);
    return 0;
}
