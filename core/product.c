/* Chooses the body; see product.h. Feature bits decide, never a processor's name. */
#include "core/product.h"

/*
 * AVX-512 BF16 stands before float32 FMA although some processors that have both run the dot product at half
 * the rate of two FMAs: those have AMX, which is never left unused.
 */
static const dip_product_body *const bodies[] = {&dip_product_amx,        &dip_product_avx512bf16,
                                                 &dip_product_avx512vnni, &dip_product_avx512,
                                                 &dip_product_avx2,       &dip_product_plain};

const dip_product_body *dip_product_at(size_t position)
{
    return position < sizeof bodies / sizeof *bodies ? bodies[position] : NULL;
}

const dip_product_body *dip_product_get(void)
{
    const dip_cpu *cpu = dip_cpu_get();
    size_t i = 0;
    while (!bodies[i]->usable(cpu)) i++; /* the plain body always is */
    return bodies[i];
}
