/**
 * Things that clients leave with the server for a while, by names that nobody guesses: tiles that were sent, saved queries.
 *
 * A thing lives until it was not asked for during its time, is dropped, or has to make room: the number and the bytes of all
 * are bounded, and what was asked for longest ago goes first. Who holds a thing keeps it alive. Any number of threads.
 */
#ifndef SERVER_KEEP_H
#define SERVER_KEEP_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

enum { DIP_KEEP_ID = 40 };

typedef struct dip_keep dip_keep;

typedef struct dip_keep_options {
    const char *prefix; /* of names: "q-"; static text */
    size_t most, most_bytes;
    double seconds; /* a thing's time */
    void (*free_thing)(void *thing);
} dip_keep_options;

dip_status dip_keep_create(dip_keep **out, const dip_keep_options *options);
/** When nothing is held any more. NULL is fine. */
void dip_keep_destroy(dip_keep *keep);

/** Takes the thing over, also on failure, and gives it a name: prefix and 128 random bits in hex. */
dip_status dip_keep_add(dip_keep *keep, void *thing, size_t bytes, char id[DIP_KEEP_ID]);
/** Its time begins anew; hold it until dip_keep_release(). NULL: there is none of that name (any more). */
void *dip_keep_hold(dip_keep *keep, const char *id);
/** The same, but its time goes on. */
void *dip_keep_look(dip_keep *keep, const char *id);
void dip_keep_release(dip_keep *keep, void *thing);
/** False if there is none. */
bool dip_keep_drop(dip_keep *keep, const char *id);

/** The names of all, oldest first; *ids is the caller's (dip_free). */
dip_status dip_keep_list(dip_keep *keep, char (**ids)[DIP_KEEP_ID], size_t *count);
double dip_keep_seconds(const dip_keep *keep);

#endif
