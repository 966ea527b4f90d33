/**
 * HTTP requests and answers as the rest of the server sees them: plain structs, so that tests call a handler without a
 * connection. Only http.c knows libmicrohttpd.
 */
#ifndef SERVER_HTTP_H
#define SERVER_HTTP_H

#include "core/status.h"
#include "front/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIP_HTTP_PARTS = 8, DIP_HTTP_HEADERS = 8 };

/** A name and a value, both decoded. */
typedef struct dip_field {
    const char *name, *value;
} dip_field;

/** What a request's time went into; reported as Server-Timing and in /metrics. */
typedef enum dip_stage {
    DIP_STAGE_QUEUE,  /* waiting for a thread */
    DIP_STAGE_PARSE,  /* the request into a query */
    DIP_STAGE_ENCODE, /* pixels into a vector */
    DIP_STAGE_SEARCH, /* index, filters, exact scores */
    DIP_STAGE_RENDER, /* the answer into bytes */
    DIP_STAGE_COUNT
} dip_stage;

/** One request, whole. Everything is borrowed and lives until the handler returns. */
typedef struct dip_request {
    const char *method; /* "GET", "POST", "DELETE"; a HEAD comes as GET */
    const char *path;   /* as sent, without the query string */
    const char *
        base; /* "http://host:port" that the client used, without a slash at the end: what links begin with */
    const char *part[DIP_HTTP_PARTS]; /* what stands in the {} of the route, decoded, in order */
    const dip_field *query; /* parameters of the query string, in order; dispatch fills them in */
    size_t query_count;
    const char *content_type; /* without parameters, lower case; "" if none was sent */
    const char *query_string; /* as sent, without '?'; "" */
    /* The header If-None-Match, or NULL. An answer 200 with an ETag that it names goes out as 304, without its body. */
    const char *if_none_match;
    const uint8_t *body; /* body_length bytes and a 0 byte behind */
    size_t body_length;
    double *stages; /* (DIP_STAGE_COUNT) seconds; a handler adds to them by dip_request_stage() */
} dip_request;

/** First query parameter of that name, or NULL. */
const char *dip_request_query(const dip_request *request, const char *name);
/** Adds seconds since `begin` (dip_clock) to a stage and returns now. */
double dip_request_stage(const dip_request *request, dip_stage stage, double begin);

/** What a handler answers. All zero when the handler is called. */
typedef struct dip_response {
    int status;               /* 200, ... */
    const char *content_type; /* static text */
    uint8_t *owned;           /* the body, dip_free; or */
    const uint8_t *lasting;   /* the body, bytes that live as long as the program */
    size_t length;
    struct {
        const char *name; /* static text */
        char *value;      /* owned */
    } headers[DIP_HTTP_HEADERS];
    size_t header_count;
} dip_response;

void dip_response_fini(dip_response *response);

/** Takes over `bytes` (dip_free), also on failure. */
void dip_response_bytes(dip_response *response, int status, const char *content_type,
                        uint8_t *bytes, size_t length);
void dip_response_lasting(dip_response *response, int status, const char *content_type,
                          const uint8_t *bytes, size_t length);
/** Copies name and value; a ninth header is dropped. `name` is static text. */
void dip_response_header(dip_response *response, const char *name, const char *value);

/**
 * {"code": ..., "description": ...} as OGC API and STAC API want it. `code` is one word ("InvalidParameterValue",
 * "NotFound"); the description names the object, the cause and the remedy. Replaces what the response held.
 */
void dip_response_fail(dip_response *response, int status, const char *code, const char *format,
                       ...) __attribute__((format(printf, 4, 5)));
/** The same from a failed call: its dip_last_error(), and the HTTP status that fits. */
void dip_response_fail_status(dip_response *response, dip_status status);

/**
 * Cuts an answer 200 that has the header Accept-Ranges to the one range that the request's header Range asks for: 206, or 416
 * if there is none. NULL, several ranges and other units leave it whole.
 */
void dip_response_range(dip_response *response, const char *range);

/** A body that is written as a stream: dip_writer_begin(), write to `json` or `json.out`, dip_writer_end(). */
typedef struct dip_writer {
    dip_json json;
    char *bytes; /* of open_memstream() */
    size_t length;
} dip_writer;

dip_status dip_writer_begin(dip_writer *writer);
/** Closes the stream and makes it the body; 500 if memory ran short. */
void dip_writer_end(dip_writer *writer, dip_response *response, int status,
                    const char *content_type);

/** Answers one request. Called from any of the server's threads, `workers` at a time. Always sets a status. */
typedef void dip_handler(void *context, const dip_request *request, dip_response *response);

typedef struct dip_route {
    const char *method; /* GET serves HEAD too */
    const char *
        pattern; /* "/collections/{}/items/{}"; "{}" is one part of the path; a last "{*}" all of the rest */
    dip_handler *handler;
    bool
        open; /* answered without a token, and at once between reading and writing: health and metrics */
} dip_route;

typedef struct dip_http_options {
    const char
        *listen; /* "127.0.0.1:8080", "[::1]:8080", ":8080" = all addresses; port 0: any free one */
    const char *token_file; /* each line a bearer token; NULL: none is asked for */
    const char *cors;       /* ','-separated origins that may read, or "*"; NULL: none */
    size_t largest_body;    /* bytes */
    unsigned idle_seconds;  /* a connection that neither sends nor takes is closed */
    unsigned connections;   /* open at a time; more wait in the listen queue */
    unsigned workers;       /* requests that are worked on at a time; 0: one a processor */
    unsigned waiting;       /* requests that may wait for a thread; more get 503 and Retry-After */
    const char
        *access_log;   /* a file for one JSON line a request, "-": standard error; NULL: none */
    bool behind_proxy; /* believe X-Forwarded-Proto, -Host, -Prefix and -For */
    struct dip_metrics *metrics; /* counts here (borrowed); NULL: nowhere */
} dip_http_options;

#define DIP_HTTP_OPTIONS_INIT                                                     \
    {                                                                             \
        .listen = "127.0.0.1:8080", .largest_body = 64 << 20, .idle_seconds = 15, \
        .connections = 1000, .waiting = 128                                       \
    }

typedef struct dip_http dip_http;

/**
 * Listens and answers until dip_http_stop(). `routes` (borrowed) is searched in order; what no route has is 404, a known
 * path with another method 405.
 * Expected failures: DIP_EINVAL (listen), DIP_EBUSY (the port is taken: names it and the remedy), DIP_ENOENT (token file).
 */
dip_status dip_http_start(dip_http **out, const dip_http_options *options, const dip_route *routes,
                          size_t route_count, void *context);
/** Where it listens: "http://127.0.0.1:8080". */
const char *dip_http_url(const dip_http *http);
/** Can others than this machine reach it? */
bool dip_http_elsewhere(const dip_http *http);
/** Opens the access log anew and reads the token file again; what fails leaves the old one in use. */
dip_status dip_http_reload(dip_http *http);
/**
 * Takes no new connection, finishes requests in flight for at most `seconds`, frees all. After that time what waits for a thread
 * gets 503; a handler that runs is waited for.
 */
void dip_http_stop(dip_http *http, double seconds);

/**
 * Finds the route, decodes path and query string, and calls the handler, without connection, token or log: what tests use in
 * place of a connection. `request` needs `method` and `path`; of what else is not set, the handler sees "" and nothing.
 */
void dip_http_dispatch(const dip_route *routes, size_t route_count, void *context,
                       dip_request *request, dip_response *response);

#endif
