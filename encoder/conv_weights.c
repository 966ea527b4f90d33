/*
 * Gradient of a convolution's weights; see conv_weights.h.
 *
 * k runs over pixels: dY transposed is the A operand (tiles of 16 output channels by 32 pixels), windows of the
 * input are the panels (32 pixels by 32 values of the window). A step takes 32 pixels.
 *
 * A task is a group of images and a range of window columns. Groups have partial gradients of their own, added in order:
 * their number depends on the size of the gradient and of the batch alone.
 */
#include "encoder/conv_weights.h"

#include "core/parallel.h"

enum {
    STEP_ROWS = 256, /* points gathered at a time */
    MAX_GROUPS = 8,
    SUM_FLOATS = 1 << 20, /* of all groups together, if the gradient is smaller */
    TASKS = 16            /* wanted */
};

typedef struct weights_plan {
    const dip_workspace *workspace;
    const dip_conv_weights_job *job;
    size_t depth, groups, ranges;
} weights_plan;

typedef struct weights_scratch {
    dip_bf16 *rows;   /* (STEP_ROWS, stride): windows */
    dip_bf16 *tiles;  /* (out / 16, STEP_ROWS / 32, 16, 32): dY transposed */
    dip_bf16 *panels; /* (STEP_ROWS / 32) panels of one 32 columns */
    dip_gather gather;
} weights_scratch;

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

static size_t row_stride(const dip_conv_pass *p) { return dip_conv_pass_depth(p) + DIP_BLOCK; }

size_t dip_conv_weights_scratch(const dip_conv_pass *p)
{
    const size_t rows = (STEP_ROWS + 1) * row_stride(p), tiles = STEP_ROWS * p->out_channels;
    return (rows + tiles + STEP_ROWS * DIP_BLOCK) * sizeof(dip_bf16) + dip_gather_bytes(p) + 4 * 64;
}

static void carve(weights_scratch *s, const dip_conv_weights_job *job, char *scratch)
{
    const dip_conv_pass *p = job->pass;
    s->rows = dip_carve(&scratch, (STEP_ROWS + 1) * row_stride(p) * sizeof(dip_bf16));
    s->tiles = dip_carve(&scratch, (size_t)STEP_ROWS * p->out_channels * sizeof(dip_bf16));
    s->panels = dip_carve(&scratch, STEP_ROWS * DIP_BLOCK * sizeof(dip_bf16));
    s->gather = (dip_gather){.pass = p,
                             .in = job->in,
                             .padded = (dip_bf16 *)scratch,
                             .image = SIZE_MAX,
                             .row_stride = row_stride(p)};
}

/* 32 points of dY, all channels, into tiles; points from `count` on are zero. */
static void transpose_step(const weights_plan *plan, const weights_scratch *s, size_t first,
                           size_t count, size_t step, size_t steps)
{
    static const dip_bf16 zeros[4096];
    const size_t channels = plan->job->pass->out_channels;
    const dip_loops *loops = plan->workspace->kernel->loops;
    const dip_bf16 *rows[DIP_BLOCK];
    dip_bf16 pairs[DIP_PANEL];
    for (size_t r = 0; r < DIP_BLOCK; r++)
        rows[r] = r < count ? plan->job->gradient + (first + r) * channels : zeros;
    for (size_t n = 0; n < channels; n += DIP_BLOCK) {
        loops->panel(rows, n, pairs);
        for (size_t half = 0; half < 2; half++)
            loops->transpose(pairs + half * DIP_TILE, DIP_BLOCK,
                             s->tiles + ((n / DIP_HALF + half) * steps + step) * DIP_TILE);
    }
}

static void multiply(const weights_plan *plan, const weights_scratch *s, size_t column,
                     size_t steps, float *sums)
{
    const size_t channels = plan->job->pass->out_channels;
    const ptrdiff_t tiles = (ptrdiff_t)steps * DIP_TILE;
    dip_product product = {.rows = {DIP_HALF, DIP_HALF},
                           .a_row = DIP_BLOCK,
                           .a_step = DIP_TILE,
                           .b = s->panels,
                           .b_half = DIP_TILE,
                           .b_step = DIP_PANEL,
                           .segments = 1,
                           .steps = (unsigned)steps,
                           .c_row = (ptrdiff_t)plan->depth,
                           .accumulate = true};
    for (size_t n = 0; n < channels; n += DIP_BLOCK) {
        product.a[0] = s->tiles + (ptrdiff_t)(n / DIP_HALF) * tiles;
        product.a[1] = product.a[0] + tiles;
        product.c = sums + n * plan->depth + column;
        plan->workspace->kernel->product(&product);
    }
}

