/* HDF5; see hdf5.h. The library's own error reports are switched off: a failure is told in one line of ours. */
#define _GNU_SOURCE
#include "compare/hdf5.h"

#include "core/file.h"
#include "core/mem.h"

#include <hdf5.h>
#include <stdio.h>
#include <string.h>

struct dip_hdf5_table {
    hid_t file, data;
    size_t dim;
    char *path, *name;
};

static void hush(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

static dip_status open_file(hid_t *file, const char *path)
{
    hush();
    if (!dip_file_exists(path)) return dip_fail(DIP_ENOENT, "there is no '%s'", path);
    *file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (*file >= 0) return DIP_OK;
    return dip_fail(DIP_EFORMAT, "'%s' is no HDF5 file, or it was cut off", path);
}

/* ---- reading ---- */

static dip_status find_shape(dip_hdf5_table *t, size_t *rows, size_t *dim)
{
    hsize_t shape[2] = {0, 0};
    hid_t space = H5Dget_space(t->data), type = H5Dget_type(t->data);
    H5T_class_t class = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
    int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    if (rank == 2) H5Sget_simple_extent_dims(space, shape, NULL);
    H5Sclose(space);
    H5Tclose(type);
    if (rank != 2 || !shape[0] || !shape[1] || (class != H5T_FLOAT && class != H5T_INTEGER))
        return dip_fail(DIP_EFORMAT, "'%s' of '%s' is no table of numbers (rows, values)", t->name,
                        t->path);
    *rows = (size_t)shape[0];
    *dim = t->dim = (size_t)shape[1];
    return DIP_OK;
}

dip_status dip_hdf5_open(dip_hdf5_table **out, const char *path, const char *name, size_t *rows,
                         size_t *dim)
{
    dip_hdf5_table *t = dip_calloc(1, sizeof *t);
    if (!t) return DIP_ENOMEM;
    *t = (dip_hdf5_table){-1, -1, 0, dip_strdup(path), dip_strdup(name)};
    dip_status status = t->path && t->name ? open_file(&t->file, path) : DIP_ENOMEM;
    if (!status) t->data = H5Dopen2(t->file, name, H5P_DEFAULT);
    if (!status && t->data < 0)
        status = dip_fail(DIP_ENOENT, "'%s' has no dataset '%s'; a file of ann-benchmarks has",
                          path, name);
    if (!status) status = find_shape(t, rows, dim);
    if (status)
        dip_hdf5_close(t);
    else
        *out = t;
    return status;
}

void dip_hdf5_close(dip_hdf5_table *t)
{
    if (!t) return;
    if (t->data >= 0) H5Dclose(t->data);
    if (t->file >= 0) H5Fclose(t->file);
    dip_free(t->path);
    dip_free(t->name);
    dip_free(t);
}

static dip_status read_rows(const dip_hdf5_table *t, size_t first, size_t count, hid_t type,
                            void *out)
{
    hsize_t from[2] = {first, 0}, size[2] = {count, t->dim};
    hid_t space = H5Dget_space(t->data), memory = H5Screate_simple(2, size, NULL);
    herr_t failed = H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, size, NULL);
    if (failed >= 0) failed = H5Dread(t->data, type, memory, space, H5P_DEFAULT, out);
    H5Sclose(space);
    H5Sclose(memory);
    if (failed >= 0) return DIP_OK;
    return dip_fail(DIP_ECORRUPT,
                    "'%s' of '%s' cannot be read from row %zu on; fetch the file again", t->name,
                    t->path, first);
}

dip_status dip_hdf5_read(const dip_hdf5_table *t, size_t first, size_t count, float *out)
{
    return read_rows(t, first, count, H5T_NATIVE_FLOAT, out);
}

dip_status dip_hdf5_read_whole(const dip_hdf5_table *t, size_t first, size_t count, int32_t *out)
{
    return read_rows(t, first, count, H5T_NATIVE_INT32, out);
}

