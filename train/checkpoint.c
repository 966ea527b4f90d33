/* Checkpoints; see checkpoint.h. Numbers of the cursor are kept as text that reads back to the same bits. */
#include "train/checkpoint.h"

#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/status.h"
#include "encoder/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_FILES = 2, CURSOR_CAPACITY = 256 };

static const char *const format = "diptych checkpoint 1";
static const char *const prefix = "checkpoint-", *const suffix = ".safetensors";

static bool is_checkpoint(const char *name)
{
    size_t length = strlen(name), head = strlen(prefix), tail = strlen(suffix);
    return length > head + tail && !strncmp(name, prefix, head) &&
           !strcmp(name + length - tail, suffix);
}

/* Removes all but the newest `kept`; names sort by step. */
static dip_status prune(const char *folder, size_t kept)
{
    char **names = NULL;
    size_t count = 0, seen = 0;
    dip_status status = dip_folder_list(&names, &count, folder);
    for (size_t i = count; !status && i-- > 0;) {
        if (!is_checkpoint(names[i]) || seen++ < kept) continue;
        char *path = dip_path_join(folder, names[i]);
        status = path ? dip_file_remove(path) : DIP_ENOMEM;
        dip_free(path);
    }
    dip_names_free(names, count);
    return status;
}

dip_status dip_checkpoint_clear(const char *folder) { return prune(folder, 0); }

/* ---- the cursor as text ---- */

static void cursor_text(const dip_cursor *c, char *out)
{
    snprintf(out, CURSOR_CAPACITY, "%llu %llu %llu %a %a %a %llu %llu",
             (unsigned long long)c->epoch, (unsigned long long)c->step,
             (unsigned long long)c->total, c->loss_sum, c->best[0], c->best[1],
             (unsigned long long)c->best_epoch, (unsigned long long)c->stale);
}

static bool cursor_read(const char *text, dip_cursor *c)
{
    unsigned long long epoch, step, total, best_epoch, stale;
    if (!text || sscanf(text, "%llu %llu %llu %la %la %la %llu %llu", &epoch, &step, &total,
                        &c->loss_sum, &c->best[0], &c->best[1], &best_epoch, &stale) != 8)
        return false;
    c->epoch = epoch;
    c->step = step;
    c->total = total;
    c->best_epoch = best_epoch;
    c->stale = stale;
    return true;
}

/* ---- flat tensors ---- */

enum { MOST_FLAT = 5 + DIP_CHECKPOINT_KEPT };

static size_t list_flat(const dip_checkpoint *c, dip_kept *out)
{
    size_t params = dip_optimiser_param_count(c->optimiser), n = 0, running, queued;
    out[n++] = (dip_kept){"optimiser.first", dip_optimiser_moment(c->optimiser, 0), params};
    out[n++] = (dip_kept){"optimiser.second", dip_optimiser_moment(c->optimiser, 1), params};
    if (c->average) {
        float *values = dip_average_running(c->average, &running);
        out[n++] = (dip_kept){"average.params", dip_average_params(c->average), params};
        out[n++] = (dip_kept){"average.running", values, running};
    }
    if (c->queue) {
        float *values = dip_queue_state(c->queue, &queued);
        out[n++] = (dip_kept){"queue", values, queued};
    }
    for (size_t i = 0; i < c->kept_count; i++) out[n++] = c->kept[i];
    return n;
}

/* ---- writing ---- */

static dip_status write_to(const char *path, const dip_checkpoint *c, const dip_cursor *cursor)
{
    dip_kept flats[MOST_FLAT];
    char where[CURSOR_CAPACITY];
    size_t n = list_flat(c, flats);
    dip_tensor_list list;
    dip_status status = dip_tensor_list_init(&list, c->net, n);
    if (status) return status;
    for (size_t i = 0; i < n; i++)
        list.tensors[list.count++] = (dip_safetensors_tensor){
            .name = flats[i].name, .rank = 1, .shape = {flats[i].count}, .values = flats[i].values};
    cursor_text(cursor, where);
    const dip_safetensors_text texts[] = {
        {"format", format}, {"identity", c->identity}, {"cursor", where}};
    status = dip_safetensors_write(path, list.tensors, list.count, texts, 3);
    dip_tensor_list_fini(&list);
    return status;
}

