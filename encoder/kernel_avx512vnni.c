/* AVX-512 with VNNI but without BF16: the int8 product is VNNI's, everything else is plain AVX-512's. */
#include "encoder/kernel_dot.h"

static bool usable(const dip_cpu *cpu) { return cpu->avx512vnni; }

static void nothing(void) {}

static void product(const dip_product *p) { dip_kernel_avx512.product(p); }

static void product8(const dip_product *p) { dot_product(p, DOT_INT8); }

const dip_kernel dip_kernel_avx512vnni = {.name = "avx512vnni",
                                          .usable = usable,
                                          .enter = nothing,
                                          .leave = nothing,
                                          .product = product,
                                          .product8 = product8,
                                          .loops = &dip_loops_avx512};
