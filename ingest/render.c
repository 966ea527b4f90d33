/*
 * Simulated sensors; see render.h.
 *
 * Optical: the surface's reflectance, lit by slope and sun, with fine texture, gain and haze; blurred by the optics (10 m
 * bands) or averaged over 2 x 2 pixels (20 m bands); sensor noise. Radar: the surface's backscatter by tilt, corner
 * reflectors and the noise floor added as powers, times speckle. Random draws come four to a 64-bit number, from tables.
 */
#include "ingest/render.h"

#include "core/mem.h"
#include "ingest/noise.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Position in the order of bands -> is it a 20 m band. */
static const bool coarse[DIP_OPTICAL_BANDS] = {
    [3] = true, [4] = true, [5] = true, [7] = true, [8] = true, [9] = true,
};

/* How much of the haze a band sees: scattering falls with the wavelength. */
static const float haze_share[DIP_OPTICAL_BANDS] = {
    1.0f, 0.70f, 0.48f, 0.40f, 0.34f, 0.28f, 0.22f, 0.20f, 0.03f, 0.01f,
};

static const float noise_floor_db[2] = {-25, -28};

dip_status dip_sensors_init(dip_sensors *sensors, double looks)
{
    sensors->normal = dip_alloc(DIP_QUANTILES * sizeof(float));
    sensors->speckle = dip_alloc(DIP_QUANTILES * sizeof(float));
    if (!sensors->normal || !sensors->speckle) {
        dip_sensors_fini(sensors);
        return DIP_ENOMEM;
    }
    dip_quantiles_normal(sensors->normal);
    dip_quantiles_speckle_db(sensors->speckle, looks);
    return DIP_OK;
}

void dip_sensors_fini(dip_sensors *sensors)
{
    dip_free(sensors->normal);
    dip_free(sensors->speckle);
    sensors->normal = sensors->speckle = NULL;
}

/* Four draws a number. */
typedef struct draws {
    dip_rng *rng;
    const float *table;
    uint64_t bits;
    unsigned left;
} draws;

static inline float next_draw(draws *d)
{
    if (!d->left) {
        d->bits = dip_rng_u64(d->rng);
        d->left = 4;
    }
    float value = d->table[d->bits & 0xffff];
    d->bits >>= 16;
    d->left--;
    return value;
}

static dip_status allocate(dip_plane *plane, dip_dtype dtype, uint32_t size)
{
    plane->dtype = dtype;
    plane->width = plane->height = size;
    plane->pixels = dip_alloc((size_t)size * size * dip_dtype_size(dtype));
    return plane->pixels ? DIP_OK : DIP_ENOMEM;
}

/* ---- optical ---- */

/* Light times texture: the same for all bands. */
static void fill_brightness(float *out, const dip_ground *g)
{
    size_t pixels = (size_t)g->size * g->size;
    for (size_t i = 0; i < pixels; i++) {
        const dip_surface *s = &g->surfaces[g->patch[i]];
        float texture = 1 + s->grain * g->grain[i] + s->rows * g->rows[i];
        out[i] = g->light[i] * (texture < 0.3f ? 0.3f : texture);
    }
}

static void fill_radiance(float *out, const dip_ground *g, const float *brightness, int band,
                          float gain, float haze)
{
    size_t pixels = (size_t)g->size * g->size;
    for (size_t i = 0; i < pixels; i++) {
        float reflectance = g->surfaces[g->patch[i]].reflectance[band];
        out[i] = gain * reflectance * brightness[i] + haze;
    }
}

static uint16_t quantise(float reflectance, draws *noise)
{
    float value = reflectance * 10000, level = 8 + 0.006f * value;
    value += level * next_draw(noise);
    return value < 1 ? 1 : value > 65535 ? 65535 : (uint16_t)(value + 0.5f);
}

