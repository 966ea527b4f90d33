/* Linear layers; see linear.h. Tasks are rows of the result, so no sum depends on the number of threads. */
#include "encoder/linear.h"

#include "core/parallel.h"

enum { TASK_ROWS = 32 };

typedef struct linear_job {
    const dip_loops *loops;
    dip_matmul whole;
    const float *bias; /* rows start from it; NULL: from what `accumulate` says */
    bool relu;
} linear_job;

static dip_status rows_task(void *context, size_t task, unsigned worker)
{
    (void)worker;
    const linear_job *job = context;
    dip_matmul part = job->whole;
    const size_t first = task * TASK_ROWS;
    part.m = part.m - first < TASK_ROWS ? part.m - first : TASK_ROWS;
    part.a += first * part.a_row;
    part.c += first * part.c_row;
    for (size_t r = 0; job->bias && r < part.m; r++)
        memcpy(part.c + r * part.c_row, job->bias, part.n * sizeof(float));
    job->loops->matmul(&part);
    for (size_t i = 0; job->relu && i < part.m * part.n; i++)
        if (!(part.c[i] > 0)) part.c[i] = part.c[i] != part.c[i] ? part.c[i] : 0;
    return DIP_OK;
}

static void run(const linear_job *job)
{
    dip_parallel_for((job->whole.m + TASK_ROWS - 1) / TASK_ROWS, rows_task, (void *)job);
}

void dip_linear_refresh(dip_linear *linear, const float *params)
{
    const float *w = params + linear->weight;
    for (size_t o = 0; o < linear->out; o++)
        for (size_t i = 0; i < linear->in; i++)
            linear->transposed[i * linear->out + o] = w[o * linear->in + i];
}

void dip_linear_forward(const dip_workspace *workspace, const dip_linear *linear,
                        const float *params, const float *in, size_t n, bool relu, float *out)
{
    const linear_job job = {.loops = workspace->kernel->loops,
                            .whole = {.m = n,
                                      .n = linear->out,
                                      .k = linear->in,
                                      .a = in,
                                      .a_row = linear->in,
                                      .a_column = 1,
                                      .b = linear->transposed,
                                      .b_row = linear->out,
                                      .c = out,
                                      .c_row = linear->out,
                                      .accumulate = linear->bias != SIZE_MAX},
                            .bias = linear->bias != SIZE_MAX ? params + linear->bias : NULL,
                            .relu = relu};
    run(&job);
}

void dip_linear_backward(const dip_workspace *workspace, const dip_linear *linear,
                         const float *params, float *grads, const float *in, const float *d_out,
                         size_t n, float *d_in)
{
    const linear_job weights = {.loops = workspace->kernel->loops,
                                .whole = {.m = linear->out,
                                          .n = linear->in,
                                          .k = n,
                                          .a = d_out,
                                          .a_row = 1,
                                          .a_column = linear->out,
                                          .b = in,
                                          .b_row = linear->in,
                                          .c = grads + linear->weight,
                                          .c_row = linear->in,
                                          .accumulate = true}};
    run(&weights);
    for (size_t i = 0; linear->bias != SIZE_MAX && i < n; i++)
        for (size_t o = 0; o < linear->out; o++)
            grads[linear->bias + o] += d_out[i * linear->out + o];
    if (!d_in) return;
    const linear_job inputs = {.loops = workspace->kernel->loops,
                               .whole = {.m = n,
                                         .n = linear->in,
                                         .k = linear->out,
                                         .a = d_out,
                                         .a_row = linear->out,
                                         .a_column = 1,
                                         .b = params + linear->weight,
                                         .b_row = linear->in,
                                         .c = d_in,
                                         .c_row = linear->in}};
    run(&inputs);
}
