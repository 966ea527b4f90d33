/* AVX-512 without bfloat16 arithmetic: the float32 product with 512-bit vectors. */
#include "encoder/kernel_product.h"
#include "encoder/kernel_int8.h"
#include "encoder/kernel_loops.h"
#include "encoder/kernel_shuffle.h"

static bool usable(const dip_cpu *cpu) { return cpu->avx512; }

static void nothing(void) {}

const dip_loops dip_loops_avx512 = DIP_LOOPS(panel_avx512, transpose_avx512);

const dip_kernel dip_kernel_avx512 = {.name = "avx512",
                                      .usable = usable,
                                      .enter = nothing,
                                      .leave = nothing,
                                      .product = product_fma,
                                      .product8 = product_int8,
                                      .loops = &dip_loops_avx512};
