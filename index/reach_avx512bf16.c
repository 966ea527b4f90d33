/* Rounding and marking, compiled for AVX-512 with its rounding to bfloat16; see reach.h. */
#include "index/reach_body.h"

const dip_reach dip_reach_avx512bf16 = REACH;
