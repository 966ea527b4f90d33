/* The body without requirements: what every processor of the architecture runs. */
#include "encoder/kernel_product.h"
#include "encoder/kernel_int8.h"
#include "encoder/kernel_loops.h"

static bool usable(const dip_cpu *cpu)
{
    (void)cpu;
    return true;
}

static void nothing(void) {}

const dip_loops dip_loops_plain = DIP_LOOPS(loop_panel, loop_transpose);

const dip_kernel dip_kernel_plain = {.name = "plain",
                                     .usable = usable,
                                     .enter = nothing,
                                     .leave = nothing,
                                     .product = product_fma,
                                     .product8 = product_int8,
                                     .loops = &dip_loops_plain};
