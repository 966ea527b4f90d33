/**
 * TensorBoard event files: scalars and texts by step.
 *
 *   record   u64 LE length, u32 LE masked CRC-32C of those 8 bytes, payload, u32 LE masked CRC-32C of the payload
 *   payload  protobuf Event: 1 wall_time double, 2 step int64, 3 file_version string ("brain.Event:2", the first
 *            record), 5 summary { 1 value { 1 tag string, 2 simple_value float } }, or for a text { 1 tag, 8 tensor
 *            { 1 dtype 7, 2 shape { 2 dim { 1 size 1 } }, 8 string_val }, 9 metadata { 1 plugin { 1 name "text" } } }
 *   masked   (crc >> 15 | crc << 17) + 0xa282ead8
 */
#ifndef TRAIN_EVENTS_H
#define TRAIN_EVENTS_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct dip_events dip_events;

/** Makes `folder`/events.out.tfevents.<time>.<host>.<pid>; files of earlier parts of the run stay beside it. */
dip_status dip_events_open(dip_events **out, const char *folder);
/** Adds one scalar. tag: at most 127 bytes, "loss/mim". */
dip_status dip_events_scalar(dip_events *events, const char *tag, uint64_t step, double value);
/** Adds a text, which TensorBoard shows as Markdown. */
dip_status dip_events_text(dip_events *events, const char *tag, uint64_t step, const char *text);
/** Lets readers see what was added. */
dip_status dip_events_flush(dip_events *events);
void dip_events_close(dip_events *events);

/** CRC-32C (Castagnoli), unmasked. */
uint32_t dip_crc32c(const void *bytes, size_t length);

#endif
