/* Each product body with its loops; see kernel.h. Bodies without loops of their own take those of the next set below. */
#include "encoder/kernel.h"

static const dip_kernel kernels[] = {
    {&dip_product_amx, &dip_loops_avx512bf16},    {&dip_product_avx512bf16, &dip_loops_avx512bf16},
    {&dip_product_avx512vnni, &dip_loops_avx512}, {&dip_product_avx512, &dip_loops_avx512},
    {&dip_product_avx2, &dip_loops_avx2},         {&dip_product_plain, &dip_loops_plain}};

const dip_kernel *dip_kernel_at(size_t position)
{
    return position < sizeof kernels / sizeof *kernels ? &kernels[position] : NULL;
}

const dip_kernel *dip_kernel_get(void)
{
    const dip_product_body *product = dip_product_get();
    size_t i = 0;
    while (kernels[i].product != product) i++;
    return &kernels[i];
}