dip_status dip_checkpoint_write(const char *folder, const dip_checkpoint *checkpoint,
                                const dip_cursor *cursor)
{
    char *path =
        dip_sprintf("%s/%s%010llu%s", folder, prefix, (unsigned long long)cursor->total, suffix);
    if (!path) return DIP_ENOMEM;
    dip_status status = write_to(path, checkpoint, cursor);
    if (!status) status = prune(folder, KEPT_FILES);
    dip_free(path);
    return status;
}

/* ---- reading ---- */

static dip_status read_flat(const dip_safetensors *file, const char *path, const dip_kept *to,
                            bool apply)
{
    const dip_safetensors_entry *entry = dip_safetensors_find(file, to->name);
    if (!entry || entry->count != to->count || strcmp(entry->dtype, "F32") != 0)
        return dip_fail(DIP_EFORMAT, "'%s': tensor '%s' is missing or of another size", path,
                        to->name);
    return apply ? dip_safetensors_floats(entry, to->values) : DIP_OK;
}

/* All is checked before the first value is changed; only the net's tensors can still fail, and they come first. */
static dip_status apply(const dip_safetensors *file, const char *path, const dip_checkpoint *c,
                        dip_cursor *cursor)
{
    dip_kept flats[MOST_FLAT];
    dip_cursor read;
    size_t n = list_flat(c, flats);
    dip_status status = DIP_OK;
    if (!cursor_read(dip_safetensors_metadata(file, "cursor"), &read))
        return dip_fail(DIP_EFORMAT, "'%s' has no cursor", path);
    for (size_t i = 0; !status && i < n; i++) status = read_flat(file, path, &flats[i], false);
    if (!status && c->net) status = dip_net_load(c->net, file, path);
    for (size_t i = 0; !status && i < n; i++) status = read_flat(file, path, &flats[i], true);
    if (status) return status;
    dip_optimiser_set_steps(c->optimiser, read.total);
    *cursor = read;
    return DIP_OK;
}

static dip_status read_from(const char *path, const dip_checkpoint *c, dip_cursor *cursor)
{
    dip_safetensors *file = NULL;
    dip_status status = dip_safetensors_open(&file, path);
    if (status) return status;
    const char *found = dip_safetensors_metadata(file, "format");
    const char *identity = dip_safetensors_metadata(file, "identity");
    if (!found || strcmp(found, format) != 0)
        status = dip_fail(DIP_EFORMAT, "'%s' is not a checkpoint of this version", path);
    else if (!identity || strcmp(identity, c->identity) != 0)
        status = dip_fail(DIP_EMISMATCH, "'%s' belongs to another configuration", path);
    else
        status = apply(file, path, c, cursor);
    dip_safetensors_close(file);
    return status;
}

static bool is_bad_file(dip_status status)
{
    return status == DIP_EFORMAT || status == DIP_ECORRUPT || status == DIP_EMISMATCH;
}

dip_status dip_checkpoint_read(const char *folder, const dip_checkpoint *checkpoint,
                               dip_cursor *cursor, bool *found)
{
    char **names = NULL;
    size_t count = 0;
    *found = false;
    dip_status status = dip_folder_list(&names, &count, folder);
    for (size_t i = count; !status && !*found && i-- > 0;) {
        if (!is_checkpoint(names[i])) continue;
        char *path = dip_path_join(folder, names[i]);
        status = path ? read_from(path, checkpoint, cursor) : DIP_ENOMEM;
        dip_free(path);
        *found = !status;
        if (!is_bad_file(status)) continue;
        dip_log(DIP_LOG_WARN, "train", "checkpoint passed over: %s", dip_last_error());
        dip_error_clear();
        status = DIP_OK;
    }
    dip_names_free(names, count);
    return status;
}
