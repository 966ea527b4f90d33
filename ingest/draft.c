/* Drafts; see draft.h. */
#include "ingest/draft.h"

#include "core/file.h"
#include "core/mem.h"
#include "ingest/raster.h"
#include "ingest/table.h"

#include <math.h>
#include <string.h>
#include <strings.h>

void dip_draft_init(dip_draft *draft)
{
    memset(draft, 0, sizeof *draft);
    dip_meta *m = &draft->meta;
    m->id = m->place = DIP_NO_ID;
    m->time = DIP_NO_TIME;
    m->west = m->south = m->east = m->north = NAN;
    m->name = m->place_name = m->labels = m->primary_label = m->label_source = "";
    m->split = m->scene = m->source = m->extra = "";
}

void dip_draft_fini(dip_draft *draft)
{
    for (uint32_t b = 0; b < draft->band_count; b++) dip_free(draft->planes[b].pixels);
    for (unsigned i = 0; i < draft->text_count; i++) dip_free(draft->texts[i]);
    draft->band_count = 0;
    draft->text_count = 0;
}

const char *dip_draft_keep(dip_draft *draft, char *text)
{
    draft->texts[draft->text_count++] = text;
    return text;
}

uint32_t dip_draft_finest(const dip_draft *draft)
{
    uint32_t finest = 0;
    for (uint32_t b = 1; b < draft->band_count; b++)
        if (draft->planes[b].width > draft->planes[finest].width) finest = b;
    return finest;
}

static void take_place(dip_meta *meta, const dip_raster *raster)
{
    meta->west = raster->west;
    meta->south = raster->south;
    meta->east = raster->east;
    meta->north = raster->north;
    meta->epsg = raster->epsg;
    memcpy(meta->transform, raster->transform, sizeof meta->transform);
    if (raster->time != DIP_NO_TIME) meta->time = raster->time;
}

/* Moves a raster's band to the draft's end. */
static void take_band(dip_draft *draft, dip_raster *raster, uint32_t band, const char *name)
{
    uint32_t b = draft->band_count++;
    strncpy(draft->band_name[b], name, DIP_WORD_CAPACITY - 1);
    draft->gsd_m[b] = raster->gsd_m;
    draft->planes[b] = raster->planes[band];
    raster->planes[band].pixels = NULL;
}

static void take_raster(dip_draft *draft, dip_raster *raster)
{
    take_place(&draft->meta, raster);
    for (uint32_t b = 0; b < raster->band_count; b++)
        take_band(draft, raster, b, raster->band_name[b]);
    dip_raster_fini(raster);
}

dip_status dip_draft_read_raster(dip_draft *draft, const char *path)
{
    dip_raster raster;
    dip_status status = dip_raster_read(&raster, path);
    if (!status) take_raster(draft, &raster);
    return status;
}

dip_status dip_draft_read_sent(dip_draft *draft, const uint8_t *bytes, size_t length,
                               size_t most_bytes)
{
    dip_raster raster;
    dip_status status = dip_raster_read_sent(&raster, bytes, length, most_bytes);
    if (!status) take_raster(draft, &raster);
    return status;
}

dip_status dip_draft_read_band(dip_draft *draft, const char *path, const char *name,
                               bool georeference)
{
    dip_raster raster;
    dip_status status =
        georeference ? dip_raster_read(&raster, path) : dip_raster_read_pixels(&raster, path);
    if (status) return status;
    if (raster.band_count != 1)
        status =
            dip_fail(DIP_EFORMAT, "'%s' has %u bands, 1 was expected", path, raster.band_count);
    else if (draft->band_count == DIP_MAX_BANDS)
        status = dip_fail(DIP_EFORMAT, "'%s' is one band too many: a tile may have %d", path,
                          (int)DIP_MAX_BANDS);
    if (!status) {
        bool finest = draft->band_count == 0 ||
                      raster.planes[0].width > draft->planes[dip_draft_finest(draft)].width;
        if (georeference && finest) take_place(&draft->meta, &raster);
        take_band(draft, &raster, 0, name);
    }
    dip_raster_fini(&raster);
    return status;
}

bool dip_name_is_raster(const char *name)
{
    static const char *const endings[] = {".tif", ".tiff", ".jp2", ".png"};
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot && dot > name && i < 4; i++)
        if (!strcasecmp(dot, endings[i])) return true;
    return false;
}

/* The band's name in "anything_B05.tif"; false if it is no such file. */
static bool band_of_file(char band[DIP_WORD_CAPACITY], const char *file)
{
    const char *dot = strrchr(file, '.'), *mark = strrchr(file, '_');
    if (!dip_name_is_raster(file)) return false;
    const char *start = mark && mark < dot ? mark + 1 : file;
    size_t length = (size_t)(dot - start);
    if (length == 0 || length >= DIP_WORD_CAPACITY) return false;
    memcpy(band, start, length);
    band[length] = '\0';
    return dip_word_is_usable(band);
}

dip_status dip_draft_read_folder(dip_draft *draft, const char *path)
{
    char **names, band[DIP_WORD_CAPACITY];
    size_t count;
    dip_status status = dip_folder_list(&names, &count, path);
    if (status) return status;
    for (size_t i = 0; i < count && !status; i++) {
        if (!band_of_file(band, names[i])) continue;
        char *file = dip_path_join(path, names[i]);
        status = file ? dip_draft_read_band(draft, file, band, true) : DIP_ENOMEM;
        dip_free(file);
    }
    if (!status && !draft->band_count)
        status =
            dip_fail(DIP_ENOENT, "folder '%s' holds no raster named <anything>_<band>.tif", path);
    dip_names_free(names, count);
    return status;
}

bool dip_name_is_usable(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f) return false;
    return length > 0 && length <= DIP_NAME_MOST && dip_text_is_utf8(name, length);
}

bool dip_word_is_usable(const char *word)
{
    size_t length = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                 "0123456789_-.+");
    return length > 0 && length < DIP_WORD_CAPACITY && word[length] == '\0';
}
