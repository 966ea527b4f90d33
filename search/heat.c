/*
 * Where a score comes from; see heat.h and docs/decisions/0014-explain.md.
 *
 * Three looks at the same squares of both tiles, which slide over the grid: hidden (the band's mean of the archive stands
 * in their place), shown alone, and cut out and enlarged. Each gives a score a square; a cell gets the mean over the
 * squares that it lies in.
 */
#include "search/heat.h"

#include "core/mem.h"
#include "encoder/model.h"
#include "encoder/prepare.h"
#include "index/dot.h"

#include <string.h>

enum { GRID = DIP_EXPLAIN_GRID, SLICE = 16 };

/* Cells a side of a square. */
static const uint32_t span_of[DIP_LOOKS] = {2, 3, 4};
static const float weight_of[DIP_LOOKS] = {2, 0.5F, 0.5F};

typedef struct work {
    dip_model *model;
    pthread_mutex_t *lock;
    const dip_heat_side *side;
    size_t dim;
    float *inputs;     /* (SLICE, px, px, bands) of the larger side */
    float *vectors[2]; /* (GRID * GRID, dim) */
} work;

static uint32_t steps_of(dip_look l) { return GRID - span_of[l] + 1; }

static size_t input_values(const dip_heat_side *side)
{
    return (size_t)side->px * side->px * side->bands;
}

/* First pixel of a cell's row or column. */
static uint32_t edge(const dip_heat_side *side, uint32_t cell) { return cell * side->px / GRID; }

/* ---- looks ---- */

/* Copies rows or hides them: normalised values have mean 0. */
static void cover(const dip_heat_side *side, uint32_t row, uint32_t column, uint32_t span,
                  bool inside, float *out)
{
    const uint32_t top = edge(side, row), bottom = edge(side, row + span);
    const size_t left = (size_t)edge(side, column) * side->bands;
    const size_t right = (size_t)edge(side, column + span) * side->bands;
    const size_t pitch = (size_t)side->px * side->bands;
    if (inside)
        memcpy(out, side->input, input_values(side) * sizeof *out);
    else
        memset(out, 0, input_values(side) * sizeof *out);
    for (uint32_t y = top; y < bottom; y++) {
        float *to = out + y * pitch + left;
        if (inside)
            memset(to, 0, (right - left) * sizeof *to);
        else
            memcpy(to, side->input + y * pitch + left, (right - left) * sizeof *to);
    }
}

static dip_status look_at(const dip_heat_side *side, dip_look l, uint32_t square, float *out)
{
    const uint32_t row = square / steps_of(l), column = square % steps_of(l), span = span_of[l];
    if (l != DIP_LOOK_CUT) {
        cover(side, row, column, span, l == DIP_LOOK_HIDDEN, out);
        return DIP_OK;
    }
    const uint32_t x = edge(side, column), y = edge(side, row);
    return dip_resample(side->input, side->px, side->px, side->bands, x, y,
                        edge(side, column + span) - x, edge(side, row + span) - y, side->px, out);
}

static dip_status encode_slice(work *w, const dip_heat_side *side, size_t n, float *vectors)
{
    pthread_mutex_lock(w->lock);
    dip_status status = dip_model_encode_prepared(w->model, side->modality, w->inputs, n, vectors);
    pthread_mutex_unlock(w->lock);
    return status;
}

/* The vectors of all squares of a side. */
static dip_status encode_looks(work *w, int s, dip_look l)
{
    const dip_heat_side *side = &w->side[s];
    const uint32_t squares = steps_of(l) * steps_of(l);
    dip_status status = DIP_OK;
    for (uint32_t at = 0; at < squares && !status; at += SLICE) {
        const uint32_t n = squares - at < SLICE ? squares - at : SLICE;
        for (uint32_t i = 0; i < n && !status; i++)
            status = look_at(side, l, at + i, w->inputs + i * input_values(side));
        if (!status) status = encode_slice(w, side, n, w->vectors[s] + at * w->dim);
    }
    return status;
}

