/* AVX2 and FMA: the float32 product with 256-bit vectors. */
#include "core/product_fma.h"
#include "core/product_int8.h"
#include "core/product_operands.h"

static bool usable(const dip_cpu *cpu) { return cpu->avx2; }

static void nothing(void) {}

const dip_product_body dip_product_avx2 = {.name = "avx2",
                                           .usable = usable,
                                           .enter = nothing,
                                           .leave = nothing,
                                           .bf16 = product_fma,
                                           .int8 = product_int8,
                                           DIP_OPERANDS};
