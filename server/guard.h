/** Who may ask, and from where: bearer tokens (RFC 6750), origins (the Fetch standard's CORS), and the Host header. */
#ifndef SERVER_GUARD_H
#define SERVER_GUARD_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct dip_tokens dip_tokens;

/**
 * Each line that is not empty and does not begin with '#' is a token. Expected failures: DIP_ENOENT, DIP_EINVAL (none in it; a
 * token with spaces).
 */
dip_status dip_tokens_read(dip_tokens **out, const char *path);
void dip_tokens_free(dip_tokens *tokens);
/** Is `header` "Bearer TOKEN" with one of them? Takes as long whichever byte differs. NULL tokens let all pass. */
bool dip_tokens_allow(const dip_tokens *tokens, const char *header);

/** Is `origin` in the ','-separated list, or the list "*"? */
bool dip_origin_listed(const char *list, const char *origin);

/** "host", "host:port", "[::1]:port" of the characters that these have; anything else could inject into links. */
bool dip_host_valid(const char *host);

/** What a proxy in front says; members NULL: nothing. */
typedef struct dip_forwarded {
    const char *proto, *host, *prefix; /* X-Forwarded-Proto, -Host, -Prefix */
} dip_forwarded;

/**
 * "http://host:port" of a request, and the prefix behind. `host`: the Host header, or NULL: `own` (dip_http_url()).
 * False: Host, or what the proxy says, is none.
 */
bool dip_base_format(char *out, size_t capacity, const char *own, const char *host,
                     const dip_forwarded *forwarded);

#endif
