/* AVX-512 BF16: one dot product instruction takes a pair of k for 16 columns; VNNI takes four bytes. */
#include "core/product_dot.h"
#include "core/product_operands.h"

static void product(const dip_product *p) { dot_product(p, DOT_BF16); }

static void product8(const dip_product *p) { dot_product(p, DOT_INT8); }

static bool usable(const dip_cpu *cpu) { return cpu->avx512bf16; }

static void nothing(void) {}

const dip_product_body dip_product_avx512bf16 = {.name = "avx512bf16",
                                                 .usable = usable,
                                                 .enter = nothing,
                                                 .leave = nothing,
                                                 .bf16 = product,
                                                 .int8 = product8,
                                                 DIP_OPERANDS};
