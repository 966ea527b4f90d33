/* The row loops with 512-bit vectors. */
#include "encoder/kernel_loops.h"

const dip_loops dip_loops_avx512 = DIP_LOOPS;
