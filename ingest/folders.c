/*
 * Folders of rasters; see folders.h.
 *
 * One walk serves both questions: it calls back for each tile, and whoever only wants to know stops at the first.
 */
#include "ingest/folders.h"

#include "core/file.h"
#include "core/mem.h"
#include "ingest/draft.h"

#include <string.h>

/* Answers false to stop. */
typedef struct visitor {
    dip_status (*visit)(void *payload, const char *modality, const char *file, bool *more);
    void *payload;
    bool more;
} visitor;

static dip_status holds_raster(bool *holds, const char *path)
{
    char **names;
    size_t count;
    dip_status status = dip_folder_list(&names, &count, path);
    *holds = false;
    if (status) return status;
    for (size_t i = 0; i < count && !*holds; i++) *holds = dip_name_is_raster(names[i]);
    dip_names_free(names, count);
    return DIP_OK;
}

static dip_status is_tile(bool *is, const char *folder, const char *name)
{
    *is = name[0] != '.' && dip_name_is_raster(name);
    if (*is || name[0] == '.') return DIP_OK;
    char *path = dip_path_join(folder, name);
    if (!path) return DIP_ENOMEM;
    dip_status status = dip_file_is_folder(path) ? holds_raster(is, path) : DIP_OK;
    dip_free(path);
    return status;
}

static dip_status walk_modality(visitor *v, const char *folder, const char *modality)
{
    char **names;
    size_t count;
    dip_status status = dip_folder_list(&names, &count, folder);
    if (status) return status;
    for (size_t i = 0; i < count && !status && v->more; i++) {
        bool tile;
        status = is_tile(&tile, folder, names[i]);
        if (!status && tile) status = v->visit(v->payload, modality, names[i], &v->more);
    }
    dip_names_free(names, count);
    return status;
}

static dip_status walk(visitor *v, const char *path)
{
    char **names;
    size_t count;
    v->more = true;
    dip_status status = dip_folder_list(&names, &count, path);
    if (status) return status;
    for (size_t i = 0; i < count && !status && v->more; i++) {
        if (names[i][0] == '.' || !dip_word_is_usable(names[i])) continue;
        char *folder = dip_path_join(path, names[i]);
        status = folder ? DIP_OK : DIP_ENOMEM;
        if (!status && dip_file_is_folder(folder)) status = walk_modality(v, folder, names[i]);
        dip_free(folder);
    }
    dip_names_free(names, count);
    return status;
}

static dip_status note_first(void *payload, const char *modality, const char *file, bool *more)
{
    (void)modality, (void)file;
    *(bool *)payload = true;
    *more = false;
    return DIP_OK;
}

dip_status dip_folders_recognise(bool *recognised, const char *path)
{
    visitor v = {note_first, recognised, true};
    *recognised = false;
    return dip_file_is_folder(path) ? walk(&v, path) : DIP_OK;
}

enum { TILE_ID, MODALITY, PATH };

static dip_status add_row(void *payload, const char *modality, const char *file, bool *more)
{
    dip_table *table = payload;
    uint32_t *cells, id, word, at;
    size_t stem = dip_name_is_raster(file) ? (size_t)(strrchr(file, '.') - file) : strlen(file);
    char *path = dip_path_join(modality, file);
    (void)more;
    dip_status status = path ? DIP_OK : DIP_ENOMEM;
    if (!status) status = dip_table_text(table, file, stem, &id);
    if (!status) status = dip_table_text(table, modality, strlen(modality), &word);
    if (!status) status = dip_table_text(table, path, strlen(path), &at);
    dip_free(path);
    if (!status) status = dip_table_add_row(table, (uint32_t)table->row_count + 1, &cells);
    if (status) return status;
    cells[TILE_ID] = id;
    cells[MODALITY] = word;
    cells[PATH] = at;
    return DIP_OK;
}

dip_status dip_folders_table(dip_table *out, const char *path)
{
    static const char *const columns[] = {"tile_id", "modality", "path"};
    dip_table table;
    visitor v = {add_row, &table, true};
    dip_status status = dip_table_begin(&table);
    for (int i = 0; i < 3 && !status; i++) status = dip_table_add_column(&table, columns[i]);
    if (!status) status = walk(&v, path);
    if (!status && !table.row_count)
        status =
            dip_fail(DIP_ENOENT,
                     "'%s' holds no folder of rasters; wanted is a folder for each modality, as in "
                     "radar/field_017.tif, optical/field_017.tif",
                     path);
    if (status)
        dip_table_fini(&table);
    else
        *out = table;
    return status;
}