/* Optics: (1 6 1) / 8 along rows, then along columns; edges repeat. */
static void blur(float *image, float *scratch, uint32_t size)
{
    for (uint32_t y = 0; y < size; y++) {
        const float *in = image + (size_t)y * size;
        float *out = scratch + (size_t)y * size;
        for (uint32_t x = 0; x < size; x++) {
            float left = in[x ? x - 1 : 0], right = in[x + 1 < size ? x + 1 : x];
            out[x] = 0.125f * (left + right) + 0.75f * in[x];
        }
    }
    for (uint32_t y = 0; y < size; y++) {
        const float *in = scratch + (size_t)y * size;
        const float *above = y ? in - size : in, *below = y + 1 < size ? in + size : in;
        float *out = image + (size_t)y * size;
        for (uint32_t x = 0; x < size; x++) out[x] = 0.125f * (above[x] + below[x]) + 0.75f * in[x];
    }
}

static void store_fine(dip_plane *plane, const float *image, draws *noise)
{
    uint16_t *out = plane->pixels;
    size_t pixels = (size_t)plane->width * plane->height;
    for (size_t i = 0; i < pixels; i++) out[i] = quantise(image[i], noise);
}

static void store_coarse(dip_plane *plane, const float *image, draws *noise)
{
    uint16_t *out = plane->pixels;
    const size_t stride = 2 * (size_t)plane->width;
    for (uint32_t y = 0; y < plane->height; y++)
        for (uint32_t x = 0; x < plane->width; x++) {
            const float *p = image + 2 * y * stride + 2 * x;
            *out++ = quantise((p[0] + p[1] + p[stride] + p[stride + 1]) / 4, noise);
        }
}

dip_status dip_render_optical(dip_plane *planes, const dip_ground *ground, const dip_region *region,
                              const dip_sensors *sensors, dip_rng *rng)
{
    size_t pixels = (size_t)ground->size * ground->size;
    draws noise = {rng, sensors->normal, 0, 0};
    float *brightness = dip_alloc(3 * pixels * sizeof *brightness);
    if (!brightness) return DIP_ENOMEM;
    float *image = brightness + pixels, *scratch = image + pixels;
    float air = region->haze * (1 + 0.15f * next_draw(&noise));
    float tone = 1 + 0.02f * next_draw(&noise);
    dip_status status = DIP_OK;
    fill_brightness(brightness, ground);
    for (int b = 0; b < DIP_OPTICAL_BANDS && !status; b++) {
        uint32_t size = coarse[b] ? ground->size / 2 : ground->size;
        status = allocate(&planes[b], DIP_DTYPE_U16, size);
        if (status) break;
        fill_radiance(image, ground, brightness, b, tone * region->gain[b], air * haze_share[b]);
        if (coarse[b]) {
            store_coarse(&planes[b], image, &noise);
        } else {
            blur(image, scratch, ground->size);
            store_fine(&planes[b], image, &noise);
        }
    }
    dip_free(brightness);
    return status;
}

/* ---- radar ---- */

static float power_of(float db) { return expf(db * 0.230258509f); }

static float db_of(float power) { return 4.342944819f * logf(power); }

/* Corner reflectors answer mostly in the polarisation that was sent. */
static const float corner_share[2] = {1, 0.16f};

static void fill_backscatter(float *out, const dip_ground *g, int channel, const float *powers,
                             draws *speckle)
{
    size_t pixels = (size_t)g->size * g->size;
    const float floor_power = power_of(noise_floor_db[channel]);
    for (size_t i = 0; i < pixels; i++) {
        const dip_surface *s = &g->surfaces[g->patch[i]];
        float ground = powers[g->patch[i]] * g->tilt[i];
        float rough = s->roughness_db * g->grain[i];
        float power = ground + corner_share[channel] * g->corner[i] + floor_power;
        out[i] = db_of(power) + rough + next_draw(speckle);
    }
}

dip_status dip_render_radar(dip_plane *planes, const dip_ground *ground, const dip_sensors *sensors,
                            dip_rng *rng)
{
    draws speckle = {rng, sensors->speckle, 0, 0};
    float *powers = dip_alloc(ground->surface_count * sizeof *powers);
    dip_status status = powers ? DIP_OK : DIP_ENOMEM;
    for (int channel = 0; channel < 2 && !status; channel++) {
        status = allocate(&planes[channel], DIP_DTYPE_F32, ground->size);
        if (status) break;
        for (uint32_t s = 0; s < ground->surface_count; s++)
            powers[s] = power_of(ground->surfaces[s].backscatter[channel]);
        fill_backscatter(planes[channel].pixels, ground, channel, powers, &speckle);
    }
    dip_free(powers);
    return status;
}
