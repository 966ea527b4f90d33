/* The objective; see objective.h. */
#include "train/objective.h"

#include "core/mem.h"
#include "train/sigreg.h"

#include <math.h>
#include <string.h>

struct dip_objective {
    const dip_train_options *options;
    size_t dim[DIP_OUTPUTS];
    dip_loss_space *space;
    float *targets;     /* (pairs, pairs), (pairs, queue); NULL without soft targets */
    dip_sigreg *sigreg; /* NULL without it */
    dip_queue *queue;   /* NULL without it */
};

/* Keeps those outputs that a loss compares with past ones. */
static dip_status make_queue(dip_objective *o, size_t modalities)
{
    const dip_train_options *p = o->options;
    bool used[2] = {false, false};
    size_t dim[2], rings = modalities * (modalities - 1) / 2;
    used[DIP_Z] = p->soft > 0 || p->queue_negatives;
    if (p->soft > 0) used[p->soft_on] = true;
    if (p->msp != 0) used[p->msp_on] = true;
    for (int output = 0; output < 2; output++) dim[output] = used[output] ? o->dim[output] : 0;
    return dip_queue_create(&o->queue, (size_t)p->queue, rings, dim);
}

dip_status dip_objective_create(dip_objective **out, const dip_train_options *options,
                                size_t modalities, const size_t dim[DIP_OUTPUTS])
{
    size_t pairs = (size_t)options->batch, past = (size_t)options->queue;
    dip_objective *o = dip_calloc(1, sizeof *o);
    if (!o) return DIP_ENOMEM;
    o->options = options;
    size_t widest = 0;
    for (int p = 0; p < DIP_OUTPUTS; p++) {
        o->dim[p] = dim[p];
        if (o->dim[p] > widest) widest = o->dim[p];
    }
    dip_status status = dip_loss_space_create(&o->space, pairs, widest, past);
    if (!status && options->soft > 0) {
        o->targets = dip_alloc(pairs * (pairs + past) * sizeof *o->targets);
        if (!o->targets) status = DIP_ENOMEM;
    }
    if (!status && options->sigreg > 0)
        status = dip_sigreg_create(&o->sigreg, pairs, o->dim[options->sigreg_on],
                                   (size_t)options->sigreg_directions);
    if (!status && past) status = make_queue(o, modalities);
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
    dip_queue_destroy(o->queue);
    dip_free(o->targets);
    dip_free(o);
}

dip_queue *dip_objective_queue(const dip_objective *o) { return o->queue; }

/* The layout's contrast is run where the net has a layout. */
static bool uses_layout(const dip_objective *o)
{
    return o->dim[DIP_LAYOUT] && o->options->layout > 0;
}

bool dip_objective_uses(const dip_objective *o, dip_output output)
{
    const dip_train_options *p = o->options;
    if (output == DIP_LAYOUT) return uses_layout(o);
    if (output == DIP_Z && (p->mim > 0 || p->soft > 0)) return true;
    return (p->mde > 0 && p->mde_on == (int)output) || (p->msp != 0 && p->msp_on == (int)output) ||
           (p->sigreg > 0 && p->sigreg_on == (int)output);
}

/* Factor of the ramped losses in this epoch. */
static double ramp(const dip_train_options *p, const dip_when *when)
{
    if (p->ramp == DIP_RAMP_NONE || when->epochs < 2) return 1;
    return pow(p->ramp_from, 1 - (double)when->epoch / (double)(when->epochs - 1));
}

/* Pairs of modalities in order: (0,1), (0,2), (1,2), ... */
static size_t ring_of(const dip_outputs *outputs)
{
    size_t low = outputs->modality[0], high = outputs->modality[1];
    return high * (high - 1) / 2 + low;
}

static void push(const dip_objective *o, const dip_outputs *outputs)
{
    float *x[2][2];
    for (int output = 0; output < 2; output++)
        for (int m = 0; m < 2; m++) x[output][m] = outputs->value[m][output];
    dip_queue_push(o->queue, ring_of(outputs), outputs->n, outputs->pair, x);
}

static dip_loss_batch batch_of(const dip_objective *o, int output, const dip_outputs *outputs,
                               double weight)
{
    return (dip_loss_batch){
        .n = outputs->n,
        .d = o->dim[output],
        .x1 = outputs->value[0][output],
        .x2 = outputs->value[1][output],
        .d1 = outputs->gradient[0][output],
        .d2 = outputs->gradient[1][output],
        .weight = weight,
        .past = output == DIP_LAYOUT ? NULL : dip_queue_past(o->queue, ring_of(outputs), output),
        .pair = outputs->pair};
}

static double run_contrast(const dip_objective *o, const dip_outputs *outputs)
{
    const dip_train_options *p = o->options;
    const dip_contrast contrast = {p->temperature, p->smoothing, p->within};
    dip_loss_batch batch = batch_of(o, DIP_Z, outputs, p->mim);
    if (!p->queue_negatives) batch.past = NULL;
    return dip_loss_contrast(o->space, &contrast, &batch);
}

static double run_layout(const dip_objective *o, const dip_outputs *outputs)
{
    const dip_train_options *p = o->options;
    const dip_contrast contrast = {p->layout_temperature, 0, p->within};
    dip_loss_batch batch = batch_of(o, DIP_LAYOUT, outputs, p->layout);
    return dip_loss_contrast(o->space, &contrast, &batch);
}

static double run_soft(const dip_objective *o, const dip_outputs *outputs, double weight)
{
    const dip_train_options *p = o->options;
    dip_loss_batch source = batch_of(o, p->soft_on, outputs, 0);
    dip_loss_batch batch = batch_of(o, DIP_Z, outputs, weight);
    dip_soft_targets(o->space, (dip_soft_source)p->soft_source, p->soft_temperature, &source,
                     o->targets);
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
    for (int m = 0; m < 2; m++)
        for (int p = 0; p < DIP_OUTPUTS; p++)
            if (o->dim[p])
                memset(outputs->gradient[m][p], 0, outputs->n * o->dim[p] * sizeof(float));
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
    if (uses_layout(o)) values->layout = run_layout(o, outputs);
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
    values->total =
        p->mim * values->mim + p->layout * values->layout + (soft_begun ? soft : 0) * values->soft +
        factor * (p->mde * values->mde - p->msp * values->msp) + p->sigreg * values->sigreg;
    if (o->queue) push(o, outputs);
}
