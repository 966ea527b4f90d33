/* Rounding and marking, compiled for AVX2; see reach.h. */
#include "index/reach_body.h"

const dip_reach dip_reach_avx2 = REACH;
