/**
 * Log lines: level, module, then key=value text, to a settable sink (default: standard error).
 * Progress is not log; see progress.h. Thread-safe.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

typedef enum dip_log_level { DIP_LOG_ERR, DIP_LOG_WARN, DIP_LOG_INFO, DIP_LOG_DEBUG } dip_log_level;

typedef void (*dip_log_sink)(void *payload, dip_log_level level, const char *module,
                             const char *line);

void dip_log(dip_log_level level, const char *module, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Lines above `level` are dropped. Default DIP_LOG_WARN. */
void dip_log_set_level(dip_log_level level);

/** NULL brings back standard error. Set before threads start. */
void dip_log_set_sink(dip_log_sink sink, void *payload);

#endif
