/* The record of a tile's pixels; see pixels.h. */
#define _GNU_SOURCE
#include "storage/pixels.h"

enum { VERSION = 1 };

size_t dip_plane_bytes(const dip_plane *plane)
{
    size_t size = dip_dtype_size(plane->dtype);
    if (!size || !plane->width || !plane->height) return 0;
    uint64_t pixels = (uint64_t)plane->width * plane->height;
    return pixels > DIP_TILE_MAX_BYTES / size ? 0 : (size_t)pixels * size;
}

/* Scratch of both ways: all filtered planes, then the filters' values for the largest plane. */
static size_t scratch_bytes(const dip_plane *planes, uint32_t count, size_t values,
                            size_t *filtered_bytes)
{
    size_t total = 0, most = 0;
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = dip_plane_bytes(&planes[i]);
        size_t pixels = bytes / dip_dtype_size(planes[i].dtype);
        total += bytes;
        if (pixels > most) most = pixels;
    }
    *filtered_bytes = (total + 63) & ~(size_t)63;
    return *filtered_bytes + most * values * sizeof(uint32_t);
}

dip_status dip_pixels_encode(dip_out *out, uint64_t id, const dip_plane *planes, uint32_t count,
                             dip_codec *codec)
{
    size_t offset = 0, filtered;
    uint8_t *scratch = dip_codec_borrow(codec, scratch_bytes(planes, count, 2, &filtered));
    if (!scratch) return DIP_ENOMEM;
    uint32_t *values = (uint32_t *)(void *)(scratch + filtered);
    dip_record_begin(out, 'T', VERSION);
    dip_out_u8(out, (uint8_t)count);
    for (uint32_t i = 0; i < count; i++) {
        const dip_plane *plane = &planes[i], *previous = i ? plane - 1 : NULL;
        dip_filter filter = dip_filter_choose(plane, previous, values);
        dip_filter_apply(filter, plane, previous, scratch + offset, values);
        offset += dip_plane_bytes(plane);
        dip_out_u8(out, (uint8_t)plane->dtype);
        dip_out_u8(out, (uint8_t)filter);
        dip_out_u32(out, plane->width);
        dip_out_u32(out, plane->height);
    }
    size_t packed = 0, bound = dip_codec_bound(offset);
    uint8_t *room = dip_out_room(out, bound);
    dip_status status = room ? dip_codec_pack(codec, room, &packed, scratch, offset) : DIP_ENOMEM;
    dip_codec_return(codec, scratch);
    if (status) return status;
    out->size -= bound - packed;
    return dip_record_seal(out, id);
}

static dip_status read_shape(dip_pixels_shape *shape, dip_in in)
{
    shape->plane_count = dip_in_u8(&in);
    shape->raw_bytes = 0;
    if (shape->plane_count > DIP_MAX_BANDS)
        return dip_fail(DIP_ECORRUPT, "its record says %u planes", shape->plane_count);
    for (uint32_t i = 0; i < shape->plane_count; i++) {
        dip_plane *plane = &shape->planes[i];
        plane->dtype = (dip_dtype)dip_in_u8(&in);
        shape->filters[i] = (dip_filter)dip_in_u8(&in);
        plane->width = dip_in_u32(&in);
        plane->height = dip_in_u32(&in);
        plane->pixels = NULL;
        size_t plane_bytes = dip_plane_bytes(plane);
        if (in.failed || !plane_bytes ||
            !dip_filter_fits(shape->filters[i], plane, i ? plane - 1 : NULL))
            return dip_fail(DIP_ECORRUPT, "plane %u of its record is of no known type or shape", i);
        shape->raw_bytes += plane_bytes;
        if (shape->raw_bytes > DIP_TILE_MAX_BYTES)
            return dip_fail(DIP_ECORRUPT, "its record says more than %d bytes of pixels",
                            DIP_TILE_MAX_BYTES);
    }
    shape->frame_bytes = dip_in_left(&in);
    shape->frame = dip_in_take(&in, shape->frame_bytes);
    if (!dip_codec_can_hold(shape->frame, shape->frame_bytes, shape->raw_bytes))
        return dip_fail(DIP_ECORRUPT, "its compressed bytes do not fit %zu bytes of pixels",
                        shape->raw_bytes);
    return DIP_OK;
}

dip_status dip_pixels_open(dip_pixels_shape *shape, const void *bytes, size_t size, uint64_t id)
{
    dip_in in;
    dip_status status = dip_record_open(&in, bytes, size, 'T', VERSION, id);
    if (!status) status = read_shape(shape, in);
    return status ? dip_fail_prefix(status, "pixels of tile %llu", (unsigned long long)id) : DIP_OK;
}

dip_status dip_pixels_peek(dip_pixels_shape *shape, const void *bytes, size_t size, uint64_t id)
{
    dip_in in;
    dip_status status = dip_record_peek(&in, bytes, size, 'T', VERSION);
    if (!status) status = read_shape(shape, in);
    return status ? dip_fail_prefix(status, "pixels of tile %llu", (unsigned long long)id) : DIP_OK;
}

dip_status dip_pixels_decode(dip_pixels_shape *shape, uint64_t id, dip_codec *codec)
{
    size_t offset = 0, filtered;
    uint8_t *scratch =
        dip_codec_borrow(codec, scratch_bytes(shape->planes, shape->plane_count, 1, &filtered));
    if (!scratch) return DIP_ENOMEM;
    uint32_t *values = (uint32_t *)(void *)(scratch + filtered);
    dip_status status =
        dip_codec_unpack(codec, scratch, shape->raw_bytes, shape->frame, shape->frame_bytes);
    for (uint32_t i = 0; !status && i < shape->plane_count; i++) {
        dip_plane *plane = &shape->planes[i];
        dip_filter_undo(shape->filters[i], scratch + offset, i ? plane - 1 : NULL, plane, values);
        offset += dip_plane_bytes(plane);
    }
    dip_codec_return(codec, scratch);
    return status ? dip_fail_prefix(status, "pixels of tile %llu", (unsigned long long)id) : DIP_OK;
}
