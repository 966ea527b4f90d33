/*
 * AMX: the block product on tiles.
 *
 * Tiles 0..3 hold the four 16x16 quarters of C, 4 and 5 the upper and lower rows of A, 6 and 7 the two halves of a
 * panel. Without lower rows only tiles 0, 1 and 4 work. Configuration is per thread and released after each region, so
 * that a sleeping thread carries no tile state.
 */
#include "core/product_operands.h"
#include "core/tile_ops.h"

#ifdef DIP_AMX_EMULATED
#define dip_product_amx dip_product_amx_emulated
extern const dip_product_body dip_product_amx_emulated;
#endif

enum { PANEL_ROW_BYTES = 64 };

static void enter(void)
{
    const tile_config config = tile_config_full();
    tile_configure(&config);
}

static void leave(void) { TILE_RELEASE(); }

static bool usable(const dip_cpu *cpu)
{
#ifdef DIP_AMX_EMULATED
    (void)cpu;
    return true;
#else
    return cpu->amx;
#endif
}

/* The number of a tile is part of the instruction, so the kind of product is a constant where this is inlined. */
#define DOT(c, a, b)            \
    do {                        \
        if (int8)               \
            TILE_DOT8(c, a, b); \
        else                    \
            TILE_DOT(c, a, b);  \
    } while (0)

static ALWAYS_INLINE void product_upper(const dip_product *p, const bool int8)
{
    const ptrdiff_t c_bytes = p->c_row * (ptrdiff_t)sizeof(float);
    const ptrdiff_t a_bytes = p->a_row * (ptrdiff_t)sizeof(dip_bf16);
    if (p->accumulate) {
        TILE_LOAD(0, p->c, c_bytes);
        TILE_LOAD(1, p->c + DIP_HALF, c_bytes);
    } else {
        TILE_ZERO(0);
        TILE_ZERO(1);
    }
    for (unsigned s = 0; s < p->segments; s++) {
        const dip_bf16 *a = p->a[0] + s * p->a_segment, *b = p->b + s * p->b_segment;
        for (unsigned k = 0; k < p->steps; k++, a += p->a_step, b += p->b_step) {
            TILE_LOAD(6, b, PANEL_ROW_BYTES);
            TILE_LOAD(4, a, a_bytes);
            DOT(0, 4, 6);
            TILE_LOAD(7, b + p->b_half, PANEL_ROW_BYTES);
            DOT(1, 4, 7);
        }
    }
    TILE_STORE(0, p->c, c_bytes);
    TILE_STORE(1, p->c + DIP_HALF, c_bytes);
}

static ALWAYS_INLINE void product_whole(const dip_product *p, const bool int8)
{
    const ptrdiff_t c_bytes = p->c_row * (ptrdiff_t)sizeof(float);
    const ptrdiff_t a_bytes = p->a_row * (ptrdiff_t)sizeof(dip_bf16);
    float *lower = p->c + DIP_HALF * p->c_row;
    if (p->accumulate) {
        TILE_LOAD(0, p->c, c_bytes);
        TILE_LOAD(1, p->c + DIP_HALF, c_bytes);
        TILE_LOAD(2, lower, c_bytes);
        TILE_LOAD(3, lower + DIP_HALF, c_bytes);
    } else {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
    }
    for (unsigned s = 0; s < p->segments; s++) {
        const dip_bf16 *a0 = p->a[0] + s * p->a_segment, *a1 = p->a[1] + s * p->a_segment;
        const dip_bf16 *b = p->b + s * p->b_segment;
        for (unsigned k = 0; k < p->steps; k++) {
            TILE_LOAD(6, b, PANEL_ROW_BYTES);
            TILE_LOAD(4, a0, a_bytes);
            DOT(0, 4, 6);
            TILE_LOAD(7, b + p->b_half, PANEL_ROW_BYTES);
            DOT(1, 4, 7);
            TILE_LOAD(5, a1, a_bytes);
            DOT(2, 5, 6);
            DOT(3, 5, 7);
            a0 += p->a_step;
            a1 += p->a_step;
            b += p->b_step;
        }
    }
    TILE_STORE(0, p->c, c_bytes);
    TILE_STORE(1, p->c + DIP_HALF, c_bytes);
    TILE_STORE(2, lower, c_bytes);
    TILE_STORE(3, lower + DIP_HALF, c_bytes);
}

static ALWAYS_INLINE void product_of(const dip_product *p, const bool int8)
{
    if (p->rows[1])
        product_whole(p, int8);
    else
        product_upper(p, int8);
}

static void product(const dip_product *p) { product_of(p, false); }

static void product8(const dip_product *p) { product_of(p, true); }

const dip_product_body dip_product_amx = {.name = "amx",
                                          .usable = usable,
                                          .enter = enter,
                                          .leave = leave,
                                          .bf16 = product,
                                          .int8 = product8,
                                          DIP_OPERANDS};
