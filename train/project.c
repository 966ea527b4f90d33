/* Heads on vectors of tiles; see project.h. */
#include "train/project.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/status.h"

#include <string.h>

dip_status dip_stamp_check(const char *archive_path, const char *model, const char *fingerprint)
{
    enum { LONGEST = 64 };
    char *path = dip_sprintf("%s/models/%s.encoded", archive_path, model), *text = NULL;
    size_t length = 0;
    dip_status status = path ? DIP_OK : DIP_ENOMEM;
    if (!status && dip_file_exists(path)) status = dip_file_read(&text, &length, path, LONGEST);
    bool same = text && !strncmp(text, fingerprint, strlen(fingerprint));
    dip_free(path);
    dip_free(text);
    if (status || same) return status;
    return dip_fail(DIP_EMISMATCH,
                    "the stored embeddings of model '%s' are not those that are wanted: it was "
                    "trained again; run diptych encode -m %s, then diptych align",
                    model, model);
}

static dip_status check_given(const dip_projector *p, const char *model)
{
    const dip_heads_input *input = &p->heads->spec.input[p->position];
    if (p->given->input.dim == input->dim) return DIP_OK;
    return dip_fail(DIP_EMISMATCH, "'%s' has %u values a row, model '%s' takes %u of %s",
                    p->given->input.origin, p->given->input.dim, model, input->dim,
                    p->given->modality);
}

dip_status dip_projector_init(dip_projector *p, const char *model)
{
    const dip_heads_input *input = &p->heads->spec.input[p->position];
    dip_status status = DIP_OK;
    if (p->given)
        status = check_given(p, model);
    else if (input->model[0])
        status = dip_stamp_check(dip_archive_path(p->archive), input->model, input->fingerprint);
    if (status) return status;
    p->vectors = dip_alloc_aligned((size_t)DIP_PROJECT_ROWS * input->dim * sizeof *p->vectors);
    p->found = dip_alloc(DIP_PROJECT_ROWS * sizeof *p->found);
    return p->vectors && p->found ? DIP_OK : DIP_ENOMEM;
}

void dip_projector_fini(dip_projector *p)
{
    dip_free_aligned(p->vectors);
    dip_free(p->found);
    p->vectors = NULL;
    p->found = NULL;
}

static dip_status fetch(const dip_projector *p, const uint64_t *ids, size_t n)
{
    const dip_heads_input *input = &p->heads->spec.input[p->position];
    if (!p->given && input->model[0])
        return dip_archive_embeddings_of(p->archive, input->model, p->source, ids, n, input->dim,
                                         p->vectors, p->found);
    for (size_t i = 0; i < n; i++) {
        size_t row = p->given ? dip_vectors_find(p->given, ids[i]) : SIZE_MAX;
        p->found[i] = row != SIZE_MAX;
        if (p->found[i]) dip_vectors_read(p->given, row, 1, p->vectors + i * input->dim);
    }
    return DIP_OK;
}

dip_status dip_projector_run(dip_projector *p, uint64_t *ids, size_t n, uint64_t *out_ids,
                             float *out, size_t *count)
{
    size_t dim = p->heads->spec.input[p->position].dim, good = 0, left = 0;
    dip_status status = fetch(p, ids, n);
    if (status) return status;
    for (size_t i = 0; i < n; i++) {
        if (!p->found[i]) {
            ids[left++] = ids[i];
            continue;
        }
        memmove(p->vectors + good * dim, p->vectors + i * dim, dim * sizeof *p->vectors);
        out_ids[good++] = ids[i];
    }
    *count = good;
    return good ? dip_heads_encode(p->heads, p->position, p->vectors, good, out) : DIP_OK;
}
