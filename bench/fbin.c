/* Files of vectors; see fbin.h. */
#define _POSIX_C_SOURCE 200809L
#include "bench/fbin.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { HEAD_BYTES = 8 };

static dip_status put(const bench_fbin *out, const void *bytes, size_t length, off_t at)
{
    const char *from = bytes;
    while (length) {
        const ssize_t done = pwrite(fileno(out->file.stream), from, length, at);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0)
            return dip_fail(DIP_EIO, "cannot write '%s': %s", out->file.partial, strerror(errno));
        from += done;
        at += done;
        length -= (size_t)done;
    }
    return DIP_OK;
}

dip_status bench_fbin_begin(bench_fbin *out, const char *path, size_t n, size_t dim,
                            size_t value_bytes)
{
    const uint32_t head[2] = {(uint32_t)n, (uint32_t)dim};
    if (head[0] != n || head[1] != dim)
        return dip_fail(DIP_EINVAL, "'%s': %zu vectors of %zu dimensions do not fit the format",
                        path, n, dim);
    out->row_bytes = dim * value_bytes;
    dip_status status = dip_file_begin(&out->file, path);
    if (!status) status = put(out, head, HEAD_BYTES, 0);
    return status;
}

dip_status bench_fbin_put(const bench_fbin *out, size_t first, const void *rows, size_t count)
{
    return put(out, rows, count * out->row_bytes, (off_t)(HEAD_BYTES + first * out->row_bytes));
}

dip_status bench_fbin_commit(bench_fbin *out) { return dip_file_commit(&out->file); }

void bench_fbin_abandon(bench_fbin *out) { dip_file_abandon(&out->file); }

dip_status bench_fbin_map(dip_map *map, const char *path, const float **values, size_t *n,
                          size_t *dim)
{
    uint32_t head[2] = {0, 0};
    dip_status status = dip_file_map(map, path);
    if (status) return status;
    if (map->length >= HEAD_BYTES) memcpy(head, map->bytes, HEAD_BYTES);
    if (!head[1] || map->length != HEAD_BYTES + (uint64_t)head[0] * head[1] * sizeof(float)) {
        dip_file_unmap(map);
        return dip_fail(DIP_EFORMAT,
                        "'%s' is no .fbin: %u vectors of %u float32 and its length do not "
                        "agree",
                        path, head[0], head[1]);
    }
    *values = (const float *)(map->bytes + HEAD_BYTES);
    *n = head[0];
    *dim = head[1];
    return DIP_OK;
}