static dip_status score_squares(work *w, dip_look l, float *scores)
{
    dip_status status = DIP_OK;
    for (int s = 0; s < 2 && !status; s++) status = encode_looks(w, s, l);
    for (uint32_t i = 0; i < steps_of(l) * steps_of(l) && !status; i++)
        scores[i] = dip_dot_get()(w->vectors[0] + i * w->dim, w->vectors[1] + i * w->dim, w->dim);
    return status;
}

static dip_status score_whole(work *w, float *score)
{
    dip_status status = DIP_OK;
    for (int s = 0; s < 2 && !status; s++) {
        memcpy(w->inputs, w->side[s].input, input_values(&w->side[s]) * sizeof *w->inputs);
        status = encode_slice(w, &w->side[s], 1, w->vectors[s]);
    }
    if (!status) *score = dip_dot_get()(w->vectors[0], w->vectors[1], w->dim);
    return status;
}

/* ---- the map ---- */

/* Mean over the squares of a look that hold a cell. */
static float mean_at(const float *scores, dip_look l, uint32_t row, uint32_t column)
{
    const uint32_t steps = steps_of(l), span = span_of[l];
    float sum = 0;
    uint32_t n = 0;
    for (uint32_t r = 0; r < steps; r++) {
        for (uint32_t c = 0; c < steps; c++) {
            if (row < r || row >= r + span || column < c || column >= c + span) continue;
            sum += scores[r * steps + c];
            n++;
        }
    }
    return sum / (float)n;
}

static void name_places(const float *cut, dip_heat *out)
{
    static const char *const names[DIP_HEAT_PLACES] = {"NW", "N",  "NE", "W", "centre",
                                                       "E",  "SW", "S",  "SE"};
    const uint32_t steps = steps_of(DIP_LOOK_CUT), half = (steps - 1) / 2;
    for (uint32_t i = 0; i < DIP_HEAT_PLACES; i++)
        out->place[i] = (dip_explained_place){names[i], cut[i / 3 * half * steps + i % 3 * half]};
}

static void add_look(dip_look l, const float *scores, float whole, dip_heat *out)
{
    for (uint32_t r = 0; r < GRID; r++) {
        for (uint32_t c = 0; c < GRID; c++) {
            const float score = mean_at(scores, l, r, c);
            out->look[l][r][c] = l == DIP_LOOK_HIDDEN ? whole - score : score;
            out->map[r][c] += weight_of[l] * out->look[l][r][c];
        }
    }
}

static dip_status draw(work *w, dip_heat *out)
{
    float scores[GRID * GRID], whole = 0;
    dip_status status = score_whole(w, &whole);
    memset(out->map, 0, sizeof out->map);
    for (int l = 0; l < DIP_LOOKS && !status; l++) {
        status = score_squares(w, (dip_look)l, scores);
        if (!status) add_look((dip_look)l, scores, whole, out);
        if (!status && l == DIP_LOOK_CUT) name_places(scores, out);
    }
    return status;
}

dip_status dip_heat_map(dip_model *model, pthread_mutex_t *lock, const dip_heat_side side[2],
                        dip_heat *out)
{
    work w = {.model = model, .lock = lock, .side = side, .dim = dip_model_dim(model)};
    size_t a = input_values(&side[0]), b = input_values(&side[1]);
    w.inputs = dip_alloc_aligned(SLICE * (a > b ? a : b) * sizeof *w.inputs);
    for (int s = 0; s < 2; s++)
        w.vectors[s] = dip_alloc_aligned(GRID * GRID * w.dim * sizeof(float));
    dip_status status = w.inputs && w.vectors[0] && w.vectors[1] ? draw(&w, out) : DIP_ENOMEM;
    for (int s = 0; s < 2; s++) dip_free_aligned(w.vectors[s]);
    dip_free_aligned(w.inputs);
    return status;
}
