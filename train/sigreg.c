/*
 * SIGReg; see sigreg.h. The projections lie a direction a row, so that a task has a whole direction: it sums the
 * characteristic function over the row, then turns the row into the gradient with respect to it. cos and sin of the
 * multiples of an angle come from one cos and sin by rotation.
 */
#include "train/sigreg.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/rng.h"
#include "train/blas.h"

#include <assert.h>
#include <math.h>

enum { KNOTS = DIP_SIGREG_KNOTS, DIRECTIONS = 8 /* a task */ };

static const double reach = 3; /* t goes from 0 to it */
static const uint64_t direction_tag = 0x736967726567;

struct dip_sigreg {
    size_t pairs, dim, directions;
    float *direction;  /* (directions, dim), unit */
    float *projection; /* (directions, pairs) */
    double *partial;   /* one a task */
    double weight[KNOTS], wanted[KNOTS];
};

static size_t task_count(const dip_sigreg *s)
{
    return (s->directions + DIRECTIONS - 1) / DIRECTIONS;
}

dip_status dip_sigreg_create(dip_sigreg **out, size_t pairs, size_t dim, size_t directions)
{
    dip_sigreg *s = dip_calloc(1, sizeof *s);
    if (!s) return DIP_ENOMEM;
    s->pairs = pairs;
    s->dim = dim;
    s->directions = directions;
    s->direction = dip_alloc_aligned(directions * dim * sizeof(float));
    s->projection = dip_alloc_aligned(directions * pairs * sizeof(float));
    s->partial = dip_alloc(task_count(s) * sizeof(double));
    if (!s->direction || !s->projection || !s->partial) {
        dip_sigreg_destroy(s);
        return DIP_ENOMEM;
    }
    for (int k = 0; k < KNOTS; k++) {
        double step = reach / (KNOTS - 1), t = k * step;
        s->wanted[k] = exp(-t * t / 2);
        s->weight[k] = (k == 0 || k == KNOTS - 1 ? 1 : 2) * step * s->wanted[k];
    }
    *out = s;
    return DIP_OK;
}

void dip_sigreg_destroy(dip_sigreg *s)
{
    if (!s) return;
    dip_free_aligned(s->direction);
    dip_free_aligned(s->projection);
    dip_free(s->partial);
    dip_free(s);
}

/* ---- directions ---- */

typedef struct draw_job {
    dip_sigreg *sigreg;
    uint64_t seed, step;
} draw_job;

static dip_status draw_task(void *context, size_t j, unsigned worker)
{
    const draw_job *job = context;
    const dip_sigreg *s = job->sigreg;
    float *direction = s->direction + j * s->dim;
    double sum = 0;
    dip_rng rng;
    (void)worker;
    dip_rng_init(&rng, job->seed ^ direction_tag, job->step * s->directions + j);
    for (size_t i = 0; i < s->dim; i++) {
        direction[i] = (float)dip_rng_normal(&rng);
        sum += (double)direction[i] * direction[i];
    }
    float scale = (float)(1 / sqrt(sum));
    for (size_t i = 0; i < s->dim; i++) direction[i] *= scale;
    return DIP_OK;
}

const float *dip_sigreg_draw(dip_sigreg *s, uint64_t seed, uint64_t step)
{
    draw_job job = {s, seed, step};
    dip_status status = dip_parallel_for(s->directions, draw_task, &job);
    assert(!status && "the tasks cannot fail");
    (void)status;
    return s->direction;
}

/* ---- the loss ---- */

/* cos and sin of k times the angle, from k = 0 on. */
typedef struct turn {
    double cosine, sine, step_cosine, step_sine;
} turn;

static turn turn_begin(double angle) { return (turn){1, 0, cos(angle), sin(angle)}; }

static void turn_on(turn *t)
{
    double cosine = t->cosine * t->step_cosine - t->sine * t->step_sine;
    t->sine = t->sine * t->step_cosine + t->cosine * t->step_sine;
    t->cosine = cosine;
}

/* One direction's sum over k; its projections become n * d(sum)/d(projection). */
static double direction_loss(const dip_sigreg *s, float *projection, size_t n)
{
    const double step = reach / (KNOTS - 1);
    double real[KNOTS] = {0}, imaginary[KNOTS] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++) {
        turn t = turn_begin(step * projection[i]);
        for (int k = 0; k < KNOTS; k++, turn_on(&t)) {
            real[k] += t.cosine;
            imaginary[k] += t.sine;
        }
    }
    for (int k = 0; k < KNOTS; k++) {
        real[k] = real[k] / (double)n - s->wanted[k];
        imaginary[k] /= (double)n;
        sum += s->weight[k] * (real[k] * real[k] + imaginary[k] * imaginary[k]);
    }
    for (size_t i = 0; i < n; i++) {
        turn t = turn_begin(step * projection[i]);
        double slope = 0;
        for (int k = 0; k < KNOTS; k++, turn_on(&t))
            slope += 2 * s->weight[k] * (k * step) * (imaginary[k] * t.cosine - real[k] * t.sine);
        projection[i] = (float)slope;
    }
    return sum;
}

typedef struct loss_job {
    const dip_sigreg *sigreg;
    size_t n;
} loss_job;

static dip_status loss_task(void *context, size_t task, unsigned worker)
{
    const loss_job *job = context;
    const dip_sigreg *s = job->sigreg;
    size_t first = task * DIRECTIONS, end = first + DIRECTIONS;
    double sum = 0;
    (void)worker;
    for (size_t j = first; j < end && j < s->directions; j++)
        sum += direction_loss(s, s->projection + j * job->n, job->n);
    s->partial[task] = sum;
    return DIP_OK;
}

/* One modality's value; adds weight * gradient to `dx`. */
static double modality_loss(const dip_sigreg *s, const float *directions, const float *x, size_t n,
                            double weight, float *dx)
{
    loss_job job = {s, n};
    double sum = 0;
    dip_blas_abt(s->directions, n, s->dim, 1, directions, x, 0, s->projection);
    dip_status status = dip_parallel_for(task_count(s), loss_task, &job);
    assert(!status && "the tasks cannot fail");
    (void)status;
    for (size_t i = 0; i < task_count(s); i++) sum += s->partial[i];
    dip_blas_atb(n, s->dim, s->directions, (float)(weight / (double)s->directions), s->projection,
                 directions, 1, dx);
    return sum * (double)n / (double)s->directions;
}

double dip_loss_sigreg(dip_sigreg *s, const float *directions, const dip_loss_batch *b)
{
    assert(b->n <= s->pairs && b->d == s->dim);
    double first = modality_loss(s, directions, b->x1, b->n, 0.5 * b->weight, b->d1);
    return 0.5 * (first + modality_loss(s, directions, b->x2, b->n, 0.5 * b->weight, b->d2));
}
