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
    uint8_t *bytes; /* borrowed */
    size_t length, capacity;
} message;

static void put(message *m, const void *bytes, size_t length)
{
    assert(m->length + length <= m->capacity);
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

static void put_number(message *m, unsigned field, uint64_t value)
{
    put_key(m, field, VARINT);
    put_varint(m, value);
}

static void put_bytes(message *m, unsigned field, const void *bytes, size_t length)
{
    put_key(m, field, BYTES);
    put_varint(m, length);
    put(m, bytes, length);
}

static void put_message(message *m, unsigned field, const message *inner)
{
    put_bytes(m, field, inner->bytes, inner->length);
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
    put_number(m, 2, step);
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
    uint8_t room[MESSAGE_CAPACITY];
    message m = {room, 0, sizeof room};
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
    uint8_t room[3][MESSAGE_CAPACITY];
    message scalar = {room[0], 0, MESSAGE_CAPACITY}, summary = {room[1], 0, MESSAGE_CAPACITY},
            event = {room[2], 0, MESSAGE_CAPACITY};
    float single = (float)value;
    size_t length = strlen(tag);
    assert(length < TAG_CAPACITY);
    put_bytes(&scalar, 1, tag, length);
    put_key(&scalar, 2, FIXED32);
    put(&scalar, &single, sizeof single);
    put_message(&summary, 1, &scalar);
    begin_event(&event, step);
    put_message(&event, 5, &summary);
    return write_record(events, &event);
}

/* The tensor of one string, a shape of one dimension of one. */
static void put_string(message *value, message *tensor, const char *text)
{
    enum { STRING = 7 };
    put_number(tensor, 1, STRING);
    put_bytes(tensor, 2, "\x12\x02\x08\x01", 4);
    put_bytes(tensor, 8, text, strlen(text));
    put_message(value, 8, tensor);
}

dip_status dip_events_text(dip_events *events, const char *tag, uint64_t step, const char *text)
{
    size_t length = strlen(tag), capacity = strlen(text) + MESSAGE_CAPACITY;
    uint8_t *room = dip_alloc(4 * capacity);
    if (!room) return DIP_ENOMEM;
    message tensor = {room, 0, capacity}, value = {room + capacity, 0, capacity},
            summary = {room + 2 * capacity, 0, capacity},
            event = {room + 3 * capacity, 0, capacity};
    assert(length < TAG_CAPACITY);
    put_bytes(&value, 1, tag, length);
    put_string(&value, &tensor, text);
    put_bytes(&value, 9, "\x0a\x06\x0a\x04text", 8); /* plugin_data, plugin_name */
    put_message(&summary, 1, &value);
    begin_event(&event, step);
    put_message(&event, 5, &summary);
    dip_status status = write_record(events, &event);
    dip_free(room);
    return status;
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
