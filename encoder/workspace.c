/* Scratch of the workers; see workspace.h. One page-mapped region, so that pages are committed on use. */
#include "encoder/workspace.h"

#include "core/mem.h"
#include "core/parallel.h"
#include "core/status.h"

dip_status dip_workspace_init(dip_workspace *workspace, size_t bytes, size_t partials)
{
    *workspace = (dip_workspace){.kernel = dip_kernel_get(),
                                 .bytes = (bytes + 4095) & ~(size_t)4095,
                                 .partial_count = partials};
    workspace->partials = dip_region_map(partials * sizeof(float));
    if (!workspace->partials) return DIP_ENOMEM;
    return dip_workspace_ready(workspace);
}

void dip_workspace_fini(dip_workspace *workspace)
{
    dip_region_unmap(workspace->scratch, workspace->workers * workspace->bytes);
    dip_region_unmap(workspace->partials, workspace->partial_count * sizeof(float));
    *workspace = (dip_workspace){0};
}

dip_status dip_workspace_ready(dip_workspace *workspace)
{
    unsigned workers = dip_threads();
    if (workers <= workspace->workers) return DIP_OK;
    char *scratch = dip_region_map(workers * workspace->bytes);
    if (!scratch) return DIP_ENOMEM;
    dip_region_unmap(workspace->scratch, workspace->workers * workspace->bytes);
    workspace->scratch = scratch;
    workspace->workers = workers;
    return DIP_OK;
}

void dip_workspace_total(const dip_workspace *workspace, size_t tasks, size_t count, double *total)
{
    for (size_t c = 0; c < count; c++) total[c] = 0;
    for (size_t t = 0; t < tasks; t++)
        for (size_t c = 0; c < count; c++) total[c] += workspace->partials[t * count + c];
}
