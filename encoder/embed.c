/* The embedding; see embed.h. Sums are in double, tile by tile: nothing depends on threads. */
#include "encoder/embed.h"

#include "core/mem.h"
#include "core/status.h"
#include "encoder/prepare.h"

#include <math.h>
#include <string.h>

struct dip_embedding {
    dip_embed_spec spec;
    size_t modality_count, dim;
    uint32_t grid; /* of the layout */
    size_t part_dim[DIP_OUTPUTS];
    float *mean[DIP_MAX_MODALITIES][DIP_OUTPUTS];
    float *scale[DIP_MAX_MODALITIES][DIP_OUTPUTS];
};

static const double least_deviation = 1e-4; /* of a feature that is the same everywhere */

dip_status dip_embed_spec_check(const dip_embed_spec *spec)
{
    double sum = 0;
    for (int p = 0; p < DIP_OUTPUTS; p++) {
        double weight = spec->part[p].weight;
        if (!(weight >= 0 && weight <= 1e6))
            return dip_fail(DIP_EINVAL, "embedding: a weight of %g; it must be 0 to 1e6", weight);
        if ((unsigned)spec->part[p].form > DIP_EMBED_STANDARD)
            return dip_fail(DIP_EINVAL, "embedding: form %d is not known", (int)spec->part[p].form);
        sum += weight;
    }
    if (!(sum > 0)) return dip_fail(DIP_EINVAL, "embedding: all weights are 0; one must be more");
    if (spec->views != 1 && spec->views != 2 && spec->views != 4 && spec->views != 8)
        return dip_fail(DIP_EINVAL, "embedding: %u views; it must be 1, 2, 4 or 8", spec->views);
    return DIP_OK;
}

static dip_status make_constants(dip_embedding *e)
{
    for (size_t m = 0; m < e->modality_count; m++) {
        for (int p = 0; p < DIP_OUTPUTS; p++) {
            e->mean[m][p] = dip_calloc(e->part_dim[p], sizeof(float));
            e->scale[m][p] = dip_alloc(e->part_dim[p] * sizeof(float));
            if (!e->mean[m][p] || !e->scale[m][p]) return DIP_ENOMEM;
            for (size_t i = 0; i < e->part_dim[p]; i++) e->scale[m][p][i] = 1;
        }
    }
    return DIP_OK;
}

dip_status dip_embedding_create(dip_embedding **out, const dip_embed_spec *spec,
                                const dip_net_spec *net)
{
    dip_status status = dip_embed_spec_check(spec);
    if (status) return status;
    dip_embedding *e = dip_calloc(1, sizeof *e);
    if (!e) return DIP_ENOMEM;
    e->spec = *spec;
    e->modality_count = net->modality_count;
    e->grid = net->layout_grid;
    for (int p = 0; p < DIP_OUTPUTS; p++) {
        e->part_dim[p] = dip_net_spec_dim(net, (dip_output)p);
        if (spec->part[p].weight > 0) e->dim += e->part_dim[p];
    }
    if (spec->part[DIP_LAYOUT].weight > 0 && !e->grid)
        status =
            dip_fail(DIP_EINVAL, "embedding: the layout has weight %g, but the network has none",
                     spec->part[DIP_LAYOUT].weight);
    if (!status) status = make_constants(e);
    if (status) {
        dip_embedding_destroy(e);
        return status;
    }
    *out = e;
    return DIP_OK;
}

void dip_embedding_destroy(dip_embedding *e)
{
    if (!e) return;
    for (size_t m = 0; m < e->modality_count; m++) {
        for (int p = 0; p < DIP_OUTPUTS; p++) {
            dip_free(e->mean[m][p]);
            dip_free(e->scale[m][p]);
        }
    }
    dip_free(e);
}

const dip_embed_spec *dip_embedding_spec(const dip_embedding *e) { return &e->spec; }
size_t dip_embedding_dim(const dip_embedding *e) { return e->dim; }
size_t dip_embedding_part_dim(const dip_embedding *e, int part) { return e->part_dim[part]; }

bool dip_embedding_needs_fit(const dip_embedding *e)
{
    for (int p = 0; p < DIP_OUTPUTS; p++)
        if (e->spec.part[p].weight > 0 && e->spec.part[p].form != DIP_EMBED_UNIT) return true;
    return false;
}

