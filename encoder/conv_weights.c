/*
 * Gradient of a convolution's weights; see conv_weights.h.
 *
 * k runs over pixels: dY transposed is the A operand (tiles of 16 output channels by 32 pixels), windows of the
 * input are the panels (32 pixels by 32 values of the window). How 32 pixels become a step depends on the map:
 * conv_weights_parts.h.
 *
 * A task is a group of images and a range of window columns. Groups have partial gradients of their own, added in order:
 * their number depends on the size of the gradient and of the batch alone. A single group adds to the gradient itself.
 */
#include "encoder/conv_weights_parts.h"

#include "core/parallel.h"

enum {
    MAX_GROUPS = 32,
    SUM_FLOATS = 1 << 20, /* of all groups together, unless one takes more */
    TASKS = 16,           /* wanted */
    IMAGES_MAX_COLUMNS = 16,
    IMAGES_MIN = 16, /* fewer would leave most of a step empty */
    BAND_BYTES = 320 * 1024
};

typedef void (*part_fn)(const dip_weights_part *part);

typedef struct weights_plan {
    const dip_workspace *workspace;
    const dip_conv_weights_job *job;
    part_fn add;
    size_t blocks, groups, ranges;
    size_t unit; /* images that should stay together */
} weights_plan;

/* ---- what the ways share ---- */

const dip_bf16 dip_weights_zeros[DIP_MAX_CHANNELS + DIP_BLOCK];

void dip_weights_tiles(const dip_product_body *body, const dip_bf16 *const rows[DIP_BLOCK],
                       size_t channels, dip_bf16 *tiles, size_t stride)
{
    dip_bf16 pairs[DIP_PANEL];
    for (size_t n = 0; n < channels; n += DIP_BLOCK) {
        body->panel(rows, n, pairs, DIP_TILE);
        for (size_t half = 0; half < 2; half++, tiles += stride)
            body->transpose(pairs + half * DIP_TILE, DIP_BLOCK, tiles);
    }
}

void dip_weights_multiply(const dip_weights_part *part, dip_product *product, const dip_bf16 *tiles,
                          size_t stride, size_t column)
{
    const dip_conv_pass *p = part->job->pass;
    product->rows[0] = product->rows[1] = DIP_HALF;
    product->a_row = DIP_BLOCK;
    product->c_row = (ptrdiff_t)dip_conv_pass_depth(p);
    product->accumulate = true;
    for (size_t n = 0; n < p->out_channels; n += DIP_BLOCK) {
        product->a[0] = tiles + n / DIP_HALF * stride;
        product->a[1] = product->a[0] + stride;
        product->c = part->sums + n * (size_t)product->c_row + column;
        part->workspace->kernel->product->bf16(product);
    }
}

size_t dip_weights_band(const dip_conv_pass *pass, size_t row_bytes)
{
    size_t rows = BAND_BYTES / row_bytes;
    if (rows < 1) rows = 1;
    const size_t bands = (pass->rows + rows - 1) / rows;
    return (pass->rows + bands - 1) / bands;
}

/* ---- cutting ---- */

static size_t gradient_floats(const dip_conv_pass *p)
{
    return p->out_channels * dip_conv_pass_depth(p);
}

static size_t group_limit(const dip_conv_pass *p)
{
    const size_t groups = SUM_FLOATS / gradient_floats(p);
    return groups < 1 ? 1 : groups > MAX_GROUPS ? MAX_GROUPS : groups;
}

size_t dip_conv_weights_sums(const dip_conv_pass *p) { return group_limit(p) * gradient_floats(p); }

size_t dip_conv_weights_scratch(const dip_conv_pass *p)
{
    if (p->channels % DIP_BLOCK) return dip_weights_gather_scratch(p);
    const size_t images = dip_weights_images_scratch(p), flat = dip_weights_flat_scratch(p);
    return images > flat ? images : flat;
}

static size_t group_start(const weights_plan *plan, size_t group)
{
    const size_t units = (plan->job->images + plan->unit - 1) / plan->unit;
    const size_t image = units * group / plan->groups * plan->unit;
    return image < plan->job->images ? image : plan->job->images;
}

static dip_status task(void *context, size_t number, unsigned worker)
{
    const weights_plan *plan = context;
    const dip_conv_weights_job *job = plan->job;
    const size_t group = number / plan->ranges, range = number % plan->ranges;
    const dip_weights_part part = {
        .workspace = plan->workspace,
        .job = job,
        .first_image = group_start(plan, group),
        .last_image = group_start(plan, group + 1),
        .first_block = plan->blocks * range / plan->ranges,
        .last_block = plan->blocks * (range + 1) / plan->ranges,
        .sums = plan->groups == 1 ? job->grads : job->sums + group * gradient_floats(job->pass),
        .scratch = dip_workspace_scratch(plan->workspace, worker)};
    plan->workspace->kernel->product->enter();
    plan->add(&part);
    plan->workspace->kernel->product->leave();
    return DIP_OK;
}

static dip_status clear_task(void *context, size_t group, unsigned worker)
{
    (void)worker;
    const weights_plan *plan = context;
    const size_t floats = gradient_floats(plan->job->pass);
    memset(plan->job->sums + group * floats, 0, floats * sizeof(float));
    return DIP_OK;
}

/* One output channel a task: its row of all groups, in order. */
static dip_status reduce_task(void *context, size_t channel, unsigned worker)
{
    (void)worker;
    const weights_plan *plan = context;
    const size_t depth = dip_conv_pass_depth(plan->job->pass);
    const size_t stride = gradient_floats(plan->job->pass);
    const float *from = plan->job->sums + channel * depth;
    float *to = plan->job->grads + channel * depth;
    for (size_t g = 0; g < plan->groups; g++, from += stride)
        for (size_t k = 0; k < depth; k++) to[k] += from[k];
    return DIP_OK;
}

static void choose_way(weights_plan *plan)
{
    const dip_conv_pass *p = plan->job->pass;
    plan->blocks = p->channels / DIP_BLOCK;
    plan->unit = 1;
    if (p->channels % DIP_BLOCK) {
        plan->add = dip_weights_gather;
        plan->blocks = dip_conv_pass_depth(p) / DIP_BLOCK;
    } else if (p->columns <= IMAGES_MAX_COLUMNS && plan->job->images >= IMAGES_MIN) {
        plan->add = dip_weights_images;
        plan->unit = DIP_BLOCK;
    } else {
        plan->add = dip_weights_flat;
    }
}

void dip_conv_weights_run(const dip_workspace *workspace, const dip_conv_weights_job *job)
{
    const dip_conv_pass *p = job->pass;
    weights_plan plan = {.workspace = workspace, .job = job, .groups = group_limit(p)};
    choose_way(&plan);
    const size_t most = (job->images + plan.unit - 1) / plan.unit;
    if (plan.groups > most) plan.groups = most;
    plan.ranges = (TASKS + plan.groups - 1) / plan.groups;
    if (plan.ranges > plan.blocks) plan.ranges = plan.blocks;
    if (plan.groups > 1) dip_parallel_for(plan.groups, clear_task, &plan);
    dip_parallel_for(plan.groups * plan.ranges, task, &plan);
    if (plan.groups > 1) dip_parallel_for(p->out_channels, reduce_task, &plan);
}
