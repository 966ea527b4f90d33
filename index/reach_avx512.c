/* Rounding and marking, compiled for AVX-512; see reach.h. */
#include "index/reach_body.h"

const dip_reach dip_reach_avx512 = REACH;
