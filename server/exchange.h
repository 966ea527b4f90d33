/**
 * One request with its answer, without the connection: what http.c does with libmicrohttpd's calls.
 *
 *   open, head, body..., whole   what comes in (exchange.c); a response that is set then is the answer, without a handler
 *   run                          the handler, on any thread; all else by one thread at a time
 *   seal, headers, close         what goes out (answer.c)
 */
#ifndef SERVER_EXCHANGE_H
#define SERVER_EXCHANGE_H

#include "server/access_log.h"
#include "server/crew.h"
#include "server/guard.h"
#include "server/metrics.h"
#include "server/route.h"

#include <stdatomic.h>

/** What all exchanges of a server share. */
typedef struct dip_desk {
    const dip_route *routes;
    size_t route_count;
    void *context; /* of handlers */
    dip_metrics *metrics;
    dip_access_log *log;
    dip_tokens *tokens;
    char *cors;
    const char *url;
    size_t largest_body;
    bool behind_proxy, stopping;
    size_t body_bytes; /* that large bodies hold */
    atomic_uint
        in_flight; /* exchanges; all else of a desk is read and written by one thread at a time */
    uint64_t id_seed, id_count;
} dip_desk;

/** The headers that are read. */
typedef enum dip_header {
    DIP_HEADER_AUTHORIZATION,
    DIP_HEADER_CONTENT_LENGTH,
    DIP_HEADER_CONTENT_TYPE,
    DIP_HEADER_FORWARDED_FOR,
    DIP_HEADER_FORWARDED_HOST,
    DIP_HEADER_FORWARDED_PREFIX,
    DIP_HEADER_FORWARDED_PROTO,
    DIP_HEADER_HOST,
    DIP_HEADER_IF_NONE_MATCH,
    DIP_HEADER_ORIGIN,
    DIP_HEADER_RANGE,
    DIP_HEADER_REQUEST_ID,
    DIP_HEADER_REQUEST_METHOD, /* Access-Control-Request-Method */
    DIP_HEADER_COUNT
} dip_header;

extern const char *const dip_header_names[DIP_HEADER_COUNT];

enum { DIP_BODY_FIRST = 64 * 1024 };
/** What a buffer takes of the room for bodies; small ones take none, so that large ones cannot keep them out. */
size_t dip_body_room(size_t capacity);

enum { DIP_HEAD_MOST = 32 * 1024, DIP_BASE_CAPACITY = 1024, DIP_CLIENT_CAPACITY = 64 };

typedef struct dip_exchange {
    dip_job job;
    dip_desk *desk;
    void *connection; /* http.c's, with what it paces it by */
    struct dip_paced *paced;
    bool head, begun, handled;
    const dip_route *route;
    dip_request request;
    dip_response response;
    uint8_t *body;
    size_t received, capacity, dropped;
    size_t sent; /* bytes of the answer's body */
    int status;  /* of the answer that went out; 0: none did */
    double whole_at, seconds, stages[DIP_STAGE_COUNT];
    const char *header[DIP_HEADER_COUNT]; /* NULL: not sent; borrowed from the connection */
    char method[16], content_type[96], id[72], client[DIP_CLIENT_CAPACITY], base[DIP_BASE_CAPACITY];
    dip_path path;
    dip_query_fields fields;
    char target[]; /* path, 0 byte, query string */
} dip_exchange;

/** The request line is there. NULL when memory is short. */
dip_exchange *dip_exchange_open(dip_desk *desk, const char *target);
/** The headers are there, `header` and `client` are set; `size`: bytes of the request line and of all headers. */
void dip_exchange_head(dip_exchange *x, const char *method, size_t size);
/**
 * Part of a body. What follows on a refusal is passed over, for as long as that is cheaper than to be rude; then it is false: the
 * connection is to be closed.
 */
bool dip_exchange_body(dip_exchange *x, const void *bytes, size_t length);
/** The request is there to its last byte: its time begins. */
void dip_exchange_whole(dip_exchange *x);
/** The handler's turn. */
void dip_exchange_run(dip_exchange *x);

/** 503: the queue is full, or the server stops. */
void dip_exchange_refuse(dip_exchange *x, dip_refusal refusal);
/** Completes the response (304, ranges). Its time ends. */
void dip_exchange_seal(dip_exchange *x);
/** Gives `add` the headers of the answer, one at a time. */
void dip_exchange_headers(const dip_exchange *x,
                          void (*add)(void *context, const char *name, const char *value),
                          void *context);
/** Counts, logs, frees. */
void dip_exchange_close(dip_exchange *x);

#endif