/* Texts are of variable length (h5py's) or of a fixed one. */
static void read_text(hid_t attribute, char *out, size_t capacity)
{
    hid_t type = H5Aget_type(attribute);
    size_t length = H5Tget_size(type);
    if (H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) > 0) {
        char *text = NULL;
        if (H5Aread(attribute, type, &text) >= 0 && text) snprintf(out, capacity, "%s", text);
        H5free_memory(text);
    } else if (H5Tget_class(type) == H5T_STRING && length < capacity) {
        if (H5Aread(attribute, type, out) < 0) length = 0;
        out[length] = '\0';
    }
    H5Tclose(type);
}

void dip_hdf5_text(const char *path, const char *name, char *out, size_t capacity)
{
    hid_t file = -1;
    snprintf(out, capacity, "%s", "");
    if (open_file(&file, path)) return;
    hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    if (attribute >= 0) {
        read_text(attribute, out, capacity);
        H5Aclose(attribute);
    }
    H5Fclose(file);
}

/* ---- writing ---- */

static bool put_attribute(hid_t file, const char *name, hid_t type, const void *value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool fine = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    return fine;
}

static bool put_text(hid_t file, const char *name, const char *text)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    bool fine = put_attribute(file, name, type, &text);
    H5Tclose(type);
    return fine;
}

static bool put_real(hid_t file, const char *name, double value)
{
    return put_attribute(file, name, H5T_NATIVE_DOUBLE, &value);
}

static bool put_whole(hid_t file, const char *name, int64_t value)
{
    return put_attribute(file, name, H5T_NATIVE_INT64, &value);
}

/* As numpy's bool is stored: an enumeration of one byte. */
static bool put_flag(hid_t file, const char *name, bool value)
{
    int8_t no = 0, yes = 1, stored = value;
    hid_t type = H5Tenum_create(H5T_NATIVE_INT8);
    H5Tenum_insert(type, "FALSE", &no);
    H5Tenum_insert(type, "TRUE", &yes);
    bool fine = put_attribute(file, name, type, &stored);
    H5Tclose(type);
    return fine;
}

static bool put_table(hid_t file, const char *name, int rank, const hsize_t *shape, hid_t stored,
                      hid_t type, const void *values)
{
    hid_t space = H5Screate_simple(rank, shape, NULL);
    hid_t data = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    bool fine = data >= 0 && H5Dwrite(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0;
    if (data >= 0) H5Dclose(data);
    H5Sclose(space);
    return fine;
}

static bool put_all(hid_t file, const dip_hdf5_result *r)
{
    const hsize_t shape[2] = {r->queries, r->count};
    return put_text(file, "algo", r->algorithm) && put_text(file, "name", r->name) &&
           put_text(file, "dataset", r->dataset) && put_text(file, "distance", r->distance) &&
           put_whole(file, "count", (int64_t)r->count) && put_whole(file, "run_count", r->runs) &&
           put_real(file, "build_time", r->build_s) &&
           put_real(file, "best_search_time", r->best_search_s) &&
           put_real(file, "index_size", r->index_kb) &&
           put_real(file, "candidates", r->candidates) && put_flag(file, "batch_mode", r->batch) &&
           put_flag(file, "expect_extra", false) &&
           put_table(file, "times", 1, shape, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, r->times) &&
           put_table(file, "neighbors", 2, shape, H5T_STD_I32LE, H5T_NATIVE_INT32, r->neighbors) &&
           put_table(file, "distances", 2, shape, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, r->distances);
}

dip_status dip_hdf5_write(const char *path, const dip_hdf5_result *result)
{
    char *partial = dip_sprintf("%s.partial", path);
    if (!partial) return DIP_ENOMEM;
    hush();
    hid_t file = H5Fcreate(partial, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    bool fine = file >= 0 && put_all(file, result);
    if (file >= 0 && H5Fclose(file) < 0) fine = false;
    dip_status status = DIP_OK;
    if (!fine)
        status = dip_fail(DIP_EIO, "cannot write '%s'; is the disk full?", path);
    else if (rename(partial, path))
        status = dip_fail_errno("rename", partial);
    if (status) remove(partial);
    dip_free(partial);
    return status;
}
