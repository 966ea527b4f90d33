/** The access log: one JSON object a line. Thread-safe; a log that is NULL writes nothing. */
#ifndef SERVER_ACCESS_LOG_H
#define SERVER_ACCESS_LOG_H

#include "server/http.h"

typedef struct dip_access_log dip_access_log;

/** `path`: "-" is standard error. Expected failures: those of opening a file for appending. */
dip_status dip_access_log_open(dip_access_log **out, const char *path);
/** Opens the file anew under the same name, after logrotate moved it; the old one stays in use if that fails. */
dip_status dip_access_log_reopen(dip_access_log *log);
void dip_access_log_close(dip_access_log *log);

typedef struct dip_access {
    const char *client, *method, *path, *query, *route, *id;
    int status; /* 0: the client was gone, or sent no HTTP */
    size_t received, sent;
    double seconds;
    const double *stages;
} dip_access;

void dip_access_log_write(dip_access_log *log, const dip_access *access);

#endif
