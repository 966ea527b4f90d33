/* Mean and scale of what the heads see; see aligner.h. */
#include "train/aligner.h"

#include "core/mem.h"
#include "core/moments.h"
#include "core/status.h"

#include <math.h>

enum { MEASURED = 65536, PART_ROWS = 512 };

typedef struct measure_job {
    const dip_vectors *vectors;
    const uint32_t *rows;
    size_t count; /* rows in all */
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

static dip_status measure_part(void *context, size_t part, dip_moments *out)
{
    const measure_job *job = context;
    size_t dim = job->vectors->input.dim, first = part * PART_ROWS;
    size_t end = first + PART_ROWS < job->count ? first + PART_ROWS : job->count;
    float *vector = dip_alloc(dim * sizeof *vector);
    if (!vector) return DIP_ENOMEM;
    for (size_t row = first; row < end; row++) {
        dip_vectors_read(job->vectors, job->rows[row], 1, vector);
        for (size_t i = 0; i < dim; i++) dip_moments_add(&out[i], vector[i]);
    }
    dip_free(vector);
    return DIP_OK;
}

/* A value that does not vary over the training tiles says nothing: its scale is 0. */
static void set_constants(const dip_aligner *t, uint32_t modality, const dip_moments *found)
{
    const double least = 1e-6;
    size_t dim = t->vectors[modality].input.dim;
    double all = 0;
    for (size_t i = 0; i < dim; i++) all += found[i].squares;
    double common = sqrt(all / (found->count * (double)dim));
    for (size_t i = 0; i < dim; i++) {
        double deviation = dip_moments_deviation(&found[i]);
        double own = t->options.inputs == DIP_ALIGN_STANDARD ? deviation : common;
        float scale = deviation > least * common ? (float)(1 / own) : 0;
        t->heads->mean[modality][i] = t->model->mean[modality][i] = (float)found[i].mean;
        t->heads->scale[modality][i] = t->model->scale[modality][i] = scale;
    }
}

static dip_status measure_modality(dip_aligner *t, uint32_t modality)
{
    size_t dim = t->vectors[modality].input.dim;
    measure_job job = {.vectors = &t->vectors[modality]};
    uint32_t *rows = NULL;
    dip_moments *found = dip_alloc(dim * sizeof *found);
    dip_status status = found ? list_rows(t, modality, &rows, &job.count) : DIP_ENOMEM;
    job.rows = rows;
    if (!status)
        status = dip_moments_gather(found, dim, (job.count + PART_ROWS - 1) / PART_ROWS,
                                    measure_part, &job, NULL);
    if (!status) set_constants(t, modality, found);
    dip_free(rows);
    dip_free(found);
    return status;
}

dip_status dip_aligner_measure(dip_aligner *t)
{
    dip_status status = DIP_OK;
    for (uint32_t m = 0; !status && m < t->dataset->modality_count; m++)
        status = measure_modality(t, m);
    return status;
}
