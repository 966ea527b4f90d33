/**
 * Saved queries: what POST /queries keeps, and collection "q-..." shows. A query whose view is not the live one any more is
 * run anew when it is next read, so new tiles that match appear; if that fails, it shows what it had.
 */
#ifndef SERVER_SAVED_H
#define SERVER_SAVED_H

#include "server/keep.h"
#include "server/service.h"

enum { DIP_SAVED_MOST = 1000, DIP_SAVED_BYTES = 64 << 20 };

/** Hits of a saved query, best first; a copy. */
typedef struct dip_saved_hits {
    size_t count;
    uint64_t *ids; /* tiles; one that the archive has lost since is to be passed over */
    float *scores, *percentiles;     /* cosine; 0..100 or NAN */
    double west, south, east, north; /* around all known footprints; NAN: none is known */
    int64_t first, last;             /* times; DIP_NO_TIME: none is known */
} dip_saved_hits;

/** Collection `id` as the view has it. Expected failure: DIP_ENOENT (none of that name, or its time is over). */
dip_status dip_saved_read(dip_service *service, const dip_view *view, const char *id,
                          dip_saved_hits *out);
/** The same as it was last read, without running it and without its time beginning anew: for lists of all. */
dip_status dip_saved_look(dip_service *service, const char *id, dip_saved_hits *out);
void dip_saved_hits_fini(dip_saved_hits *hits);

/** Names of all; *ids is the caller's (dip_free). */
dip_status dip_saved_list(dip_service *service, char (**ids)[DIP_KEEP_ID], size_t *count);

/** For the service's dip_keep. */
void dip_saved_free(void *saved);

#endif
