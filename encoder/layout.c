/* The layout output, up and down; see layout.h. One image a task. */
#include "encoder/layout.h"

#include "core/parallel.h"

typedef struct cells_job {
    uint32_t side, grid;
    size_t channels;
    const dip_bf16 *in; /* pool */
    float *means;
    const float *d_means; /* backward */
    dip_bf16 *gradient;
} cells_job;

static cells_job make_job(const dip_net *net)
{
    const dip_net_spec *spec = &net->spec;
    return (cells_job){.side = dip_net_spec_stage_side(spec, spec->layout_stage),
                       .grid = spec->layout_grid,
                       .channels = dip_net_spec_stage_dim(spec, spec->layout_stage)};
}

static size_t image_values(const cells_job *job)
{
    return (size_t)job->side * job->side * job->channels;
}

static size_t image_means(const cells_job *job)
{
    return (size_t)job->grid * job->grid * job->channels;
}

static float share_of_pixel(const dip_cell *cell)
{
    return 1.0f / (float)((cell->bottom - cell->top) * (cell->right - cell->left));
}

/* ---- up ---- */

static void mean_cell(const cells_job *job, const dip_cell *cell, const dip_bf16 *in, float *out)
{
    const float share = share_of_pixel(cell);
    memset(out, 0, job->channels * sizeof *out);
    for (uint32_t y = cell->top; y < cell->bottom; y++) {
        const dip_bf16 *pixel = in + ((size_t)y * job->side + cell->left) * job->channels;
        for (uint32_t x = cell->left; x < cell->right; x++, pixel += job->channels)
            for (size_t c = 0; c < job->channels; c++) out[c] += dip_bf16_float(pixel[c]);
    }
    for (size_t c = 0; c < job->channels; c++) out[c] *= share;
}

static dip_status pool_task(void *context, size_t image, unsigned worker)
{
    (void)worker;
    const cells_job *job = context;
    for (uint32_t i = 0; i < job->grid * job->grid; i++) {
        const dip_cell cell = dip_layout_cell(i, job->grid, job->side);
        mean_cell(job, &cell, job->in + image * image_values(job),
                  job->means + image * image_means(job) + i * job->channels);
    }
    return DIP_OK;
}

void dip_layout_pool(const dip_net *net, const dip_track *track, const dip_bf16 *in, size_t first,
                     size_t images)
{
    cells_job job = make_job(net);
    job.in = in;
    job.means = track->cells + first * image_means(&job);
    dip_parallel_for(images, pool_task, &job);
}

/* Takes the mean over an image's cells from each, in net->cell_values; so does the gradient, as the map is symmetric. */
static void centre(const dip_net *net, size_t images)
{
    const size_t cells = (size_t)net->spec.layout_grid * net->spec.layout_grid;
    const size_t width = net->heads[0].layout.out;
    float *values = net->cell_values;
    if (!net->spec.layout_centred) return;
    for (size_t i = 0; i < images; i++, values += cells * width) {
        for (size_t c = 0; c < width; c++) {
            float sum = 0;
            for (size_t k = 0; k < cells; k++) sum += values[k * width + c];
            for (size_t k = 0; k < cells; k++) values[k * width + c] -= sum / (float)cells;
        }
    }
}

void dip_layout_forward(const dip_net *net, const dip_track *track, size_t images, float *out)
{
    const dip_linear *linear = &net->heads[track->head].layout;
    const size_t n = images * net->spec.layout_grid * net->spec.layout_grid;
    const size_t channels = net->spec.layout_channels;
    dip_linear_forward(&net->workspace, linear, net->params, track->cells, n, false,
                       net->cell_values);
    centre(net, images);
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * channels, net->cell_values + i * linear->out, channels * sizeof *out);
}

/* ---- down ---- */

static dip_status spread_task(void *context, size_t image, unsigned worker)
{
    (void)worker;
    const cells_job *job = context;
    const float *mean = job->d_means + image * image_means(job);
    dip_bf16 *out = job->gradient + image * image_values(job);
    for (uint32_t i = 0; i < job->grid * job->grid; i++, mean += job->channels) {
        const dip_cell cell = dip_layout_cell(i, job->grid, job->side);
        const float share = share_of_pixel(&cell);
        for (uint32_t y = cell.top; y < cell.bottom; y++) {
            dip_bf16 *pixel = out + ((size_t)y * job->side + cell.left) * job->channels;
            for (size_t v = 0; v < (cell.right - cell.left) * job->channels; v++)
                pixel[v] =
                    dip_bf16_round(dip_bf16_float(pixel[v]) + share * mean[v % job->channels]);
        }
    }
    return DIP_OK;
}

void dip_layout_backward(dip_net *net, const dip_track *track, const float *d_layout, size_t images,
                         dip_bf16 *gradient)
{
    const dip_linear *linear = &net->heads[track->head].layout;
    const size_t n = images * net->spec.layout_grid * net->spec.layout_grid;
    const size_t channels = net->spec.layout_channels;
    memset(net->cell_values, 0, n * linear->out * sizeof(float));
    for (size_t i = 0; i < n; i++)
        memcpy(net->cell_values + i * linear->out, d_layout + i * channels,
               channels * sizeof(float));
    centre(net, images);
    dip_linear_backward(&net->workspace, linear, net->params, net->grads, track->cells,
                        net->cell_values, n, net->cell_gradient);
    if (!gradient) return;
    cells_job job = make_job(net);
    job.d_means = net->cell_gradient;
    job.gradient = gradient;
    dip_parallel_for(images, spread_task, &job);
}
