/*
 * AVX-512 BF16: one dot product instruction takes a pair of k for 16 columns.
 *
 * Eight rows by 32 columns stay in 16 registers; a pair of each row is broadcast from memory.
 */
#include "encoder/kernel_loops.h"
#include "encoder/kernel_shuffle.h"

enum { GROUP = 8, AHEAD = 8 * DIP_PANEL };

#define ALWAYS_INLINE inline __attribute__((always_inline))

static inline __m512bh load_pairs(const dip_bf16 *from)
{
    return (__m512bh)_mm512_loadu_si512(from);
}

static inline __m512bh broadcast_pair(const dip_bf16 *from)
{
    int pair;
    memcpy(&pair, from, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

/* ask: for the panels AHEAD of these, which may have to come from memory; the first group of a product does. */
static ALWAYS_INLINE void product_step(const dip_bf16 *a, ptrdiff_t a_row, const dip_bf16 *b,
                                       ptrdiff_t b_half, __m512 *left, __m512 *right,
                                       const int group, const bool ask)
{
    for (int q = 0; q < DIP_HALF; q++, a += 2, b += DIP_BLOCK) {
        const __m512bh b0 = load_pairs(b), b1 = load_pairs(b + b_half);
        if (ask) {
            _mm_prefetch((const char *)(b + AHEAD), _MM_HINT_T1);
            _mm_prefetch((const char *)(b + b_half + AHEAD), _MM_HINT_T1);
        }
#pragma GCC unroll 8
        for (int r = 0; r < group; r++) {
            const __m512bh pair = broadcast_pair(a + r * a_row);
            left[r] = _mm512_dpbf16_ps(left[r], pair, b0);
            right[r] = _mm512_dpbf16_ps(right[r], pair, b1);
        }
    }
}

static ALWAYS_INLINE void product_group(const dip_product *p, int half, int row, const int group,
                                        const bool ask)
{
    const dip_bf16 *a = p->a[half] + row * p->a_row, *b = p->b;
    const ptrdiff_t c_row = p->c_row;
    float *c = p->c + (half * DIP_HALF + row) * c_row;
    __m512 left[GROUP], right[GROUP];
#pragma GCC unroll 8
    for (int r = 0; r < group; r++) left[r] = right[r] = _mm512_setzero_ps();
    for (unsigned s = 0; s < p->segments; s++, a += p->a_segment, b += p->b_segment)
        for (unsigned k = 0; k < p->steps; k++)
            product_step(a + k * p->a_step, p->a_row, b + k * p->b_step, p->b_half, left, right,
                         group, ask);
    if (p->accumulate) {
#pragma GCC unroll 8
        for (int r = 0; r < group; r++) {
            left[r] = _mm512_add_ps(left[r], _mm512_loadu_ps(c + r * c_row));
            right[r] = _mm512_add_ps(right[r], _mm512_loadu_ps(c + r * c_row + DIP_HALF));
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < group; r++) {
        _mm512_storeu_ps(c + r * c_row, left[r]);
        _mm512_storeu_ps(c + r * c_row + DIP_HALF, right[r]);
    }
}

static void product(const dip_product *p)
{
    for (int half = 0; half < 2; half++) {
        const int rows = (int)p->rows[half];
        for (int row = 0; row < rows; row += GROUP)
            if (rows - row <= GROUP / 2)
                product_group(p, half, row, GROUP / 2, true);
            else if (half == 0 && row == 0)
                product_group(p, half, row, GROUP, true);
            else
                product_group(p, half, row, GROUP, false);
    }
}

static bool usable(const dip_cpu *cpu) { return cpu->avx512bf16; }

static void nothing(void) {}

const dip_loops dip_loops_avx512bf16 = DIP_LOOPS(panel_avx512, transpose_avx512);

const dip_kernel dip_kernel_avx512bf16 = {.name = "avx512bf16",
                                          .usable = usable,
                                          .enter = nothing,
                                          .leave = nothing,
                                          .product = product,
                                          .loops = &dip_loops_avx512bf16};
