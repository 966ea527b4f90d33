/* Small questions about tiles; see tile.h. */
#include "front/tile.h"

#include "core/status.h"

#include <stdio.h>
#include <string.h>

bool dip_meta_simulated(const dip_meta *meta)
{
    return !strcmp(meta->label_source, "simulated") || !strncmp(meta->source, "simulated", 9);
}

/* Ends the walk at the first simulated tile. */
static dip_status stop_at_simulated(void *context, const dip_meta *meta)
{
    bool *simulated = context;
    *simulated = dip_meta_simulated(meta);
    return *simulated ? DIP_ECANCEL : DIP_OK;
}

dip_status dip_archive_simulated(const dip_archive *archive, bool *simulated)
{
    *simulated = false;
    dip_status status = dip_archive_each(archive, stop_at_simulated, simulated);
    return *simulated ? DIP_OK : status;
}

void dip_meta_title(const dip_archive *archive, const dip_meta *meta, char *out, size_t capacity)
{
    const dip_modality *modality = dip_archive_modality(archive, meta->modality);
    snprintf(out, capacity, "%s/%s", modality ? modality->name : "?", meta->name);
}

void dip_list_spread(const char *list, char *out, size_t capacity)
{
    size_t o = 0;
    for (; *list && o + 3 < capacity; list++) {
        out[o++] = *list == '|' ? ',' : *list;
        if (*list == '|') out[o++] = ' ';
    }
    out[o] = '\0';
}
