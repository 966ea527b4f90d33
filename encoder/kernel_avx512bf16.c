/* AVX-512 BF16: one dot product instruction takes a pair of k for 16 columns; VNNI takes four bytes. */
#include "encoder/kernel_dot.h"
#include "encoder/kernel_loops.h"
#include "encoder/kernel_shuffle.h"

static void product(const dip_product *p) { dot_product(p, DOT_BF16); }

static void product8(const dip_product *p) { dot_product(p, DOT_INT8); }

static bool usable(const dip_cpu *cpu) { return cpu->avx512bf16; }

static void nothing(void) {}

const dip_loops dip_loops_avx512bf16 = DIP_LOOPS(panel_avx512, transpose_avx512);

const dip_kernel dip_kernel_avx512bf16 = {.name = "avx512bf16",
                                          .usable = usable,
                                          .enter = nothing,
                                          .leave = nothing,
                                          .product = product,
                                          .product8 = product8,
                                          .loops = &dip_loops_avx512bf16};