float *dip_embedding_mean(dip_embedding *e, size_t modality, int part)
{
    return e->mean[modality][part];
}

float *dip_embedding_scale(dip_embedding *e, size_t modality, int part)
{
    return e->scale[modality][part];
}

/* ---- vectors ---- */

static double inverse_length(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return 1 / sqrt(sum > 1e-24 ? sum : 1e-24);
}

static void scale_to(float *x, size_t n, double factor)
{
    for (size_t i = 0; i < n; i++) x[i] = (float)(x[i] * factor);
}

/* ---- fitting ---- */

static void fit_part(dip_embedding *e, size_t modality, int part, const float *x, size_t n)
{
    size_t dim = e->part_dim[part];
    bool unit = e->spec.part[part].form == DIP_EMBED_CENTRED;
    float *mean = e->mean[modality][part], *scale = e->scale[modality][part];
    for (size_t k = 0; k < dim; k++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < n; i++) sum += x[i * dim + k];
        double centre = sum / (double)n;
        for (size_t i = 0; i < n; i++)
            squares += (x[i * dim + k] - centre) * (x[i * dim + k] - centre);
        mean[k] = (float)centre;
        scale[k] = unit ? 1 : (float)(sqrt(squares / (double)n) + least_deviation);
    }
    if (!unit) return;
    memset(mean, 0, dim * sizeof *mean);
    for (size_t i = 0; i < n; i++) {
        double factor = inverse_length(x + i * dim, dim) / (double)n;
        for (size_t k = 0; k < dim; k++) mean[k] = (float)(mean[k] + x[i * dim + k] * factor);
    }
}

void dip_embedding_fit(dip_embedding *e, size_t modality, float *const outputs[DIP_OUTPUTS],
                       size_t n)
{
    for (int p = 0; n && p < DIP_OUTPUTS; p++)
        if (e->spec.part[p].weight > 0 && e->spec.part[p].form != DIP_EMBED_UNIT)
            fit_part(e, modality, p, outputs[p], n);
}

/* ---- combining ---- */

static void combine_part(const dip_embedding *e, size_t modality, int part, const float *x,
                         float *out)
{
    size_t dim = e->part_dim[part];
    const float *mean = e->mean[modality][part], *scale = e->scale[modality][part];
    double before = e->spec.part[part].form == DIP_EMBED_STANDARD ? 1 : inverse_length(x, dim);
    for (size_t k = 0; k < dim; k++) out[k] = (float)((x[k] * before - mean[k]) / scale[k]);
    scale_to(out, dim, sqrt(e->spec.part[part].weight) * inverse_length(out, dim));
}

void dip_embedding_combine(const dip_embedding *e, size_t modality,
                           float *const outputs[DIP_OUTPUTS], size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) {
        float *row = out + i * e->dim, *at = row;
        for (int p = 0; p < DIP_OUTPUTS; p++) {
            if (!(e->spec.part[p].weight > 0)) continue;
            combine_part(e, modality, p, outputs[p] + i * e->part_dim[p], at);
            at += e->part_dim[p];
        }
        scale_to(row, e->dim, inverse_length(row, e->dim));
    }
}

/* ---- encoding ---- */

typedef struct scratch {
    float *outputs[DIP_OUTPUTS]; /* NULL where a part has no weight */
    float *turned, *layout, *vectors;
} scratch;

static bool all_finite(const float *values, size_t n)
{
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) bad |= !isfinite(values[i]);
    return !bad;
}

static dip_status check_outputs(const dip_embedding *e, const dip_net *net, size_t modality,
                                size_t n, const scratch *s)
{
    for (int p = 0; p < DIP_OUTPUTS; p++)
        if (s->outputs[p] && !all_finite(s->outputs[p], n * e->part_dim[p]))
            return dip_fail(
                DIP_EINVAL,
                "the encoder of modality '%s' gives values that are not finite; the model is "
                "damaged or was trained with too high a rate",
                dip_net_get_spec(net)->modality[modality].name);
    return DIP_OK;
}

/* View v of `views`: 2: plain, mirrored; 4: turned; 8: turned, then mirrored and turned. */
static bool is_mirrored(uint32_t v, uint32_t views) { return views == 2 ? v == 1 : v >= 4; }
static unsigned turns_of(uint32_t v, uint32_t views) { return views == 2 ? 0 : v % 4; }

