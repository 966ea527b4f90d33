/* AVX2 and FMA: the float32 product with 256-bit vectors. */
#include "encoder/kernel_product.h"
#include "encoder/kernel_int8.h"
#include "encoder/kernel_loops.h"

static bool usable(const dip_cpu *cpu) { return cpu->avx2; }

static void nothing(void) {}

const dip_loops dip_loops_avx2 = DIP_LOOPS(loop_panel, loop_transpose);

const dip_kernel dip_kernel_avx2 = {.name = "avx2",
                                    .usable = usable,
                                    .enter = nothing,
                                    .leave = nothing,
                                    .product = product_fma,
                                    .product8 = product_int8,
                                    .loops = &dip_loops_avx2};
