/* Log lines; see log.h. */
#include "core/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_int max_level = DIP_LOG_WARN;
static dip_log_sink current_sink;
static void *sink_payload;

void dip_log_set_level(dip_log_level level) { atomic_store(&max_level, (int)level); }

void dip_log_set_sink(dip_log_sink sink, void *payload)
{
    current_sink = sink;
    sink_payload = payload;
}

void dip_log(dip_log_level level, const char *module, const char *format, ...)
{
    static const char *const words[] = {"error", "warning", "info", "debug"};
    if ((int)level > atomic_load_explicit(&max_level, memory_order_relaxed)) return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (current_sink)
        current_sink(sink_payload, level, module, line);
    else
        fprintf(stderr, "%s: %s: %s\n", words[level], module, line); /* one call, one line */
}
