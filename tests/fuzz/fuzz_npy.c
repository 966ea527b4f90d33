/* Feeds arbitrary bytes to the reader of .npy files and reads every row that it accepts. */
#include "storage/npy.h"

#include "core/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dip_npy npy;
    if (dip_npy_parse(&npy, data, size, "input")) return 0;
    if (!npy.rows || !npy.dim || npy.rows * npy.dim > size) __builtin_trap();
    float *row = dip_alloc(npy.dim * sizeof *row);
    for (size_t i = 0; row && i < npy.rows; i++) dip_npy_read(&npy, i, 1, row);
    dip_free(row);
    return 0;
}
