/**
 * The lock of the one writing process: a record lock on store/writer.lock, which the kernel drops with the process.
 * A process must not open the file a second time while it holds the lock, or it loses it.
 */
#ifndef STORAGE_WRITER_LOCK_H
#define STORAGE_WRITER_LOCK_H

#include "core/status.h"

/** DIP_EBUSY names the process that holds it. */
dip_status dip_writer_lock(int *fd, const char *folder);
void dip_writer_unlock(int *fd);

/** The process that holds the lock of another process's store, as far as it can be told; 0: none. */
long dip_writer_process(const char *folder);

#endif
