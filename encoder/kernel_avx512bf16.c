/* The row loops with 512-bit vectors and rounding to bfloat16 in one instruction. */
#include "encoder/kernel_loops.h"

const dip_loops dip_loops_avx512bf16 = DIP_LOOPS;
