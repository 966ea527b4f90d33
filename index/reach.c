/* Rounding and marking, plain loops and choice; see reach.h. */
#include "index/reach_body.h"

#include "core/cpu.h"

const dip_reach dip_reach_plain = REACH;

const dip_reach *dip_reach_get(void)
{
    const dip_cpu *cpu = dip_cpu_get();
    return cpu->avx512bf16 ? &dip_reach_avx512bf16
           : cpu->avx512   ? &dip_reach_avx512
           : cpu->avx2     ? &dip_reach_avx2
                           : &dip_reach_plain;
}

float dip_reach_slack(const dip_bounds *rows, const dip_bounds *query, size_t dim)
{
    const float rounded = rows->norm + rows->error;
    const float rounding = query->error * rounded + query->norm * rows->error;
    const float sums = (float)(dim + 8) * (query->norm + query->error) * rounded + 4 * rows->offset;
    return (rounding + FLT_EPSILON * sums) * 1.0001f;
}

void dip_reach_panel(const dip_product_body *body, const dip_bf16 *vectors, size_t depth,
                     dip_bf16 *panel)
{
    for (size_t k = 0; k < depth; k += DIP_BLOCK, panel += DIP_PANEL) {
        body->transpose(vectors + k, depth, panel);
        body->transpose(vectors + DIP_HALF * depth + k, depth, panel + DIP_TILE);
    }
}

void dip_reach_block(const dip_product_body *body, const dip_bf16 *rows, size_t count, size_t depth,
                     const dip_bf16 *panel, float *block)
{
    const unsigned upper = count < DIP_HALF ? (unsigned)count : DIP_HALF;
    const dip_product product = {.a = {rows, rows + DIP_HALF * depth},
                                 .rows = {upper, (unsigned)count - upper},
                                 .a_row = (ptrdiff_t)depth,
                                 .a_step = DIP_BLOCK,
                                 .b = panel,
                                 .b_half = DIP_TILE,
                                 .b_step = DIP_PANEL,
                                 .segments = 1,
                                 .steps = (unsigned)(depth / DIP_BLOCK),
                                 .c = block,
                                 .c_row = DIP_BLOCK};
    body->bf16(&product);
}
