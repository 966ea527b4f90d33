/* The row loops with 256-bit vectors. */
#include "encoder/kernel_loops.h"

const dip_loops dip_loops_avx2 = DIP_LOOPS;
