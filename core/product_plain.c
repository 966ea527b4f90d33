/* The body without requirements: what every processor of the architecture runs. */
#include "core/product_fma.h"
#include "core/product_int8.h"
#include "core/product_operands.h"

static bool usable(const dip_cpu *cpu)
{
    (void)cpu;
    return true;
}

static void nothing(void) {}

const dip_product_body dip_product_plain = {.name = "plain",
                                            .usable = usable,
                                            .enter = nothing,
                                            .leave = nothing,
                                            .bf16 = product_fma,
                                            .int8 = product_int8,
                                            DIP_OPERANDS};
