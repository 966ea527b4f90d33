/* The objective; see objective.h. */
#include "train/objective.h"

#include "core/mem.h"
#include "train/sigreg.h"

#include <math.h>
#include <string.h>

struct dip_objective {
    const dip_train_options *options;
    size_t dim[2]; /* of h and z: dip_loss_input */
    dip_loss_space *space;
    float *targets;     /* (pairs, pairs); NULL without soft targets */
    dip_sigreg *sigreg; /* NULL without it */
};

dip_status dip_objective_create(dip_objective **out, const dip_train_options *options, size_t pairs,
                                size_t z_dim, size_t h_dim)
{
    dip_objective *o = dip_calloc(1, sizeof *o);
    if (!o) return DIP_ENOMEM;
    o->options = options;
    o->dim[DIP_LOSS_ON_H] = h_dim;
    o->dim[DIP_LOSS_ON_Z] = z_dim;
    dip_status status = dip_loss_space_create(&o->space, pairs, z_dim > h_dim ? z_dim : h_dim);
    if (!status && options->soft > 0) {
        o->targets = dip_alloc(pairs * pairs * sizeof *o->targets);
        if (!o->targets) status = DIP_ENOMEM;
    }
    if (!status && options->sigreg > 0)
        status = dip_sigreg_create(&o->sigreg, pairs, o->dim[options->sigreg_on],
                                   (size_t)options->sigreg_directions);
    if (status) {
        dip_objective_destroy(o);
        return status;
    }
    *out = o;
    return DIP_OK;
}

void dip_objective_destroy(dip_objective *o)
{
    if (!o) return;
    dip_loss_space_destroy(o->space);
    dip_sigreg_destroy(o->sigreg);
    dip_free(o->targets);
    dip_free(o);
}

bool dip_objective_uses_h(const dip_objective *o)
{
    const dip_train_options *p = o->options;
    return (p->mde > 0 && p->mde_on == DIP_LOSS_ON_H) ||
           (p->msp != 0 && p->msp_on == DIP_LOSS_ON_H) ||
           (p->sigreg > 0 && p->sigreg_on == DIP_LOSS_ON_H);
}

/* Factor of the ramped losses in this epoch. */
static double ramp(const dip_train_options *p, const dip_when *when)
{
    if (p->ramp == DIP_RAMP_NONE || when->epochs < 2) return 1;
    return pow(p->ramp_from, 1 - (double)when->epoch / (double)(when->epochs - 1));
}

static dip_loss_batch batch_of(const dip_objective *o, int input, const dip_outputs *outputs,
                               double weight)
{
    bool z = input == DIP_LOSS_ON_Z;
    return (dip_loss_batch){.n = outputs->n,
                            .d = o->dim[input],
                            .x1 = z ? outputs->z[0] : outputs->h[0],
                            .x2 = z ? outputs->z[1] : outputs->h[1],
                            .d1 = z ? outputs->dz[0] : outputs->dh[0],
                            .d2 = z ? outputs->dz[1] : outputs->dh[1],
                            .weight = weight};
}

static double run_contrast(const dip_objective *o, const dip_outputs *outputs)
{
    const dip_train_options *p = o->options;
    const dip_contrast contrast = {p->temperature, p->smoothing, p->within};
    dip_loss_batch batch = batch_of(o, DIP_LOSS_ON_Z, outputs, p->mim);
    return dip_loss_contrast(o->space, &contrast, &batch);
}

static double run_soft(const dip_objective *o, const dip_outputs *outputs, double weight)
{
    const dip_train_options *p = o->options;
    dip_loss_batch source = batch_of(o, p->soft_on, outputs, 0);
    dip_loss_batch batch = batch_of(o, DIP_LOSS_ON_Z, outputs, weight);
    dip_soft_targets(o->space, (dip_soft_source)p->soft_source, p->soft_temperature, source.x1,
                     source.x2, source.n, source.d, o->targets);
    return dip_loss_soft(o->space, p->temperature, o->targets, &batch);
}

static double run_sigreg(const dip_objective *o, const dip_when *when, const dip_outputs *outputs)
{
    const dip_train_options *p = o->options;
    dip_loss_batch batch = batch_of(o, p->sigreg_on, outputs, p->sigreg);
    const float *directions = dip_sigreg_draw(o->sigreg, (uint64_t)p->seed, when->step);
    return dip_loss_sigreg(o->sigreg, directions, &batch);
}

static void clear(const dip_objective *o, const dip_outputs *outputs)
{
    for (int m = 0; m < 2; m++) {
        memset(outputs->dz[m], 0, outputs->n * o->dim[DIP_LOSS_ON_Z] * sizeof(float));
        memset(outputs->dh[m], 0, outputs->n * o->dim[DIP_LOSS_ON_H] * sizeof(float));
    }
}

void dip_objective_run(dip_objective *o, const dip_when *when, const dip_outputs *outputs,
                       dip_loss_values *values)
{
    const dip_train_options *p = o->options;
    double factor = ramp(p, when), soft = factor * p->soft;
    bool soft_begun = (double)when->epoch >= p->soft_start * (double)when->epochs;
    *values = (dip_loss_values){.total = 0};
    clear(o, outputs);
    if (p->mim > 0) values->mim = run_contrast(o, outputs);
    if (soft > 0 && soft_begun) values->soft = run_soft(o, outputs, soft);
    if (p->mde > 0) {
        dip_loss_batch batch = batch_of(o, p->mde_on, outputs, factor * p->mde);
        values->mde = dip_loss_discrepancy(o->space, (dip_discrepancy)p->mde_form, &batch);
    }
    if (p->msp != 0) {
        dip_loss_batch batch = batch_of(o, p->msp_on, outputs, -factor * p->msp);
        values->msp = dip_loss_similar(o->space, (dip_neighbour)p->msp_source, &batch);
    }
    if (o->sigreg) values->sigreg = run_sigreg(o, when, outputs);
    values->total = p->mim * values->mim + (soft_begun ? soft : 0) * values->soft +
                    factor * (p->mde * values->mde - p->msp * values->msp) +
                    p->sigreg * values->sigreg;
}