/* Points [first, first + count), window columns [begin, end). */
static void add_points(const weights_plan *plan, weights_scratch *s, size_t first, size_t count,
                       size_t begin, size_t end, float *sums)
{
    const size_t steps = (count + DIP_BLOCK - 1) / DIP_BLOCK, stride = s->gather.row_stride;
    const dip_bf16 *rows[STEP_ROWS];
    dip_gather_rows(&s->gather, first, count, s->rows);
    /* rows past the last meet a gradient of zero, but must be numbers */
    for (size_t r = 0; r < steps * DIP_BLOCK; r++) rows[r] = s->rows + (r < count ? r : 0) * stride;
    for (size_t k = 0; k < steps; k++)
        transpose_step(plan, s, first + k * DIP_BLOCK, count - k * DIP_BLOCK, k, steps);
    for (size_t column = begin; column < end; column += DIP_BLOCK) {
        for (size_t k = 0; k < steps; k++)
            plan->workspace->kernel->loops->panel(rows + k * DIP_BLOCK, column,
                                                  s->panels + k * DIP_PANEL);
        multiply(plan, s, column, steps, sums);
    }
}

static void clear_columns(const weights_plan *plan, float *sums, size_t begin, size_t end)
{
    for (size_t n = 0; n < plan->job->pass->out_channels; n++)
        memset(sums + n * plan->depth + begin, 0, (end - begin) * sizeof *sums);
}

static dip_status task(void *context, size_t number, unsigned worker)
{
    const weights_plan *plan = context;
    const dip_conv_weights_job *job = plan->job;
    const size_t group = number / plan->ranges, range = number % plan->ranges;
    const size_t points = (size_t)job->pass->rows * job->pass->columns;
    const size_t first = job->images * group / plan->groups * points;
    const size_t last = job->images * (group + 1) / plan->groups * points;
    const size_t panels = plan->depth / DIP_BLOCK;
    const size_t begin = panels * range / plan->ranges * DIP_BLOCK;
    const size_t end = panels * (range + 1) / plan->ranges * DIP_BLOCK;
    float *sums = job->sums + group * gradient_floats(job->pass);
    weights_scratch s;
    carve(&s, job, dip_workspace_scratch(plan->workspace, worker));
    clear_columns(plan, sums, begin, end);
    plan->workspace->kernel->enter();
    for (size_t n = first; n < last; n += STEP_ROWS)
        add_points(plan, &s, n, last - n < STEP_ROWS ? last - n : STEP_ROWS, begin, end, sums);
    plan->workspace->kernel->leave();
    return DIP_OK;
}

/* One output channel a task: its row of all groups, in order, without the padding of the row. */
static dip_status reduce_task(void *context, size_t channel, unsigned worker)
{
    (void)worker;
    const weights_plan *plan = context;
    const dip_conv_weights_job *job = plan->job;
    const dip_conv_pass *p = job->pass;
    const size_t used = (size_t)p->taps_y * p->taps_x * p->channels;
    float *to = job->grads + channel * plan->depth;
    for (size_t g = 0; g < plan->groups; g++) {
        const float *from = job->sums + g * gradient_floats(p) + channel * plan->depth;
        for (size_t k = 0; k < used; k++) to[k] += from[k];
    }
    return DIP_OK;
}

void dip_conv_weights_run(const dip_workspace *workspace, const dip_conv_weights_job *job)
{
    const dip_conv_pass *p = job->pass;
    weights_plan plan = {.workspace = workspace,
                         .job = job,
                         .depth = dip_conv_pass_depth(p),
                         .groups = group_limit(p)};
    if (plan.groups > job->images) plan.groups = job->images;
    plan.ranges = (TASKS + plan.groups - 1) / plan.groups;
    if (plan.ranges > plan.depth / DIP_BLOCK) plan.ranges = plan.depth / DIP_BLOCK;
    dip_parallel_for(plan.groups * plan.ranges, task, &plan);
    dip_parallel_for(p->out_channels, reduce_task, &plan);
}
