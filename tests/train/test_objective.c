/* The objective: the sum of its parts with their weights, ramps and starts. */
#include "support.h"

#include "core/rng.h"
#include "train/objective.h"

#include <math.h>

enum { N = 6, Z = 4, H = 5, L = 8, EPOCHS = 11 };

static const size_t dim[DIP_OUTPUTS] = {Z, H, L};

typedef struct rig {
    float z[2][N * Z], h[2][N * H], l[2][N * L], dz[2][N * Z], dh[2][N * H], dl[2][N * L];
    dip_outputs outputs;
} rig;

static void fill(rig *r)
{
    dip_rng rng;
    dip_rng_init(&rng, 1, 0);
    static const uint32_t pair[N] = {5, 4, 3, 2, 1, 0};
    r->outputs = (dip_outputs){.n = N, .modality = {0, 1}, .pair = pair};
    for (int m = 0; m < 2; m++) {
        for (int i = 0; i < N * Z; i++) r->z[m][i] = (float)dip_rng_normal(&rng);
        for (int i = 0; i < N * H; i++) r->h[m][i] = (float)dip_rng_normal(&rng);
        for (int i = 0; i < N * L; i++) r->l[m][i] = (float)dip_rng_normal(&rng);
        float *value[] = {r->z[m], r->h[m], r->l[m]}, *gradient[] = {r->dz[m], r->dh[m], r->dl[m]};
        memcpy(r->outputs.value[m], value, sizeof value);
        memcpy(r->outputs.gradient[m], gradient, sizeof gradient);
    }
}

static dip_train_options only(const char *loss)
{
    dip_train_options o = support_options("objective");
    o.mim = o.layout = o.soft = o.mde = o.msp = o.sigreg = 0;
    o.batch = N;
    o.soft_start = 0;
    o.sigreg_directions = 8;
    if (loss) assert_int_equal(dip_options_set(dip_train_table, &o, loss, "1"), DIP_OK);
    return o;
}

static dip_loss_values run(const dip_train_options *o, uint64_t epoch, rig *r)
{
    dip_objective *objective = NULL;
    dip_loss_values values;
    const dip_when when = {epoch, EPOCHS, epoch};
    assert_int_equal(dip_objective_create(&objective, o, 2, dim), DIP_OK);
    dip_objective_run(objective, &when, &r->outputs, &values);
    dip_objective_destroy(objective);
    return values;
}

static void it_is_the_weighted_sum_of_its_parts(void **state)
{
    (void)state;
    static const char *const losses[] = {"mim", "soft", "mde", "msp", "sigreg", "layout"};
    static const double weights[] = {0.5, 2, 3, 0.25, 1.5, 0.75};
    rig r, sum;
    double total = 0;
    memset(&sum, 0, sizeof sum);
    fill(&r);
    for (int i = 0; i < 6; i++) {
        dip_train_options o = only(losses[i]);
        total += weights[i] * run(&o, 3, &r).total;
        for (int k = 0; k < N * Z; k++) sum.dz[0][k] += (float)(weights[i] * r.dz[0][k]);
        for (int k = 0; k < N * H; k++) sum.dh[1][k] += (float)(weights[i] * r.dh[1][k]);
        for (int k = 0; k < N * L; k++) sum.dl[1][k] += (float)(weights[i] * r.dl[1][k]);
    }
    dip_train_options all = only(NULL);
    all.mim = weights[0];
    all.soft = weights[1];
    all.mde = weights[2];
    all.msp = weights[3];
    all.sigreg = weights[4];
    all.layout = weights[5];
    assert_true(fabs(run(&all, 3, &r).total - total) < 1e-9);
    for (int k = 0; k < N * Z; k++) assert_true(fabsf(r.dz[0][k] - sum.dz[0][k]) < 1e-6f);
    for (int k = 0; k < N * H; k++) assert_true(fabsf(r.dh[1][k] - sum.dh[1][k]) < 1e-6f);
    for (int k = 0; k < N * L; k++) assert_true(fabsf(r.dl[1][k] - sum.dl[1][k]) < 1e-6f);
}

