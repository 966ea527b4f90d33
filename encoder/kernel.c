/* Chooses the body; see kernel.h. Feature bits decide, never a processor's name. */
#include "encoder/kernel.h"

/*
 * AVX-512 BF16 stands before float32 FMA although some processors that have both run the dot product at half
 * the rate of two FMAs: those have AMX, which is never left unused.
 */
static const dip_kernel *const bodies[] = {&dip_kernel_amx,        &dip_kernel_avx512bf16,
                                           &dip_kernel_avx512vnni, &dip_kernel_avx512,
                                           &dip_kernel_avx2,       &dip_kernel_plain};

const dip_kernel *dip_kernel_at(size_t position)
{
    return position < sizeof bodies / sizeof *bodies ? bodies[position] : NULL;
}

const dip_kernel *dip_kernel_get(void)
{
    const dip_cpu *cpu = dip_cpu_get();
    size_t i = 0;
    while (!bodies[i]->usable(cpu)) i++; /* the plain body always is */
    return bodies[i];
}
