/* The row loops without requirements: what every processor of the architecture runs. */
#include "encoder/kernel_loops.h"

const dip_loops dip_loops_plain = DIP_LOOPS;
