/* Rounding and marking, plain loops and choice; see reach.h. */
#include "index/reach_body.h"

#include "core/cpu.h"

const dip_reach dip_reach_plain = REACH;

const dip_reach *dip_reach_get(void)
{
    const dip_cpu *cpu = dip_cpu_get();
    return cpu->avx512bf16 ? &dip_reach_avx512bf16
           : cpu->avx512   ? &dip_reach_avx512
           : cpu->avx2     ? &dip_reach_avx2
                           : &dip_reach_plain;
}
