/* AVX-512 with VNNI but without BF16: the int8 product is VNNI's, the other is plain AVX-512's. */
#include "core/product_dot.h"
#include "core/product_operands.h"

static void product(const dip_product *p) { dip_product_avx512.bf16(p); }

static void product8(const dip_product *p) { dot_product(p, DOT_INT8); }

static bool usable(const dip_cpu *cpu) { return cpu->avx512vnni; }

static void nothing(void) {}

const dip_product_body dip_product_avx512vnni = {.name = "avx512vnni",
                                                 .usable = usable,
                                                 .enter = nothing,
                                                 .leave = nothing,
                                                 .bf16 = product,
                                                 .int8 = product8,
                                                 DIP_OPERANDS};
