/* AVX-512 without bfloat16 arithmetic: the float32 product with 512-bit vectors. */
#include "core/product_fma.h"
#include "core/product_int8.h"
#include "core/product_operands.h"

static bool usable(const dip_cpu *cpu) { return cpu->avx512; }

static void nothing(void) {}

const dip_product_body dip_product_avx512 = {.name = "avx512",
                                             .usable = usable,
                                             .enter = nothing,
                                             .leave = nothing,
                                             .bf16 = product_fma,
                                             .int8 = product_int8,
                                             DIP_OPERANDS};
