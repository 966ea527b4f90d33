/** The socket that a server listens on. */
#ifndef SERVER_LISTEN_H
#define SERVER_LISTEN_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct dip_listener {
    int fd;
    char url[160];  /* "http://127.0.0.1:8080"; of all addresses, that of this machine */
    bool elsewhere; /* others than this machine can reach it */
} dip_listener;

/**
 * "127.0.0.1:8080", "[::1]:8080", "localhost:8080", ":8080" or "*:8080" (all addresses), "8080" (127.0.0.1); port 0: any free one.
 * Expected failures: DIP_EINVAL, DIP_EBUSY (the port is taken: by whom, if that can be seen).
 */
dip_status dip_listen(dip_listener *out, const char *where);

#endif
