/*
 * A tile as files: its picture as PNG and as a cloud-optimized GeoTIFF, its bands as GeoTIFFs of the stored values, its
 * embedding. All are made when they are asked for; a stored tile never changes, so they carry an ETag of what they are made
 * from and may be kept by whoever asked. Readers of COGs ask for ranges of bytes, which Accept-Ranges invites.
 */
#define _GNU_SOURCE
#include "server/item.h"

#include "core/hash.h"
#include "core/mem.h"
#include "front/picture.h"
#include "ingest/modality.h"
#include "ingest/raster.h"
#include "storage/npy.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_THUMBNAIL = 2048 };

/* ---- what they have in common ---- */

/* The tile that a request names; else the response says why not. */
static dip_tile *find_tile(const dip_archive *archive, const dip_request *request,
                           dip_response *response)
{
    uint64_t id;
    dip_tile *tile = NULL;
    dip_status status = dip_item_find(archive, request->part[0], request->part[1], &id);
    if (!status) status = dip_archive_tile(archive, id, &tile);
    if (!status && !tile->plane_count) {
        status =
            dip_fail(DIP_ENOENT, "item '%s' is known by its embeddings alone: it has no pixels",
                     request->part[1]);
        dip_tile_free(tile);
        tile = NULL;
    }
    if (status) dip_response_fail_status(response, status);
    return tile;
}

/* Takes `bytes` over. The name of the archive's folder does not enter the tag, so copies of an archive agree. */
static void answer_file(dip_response *response, const char *type, uint8_t *bytes, size_t length)
{
    char tag[24];
    snprintf(tag, sizeof tag, "\"%016llx\"", (unsigned long long)dip_hash64(bytes, length));
    dip_response_bytes(response, 200, type, bytes, length);
    dip_response_header(response, "ETag", tag);
    /* Not "public": caches that many share would hand out what was asked for with a token. */
    dip_response_header(response, "Cache-Control", "max-age=86400");
    dip_response_header(response, "Accept-Ranges", "bytes");
}

/* ---- pictures ---- */

/* By repeating or leaving out pixels: a picture of `side` pixels on its longer side. */
static dip_status resize(dip_picture *picture, uint32_t side)
{
    uint32_t longer = picture->width > picture->height ? picture->width : picture->height;
    uint32_t width = (uint32_t)((uint64_t)picture->width * side / longer);
    uint32_t height = (uint32_t)((uint64_t)picture->height * side / longer);
    width += !width;
    height += !height;
    uint8_t *pixels = dip_alloc((size_t)width * height * picture->channels);
    if (!pixels) return DIP_ENOMEM;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            size_t row = (size_t)y * picture->height / height,
                   column = (size_t)x * picture->width / width;
            memcpy(pixels + ((size_t)y * width + x) * picture->channels,
                   picture->pixels + (row * picture->width + column) * picture->channels,
                   picture->channels);
        }
    dip_free(picture->pixels);
    picture->pixels = pixels;
    picture->width = width;
    picture->height = height;
    return DIP_OK;
}

/* 0: the picture's own size. */
static dip_status parse_size(const dip_request *request, uint32_t *size)
{
    const char *text = dip_request_query(request, "size");
    char *end = NULL;
    *size = 0;
    if (!text) return DIP_OK;
    unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || value < 1 || value > MAX_THUMBNAIL)
        return dip_fail(DIP_EINVAL, "size: '%.40s' is no number of pixels from 1 to %d", text,
                        MAX_THUMBNAIL);
    *size = (uint32_t)value;
    return DIP_OK;
}

void dip_serve_thumbnail(void *context, const dip_request *request, dip_response *response)
{
    const dip_archive *archive = dip_service_archive(context);
    uint32_t size;
    uint8_t *bytes = NULL;
    size_t length = 0;
    dip_picture picture = {0};
    if (parse_size(request, &size)) {
        dip_response_fail_status(response, DIP_EINVAL);
        return;
    }
    dip_tile *tile = find_tile(archive, request, response);
    if (!tile) return;
    dip_status status =
        dip_picture_render(&picture, tile, dip_archive_modality(archive, tile->meta.modality));
    if (!status && size) status = resize(&picture, size);
    if (!status)
        status = dip_png_encode(picture.pixels, picture.width, picture.height, picture.channels,
                                &bytes, &length);
    if (status)
        dip_response_fail_status(response, status);
    else
        answer_file(response, DIP_TYPE_PNG, bytes, length);
    dip_picture_fini(&picture);
    dip_tile_free(tile);
}

/* The tile's metadata with the transform of a grid of so many pixels. */
static dip_meta placed(const dip_tile *tile, uint32_t width, uint32_t height)
{
    dip_meta meta = tile->meta;
    uint32_t finest_width = 0, finest_height = 0;
    for (uint32_t b = 0; b < tile->plane_count; b++) {
        const dip_plane *plane = &tile->planes[b];
        if (plane->width > finest_width) finest_width = plane->width;
        if (plane->height > finest_height) finest_height = plane->height;
    }
    for (int i = 1; i < 6; i += 3) {
        meta.transform[i] *= (double)finest_width / width;
        meta.transform[i + 1] *= (double)finest_height / height;
    }
    return meta;
}

