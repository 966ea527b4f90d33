/* Heads on vectors; see heads.h. The parameters of a layer are its weights (out, in) and then its bias. */
#include "encoder/heads.h"

#include "core/mem.h"
#include "core/status.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 256 };

/* ---- the table ---- */

static dip_status check_multiple(const char *field, uint32_t value)
{
    if (value >= DIP_BLOCK && value <= DIP_HEADS_MAX_DIM && value % DIP_BLOCK == 0) return DIP_OK;
    return dip_fail(DIP_EINVAL, "%s is %u; it must be a multiple of %d up to %d", field, value,
                    DIP_BLOCK, DIP_HEADS_MAX_DIM);
}

dip_status dip_heads_spec_check(const dip_heads_spec *spec)
{
    dip_status status = check_multiple("embed_dim", spec->embed_dim);
    if (!status && spec->head == DIP_HEAD_MLP) status = check_multiple("hidden", spec->hidden);
    for (uint32_t m = 0; !status && m < spec->modality_count; m++)
        if (spec->input[m].dim < 1 || spec->input[m].dim > DIP_HEADS_MAX_DIM)
            status =
                dip_fail(DIP_EINVAL, "vectors of modality '%s' have %u values; 1 to %d can be used",
                         spec->modality[m].name, spec->input[m].dim, DIP_HEADS_MAX_DIM);
    return status;
}

static uint32_t padded(uint32_t dim) { return (dim + DIP_BLOCK - 1) / DIP_BLOCK * DIP_BLOCK; }

size_t dip_heads_width(const dip_heads *heads, size_t modality)
{
    return padded(heads->spec.input[modality].dim);
}

/* ---- life ---- */

static void place_layers(dip_heads *heads)
{
    const dip_heads_spec *spec = &heads->spec;
    size_t at = 0;
    heads->depth = spec->head == DIP_HEAD_MLP ? 2 : 1;
    for (uint32_t m = 0; m < spec->modality_count; m++) {
        for (uint32_t i = 0; i < heads->depth; i++) {
            dip_linear *layer = &heads->layer[m][i];
            layer->in = i ? spec->hidden : padded(spec->input[m].dim);
            layer->out = i + 1 < heads->depth ? spec->hidden : spec->embed_dim;
            layer->weight = at;
            layer->bias = at + (size_t)layer->in * layer->out;
            at = layer->bias + layer->out;
        }
    }
    heads->param_count = at;
}

static dip_status make_modality(dip_heads *heads, uint32_t m)
{
    uint32_t dim = heads->spec.input[m].dim;
    heads->mean[m] = dip_calloc(dim, sizeof(float));
    heads->scale[m] = dip_alloc(dim * sizeof(float));
    if (!heads->mean[m] || !heads->scale[m]) return DIP_ENOMEM;
    for (uint32_t i = 0; i < dim; i++) heads->scale[m][i] = 1;
    for (uint32_t i = 0; i < heads->depth; i++) {
        dip_linear *layer = &heads->layer[m][i];
        layer->transposed = dip_alloc_aligned((size_t)layer->in * layer->out * sizeof(float));
        if (!layer->transposed) return DIP_ENOMEM;
    }
    return DIP_OK;
}

static dip_status make(dip_heads *heads)
{
    dip_status status = DIP_OK;
    size_t widest = 0;
    place_layers(heads);
    heads->workspace.kernel = dip_kernel_get();
    for (uint32_t m = 0; !status && m < heads->spec.modality_count; m++) {
        if (dip_heads_width(heads, m) > widest) widest = dip_heads_width(heads, m);
        status = make_modality(heads, m);
    }
    if (status) return status;
    heads->params = dip_calloc(heads->param_count, sizeof *heads->params);
    heads->inputs = dip_alloc_aligned(CHUNK * widest * sizeof(float));
    heads->hidden = dip_alloc_aligned(((size_t)CHUNK * heads->spec.hidden + 1) * sizeof(float));
    return heads->params && heads->inputs && heads->hidden ? DIP_OK : DIP_ENOMEM;
}

dip_status dip_heads_create(dip_heads **out, const dip_heads_spec *spec)
{
    dip_status status = dip_heads_spec_check(spec);
    if (status) return status;
    dip_heads *heads = dip_calloc(1, sizeof *heads);
    if (!heads) return DIP_ENOMEM;
    heads->spec = *spec;
    if (spec->head != DIP_HEAD_MLP) heads->spec.hidden = 0;
    status = make(heads);
    if (status)
        dip_heads_destroy(heads);
    else
        *out = heads;
    return status;
}

