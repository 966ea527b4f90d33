/* Random rows; see support_rows.h. */
#include "support.h"

#include "support_rows.h"

#include "core/mem.h"
#include "core/rng.h"

static const char *const words[] = {"water", "wood", "town", "field"};

static void random_list(dip_rng *rng, const char *const *from, char *out, size_t capacity)
{
    uint32_t chosen = dip_rng_below(rng, 16);
    *out = '\0';
    for (int i = 0; i < 4; i++)
        if (chosen & 1u << i)
            snprintf(out + strlen(out), capacity - strlen(out), "%s%s", *out ? "|" : "", from[i]);
}

static bool one_in(dip_rng *rng, uint32_t n) { return dip_rng_below(rng, n) == 0; }

static double degrees(dip_rng *rng, int low, int high)
{
    return low + dip_rng_below(rng, (uint32_t)(high - low) * 1024) / 1024.0;
}

static void random_footprint(dip_rng *rng, plain_row *row)
{
    double width = degrees(rng, 0, 8), height = degrees(rng, 0, 8);
    row->west = row->south = row->east = row->north = NAN;
    if (one_in(rng, 10)) return;
    row->west = one_in(rng, 8) ? 180 - width / 2 : degrees(rng, -180, 172);
    row->east = row->west + width;
    if (row->east > 180) row->east -= 360;
    row->south = degrees(rng, -90, 82);
    row->north = row->south + height;
}

static plain_row random_row(dip_rng *rng)
{
    static const char *const splits[] = {"", "train", "val", "test"};
    static const char *const platforms[] = {"", "sentinel-1a", "sentinel-2a", "landsat-8"};
    static const char *const tags[] = {"a", "b", "c", "a b"};
    plain_row row = {.modality = (int)dip_rng_below(rng, 2), .cloud = NAN, .mixed = NAN};
    row.time =
        one_in(rng, 10) ? DIP_NO_TIME : FIRST_DAY + (int64_t)dip_rng_below(rng, 40) * DAY / 4;
    random_footprint(rng, &row);
    random_list(rng, words, row.labels, sizeof row.labels);
    snprintf(row.split, sizeof row.split, "%s", splits[dip_rng_below(rng, 4)]);
    if (!one_in(rng, 5)) row.cloud = dip_rng_below(rng, 20) * 5;
    snprintf(row.platform, sizeof row.platform, "%s", platforms[dip_rng_below(rng, 4)]);
    if (one_in(rng, 2))
        row.mixed = (double)dip_rng_below(rng, 5) - 2;
    else if (one_in(rng, 2))
        snprintf(row.mixed_text, sizeof row.mixed_text, "%u", dip_rng_below(rng, 5));
    random_list(rng, tags, row.tags, sizeof row.tags);
    return row;
}

static void allocate(dip_columns *c, size_t n)
{
    c->ids = dip_calloc(n, sizeof *c->ids);
    c->places = dip_calloc(n, sizeof *c->places);
    c->modalities = dip_calloc(n, sizeof *c->modalities);
    c->times = dip_calloc(n, sizeof *c->times);
    c->west = dip_calloc(n, sizeof *c->west);
    c->south = dip_calloc(n, sizeof *c->south);
    c->east = dip_calloc(n, sizeof *c->east);
    c->north = dip_calloc(n, sizeof *c->north);
    c->labels = dip_calloc(n, sizeof *c->labels);
    c->splits = dip_calloc(n, sizeof *c->splits);
    for (int i = 0; i < DIP_MAX_MODALITIES; i++) c->modality_names[i] = "";
    c->modality_names[0] = "s1";
    c->modality_names[1] = "s2";
    c->count = n;
}

static void set_text(plain_table *t, dip_property *property, size_t row, const char *text,
                     bool list)
{
    if (*text) assert_ok(dip_property_set(property, &t->columns, row, text, list, NAN));
}

static void fill_properties(plain_table *t)
{
    dip_property *cloud, *platform, *mixed, *tags;
    dip_properties_init(&t->properties, NULL, &t->columns);
    assert_ok(dip_properties_add(&t->properties, "eo:cloud_cover", &cloud));
    assert_ok(dip_properties_add(&t->properties, "platform", &platform));
    assert_ok(dip_properties_add(&t->properties, "mixed", &mixed));
    assert_ok(dip_properties_add(&t->properties, "tags", &tags));
    for (size_t i = 0; i < t->count; i++) {
        const plain_row *r = &t->rows[i];
        if (!isnan(r->cloud))
            assert_ok(dip_property_set(cloud, &t->columns, i, NULL, false, r->cloud));
        if (!isnan(r->mixed))
            assert_ok(dip_property_set(mixed, &t->columns, i, NULL, false, r->mixed));
        set_text(t, platform, i, r->platform, false);
        set_text(t, mixed, i, r->mixed_text, false);
        set_text(t, tags, i, r->tags, true);
    }
}

void support_rows_make(plain_table *t, size_t count, uint64_t seed)
{
    dip_rng rng;
    dip_columns *c = &t->columns;
    *t = (plain_table){.count = count, .rows = calloc(count, sizeof *t->rows)};
    dip_rng_init(&rng, seed, 0);
    allocate(c, count);
    for (size_t i = 0; i < count; i++) {
        plain_row *r = &t->rows[i];
        *r = random_row(&rng);
        c->ids[i] = 10 + 3 * i;
        c->places[i] = i / 2;
        c->modalities[i] = (uint32_t)r->modality;
        c->times[i] = r->time;
        dip_columns_set_footprint(c, i, r->west, r->south, r->east, r->north);
        assert_ok(dip_words_add(&c->label_lists, r->labels, strlen(r->labels), &c->labels[i]));
        assert_ok(dip_words_add(&c->split_names, r->split, strlen(r->split), &c->splits[i]));
    }
    fill_properties(t);
}

void support_rows_free(plain_table *t)
{
    dip_properties_fini(&t->properties);
    dip_columns_fini(&t->columns);
    free(t->rows);
}