static void turn_images(const float *in, size_t n, unsigned turns, bool mirror, uint32_t side,
                        uint32_t values, float *out)
{
    const size_t size = (size_t)side * side * values;
    for (size_t i = 0; i < n; i++)
        dip_orient(in + i * size, turns, mirror, side, values, out + i * size);
}

/* A mirrored orientation undoes itself. */
static void turn_layout_back(const dip_embedding *e, size_t n, uint32_t v, scratch *s)
{
    const bool mirror = is_mirrored(v, e->spec.views);
    const unsigned turns = turns_of(v, e->spec.views);
    const size_t dim = e->part_dim[DIP_LAYOUT];
    turn_images(s->outputs[DIP_LAYOUT], n, mirror ? turns : (4 - turns) % 4, mirror, e->grid,
                (uint32_t)(dim / e->grid / e->grid), s->layout);
    memcpy(s->outputs[DIP_LAYOUT], s->layout, n * dim * sizeof(float));
}

static dip_status encode_view(const dip_embedding *e, dip_net *net, size_t modality,
                              const float *inputs, size_t n, uint32_t v, scratch *s, float *out)
{
    const dip_net_spec *spec = dip_net_get_spec(net);
    if (v > 0) {
        turn_images(inputs, n, turns_of(v, e->spec.views), is_mirrored(v, e->spec.views),
                    spec->input_px, spec->modality[modality].band_count, s->turned);
        inputs = s->turned;
    }
    dip_status status = dip_net_forward(net, modality, inputs, n, s->outputs);
    if (!status) status = check_outputs(e, net, modality, n, s);
    if (status) return status;
    if (v > 0 && s->outputs[DIP_LAYOUT]) turn_layout_back(e, n, v, s);
    dip_embedding_combine(e, modality, s->outputs, n, out);
    return DIP_OK;
}

static dip_status encode_views(const dip_embedding *e, dip_net *net, size_t modality,
                               const float *inputs, size_t n, scratch *s, float *out)
{
    const uint32_t views = e->spec.views;
    dip_status status = encode_view(e, net, modality, inputs, n, 0, s, out);
    for (uint32_t v = 1; !status && v < views; v++) {
        status = encode_view(e, net, modality, inputs, n, v, s, s->vectors);
        for (size_t i = 0; !status && i < n * e->dim; i++) out[i] += s->vectors[i];
    }
    for (size_t i = 0; !status && views > 1 && i < n; i++)
        scale_to(out + i * e->dim, e->dim, inverse_length(out + i * e->dim, e->dim));
    return status;
}

static dip_status make_scratch(const dip_embedding *e, size_t n, size_t input_size, scratch *s)
{
    const size_t views = e->spec.views > 1 ? n : 0;
    bool ok = true;
    for (int p = 0; p < DIP_OUTPUTS; p++) {
        if (!(e->spec.part[p].weight > 0)) continue;
        s->outputs[p] = dip_alloc(n * e->part_dim[p] * sizeof(float));
        ok = ok && s->outputs[p];
    }
    s->turned = dip_alloc(views * input_size * sizeof(float));
    s->layout = dip_alloc(views * e->part_dim[DIP_LAYOUT] * sizeof(float));
    s->vectors = dip_alloc(views * e->dim * sizeof(float));
    return ok && s->turned && s->layout && s->vectors ? DIP_OK : DIP_ENOMEM;
}

dip_status dip_embedding_encode(const dip_embedding *e, dip_net *net, size_t modality,
                                const float *inputs, size_t n, float *out)
{
    const dip_net_spec *spec = dip_net_get_spec(net);
    size_t size = (size_t)spec->input_px * spec->input_px * spec->modality[modality].band_count;
    scratch s = {.turned = NULL};
    dip_status status = make_scratch(e, n, size, &s);
    if (!status) status = encode_views(e, net, modality, inputs, n, &s, out);
    for (int p = 0; p < DIP_OUTPUTS; p++) dip_free(s.outputs[p]);
    dip_free(s.turned);
    dip_free(s.layout);
    dip_free(s.vectors);
    return status;
}
