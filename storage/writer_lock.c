/* The lock of the one writing process; see writer_lock.h. */
#define _GNU_SOURCE
#include "storage/writer_lock.h"

#include "core/file.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

static long holder_of(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool held = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0;
    return held ? (long)lock.l_pid : 0;
}

dip_status dip_writer_lock(int *out, const char *folder)
{
    char *path = dip_path_join(folder, "writer.lock");
    if (!path) return DIP_ENOMEM;
    dip_status status = DIP_OK;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        status = dip_fail_errno("create", path);
        goto out;
    }
    if (fcntl(fd, F_SETLK, &lock) == 0) {
        *out = fd;
        goto out;
    }
    if (errno != EACCES && errno != EAGAIN) {
        status = dip_fail_errno("lock", path);
    } else if (holder_of(fd) > 0) {
        status =
            dip_fail(DIP_EBUSY, "'%s' is being written by process %ld; wait until it has ended",
                     folder, holder_of(fd));
    } else {
        status = dip_fail(
            DIP_EBUSY, "'%s' is being written by another process; wait until it has ended", folder);
    }
    close(fd);
out:
    dip_free(path);
    return status;
}

void dip_writer_unlock(int *fd)
{
    close(*fd);
    *fd = -1;
}

long dip_writer_process(const char *folder)
{
    char *path = dip_path_join(folder, "writer.lock");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    long process = fd < 0 ? 0 : holder_of(fd);
    if (fd >= 0) close(fd);
    dip_free(path);
    return process;
}
