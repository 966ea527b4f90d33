/*
 * One training step; see session.h: two forward passes, the objective, two backward passes, the optimiser, the moving
 * average. Nothing is allocated.
 */
#include "train/session.h"

#include "core/status.h"
#include "train/backward.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { RECORD_EVERY = 10 };

static dip_status tell_step(dip_session *t, const dip_loss_values *v, double rate)
{
    const dip_field fields[] = {{"epoch", (double)t->cursor.epoch},
                                {"loss", v->total},
                                {"mim", v->mim},
                                {"layout", v->layout},
                                {"soft", v->soft},
                                {"mde", v->mde},
                                {"msp", v->msp},
                                {"sigreg", v->sigreg},
                                {"rate", rate},
                                {"gradient", t->last_norm},
                                {"pairs_per_second", dip_session_pairs_per_second(t)}};
    return dip_journal_numbers(&t->journal, "step", t->cursor.total, fields,
                               sizeof fields / sizeof *fields);
}

/* ---- what went wrong ---- */

static float largest_input(const dip_session *t, const dip_train_batch *batch, int side)
{
    size_t pixels = (size_t)t->spec.input_px * t->spec.input_px;
    size_t n = batch->n * pixels * t->spec.modality[batch->modality[side]].band_count;
    float most = 0;
    for (size_t i = 0; i < n; i++)
        if (fabsf(batch->input[side][i]) > most) most = fabsf(batch->input[side][i]);
    return most;
}

/* `batch`: of the step that failed; NULL: an evaluation did. */
static dip_status unstable(const dip_session *t, const dip_train_batch *batch, double rate)
{
    char where[128];
    snprintf(where, sizeof where, "training became unstable at epoch %llu, step %llu",
             (unsigned long long)t->cursor.epoch + 1, (unsigned long long)t->cursor.step);
    for (int side = 0; batch && side < 2; side++) {
        float most = largest_input(t, batch, side);
        if (most > 1000)
            return dip_fail(DIP_EINVAL,
                            "%s: a pixel of modality '%s' lies %.3g standard deviations from the "
                            "mean; its statistics do not fit, use --statistics measure",
                            where, t->spec.modality[batch->modality[side]].name, (double)most);
    }
    if (t->options->temperature < 0.02)
        return dip_fail(DIP_EINVAL,
                        "%s: the numbers are not finite; the temperature %g is likely too low, try "
                        "--temperature 0.1",
                        where, t->options->temperature);
    return dip_fail(DIP_EINVAL,
                    "%s: the numbers are not finite; the learning rate %g is likely too high (the "
                    "gradient's norm was %.3g a step before), try --rate %g or --clip 1",
                    where, rate, t->last_norm, t->options->rate / 4);
}

dip_status dip_session_unstable(const dip_session *t)
{
    return unstable(t, NULL, t->options->rate);
}

/* ---- one step ---- */

static dip_status forward(dip_session *t, const dip_train_batch *batch)
{
    dip_status status = DIP_OK;
    for (int side = 0; side < 2 && !status; side++)
        status = dip_net_forward_train(t->net, batch->modality[side], batch->input[side], batch->n,
                                       (float)t->options->momentum, t->outputs.value[side]);
    t->outputs.n = batch->n;
    t->outputs.pair = batch->pair;
    memcpy(t->outputs.modality, batch->modality, sizeof t->outputs.modality);
    return status;
}

static dip_status backward(dip_session *t, const dip_train_batch *batch)
{
    dip_status status = DIP_OK;
    memset(dip_net_grads(t->net), 0, dip_net_param_count(t->net) * sizeof(float));
    for (int side = 0; side < 2 && !status; side++) {
        float *gradient[DIP_OUTPUTS];
        for (int p = 0; p < DIP_OUTPUTS; p++)
            gradient[p] = dip_objective_uses(t->objective, (dip_output)p)
                              ? t->outputs.gradient[side][p]
                              : NULL;
        status = dip_net_backward(t->net, batch->modality[side], gradient);
    }
    return status;
}

dip_status dip_session_step(dip_session *t)
{
    const dip_train_options *o = t->options;
    const dip_train_batch *batch;
    dip_loss_values values;
    uint64_t total = (uint64_t)o->epochs * t->epoch_steps;
    double rate = dip_rate_at(o->rate, (dip_decay)o->decay, t->cursor.total,
                              (uint64_t)llround(o->warmup * (double)t->epoch_steps), total);
    dip_status status = dip_loader_next(t->loader, &batch);
    if (!status) status = forward(t, batch);
    if (status) return status;
    const dip_when when = {t->cursor.epoch, (uint64_t)o->epochs, t->cursor.total};
    dip_objective_run(t->objective, &when, &t->outputs, &values);
    if (!isfinite(values.total)) return unstable(t, batch, rate);
    status = backward(t, batch);
    if (status) return status;
    double norm =
        dip_optimiser_step(t->optimiser, rate, dip_net_params(t->net), dip_net_grads(t->net));
    if (!isfinite(norm)) return unstable(t, batch, rate);
    t->last_norm = norm;
    dip_net_refresh(t->net);
    if (t->average) dip_average_step(t->average, dip_average_decay(o->average, t->cursor.total));
    t->cursor.loss_sum += values.total;
    t->cursor.total++;
    t->cursor.step++;
    t->lap.pairs += batch->n;
    return t->cursor.total % RECORD_EVERY ? DIP_OK : tell_step(t, &values, rate);
}
