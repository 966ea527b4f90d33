/**
 * Reads tiles ahead of whoever uses them, in threads of its own, as many as the pool has.
 *
 * At most DIP_READ_AHEAD tiles are in memory, and none is read ahead while those there have DIP_READ_AHEAD_BYTES. They
 * come in the order asked for, whichever thread reads them.
 */
#ifndef TRAIN_TILE_READER_H
#define TRAIN_TILE_READER_H

#include <diptych/archive.h>

enum { DIP_READ_AHEAD = 256, DIP_READ_AHEAD_BYTES = 256 << 20 };

/** Either a tile, or why there is none. */
typedef struct dip_read_tile {
    uint64_t id;
    dip_tile *tile;
    dip_status status;
    char *line; /* with a status; NULL if memory ran out for it too */
} dip_read_tile;

typedef struct dip_tile_reader dip_tile_reader;

/** `ids` are the caller's and stay until the reader is closed. */
dip_status dip_tile_reader_open(dip_tile_reader **out, dip_archive *archive, const uint64_t *ids,
                                size_t n);
/**
 * Waits for the next `count` tiles, which stay until the next call: count * 2 <= DIP_READ_AHEAD, and no more than are
 * left. tiles: (count), filled.
 */
void dip_tile_reader_next(dip_tile_reader *reader, size_t count, const dip_read_tile **tiles);
/** Seconds of its threads at work, and of the caller waiting for them. */
void dip_tile_reader_seconds(dip_tile_reader *reader, double *work, double *wait);
/** Also before the end: what was read ahead is dropped. */
void dip_tile_reader_close(dip_tile_reader *reader);

#endif
