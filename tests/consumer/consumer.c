/* A program outside the tree: it sees only the installed headers and the library. tests/consumer/run.sh builds and runs it. */
#include <diptych/diptych.h>

#include <stdio.h>
#include <string.h>

static int expect(int holds, const char *what)
{
    if (!holds) fprintf(stderr, "consumer: %s (%s)\n", what, dip_last_error());
    return holds;
}

static dip_modality two_bands(void)
{
    dip_modality s1;
    memset(&s1, 0, sizeof s1);
    strcpy(s1.name, "s1");
    strcpy(s1.bands[0].name, "VV");
    strcpy(s1.bands[1].name, "VH");
    s1.band_count = 2;
    return s1;
}

static dip_status store(dip_archive *archive, float *pixels, uint64_t *id)
{
    dip_tile tile;
    dip_batch *batch;
    dip_status status = dip_batch_begin(&batch, archive);
    if (status) return status;
    memset(&tile, 0, sizeof tile);
    tile.meta.name = "first";
    tile.meta.place_name = "here";
    tile.meta.time = DIP_NO_TIME;
    tile.meta.labels = tile.meta.primary_label = tile.meta.label_source = "";
    tile.meta.split = tile.meta.scene = tile.meta.source = tile.meta.extra = "";
    tile.plane_count = 2;
    for (int i = 0; i < 2; i++) tile.planes[i] = (dip_plane){DIP_DTYPE_F32, 4, 4, pixels};
    status = dip_batch_add_tile(batch, &tile);
    if (status) {
        dip_batch_abort(batch);
        return status;
    }
    *id = tile.meta.id;
    return dip_batch_commit(batch);
}

int main(int argc, char **argv)
{
    dip_archive *archive = NULL;
    dip_model *model = NULL;
    dip_tile *tile = NULL;
    uint64_t id = DIP_NO_ID;
    float pixels[16];
    dip_modality s1 = two_bands();
    if (argc != 2) return 2;
    for (int i = 0; i < 16; i++) pixels[i] = (float)i / 4;
    int good = expect(dip_archive_create(&archive, argv[1], "consumer") == DIP_OK, "create") &&
               expect(dip_archive_declare(archive, &s1) == DIP_OK, "declare") &&
               expect(store(archive, pixels, &id) == DIP_OK, "store") &&
               expect(dip_archive_tile(archive, id, &tile) == DIP_OK, "read") &&
               expect(!memcmp(tile->planes[1].pixels, pixels, sizeof pixels), "equal pixels") &&
               expect(dip_model_open(&model, "no.such.safetensors") == DIP_ENOENT, "no model") &&
               expect(strstr(dip_last_error(), "no.such.safetensors") != NULL, "named in the line");
    if (archive) dip_archive_close(archive);
    dip_tile_free(tile);
    if (good) puts("consumer: done");
    return !good;
}
