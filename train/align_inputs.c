/* Mean and scale of what the heads see; see aligner.h. Sums are kept a chunk of rows and merged in order. */
#include "train/aligner.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/status.h"

#include <math.h>
#include <string.h>

enum { MEASURED = 65536, TASK_ROWS = 512, GROUP = 16 };

typedef struct sums {
    double count;
    double *mean, *squares; /* (dim): mean, and summed squared deviation from it */
} sums;

typedef struct measure_job {
    const dip_vectors *vectors;
    const uint32_t *rows;
    size_t count, first; /* rows in all; task of the group */
    sums *partial;       /* one a task of the group */
} measure_job;

/* Rows of training tiles of a modality, up to MEASURED, spread evenly. */
static dip_status list_rows(const dip_aligner *t, uint32_t modality, uint32_t **rows, size_t *count)
{
    const dip_dataset *d = t->dataset;
    size_t n = 0, seen = 0, taken = 0;
    bool *used = dip_calloc(d->tile_count + 1, sizeof *used);
    *rows = dip_alloc(MEASURED * sizeof **rows);
    if (!used || !*rows) {
        dip_free(used);
        return DIP_ENOMEM;
    }
    for (size_t i = 0; i < d->train_count; i++)
        for (int side = 0; side < 2; side++)
            if (d->train[i].modality[side] == modality)
                for (uint32_t k = 0; k < d->train[i].count[side]; k++)
                    used[d->train[i].first[side] + k] = true;
    for (size_t i = 0; i < d->tile_count; i++) n += used[i];
    size_t wanted = n < MEASURED ? n : MEASURED;
    for (size_t i = 0; i < d->tile_count && taken < wanted; i++)
        if (used[i] && seen++ * wanted / n == taken) (*rows)[taken++] = t->row[i];
    dip_free(used);
    *count = taken;
    return DIP_OK;
}

/* Adds one vector. [Welford, 1962] */
static void add_vector(sums *s, const float *vector, size_t dim)
{
    s->count++;
    for (size_t i = 0; i < dim; i++) {
        double delta = vector[i] - s->mean[i];
        s->mean[i] += delta / s->count;
        s->squares[i] += delta * (vector[i] - s->mean[i]);
    }
}

static dip_status measure_task(void *context, size_t task, unsigned worker)
{
    const measure_job *job = context;
    sums *s = &job->partial[task];
    size_t dim = job->vectors->input.dim, first = (job->first + task) * TASK_ROWS;
    size_t end = first + TASK_ROWS < job->count ? first + TASK_ROWS : job->count;
    (void)worker;
    float *vector = dip_alloc(dim * sizeof *vector);
    if (!vector) return DIP_ENOMEM;
    s->count = 0;
    memset(s->mean, 0, 2 * dim * sizeof *s->mean);
    for (size_t i = first; i < end; i++) {
        dip_vectors_read(job->vectors, job->rows[i], 1, vector);
        add_vector(s, vector, dim);
    }
    dip_free(vector);
    return DIP_OK;
}

/* [Chan, Golub and LeVeque, 1983] */
static void merge(sums *total, const sums *more, size_t dim)
{
    double count = total->count + more->count;
    for (size_t i = 0; i < dim; i++) {
        double delta = more->mean[i] - total->mean[i];
        total->squares[i] += more->squares[i] + delta * delta * total->count * more->count / count;
        total->mean[i] += delta * more->count / count;
    }
    total->count = count;
}

static dip_status sum_rows(measure_job *job, sums *total)
{
    size_t dim = job->vectors->input.dim, tasks = (job->count + TASK_ROWS - 1) / TASK_ROWS;
    for (size_t at = 0; at < tasks; at += GROUP) {
        size_t count = tasks - at < GROUP ? tasks - at : GROUP;
        job->first = at;
        dip_status status = dip_parallel_for(count, measure_task, job);
        if (status) return status;
        for (size_t i = 0; i < count; i++) merge(total, &job->partial[i], dim);
    }
    return DIP_OK;
}

/* A value that does not vary over the training tiles says nothing: its scale is 0. */
static void set_constants(const dip_aligner *t, uint32_t modality, const sums *s)
{
    const double least = 1e-6;
    size_t dim = t->vectors[modality].input.dim;
    double all = 0;
    for (size_t i = 0; i < dim; i++) all += s->squares[i];
    double common = sqrt(all / (s->count * (double)dim));
    for (size_t i = 0; i < dim; i++) {
        double deviation = sqrt(s->squares[i] / s->count);
        double own = t->options.inputs == DIP_ALIGN_STANDARD ? deviation : common;
        float scale = deviation > least * common ? (float)(1 / own) : 0;
        t->heads->mean[modality][i] = t->model->mean[modality][i] = (float)s->mean[i];
        t->heads->scale[modality][i] = t->model->scale[modality][i] = scale;
    }
}

static dip_status measure_modality(dip_aligner *t, uint32_t modality)
{
    size_t dim = t->vectors[modality].input.dim;
    sums partial[GROUP], total = {.count = 0};
    measure_job job = {.vectors = &t->vectors[modality], .partial = partial};
    uint32_t *rows = NULL;
    dip_status status = list_rows(t, modality, &rows, &job.count);
    double *values = dip_calloc((GROUP + 1) * 2 * dim, sizeof *values);
    if (!values) status = DIP_ENOMEM;
    for (size_t i = 0; !status && i <= GROUP; i++) {
        sums *s = i < GROUP ? &partial[i] : &total;
        s->mean = values + 2 * dim * i;
        s->squares = s->mean + dim;
    }
    job.rows = rows;
    if (!status) status = sum_rows(&job, &total);
    if (!status) set_constants(t, modality, &total);
    dip_free(rows);
    dip_free(values);
    return status;
}

dip_status dip_aligner_measure(dip_aligner *t)
{
    dip_status status = DIP_OK;
    for (uint32_t m = 0; !status && m < t->dataset->modality_count; m++)
        status = measure_modality(t, m);
    return status;
}
