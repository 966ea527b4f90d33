/* Sizes and names of pixel types; see <diptych/tile.h>. */
#include <diptych/tile.h>

static const struct {
    size_t size;
    const char *name;
} types[] = {
    [DIP_DTYPE_U8] = {1, "uint8"},    [DIP_DTYPE_U16] = {2, "uint16"},
    [DIP_DTYPE_I16] = {2, "int16"},   [DIP_DTYPE_U32] = {4, "uint32"},
    [DIP_DTYPE_I32] = {4, "int32"},   [DIP_DTYPE_F32] = {4, "float32"},
    [DIP_DTYPE_F64] = {8, "float64"},
};

static int known(dip_dtype dtype) { return (unsigned)dtype < sizeof types / sizeof *types; }

size_t dip_dtype_size(dip_dtype dtype) { return known(dtype) ? types[dtype].size : 0; }

const char *dip_dtype_name(dip_dtype dtype) { return known(dtype) ? types[dtype].name : 0; }
