/* Inner product, plain body and choice; see dot.h. */
#include "index/dot.h"

#include "core/cpu.h"
#include "index/dot_body.h"

float dip_dot_plain(const float *a, const float *b, size_t n) { return dot_body(a, b, n); }

dip_dot_fn dip_dot_get(void) { return dip_cpu_get()->avx2 ? dip_dot_avx2 : dip_dot_plain; }
