/* The model file of heads; see heads.h. In the file a first layer has as many columns as the vectors have values. */
#include "encoder/heads.h"

#include "core/mem.h"
#include "core/status.h"
#include "encoder/model.h"
#include "encoder/model_metadata.h"

#include <stdio.h>
#include <string.h>

enum { NAME = 64, MOST = DIP_MAX_MODALITIES * (2 + 2 * DIP_HEADS_DEPTH), OWN = 3 };

/* The tensors of heads, one after the other: where each is in memory, and its shape in the file. */
typedef struct part {
    char name[NAME];
    float *values;
    uint32_t rank, shape[2];
    uint32_t stride; /* of rows in memory */
} part;

static part make_part(const dip_heads *heads, uint32_t m, const char *what, float *values,
                      uint32_t rows, uint32_t columns, uint32_t stride)
{
    part p = {.values = values, .rank = rows ? 2 : 1, .stride = stride};
    snprintf(p.name, sizeof p.name, "%s.%s", heads->spec.modality[m].name, what);
    p.shape[0] = rows ? rows : columns;
    p.shape[1] = rows ? columns : 0;
    return p;
}

static size_t list_parts(const dip_heads *heads, part *out)
{
    size_t n = 0;
    for (uint32_t m = 0; m < heads->spec.modality_count; m++) {
        uint32_t dim = heads->spec.input[m].dim;
        out[n++] = make_part(heads, m, "input.mean", heads->mean[m], 0, dim, dim);
        out[n++] = make_part(heads, m, "input.scale", heads->scale[m], 0, dim, dim);
        for (uint32_t i = 0; i < heads->depth; i++) {
            const dip_linear *l = &heads->layer[m][i];
            out[n++] = make_part(heads, m, i ? "head.2.weight" : "head.0.weight",
                                 heads->params + l->weight, l->out, i ? l->in : dim, l->in);
            out[n++] = make_part(heads, m, i ? "head.2.bias" : "head.0.bias",
                                 heads->params + l->bias, 0, l->out, l->out);
        }
    }
    return n;
}

static size_t rows_of(const part *p) { return p->rank == 2 ? p->shape[0] : 1; }
static size_t columns_of(const part *p) { return p->shape[p->rank - 1]; }
static size_t size_of(const part *p) { return rows_of(p) * columns_of(p); }

/* Between memory, whose rows may be wider, and dense rows. */
static void copy_part(const part *p, float *dense, bool in)
{
    size_t columns = columns_of(p);
    for (size_t r = 0; r < rows_of(p); r++) {
        float *memory = p->values + r * p->stride;
        if (in)
            memcpy(memory, dense + r * columns, columns * sizeof *dense);
        else
            memcpy(dense + r * columns, memory, columns * sizeof *dense);
    }
}

dip_status dip_heads_load(dip_heads *heads, const dip_safetensors *file, const char *path)
{
    part parts[MOST];
    size_t n = list_parts(heads, parts), most = 0;
    for (size_t i = 0; i < n; i++)
        if (size_of(&parts[i]) > most) most = size_of(&parts[i]);
    float *values = dip_alloc(most * sizeof *values);
    dip_status status = values ? DIP_OK : DIP_ENOMEM;
    for (size_t i = 0; !status && i < n; i++) {
        const part *p = &parts[i];
        status = dip_tensor_read(file, path, p->name, p->shape, p->rank, values);
        if (!status) copy_part(p, values, true);
    }
    dip_free(values);
    if (!status) dip_heads_refresh(heads);
    return status;
}

/* ---- writing ---- */

static size_t fill_tensors(const part *parts, size_t n, float *values,
                           dip_safetensors_tensor *tensors)
{
    for (size_t i = 0; i < n; i++) {
        const part *p = &parts[i];
        tensors[i] = (dip_safetensors_tensor){.name = p->name, .rank = p->rank, .values = values};
        for (uint32_t k = 0; k < p->rank; k++) tensors[i].shape[k] = p->shape[k];
        copy_part(p, values, false);
        values += size_of(p);
    }
    return n;
}

static dip_status write_texts(const char *path, const dip_heads *heads,
                              const dip_safetensors_tensor *tensors, size_t count,
                              const dip_safetensors_text *texts, size_t text_count)
{
    char *definition = dip_heads_text(&heads->spec);
    char *modalities = dip_modalities_text(heads->spec.modality, heads->spec.modality_count);
    dip_safetensors_text *all = dip_alloc((OWN + text_count) * sizeof *all);
    dip_status status = DIP_ENOMEM;
    if (definition && modalities && all) {
        all[0] = (dip_safetensors_text){"format", DIP_HEADS_FORMAT};
        all[1] = (dip_safetensors_text){"heads", definition};
        all[2] = (dip_safetensors_text){"modalities", modalities};
        if (text_count) memcpy(all + OWN, texts, text_count * sizeof *all);
        status = dip_safetensors_write(path, tensors, count, all, OWN + text_count);
    }
    dip_free(definition);
    dip_free(modalities);
    dip_free(all);
    return status;
}

dip_status dip_heads_write(const char *path, const dip_heads *heads,
                           const dip_safetensors_text *texts, size_t text_count)
{
    part parts[MOST];
    dip_safetensors_tensor tensors[MOST];
    size_t n = list_parts(heads, parts), floats = 0;
    for (size_t i = 0; i < n; i++) floats += size_of(&parts[i]);
    float *values = dip_alloc(floats * sizeof *values);
    if (!values) return DIP_ENOMEM;
    fill_tensors(parts, n, values, tensors);
    dip_status status = write_texts(path, heads, tensors, n, texts, text_count);
    dip_free(values);
    return status;
}
