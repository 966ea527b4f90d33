/* Is it alive, is it ready, and how does it do: /healthz, /readyz, /metrics. Answered by the listener's thread, so briefly. */
#define _GNU_SOURCE
#include "core/file.h"
#include "core/mem.h"
#include "server/metrics.h"
#include "server/service.h"

#include <string.h>

static void answer_state(dip_response *response, int status, const char *state)
{
    dip_writer writer;
    if (dip_writer_begin(&writer)) {
        dip_response_fail_status(response, DIP_ENOMEM);
        return;
    }
    dip_json_object(&writer.json, NULL);
    dip_json_text(&writer.json, "status", state);
    dip_json_end(&writer.json);
    dip_writer_end(&writer, response, status, "application/json");
    dip_response_header(response, "Cache-Control", "no-store");
}

void dip_serve_health(void *context, const dip_request *request, dip_response *response)
{
    (void)context;
    (void)request;
    answer_state(response, 200, "ok");
}

void dip_serve_ready(void *context, const dip_request *request, dip_response *response)
{
    const dip_service *service = context;
    (void)request;
    bool stopping = dip_metrics_gauge(dip_service_settings(service)->metrics, DIP_GAUGE_STOPPING);
    answer_state(response, stopping ? 503 : 200, stopping ? "stopping" : "ready");
    if (stopping) dip_response_header(response, "Retry-After", "1");
}

/* Bytes of the files of a generation. */
static uint64_t index_bytes(const char *archive, const char *generation)
{
    char **names = NULL;
    size_t count = 0;
    uint64_t sum = 0, bytes;
    char *folder = *generation ? dip_sprintf("%s/index/%s", archive, generation) : NULL;
    if (folder && dip_folder_list(&names, &count, folder)) count = 0;
    for (size_t i = 0; i < count; i++) {
        char *path = dip_path_join(folder, names[i]);
        if (path && !dip_file_size(&bytes, path)) sum += bytes;
        dip_free(path);
    }
    dip_names_free(names, count);
    dip_free(folder);
    return sum;
}

static void write_archive(const dip_service *service, FILE *out)
{
    const dip_archive *archive = dip_service_archive(service);
    dip_archive_counts counts;
    if (dip_archive_count(archive, &counts)) return;
    fputs("# HELP dip_archive_tiles Tiles of the archive, by modality.\n"
          "# TYPE dip_archive_tiles gauge\n",
          out);
    for (size_t i = 0; i < dip_archive_modality_count(archive); i++) {
        fputs("dip_archive_tiles{modality=\"", out);
        dip_metrics_label(out, dip_archive_modality(archive, i)->name);
        fprintf(out, "\"} %llu\n", (unsigned long long)counts.tiles_of[i]);
    }
    fprintf(out,
            "# HELP dip_archive_store_bytes Size of the store's file.\n"
            "# TYPE dip_archive_store_bytes gauge\n"
            "dip_archive_store_bytes %llu\n",
            (unsigned long long)counts.store_bytes);
}

static void write_view(dip_service *service, FILE *out)
{
    const dip_view *view = dip_service_view(service);
    dip_service_counts counts;
    dip_service_count(service, &counts);
    fputs("# HELP dip_index_info The live generation and its model.\n"
          "# TYPE dip_index_info gauge\n"
          "dip_index_info{generation=\"",
          out);
    dip_metrics_label(out, view->generation);
    fputs("\",model=\"", out);
    dip_metrics_label(out, view->model);
    fprintf(out,
            "\"} 1\n"
            "# HELP dip_index_bytes Files of the live generation.\n"
            "# TYPE dip_index_bytes gauge\n"
            "dip_index_bytes %llu\n"
            "# HELP dip_view_switches_total States of the archive that went live after the first.\n"
            "# TYPE dip_view_switches_total counter\n"
            "dip_view_switches_total %llu\n"
            "# HELP dip_view_failures_total New states that could not be opened.\n"
            "# TYPE dip_view_failures_total counter\n"
            "dip_view_failures_total %llu\n"
            "# HELP dip_views_retired Old states that requests still hold.\n"
            "# TYPE dip_views_retired gauge\n"
            "dip_views_retired %zu\n",
            (unsigned long long)index_bytes(dip_archive_path(dip_service_archive(service)),
                                            view->generation),
            (unsigned long long)(counts.views - 1), (unsigned long long)counts.failures,
            counts.retired);
    dip_view_release(view);
}

void dip_serve_metrics(void *context, const dip_request *request, dip_response *response)
{
    dip_service *service = context;
    dip_writer writer;
    (void)request;
    if (dip_writer_begin(&writer)) {
        dip_response_fail_status(response, DIP_ENOMEM);
        return;
    }
    dip_metrics_write(dip_service_settings(service)->metrics, writer.json.out);
    write_archive(service, writer.json.out);
    write_view(service, writer.json.out);
    dip_writer_end(&writer, response, 200, "text/plain; version=0.0.4; charset=utf-8");
    dip_response_header(response, "Cache-Control", "no-store");
}
