/* Inner product, compiled for AVX2; see dot.h. */
#include "index/dot.h"

#include "index/dot_body.h"

float dip_dot_avx2(const float *a, const float *b, size_t n) { return dot_body(a, b, n); }
