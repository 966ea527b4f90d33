/* Metadata as columns; see columns.h. */
#include "search/columns.h"

#include "core/mem.h"
#include "core/sorted.h"

#include <math.h>
#include <string.h>

static dip_status resize(void **array, size_t capacity, size_t size)
{
    void *larger = dip_realloc(*array, capacity * size);
    if (!larger) return DIP_ENOMEM;
    *array = larger;
    return DIP_OK;
}

#define RESIZE(field) resize((void **)&c->field, capacity, sizeof *c->field)

static dip_status resize_all(dip_columns *c, size_t capacity)
{
    if (RESIZE(ids) || RESIZE(places) || RESIZE(modalities) || RESIZE(times) || RESIZE(west) ||
        RESIZE(south) || RESIZE(east) || RESIZE(north) || RESIZE(labels) || RESIZE(splits))
        return DIP_ENOMEM;
    c->capacity = capacity;
    return DIP_OK;
}

static dip_status reserve(dip_columns *c, size_t need)
{
    if (need <= c->capacity) return DIP_OK;
    return resize_all(c, c->capacity ? c->capacity * 2 : 1024);
}

static int32_t fixed(double degrees) { return (int32_t)lround(degrees * DIP_DEGREE); }

static double wrapped(double lon) { return fabs(lon) <= 180 ? lon : remainder(lon, 360); }

static double within_poles(double lat) { return lat < -90 ? -90 : lat > 90 ? 90 : lat; }

void dip_columns_set_footprint(dip_columns *c, size_t row, double west, double south, double east,
                               double north)
{
    bool known =
        isfinite(west) && isfinite(south) && isfinite(east) && isfinite(north) && south <= north;
    c->west[row] = known ? fixed(wrapped(west)) : 0;
    c->east[row] = known ? fixed(wrapped(east)) : 0;
    c->south[row] = known ? fixed(within_poles(south)) : INT32_MAX;
    c->north[row] = known ? fixed(within_poles(north)) : INT32_MIN;
}

static dip_status add_row(void *context, const dip_meta *meta)
{
    dip_columns *c = context;
    size_t row = c->count;
    dip_status status = reserve(c, row + 1);
    if (!status)
        status =
            dip_words_add(&c->label_lists, meta->labels, strlen(meta->labels), &c->labels[row]);
    if (!status)
        status = dip_words_add(&c->split_names, meta->split, strlen(meta->split), &c->splits[row]);
    if (status) return status;
    c->ids[row] = meta->id;
    c->places[row] = meta->place;
    c->modalities[row] = meta->modality;
    c->times[row] = meta->time;
    dip_columns_set_footprint(c, row, meta->west, meta->south, meta->east, meta->north);
    if (meta->modality < DIP_MAX_MODALITIES) c->modality_rows[meta->modality]++;
    c->count++;
    return DIP_OK;
}

dip_status dip_columns_load(dip_columns *columns, const dip_archive *archive)
{
    size_t modalities = dip_archive_modality_count(archive);
    *columns = (dip_columns){0};
    for (size_t i = 0; i < DIP_MAX_MODALITIES; i++)
        columns->modality_names[i] = i < modalities ? dip_archive_modality(archive, i)->name : "";
    dip_status status = dip_archive_each(archive, add_row, columns);
    if (!status) status = resize_all(columns, columns->count + 1);
    if (status) dip_columns_fini(columns);
    return status;
}

void dip_columns_fini(dip_columns *c)
{
    void *arrays[] = {c->ids,   c->places, c->modalities, c->times,  c->west,
                      c->south, c->east,   c->north,      c->labels, c->splits};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) dip_free(arrays[i]);
    dip_words_fini(&c->label_lists);
    dip_words_fini(&c->split_names);
    *c = (dip_columns){0};
}

size_t dip_columns_find(const dip_columns *columns, uint64_t id)
{
    size_t low = dip_ids_lower_bound(columns->ids, columns->count, id);
    return low < columns->count && columns->ids[low] == id ? low : SIZE_MAX;
}

bool dip_columns_centre(const dip_columns *c, size_t row, double *lon, double *lat)
{
    if (c->south[row] > c->north[row]) return false;
    double west = c->west[row] / DIP_DEGREE, east = c->east[row] / DIP_DEGREE;
    if (east < west) east += 360;
    *lon = (west + east) / 2;
    if (*lon > 180) *lon -= 360;
    *lat = (c->south[row] / DIP_DEGREE + c->north[row] / DIP_DEGREE) / 2;
    return true;
}

/* Haversine of the central angle: grows with the distance, and is exact enough when it is small. */
static double haversine(double lon1, double lat1, double lon2, double lat2)
{
    const double radian = 0.017453292519943295;
    double dlat = sin((lat2 - lat1) * radian / 2), dlon = sin((lon2 - lon1) * radian / 2);
    return dlat * dlat + cos(lat1 * radian) * cos(lat2 * radian) * dlon * dlon;
}

bool dip_meta_centre(const dip_meta *meta, double *lon, double *lat)
{
    if (isnan(meta->west) || isnan(meta->east) || isnan(meta->south) || isnan(meta->north))
        return false;
    double east = meta->east < meta->west ? meta->east + 360 : meta->east;
    *lon = (meta->west + east) / 2;
    if (*lon > 180) *lon -= 360;
    *lat = (meta->south + meta->north) / 2;
    return true;
}

double dip_distance_km(double lon1, double lat1, double lon2, double lat2)
{
    const double radius_km = 6371.0088;
    double h = haversine(lon1, lat1, lon2, lat2);
    return 2 * radius_km * asin(sqrt(h < 1 ? h : 1));
}

size_t dip_columns_nearest(const dip_columns *columns, double lon, double lat, int modality,
                           int avoid)
{
    size_t best = SIZE_MAX;
    double least = INFINITY;
    for (size_t row = 0; row < columns->count; row++) {
        int own = (int)columns->modalities[row];
        double x, y;
        if ((modality >= 0 && own != modality) || !dip_columns_centre(columns, row, &x, &y))
            continue;
        double distance = haversine(lon, lat, x, y);
        bool tie_break = best != SIZE_MAX && distance == least &&
                         (int)columns->modalities[best] == avoid && own != avoid;
        if (distance < least || tie_break) {
            best = row;
            least = distance;
        }
    }
    return best;
}
