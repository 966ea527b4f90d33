/**
 * What the processor can do, found once by CPUID feature bits (never by model name).
 *
 * Each set is switched off by an environment variable set to anything but "0": DIP_NO_AMX, DIP_NO_AVX512BF16,
 * DIP_NO_AVX512VNNI, DIP_NO_AVX512, DIP_NO_AVX2, so that tests reach every body. Switching one off switches those off
 * that build on it: BF16 takes AMX along, VNNI both, AVX-512 all three, AVX2 all.
 */
#ifndef CORE_CPU_H
#define CORE_CPU_H

#include <stdbool.h>

typedef struct dip_cpu {
    bool avx2;       /* AVX2, FMA, F16C */
    bool avx512;     /* F, BW, DQ, VL */
    bool avx512vnni; /* and VNNI */
    bool avx512bf16; /* and VNNI, BF16 */
    bool amx;        /* AMX tile, bf16, int8; the kernel's permission was granted */
} dip_cpu;

/** Asks the kernel for the AMX state the first time. Thread-safe. */
const dip_cpu *dip_cpu_get(void);

/** Looks again, after a test changed the environment. Not thread-safe. */
void dip_cpu_refresh(void);

#endif
