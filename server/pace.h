/**
 * Connections that send or take too slowly: a timeout that every byte puts off does not end them. Each has a time within which a
 * request must be there, or its answer taken: twice the idle time, and longer by what was transferred. Thread-safe.
 */
#ifndef SERVER_PACE_H
#define SERVER_PACE_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct dip_pace dip_pace;
typedef struct dip_paced dip_paced;

enum { DIP_PACE_BYTES = 16384 }; /* a second that is fast enough */

dip_status dip_pace_create(dip_pace **out, double idle_seconds);
void dip_pace_destroy(dip_pace *pace);

/** A connection begins; NULL when memory is short. */
dip_paced *dip_pace_begin(dip_pace *pace, int fd);
/** To be called before the socket is closed. */
void dip_pace_end(dip_pace *pace, dip_paced *connection);

/** The client's turn begins: to send a request, or to take an answer of so many bytes. */
void dip_pace_sends(dip_pace *pace, dip_paced *connection);
void dip_pace_takes(dip_pace *pace, dip_paced *connection, size_t bytes);
/** More bytes of a request came. */
void dip_pace_more(dip_pace *pace, dip_paced *connection, size_t bytes);
/** The server's turn: time does not count. */
void dip_pace_rest(dip_pace *pace, dip_paced *connection);

/**
 * Shuts down what is too slow, and what will send no more and still owes a request: an edge-triggered reader may have missed that.
 * The number of those that were slow. To be called about every second.
 */
unsigned dip_pace_sweep(dip_pace *pace);

#endif
