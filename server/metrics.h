/**
 * Counts of the server, written as Prometheus text (exposition format 0.0.4). Thread-safe; an observation takes a lock for
 * some tens of nanoseconds. `metrics` may be NULL everywhere: nothing is counted.
 */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include "server/http.h"

typedef struct dip_metrics dip_metrics;

/** `routes` is borrowed: its patterns are the label `route`. */
dip_status dip_metrics_create(dip_metrics **out, const dip_route *routes, size_t route_count);
void dip_metrics_destroy(dip_metrics *metrics);

/** A request that was answered. `route`: one of the table, or NULL; stages: (DIP_STAGE_COUNT) seconds. */
void dip_metrics_request(dip_metrics *metrics, const dip_route *route, const char *method,
                         int status, double seconds, const double *stages);

typedef enum dip_refusal {
    DIP_REFUSED_QUEUE,  /* nobody was free and the queue was full */
    DIP_REFUSED_TOKEN,  /* no token, or a wrong one */
    DIP_REFUSED_SIZE,   /* body too large, or too many bodies at a time */
    DIP_REFUSED_SLOW,   /* a connection that sent or took too slowly */
    DIP_REFUSED_BROKEN, /* no HTTP, or gone before it was answered */
    DIP_REFUSED_STOP,   /* the server was stopping */
    DIP_REFUSED_COUNT
} dip_refusal;

void dip_metrics_refuse(dip_metrics *metrics, dip_refusal refusal);

typedef enum dip_gauge {
    DIP_GAUGE_CONNECTIONS, /* open */
    DIP_GAUGE_IN_FLIGHT,   /* requests whose answer is not sent */
    DIP_GAUGE_WAITING,     /* requests without a thread */
    DIP_GAUGE_STOPPING,    /* 1: takes no new connections */
    DIP_GAUGE_COUNT
} dip_gauge;

void dip_metrics_add(dip_metrics *metrics, dip_gauge gauge, int step);
int dip_metrics_gauge(const dip_metrics *metrics, dip_gauge gauge);

/** All of the above, and what the process uses. */
void dip_metrics_write(dip_metrics *metrics, FILE *out);

/** A label's value between quotes: backslash, quote and newline escaped. */
void dip_metrics_label(FILE *out, const char *value);

/** "queue", "parse", ... */
const char *dip_stage_name(dip_stage stage);

#endif
