/* CPU features: against what the kernel says, and switched off one by one. */
#define _GNU_SOURCE
#include "tests/core/support.h"

#include "core/cpu.h"

#include <stdlib.h>

static const char *const switches[] = {
    "DIP_NO_AVX2", "DIP_NO_AVX512", "DIP_NO_AVX512VNNI", "DIP_NO_AVX512BF16", "DIP_NO_AMX", NULL,
};

static int no_switches(void **state)
{
    (void)state;
    for (size_t i = 0; switches[i]; i++) unsetenv(switches[i]);
    dip_cpu_refresh();
    return 0;
}

/* True if /proc/cpuinfo lists all of these words. */
static bool kernel_says(const char *words)
{
    static char line[16384];
    char wanted[256], spaced[64];
    FILE *info = fopen("/proc/cpuinfo", "r");
    while (info && fgets(line, sizeof line, info))
        if (!strncmp(line, "flags", 5)) break;
    if (!info) return false;
    fclose(info);
    line[strcspn(line, "\n")] = ' ';
    snprintf(wanted, sizeof wanted, "%s", words);
    for (char *word = strtok(wanted, " "); word; word = strtok(NULL, " ")) {
        snprintf(spaced, sizeof spaced, " %s ", word);
        if (!strstr(line, spaced)) return false;
    }
    return true;
}

static void test_agrees_with_the_kernel(void **state)
{
    const dip_cpu *cpu = dip_cpu_get();
    (void)state;
    assert_int_equal(cpu->avx2, kernel_says("avx2 fma f16c"));
    assert_int_equal(cpu->avx512, kernel_says("avx2 fma f16c avx512f avx512bw avx512dq avx512vl"));
    assert_int_equal(cpu->avx512vnni, cpu->avx512 && kernel_says("avx512_vnni"));
    assert_int_equal(cpu->avx512bf16, cpu->avx512vnni && kernel_says("avx512_bf16"));
    if (cpu->amx) assert_true(kernel_says("amx_tile amx_bf16 amx_int8"));
}

/* Switching one off takes along what builds on it and nothing else. */
static void test_switches(void **state)
{
    (void)state;
    const dip_cpu all = *dip_cpu_get();
    for (size_t off = 0; switches[off]; off++) {
        no_switches(NULL);
        setenv(switches[off], "1", 1);
        dip_cpu_refresh();
        const dip_cpu *cpu = dip_cpu_get();
        assert_int_equal(cpu->avx2, all.avx2 && off > 0);
        assert_int_equal(cpu->avx512, all.avx512 && off > 1);
        assert_int_equal(cpu->avx512vnni, all.avx512vnni && off > 2);
        assert_int_equal(cpu->avx512bf16, all.avx512bf16 && off > 3);
        assert_int_equal(cpu->amx, all.amx && off > 4);
    }
}

static void test_zero_and_empty_switch_nothing_off(void **state)
{
    (void)state;
    const dip_cpu all = *dip_cpu_get();
    for (int i = 0; i < 2; i++) {
        for (size_t s = 0; switches[s]; s++) setenv(switches[s], i ? "0" : "", 1);
        dip_cpu_refresh();
        assert_memory_equal(dip_cpu_get(), &all, sizeof all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_agrees_with_the_kernel, no_switches, no_switches),
        cmocka_unit_test_setup_teardown(test_switches, no_switches, no_switches),
        cmocka_unit_test_setup_teardown(test_zero_and_empty_switch_nothing_off, no_switches,
                                        no_switches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
