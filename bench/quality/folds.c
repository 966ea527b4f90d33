/* Development folds; see folds.h. */
#define _GNU_SOURCE
#include "bench/quality/folds.h"

#include "core/file.h"
#include "core/hash.h"
#include "core/mem.h"
#include "ingest/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 1 << 30 };

typedef struct source {
    dip_table table;
    char *folder; /* absolute: what paths are relative to */
    int split, scene, path;
    const char *
        *scenes; /* of splits train and val, each once, in the order in which they are dealt */
    size_t scene_count;
} source;

static void source_fini(source *s)
{
    dip_table_fini(&s->table);
    dip_free(s->folder);
    dip_free(s->scenes);
}

/* ---- reading ---- */

static dip_status read_table(source *s, const char *from)
{
    char *bytes = NULL, *file = NULL, *folder = NULL;
    size_t length;
    file = dip_file_is_folder(from) ? dip_path_join(from, "manifest.csv") : dip_strdup(from);
    folder = file ? dip_path_folder(file) : NULL;
    dip_status status = folder ? dip_file_read(&bytes, &length, file, LARGEST) : DIP_ENOMEM;
    if (!status) status = dip_table_parse_csv(&s->table, bytes, length);
    if (!status) {
        char *absolute = realpath(folder, NULL);
        s->folder = absolute ? dip_strdup(absolute) : NULL;
        status = absolute ? s->folder ? DIP_OK : DIP_ENOMEM : dip_fail_errno("find", folder);
        free(absolute);
    }
    s->split = status ? -1 : dip_table_find(&s->table, "split");
    s->scene = status ? -1 : dip_table_find(&s->table, "scene");
    s->path = status ? -1 : dip_table_find(&s->table, "path");
    if (!status && (s->split < 0 || s->scene < 0 || s->path < 0))
        status = dip_fail(DIP_EINVAL, "'%s' has no column '%s': no scenes can be held out", file,
                          s->split < 0   ? "split"
                          : s->scene < 0 ? "scene"
                                         : "path");
    dip_free(bytes);
    dip_free(file);
    dip_free(folder);
    return status;
}

static const char *cell(const source *s, size_t row, int column)
{
    return dip_table_cell(&s->table, row, (size_t)column);
}

static bool is_development(const source *s, size_t row)
{
    const char *split = cell(s, row, s->split);
    return !strcmp(split, "train") || !strcmp(split, "val");
}

static int by_chance(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    uint64_t p = dip_hash64(x, strlen(x)), q = dip_hash64(y, strlen(y));
    return p != q ? (p < q ? -1 : 1) : strcmp(x, y);
}

static dip_status list_scenes(source *s)
{
    size_t n = 0, kept = 0;
    s->scenes = dip_alloc((s->table.row_count + 1) * sizeof *s->scenes);
    if (!s->scenes) return DIP_ENOMEM;
    for (size_t row = 0; row < s->table.row_count; row++) {
        if (!is_development(s, row)) continue;
        s->scenes[n] = cell(s, row, s->scene);
        if (!*s->scenes[n++])
            return dip_fail(DIP_EINVAL, "line %u of the manifest names no scene to hold out",
                            s->table.lines[row]);
    }
    if (n) qsort(s->scenes, n, sizeof *s->scenes, by_chance);
    for (size_t i = 0; i < n; i++)
        if (!kept || strcmp(s->scenes[i], s->scenes[kept - 1]) != 0)
            s->scenes[kept++] = s->scenes[i];
    s->scene_count = kept;
    return DIP_OK;
}

/* ---- writing ---- */

static bool is_held(const source *s, const char *scene, const dip_hold_out *hold_out)
{
    for (size_t i = 0; i < s->scene_count; i++)
        if (!strcmp(s->scenes[i], scene)) return i % hold_out->of == hold_out->number - 1;
    return false;
}

static dip_status put_row(const source *s, size_t row, const dip_hold_out *hold_out, FILE *out)
{
    char *path = dip_path_join(s->folder, cell(s, row, s->path));
    if (!path) return DIP_ENOMEM;
    for (size_t c = 0; c < s->table.column_count; c++) {
        const char *text = dip_table_cell(&s->table, row, c);
        if ((int)c == s->path) text = path;
        if ((int)c == s->split)
            text = is_held(s, cell(s, row, s->scene), hold_out) ? "val" : "train";
        if (c) fputc(',', out);
        dip_table_write_cell(out, text);
    }
    fputc('\n', out);
    dip_free(path);
    return DIP_OK;
}

static dip_status put_table(const source *s, const char *to, const dip_hold_out *hold_out)
{
    dip_aside file;
    dip_status status = dip_file_begin(&file, to);
    if (status) return status;
    for (size_t c = 0; c < s->table.column_count; c++) {
        if (c) fputc(',', file.stream);
        dip_table_write_cell(file.stream, dip_table_column(&s->table, c));
    }
    fputc('\n', file.stream);
    for (size_t row = 0; row < s->table.row_count && !status; row++)
        if (is_development(s, row)) status = put_row(s, row, hold_out, file.stream);
    if (!status) status = dip_file_commit(&file);
    dip_file_abandon(&file);
    return status;
}

dip_status dip_folds_write(const char *to, const char *from, const dip_hold_out *hold_out)
{
    source s = {.folder = NULL};
    dip_status status = read_table(&s, from);
    if (!status) status = list_scenes(&s);
    if (!status && s.scene_count < hold_out->of)
        status = dip_fail(DIP_EINVAL, "'%s' has %zu scenes to develop on; %u parts are too many",
                          from, s.scene_count, hold_out->of);
    if (!status) status = put_table(&s, to, hold_out);
    source_fini(&s);
    return status;
}