void dip_serve_visual(void *context, const dip_request *request, dip_response *response)
{
    const dip_archive *archive = dip_service_archive(context);
    uint8_t *bytes = NULL;
    size_t length = 0;
    dip_picture picture = {0};
    dip_tile *tile = find_tile(archive, request, response);
    if (!tile) return;
    dip_status status =
        dip_picture_render(&picture, tile, dip_archive_modality(archive, tile->meta.modality));
    if (!status) {
        dip_meta meta = placed(tile, picture.width, picture.height);
        dip_pixels8 image = {picture.pixels, picture.width, picture.height, picture.channels};
        status = dip_cog_encode(&image, &meta, &bytes, &length);
    }
    if (status)
        dip_response_fail_status(response, status);
    else
        answer_file(response, DIP_TYPE_COG, bytes, length);
    dip_picture_fini(&picture);
    dip_tile_free(tile);
}

/* ---- bands ---- */

static dip_status encode_band(const dip_tile *tile, const dip_modality *modality, const char *name,
                              uint8_t **bytes, size_t *length)
{
    int position = dip_modality_find_band(modality, name);
    if (position < 0 || (uint32_t)position >= tile->plane_count)
        return dip_fail(DIP_ENOENT, "collection '%s' has no band '%.80s'", modality->name, name);
    dip_tile single = {.plane_count = 1, .planes = {tile->planes[position]}};
    single.meta = placed(tile, single.planes[0].width, single.planes[0].height);
    dip_modality *alone = dip_alloc(sizeof *alone);
    if (!alone) return DIP_ENOMEM;
    *alone = *modality;
    alone->band_count = 1;
    alone->bands[0] = modality->bands[position];
    dip_status status = dip_raster_encode(&single, alone, bytes, length);
    dip_free(alone);
    return status;
}

void dip_serve_band(void *context, const dip_request *request, dip_response *response)
{
    const dip_archive *archive = dip_service_archive(context);
    uint8_t *bytes = NULL;
    size_t length = 0;
    dip_tile *tile = find_tile(archive, request, response);
    if (!tile) return;
    dip_status status = encode_band(tile, dip_archive_modality(archive, tile->meta.modality),
                                    request->part[2], &bytes, &length);
    if (status)
        dip_response_fail_status(response, status);
    else
        answer_file(response, DIP_TYPE_GEOTIFF, bytes, length);
    dip_tile_free(tile);
}

/* ---- embeddings ---- */

static dip_status read_embedding(const dip_item_context *context, const dip_request *request,
                                 float **vector, size_t *dim)
{
    uint64_t id;
    uint32_t modality = 0;
    bool there = false;
    const char *collection = request->part[0], *name = request->part[1];
    dip_status status = dip_item_find(context->archive, collection, name, &id);
    if (!status) status = dip_collection_find(context->archive, collection, &modality);
    if (status) return status;
    *dim = context->dim[modality];
    *vector = dip_alloc((*dim + 1) * sizeof **vector);
    if (!*vector) return DIP_ENOMEM;
    if (*dim)
        status = dip_archive_embeddings_of(context->archive, context->model, modality, &id, 1, *dim,
                                           *vector, &there);
    if (!status && !there)
        status = dip_fail(DIP_ENOENT,
                          "item '%.200s' has no embedding; run diptych encode and index", name);
    return status;
}

static void answer_numbers(dip_response *response, const dip_request *request,
                           const dip_item_context *context, const float *vector, size_t dim)
{
    dip_writer writer;
    if (dip_writer_begin(&writer)) {
        dip_response_fail_status(response, DIP_ENOMEM);
        return;
    }
    dip_json *j = &writer.json;
    dip_json_object(j, NULL);
    dip_json_text(j, "collection", request->part[0]);
    dip_json_text(j, "id", request->part[1]);
    dip_json_text(j, "emb:model", context->model);
    dip_json_count(j, "emb:dimensions", dim);
    dip_json_array(j, "vector");
    for (size_t i = 0; i < dim; i++) dip_json_real(j, NULL, (double)vector[i], 9);
    dip_json_end(j);
    dip_json_end(j);
    dip_writer_end(&writer, response, 200, DIP_TYPE_JSON);
}

static void answer_npy(dip_response *response, const float *vector, size_t dim)
{
    char *bytes = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&bytes, &length);
    if (out) {
        dip_npy_heading(out, 1, dim);
        fwrite(vector, sizeof *vector, dim, out);
    }
    if (out && !fclose(out))
        answer_file(response, DIP_TYPE_NPY, (uint8_t *)bytes, length);
    else
        dip_response_fail_status(response, dip_fail(DIP_ENOMEM, "out of memory: no stream"));
}

void dip_serve_embedding(void *context, const dip_request *request, dip_response *response)
{
    const char *format = dip_request_query(request, "format");
    const dip_view *view = dip_service_view(context);
    dip_item_context items;
    float *vector = NULL;
    size_t dim = 0;
    dip_status status = dip_item_context_init(&items, context, view, request);
    if (!status && format && strcmp(format, "json") && strcmp(format, "npy"))
        status = dip_fail(DIP_EINVAL, "format: '%.40s' is neither npy nor json", format);
    if (!status) status = read_embedding(&items, request, &vector, &dim);
    if (status)
        dip_response_fail_status(response, status);
    else if (format && !strcmp(format, "json"))
        answer_numbers(response, request, &items, vector, dim);
    else
        answer_npy(response, vector, dim);
    dip_free(vector);
    dip_view_release(view);
}
