/* TensorBoard event files; see events.h for the layout. */
#define _GNU_SOURCE
#include "train/events.h"

#include "core/file.h"
#include "core/mem.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct dip_events {
    FILE *stream;
    char *path;
};

uint32_t dip_crc32c(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint32_t crc = ~0u;
    while (length--) {
        crc ^= *at++;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0x82F63B78u & (0u - (crc & 1)));
    }
    return ~crc;
}

static uint32_t masked(const void *bytes, size_t length)
{
    uint32_t crc = dip_crc32c(bytes, length);
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

/* ---- protobuf ---- */

enum {
    VARINT = 0,
    FIXED64 = 1,
    BYTES = 2,
    FIXED32 = 5,
    TAG_CAPACITY = 128,
    MESSAGE_CAPACITY = 256
};

typedef struct message {
    uint8_t bytes[MESSAGE_CAPACITY];
    size_t length;
} message;

static void put(message *m, const void *bytes, size_t length)
{
    assert(m->length + length <= MESSAGE_CAPACITY);
    memcpy(m->bytes + m->length, bytes, length);
    m->length += length;
}

static void put_varint(message *m, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)(value & 127) | (uint8_t)(value > 127 ? 128 : 0);
        put(m, &byte, 1);
        value >>= 7;
    } while (value);
}

static void put_key(message *m, unsigned field, unsigned wire) { put_varint(m, field << 3 | wire); }

static void put_bytes(message *m, unsigned field, const void *bytes, size_t length)
{
    put_key(m, field, BYTES);
    put_varint(m, length);
    put(m, bytes, length);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void begin_event(message *m, uint64_t step)
{
    double time = now();
    m->length = 0;
    put_key(m, 1, FIXED64);
    put(m, &time, sizeof time);
    put_key(m, 2, VARINT);
    put_varint(m, step);
}

/* ---- records ---- */

static void store(uint8_t *out, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> 8 * i);
}

static dip_status write_record(dip_events *events, const message *m)
{
    uint8_t head[12], tail[4];
    store(head, m->length, 8);
    store(head + 8, masked(head, 8), 4);
    store(tail, masked(m->bytes, m->length), 4);
    if (fwrite(head, 1, 12, events->stream) != 12 ||
        fwrite(m->bytes, 1, m->length, events->stream) != m->length ||
        fwrite(tail, 1, 4, events->stream) != 4)
        return dip_fail_errno("write", events->path);
    return DIP_OK;
}

static dip_status write_version(dip_events *events)
{
    static const char version[] = "brain.Event:2";
    message m;
    begin_event(&m, 0);
    put_bytes(&m, 3, version, sizeof version - 1);
    return write_record(events, &m);
}

dip_status dip_events_open(dip_events **out, const char *folder)
{
    char host[64] = "local", name[160];
    gethostname(host, sizeof host - 1);
    snprintf(name, sizeof name, "events.out.tfevents.%lld.%s.%d", (long long)time(NULL), host,
             (int)getpid());
    dip_events *events = dip_calloc(1, sizeof *events);
    if (!events) return DIP_ENOMEM;
    events->path = dip_path_join(folder, name);
    dip_status status = events->path ? DIP_OK : DIP_ENOMEM;
    if (!status && !(events->stream = fopen(events->path, "abe")))
        status = dip_fail_errno("create", events->path);
    if (!status) status = write_version(events);
    if (status) {
        dip_events_close(events);
        return status;
    }
    *out = events;
    return DIP_OK;
}

dip_status dip_events_scalar(dip_events *events, const char *tag, uint64_t step, double value)
{
    message scalar = {.length = 0}, summary = {.length = 0}, event;
    float single = (float)value;
    size_t length = strlen(tag);
    assert(length < TAG_CAPACITY);
    put_bytes(&scalar, 1, tag, length);
    put_key(&scalar, 2, FIXED32);
    put(&scalar, &single, sizeof single);
    put_bytes(&summary, 1, scalar.bytes, scalar.length);
    begin_event(&event, step);
    put_bytes(&event, 5, summary.bytes, summary.length);
    return write_record(events, &event);
}

dip_status dip_events_flush(dip_events *events)
{
    return fflush(events->stream) ? dip_fail_errno("write", events->path) : DIP_OK;
}

void dip_events_close(dip_events *events)
{
    if (!events) return;
    if (events->stream) fclose(events->stream);
    dip_free(events->path);
    dip_free(events);
}