void dip_heads_destroy(dip_heads *heads)
{
    if (!heads) return;
    for (uint32_t m = 0; m < heads->spec.modality_count; m++) {
        dip_free(heads->mean[m]);
        dip_free(heads->scale[m]);
        for (uint32_t i = 0; i < heads->depth; i++) dip_free_aligned(heads->layer[m][i].transposed);
    }
    dip_free(heads->params);
    dip_free_aligned(heads->inputs);
    dip_free_aligned(heads->hidden);
    dip_free(heads);
}

/* ---- parameters ---- */

/* `used` of the layer's inputs are no padding. */
static void init_layer(float *params, const dip_linear *layer, uint32_t used, dip_rng *rng)
{
    double bound = 1 / sqrt(used);
    for (uint32_t o = 0; o < layer->out; o++)
        for (uint32_t i = 0; i < used; i++)
            params[layer->weight + (size_t)o * layer->in + i] =
                (float)dip_rng_range(rng, -bound, bound);
    for (uint32_t o = 0; o < layer->out; o++)
        params[layer->bias + o] = (float)dip_rng_range(rng, -bound, bound);
}

void dip_heads_init(dip_heads *heads, dip_rng *rng)
{
    memset(heads->params, 0, heads->param_count * sizeof *heads->params);
    for (uint32_t m = 0; m < heads->spec.modality_count; m++)
        for (uint32_t i = 0; i < heads->depth; i++)
            init_layer(heads->params, &heads->layer[m][i],
                       i ? heads->spec.hidden : heads->spec.input[m].dim, rng);
    dip_heads_refresh(heads);
}

void dip_heads_refresh(dip_heads *heads)
{
    for (uint32_t m = 0; m < heads->spec.modality_count; m++)
        for (uint32_t i = 0; i < heads->depth; i++)
            dip_linear_refresh(&heads->layer[m][i], heads->params);
}

/* ---- forward ---- */

void dip_heads_standardise(const dip_heads *heads, size_t modality, const float *vector, float *x)
{
    const float *mean = heads->mean[modality], *scale = heads->scale[modality];
    size_t dim = heads->spec.input[modality].dim, width = dip_heads_width(heads, modality);
    for (size_t i = 0; i < dim; i++) x[i] = (vector[i] - mean[i]) * scale[i];
    for (size_t i = dim; i < width; i++) x[i] = 0;
}

void dip_heads_forward(const dip_heads *heads, size_t modality, const float *x, size_t n,
                       float *hidden, float *z)
{
    const dip_linear *layer = heads->layer[modality];
    bool mlp = heads->depth > 1;
    dip_linear_forward(&heads->workspace, &layer[0], heads->params, x, n, mlp, mlp ? hidden : z);
    if (mlp) dip_linear_forward(&heads->workspace, &layer[1], heads->params, hidden, n, false, z);
}

static dip_status make_unit(float *z, size_t dim)
{
    double square = 0;
    for (size_t i = 0; i < dim; i++) square += (double)z[i] * z[i];
    if (!isfinite(square) || !(square > 0))
        return dip_fail(DIP_EINVAL,
                        "the head's output has no direction: length %g; the model is damaged or "
                        "was trained with too high a rate",
                        sqrt(square));
    float scale = (float)(1 / sqrt(square));
    for (size_t i = 0; i < dim; i++) z[i] *= scale;
    return DIP_OK;
}

dip_status dip_heads_encode(dip_heads *heads, size_t modality, const float *vectors, size_t n,
                            float *out)
{
    size_t dim = heads->spec.input[modality].dim, width = dip_heads_width(heads, modality);
    size_t embed = heads->spec.embed_dim;
    dip_status status = DIP_OK;
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t count = n - at < CHUNK ? n - at : CHUNK;
        for (size_t i = 0; i < count; i++)
            dip_heads_standardise(heads, modality, vectors + (at + i) * dim,
                                  heads->inputs + i * width);
        dip_heads_forward(heads, modality, heads->inputs, count, heads->hidden, out + at * embed);
        for (size_t i = 0; !status && i < count; i++)
            status = make_unit(out + (at + i) * embed, embed);
        if (status) return status;
    }
    return DIP_OK;
}
