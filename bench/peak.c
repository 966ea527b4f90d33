/*
 * Loops of independent multiply-adds; see peak.h.
 *
 * Twelve accumulators hide the latency of two units of four to five cycles. The operands are such that sums stay
 * finite, and the sums end in a variable that the compiler must believe somebody reads.
 */
#include "bench/peak.h"

#include "core/parallel.h"
#include "core/tile_ops.h"

#include <immintrin.h>

enum { ROUNDS = 100000, SUMS = 12 };

static volatile float sink;

/* Names, not an array, which gcc would keep in memory. */
#define EACH(x) x(s0) x(s1) x(s2) x(s3) x(s4) x(s5) x(s6) x(s7) x(s8) x(s9) x(sa) x(sb)
/* Twelve equal sums would be computed once: the statement hides what they begin with. */
#define DECLARE(s)   \
    vector s = zero; \
    __asm__("" : "+x"(s));
#define STEP(s) s = step(s);
#define ADD(s) total += s;

#define LOOP(name, set)                                   \
    __attribute__((target(set))) static double name(void) \
    {                                                     \
        float out[16];                                    \
        EACH(DECLARE)                                     \
        for (int r = 0; r < ROUNDS; r++) {                \
            EACH(STEP)                                    \
        }                                                 \
        vector total = zero;                              \
        EACH(ADD)                                         \
        memcpy(out, &total, sizeof total);                \
        sink = out[0];                                    \
        return (double)ROUNDS * SUMS * flops;             \
    }

#define vector __m128
#define zero _mm_setzero_ps()
#define step(s) _mm_add_ps(_mm_mul_ps(s, _mm_set1_ps(0.5f)), _mm_set1_ps(0.5f))
#define flops (4 * 2)
LOOP(peak_plain, "sse2")
#undef vector
#undef zero
#undef step
#undef flops

#define vector __m256
#define zero _mm256_setzero_ps()
#define step(s) _mm256_fmadd_ps(s, _mm256_set1_ps(0.5f), _mm256_set1_ps(0.5f))
#define flops (8 * 2)
LOOP(peak_avx2, "avx2,fma")
#undef vector
#undef zero
#undef step
#undef flops

#define vector __m512
#define zero _mm512_setzero_ps()
#define step(s) _mm512_fmadd_ps(s, _mm512_set1_ps(0.5f), _mm512_set1_ps(0.5f))
#define flops (16 * 2)
LOOP(peak_avx512, "avx512f")
#undef vector
#undef zero
#undef step
#undef flops

#define ones ((__m512bh)_mm512_set1_epi32(0x3f803f80))
#define vector __m512
#define zero _mm512_setzero_ps()
#define step(s) _mm512_dpbf16_ps(s, ones, ones)
#define flops (16 * 2 * 2)
LOOP(peak_avx512bf16, "avx512f,avx512bf16")

__attribute__((target("amx-tile,amx-bf16"))) static double peak_amx(void)
{
    const tile_config config = tile_config_full();
    tile_configure(&config);
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    TILE_ZERO(4);
    TILE_ZERO(5);
    TILE_ZERO(6);
    TILE_ZERO(7);
    for (int r = 0; r < ROUNDS; r++) {
        TILE_DOT(0, 4, 6);
        TILE_DOT(1, 4, 7);
        TILE_DOT(2, 5, 6);
        TILE_DOT(3, 5, 7);
    }
    TILE_RELEASE();
    return ROUNDS * 4.0 * 2 * 16 * 16 * 32;
}

static const struct {
    const char *body;
    double (*run)(void);
} loops[] = {{"amx", peak_amx},           {"avx512bf16", peak_avx512bf16},
             {"avx512vnni", peak_avx512}, /* of its float32 product */
             {"avx512", peak_avx512},     {"avx2", peak_avx2},
             {"plain", peak_plain}};
enum { LOOPS = sizeof loops / sizeof *loops };

typedef struct job {
    double (*run)(void);
    double done;
} job;

static dip_status run_task(void *context, size_t task, unsigned worker)
{
    (void)worker;
    job *j = context;
    const double done = j->run();
    if (task == 0) j->done = done;
    return DIP_OK;
}

double bench_peak(const char *body)
{
    for (int i = 0; i < LOOPS; i++) {
        if (strcmp(loops[i].body, body) != 0) continue;
        job j = {.run = loops[i].run};
        dip_parallel_for(dip_threads(), run_task, &j);
        return j.done * dip_threads();
    }
    return 0;
}
