/* CPU features; see cpu.h. */
#define _GNU_SOURCE
#include "core/cpu.h"

#include <cpuid.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    ARCH_REQ_XCOMP_PERM = 0x1023,
    XFEATURE_XTILEDATA = 18,
    XCR0_AVX = 0x6,
    XCR0_AVX512 = 0xe6,
};

static dip_cpu cpu;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool switched_off(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value && strcmp(value, "0") != 0;
}

static uint64_t enabled_state(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static bool bit(uint32_t word, int n) { return word >> n & 1; }

static void detect(void)
{
    uint32_t a, b, c, d, a1 = 0, b1, c1, d1;
    memset(&cpu, 0, sizeof cpu);
    if (!__get_cpuid(1, &a, &b, &c, &d) || !bit(c, 27)) return; /* OSXSAVE */
    bool fma = bit(c, 12), f16c = bit(c, 29);
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    __get_cpuid_count(7, 1, &a1, &b1, &c1, &d1);
    uint64_t state = enabled_state();
    cpu.avx2 =
        (state & XCR0_AVX) == XCR0_AVX && bit(b, 5) && fma && f16c && !switched_off("DIP_NO_AVX2");
    cpu.avx512 = cpu.avx2 && (state & XCR0_AVX512) == XCR0_AVX512 && bit(b, 16) && bit(b, 17) &&
                 bit(b, 30) && bit(b, 31) && !switched_off("DIP_NO_AVX512");
    cpu.avx512vnni = cpu.avx512 && bit(c, 11) && !switched_off("DIP_NO_AVX512VNNI");
    cpu.avx512bf16 = cpu.avx512vnni && bit(a1, 5) && !switched_off("DIP_NO_AVX512BF16");
    bool amx_bits = bit(d, 22) && bit(d, 24) && bit(d, 25);
    cpu.amx = cpu.avx512bf16 && amx_bits && !switched_off("DIP_NO_AMX") &&
              syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

const dip_cpu *dip_cpu_get(void)
{
    pthread_once(&once, detect);
    return &cpu;
}

void dip_cpu_refresh(void)
{
    pthread_once(&once, detect);
    detect();
}
