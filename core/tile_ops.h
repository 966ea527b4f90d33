/**
 * The AMX instructions that product_amx.c uses, by name; or a model of them in plain C.
 *
 * With DIP_AMX_EMULATED the same source runs on any processor, so that tests can hold it against the reference
 * where there is no AMX. All eight tiles are 16 rows of 64 bytes; strides are in bytes.
 */
#ifndef CORE_TILE_OPS_H
#define CORE_TILE_OPS_H

#include "core/bf16.h"

/** What ldtilecfg reads. */
typedef struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

enum { TILES = 8, TILE_ROWS = 16, TILE_ROW_BYTES = 64 };

static inline tile_config tile_config_full(void)
{
    tile_config config = {.palette = 1};
    for (int t = 0; t < TILES; t++) {
        config.rows[t] = TILE_ROWS;
        config.row_bytes[t] = TILE_ROW_BYTES;
    }
    return config;
}

#ifndef DIP_AMX_EMULATED

#include <immintrin.h>

/* Not _tile_loadconfig: gcc 12 does not know that it reads memory and drops the stores that filled it. */
static inline void tile_configure(const tile_config *config)
{
    __asm__ volatile("ldtilecfg %0" ::"m"(*config) : "memory");
}

#define TILE_ZERO(t) _tile_zero(t)
#define TILE_LOAD(t, from, stride) _tile_loadd(t, from, stride)
#define TILE_STORE(t, to, stride) _tile_stored(t, to, stride)
#define TILE_DOT(c, a, b) _tile_dpbf16ps(c, a, b)
#define TILE_DOT8(c, a, b) _tile_dpbusd(c, a, b)
#define TILE_RELEASE() _tile_release()

#else

static _Thread_local struct {
    tile_config config;
    uint32_t word[TILES][TILE_ROWS][TILE_ROW_BYTES / 4];
} tile_state;

static inline void tile_configure(const tile_config *config) { tile_state.config = *config; }

/* Every use checks the configuration, as the processor does. */
static inline void tile_check(int t)
{
    if (tile_state.config.palette != 1 || tile_state.config.rows[t] != TILE_ROWS ||
        tile_state.config.row_bytes[t] != TILE_ROW_BYTES)
        __builtin_trap();
}

static inline void tile_zero(int t)
{
    tile_check(t);
    memset(tile_state.word[t], 0, sizeof tile_state.word[t]);
}

static inline void tile_load(int t, const void *from, ptrdiff_t stride)
{
    tile_check(t);
    for (int r = 0; r < TILE_ROWS; r++)
        memcpy(tile_state.word[t][r], (const char *)from + r * stride, TILE_ROW_BYTES);
}

static inline void tile_store(int t, void *to, ptrdiff_t stride)
{
    tile_check(t);
    for (int r = 0; r < TILE_ROWS; r++)
        memcpy((char *)to + r * stride, tile_state.word[t][r], TILE_ROW_BYTES);
}

static inline float tile_pair_dot(float sum, uint32_t a, uint32_t b)
{
    sum += dip_bf16_float((dip_bf16)a) * dip_bf16_float((dip_bf16)b);
    return sum + dip_bf16_float((dip_bf16)(a >> 16)) * dip_bf16_float((dip_bf16)(b >> 16));
}

static inline void tile_dot(int c, int a, int b)
{
    tile_check(a);
    tile_check(b);
    for (int r = 0; r < TILE_ROWS; r++)
        for (int k = 0; k < TILE_ROWS; k++)
            for (int n = 0; n < TILE_ROW_BYTES / 4; n++) {
                float sum;
                memcpy(&sum, &tile_state.word[c][r][n], sizeof sum);
                sum = tile_pair_dot(sum, tile_state.word[a][r][k], tile_state.word[b][k][n]);
                memcpy(&tile_state.word[c][r][n], &sum, sizeof sum);
            }
}

static inline uint32_t tile_four_dot(uint32_t sum, uint32_t a, uint32_t b)
{
    for (int i = 0; i < 32; i += 8)
        sum += (uint32_t)((int32_t)(a >> i & 0xff) * (int8_t)(b >> i & 0xff));
    return sum;
}

static inline void tile_dot8(int c, int a, int b)
{
    tile_check(a);
    tile_check(b);
    for (int r = 0; r < TILE_ROWS; r++)
        for (int k = 0; k < TILE_ROWS; k++)
            for (int n = 0; n < TILE_ROW_BYTES / 4; n++)
                tile_state.word[c][r][n] = tile_four_dot(
                    tile_state.word[c][r][n], tile_state.word[a][r][k], tile_state.word[b][k][n]);
}

#define TILE_ZERO(t) tile_zero(t)
#define TILE_LOAD(t, from, stride) tile_load(t, from, stride)
#define TILE_STORE(t, to, stride) tile_store(t, to, stride)
#define TILE_DOT(c, a, b) tile_dot(c, a, b)
#define TILE_DOT8(c, a, b) tile_dot8(c, a, b)
#define TILE_RELEASE() (tile_state.config = (tile_config){0})

#endif
#endif