static void similar_pairs_are_to_be_increased(void **state)
{
    (void)state;
    rig r;
    fill(&r);
    dip_train_options o = only("msp");
    dip_loss_values values = run(&o, 0, &r);
    assert_true(values.total == -values.msp);
    o.msp = -1;
    assert_true(run(&o, 0, &r).total == values.msp);
}

static void ramp_rises_geometrically(void **state)
{
    (void)state;
    static const double expected[] = {1e-4, 1e-2, 1};
    rig r;
    fill(&r);
    dip_train_options o = only("mde");
    o.ramp = DIP_RAMP_GEOMETRIC;
    for (int i = 0; i < 3; i++) {
        dip_loss_values values = run(&o, (uint64_t)i * 5, &r);
        assert_true(fabs(values.total / values.mde - expected[i]) < 1e-9);
    }
    o.ramp = DIP_RAMP_NONE;
    dip_loss_values values = run(&o, 0, &r);
    assert_true(values.total == values.mde);
}

static void soft_targets_begin_when_asked(void **state)
{
    (void)state;
    rig r;
    fill(&r);
    dip_train_options o = only("soft");
    o.soft_start = 0.5;
    assert_true(run(&o, 5, &r).total == 0);
    assert_true(run(&o, 6, &r).total > 0);
}

static void losses_reach_what_they_are_asked_to(void **state)
{
    (void)state;
    rig r;
    fill(&r);
    for (int i = 0; i < 4; i++) {
        int on = i % 2;
        dip_train_options o = only(i < 2 ? "mde" : "sigreg");
        float z = 0, h = 0;
        dip_objective *objective = NULL;
        o.mde_on = o.sigreg_on = on;
        assert_int_equal(dip_objective_create(&objective, &o, 2, dim), DIP_OK);
        assert_int_equal(dip_objective_uses(objective, DIP_H), on == DIP_H);
        dip_objective_destroy(objective);
        run(&o, 0, &r);
        for (int k = 0; k < N * Z; k++) z += fabsf(r.dz[0][k]);
        for (int k = 0; k < N * H; k++) h += fabsf(r.dh[0][k]);
        assert_true((h > 0) == (on == DIP_H) && (z > 0) == (on == DIP_Z));
    }
}

/* Two steps of six pairs fill a queue of ten; only then it is looked at. */
static void a_full_queue_is_looked_at(void **state)
{
    (void)state;
    static const char *const losses[] = {"mim", "soft", "msp"};
    for (int i = 0; i < 3; i++) {
        rig r;
        double total[3];
        static const uint32_t others[3][N] = {
            {10, 11, 12, 13, 14, 15}, {16, 17, 18, 19, 20, 21}, {22, 23, 24, 25, 26, 27}};
        dip_train_options o = only(losses[i]);
        dip_objective *objective = NULL;
        dip_loss_values values;
        o.queue = 10;
        o.queue_negatives = true;
        fill(&r);
        assert_int_equal(dip_objective_create(&objective, &o, 2, dim), DIP_OK);
        for (int step = 0; step < 3; step++) {
            const dip_when when = {0, EPOCHS, (uint64_t)step};
            r.outputs.pair = others[step];
            for (int k = 0; k < N * Z; k++) r.z[0][k] += 0.1f;
            for (int k = 0; k < N * H; k++) r.h[0][k] += 0.1f;
            dip_objective_run(objective, &when, &r.outputs, &values);
            total[step] = values.total;
            assert_int_equal(dip_queue_past(dip_objective_queue(objective), 0, 1) != NULL,
                             step > 0);
        }
        dip_objective_destroy(objective);
        o.queue = 0;
        double alone = run(&o, 0, &r).total;
        assert_true(total[2] != alone);
        if (i == 0) assert_true(total[2] > alone); /* more negatives */
        if (i == 2) assert_true(total[2] < alone); /* nearer neighbours */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_the_weighted_sum_of_its_parts),
        cmocka_unit_test(similar_pairs_are_to_be_increased),
        cmocka_unit_test(ramp_rises_geometrically),
        cmocka_unit_test(soft_targets_begin_when_asked),
        cmocka_unit_test(a_full_queue_is_looked_at),
        cmocka_unit_test(losses_reach_what_they_are_asked_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
