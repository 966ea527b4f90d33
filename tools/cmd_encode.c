/* diptych encode: an embedding for every tile that has none. */
#include "tools/cmd.h"

#include "core/format.h"
#include "core/mem.h"
#include "search/models.h"
#include "front/json.h"
#include "train/encode.h"

#include <stddef.h>

typedef struct options {
    const char *model, *modality;
    int precision; /* position in its choices */
    int64_t batch;
    bool force;
} options;

#define AT(field) offsetof(options, field)
static const dip_option table[] = {
    {.name = "model",
     .letter = 'm',
     .type = DIP_OPTION_TEXT,
     .offset = AT(model),
     .choices = "ID",
     .help = "model to encode with; default: the newest one"},
    {.name = "modality",
     .type = DIP_OPTION_TEXT,
     .offset = AT(modality),
     .choices = "NAME",
     .help = "this modality alone; default: all that the model knows"},
    {.name = "precision",
     .type = DIP_OPTION_CHOICE,
     .offset = AT(precision),
     .choices = "bf16|int8",
     .fallback = "bf16",
     .help = "arithmetic of the network; int8 is faster and keeps the cosine within about 0.001"},
    {.name = "batch",
     .type = DIP_OPTION_INT,
     .offset = AT(batch),
     .low = 1,
     .high = 1 << 20,
     .fallback = "2048",
     .help = "tiles a transaction"},
    {.name = "force",
     .type = DIP_OPTION_FLAG,
     .offset = AT(force),
     .help = "all tiles, also those that have an embedding"},
    {.name = NULL},
};

static double share(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

static void print_text(const dip_tool *tool, const char *model, const dip_encode_report *r)
{
    char encoded[32], present[32], time[32];
    double rate = r->seconds > 0 ? (double)r->encoded / r->seconds : 0;
    dip_format_things(r->encoded, "tile", encoded, sizeof encoded);
    dip_format_count(r->present, present, sizeof present);
    dip_format_seconds(r->seconds, time, sizeof time);
    printf("model %s: %s encoded in %s (%.0f tiles/s; %.0f %% encoding, %.0f %% waiting for "
           "tiles, %.0f %% for the store), %s had an embedding, %llu left out\n",
           model, encoded, time, rate, share(r->encode_seconds, r->seconds),
           share(r->wait_read_seconds, r->seconds), share(r->wait_write_seconds, r->seconds),
           present, (unsigned long long)r->refused);
    if (r->encoded && tool->verbose)
        printf("beside the encoding: %.2f s of threads that read, %.2f s of one that stores\n",
               r->read_seconds, r->write_seconds);
}

static void print_json(const char *model, const dip_encode_report *r)
{
    dip_json j;
    dip_json_start(&j, stdout);
    dip_json_object(&j, NULL);
    dip_json_text(&j, "model", model);
    dip_json_count(&j, "encoded", r->encoded);
    dip_json_count(&j, "present", r->present);
    dip_json_count(&j, "refused", r->refused);
    dip_json_real(&j, "seconds", r->seconds, 3);
    dip_json_real(&j, "read_seconds", r->read_seconds, 3);
    dip_json_real(&j, "encode_seconds", r->encode_seconds, 3);
    dip_json_real(&j, "write_seconds", r->write_seconds, 3);
    dip_json_real(&j, "wait_read_seconds", r->wait_read_seconds, 3);
    dip_json_real(&j, "wait_write_seconds", r->wait_write_seconds, 3);
    dip_json_end(&j);
}

static dip_status encode(dip_tool *tool, const options *o, dip_archive *archive, const char *id)
{
    dip_encode_report report;
    const dip_encode_options how = {.modality = o->modality,
                                    .batch = (size_t)o->batch,
                                    .force = o->force,
                                    .int8 = o->precision == 1,
                                    .progress = tool->progress,
                                    .refused = dip_tool_note_line,
                                    .payload = tool};
    char *path = dip_models_path(dip_archive_path(archive), id);
    dip_status status = path ? dip_encode(archive, path, &how, &report) : DIP_ENOMEM;
    dip_free(path);
    if (status) return status;
    if (tool->json)
        print_json(id, &report);
    else
        print_text(tool, id, &report);
    return DIP_OK;
}

static dip_status run(dip_tool *tool, const void *values, int argc, char **argv)
{
    const options *o = values;
    dip_archive *archive = NULL;
    char *id = NULL;
    (void)argc;
    dip_status status = dip_archive_open(&archive, argv[0], DIP_ARCHIVE_WRITE);
    if (!status) status = dip_models_choose(dip_archive_path(archive), o->model, &id);
    if (!status) status = encode(tool, o, archive, id);
    dip_free(id);
    dip_archive_close(archive);
    return status;
}

const dip_command dip_cmd_encode = {
    .name = "encode",
    .summary = "compute the embeddings of tiles that have none",
    .usage = "ARCHIVE",
    .text =
        "Stopped or killed, it goes on where it was. A tile that cannot be read or holds a NaN is\n"
        "named and left out. A model that was trained again under its name encodes all tiles anew.",
    .options = table,
    .size = sizeof(options),
    .least_args = 1,
    .most_args = 1,
    .json = true,
    .run = run,
};
