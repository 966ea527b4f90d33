/* The AMX body, the same source, over tile instructions in software: how it is tested where there is no AMX. */
#define DIP_AMX_EMULATED
#include "core/product_amx.c"
