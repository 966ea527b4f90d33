/* diptych remove: takes tiles out of an archive, all that are named or none. */
#include "tools/cmd.h"

#include <diptych/archive.h>

#include "core/format.h"
#include "core/status.h"
#include "front/stored.h"

#include <stdio.h>

static dip_status remove_tile(const dip_archive *archive, dip_batch *batch, const char *word)
{
    uint64_t id;
    bool found;
    dip_status status = dip_stored_find(archive, word, NULL, &id, &found);
    if (status) return status;
    if (!found)
        return dip_fail(DIP_ENOENT, "'%s' is no tile of the archive (MODALITY/NAME or '#ID')",
                        word);
    return dip_batch_remove_tile(batch, id);
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    dip_archive *archive = NULL;
    dip_batch *batch = NULL;
    char count[40];
    (void)values;
    dip_status status = dip_archive_open(&archive, argv[0], DIP_ARCHIVE_WRITE);
    if (!status) status = dip_batch_begin(&batch, archive);
    for (int i = 1; i < argc && !status; i++) {
        status = remove_tile(archive, batch, argv[i]);
        if (!status &&
            dip_progress_tick(tool->progress, "removing", (uint64_t)i, (uint64_t)argc - 1))
            status = dip_fail(DIP_ECANCEL, "stopped; nothing is removed");
    }
    if (status)
        dip_batch_abort(batch);
    else
        status = dip_batch_commit(batch);
    if (!status) {
        dip_format_things((unsigned long long)argc - 1, "tile", count, sizeof count);
        printf("%s: %s removed; next: diptych index %s --update\n", argv[0], count, argv[0]);
    }
    dip_archive_close(archive);
    return status;
}

const dip_command dip_cmd_remove = {
    .name = "remove",
    .summary = "take tiles out of an archive",
    .usage = "ARCHIVE TILE...",
    .text =
        "A tile is MODALITY/NAME, NAME if no other modality has it, or '#ID'. It goes with its "
        "pixels,\n"
        "metadata and embeddings, damaged ones too: what verify complains of can be removed and\n"
        "imported again. All tiles that are named go, or none.",
    .least_args = 2,
    .most_args = DIP_ARGS_ANY,
    .run = run,
};
