/* Shapes asked about rectangles, with the quadtree in between, against plane geometry by brute force. */
#include "support.h"

#include "core/mem.h"
#include "core/rng.h"
#include "search/json.h"
#include "search/region.h"

/* ---- brute force: rings of points, closed ---- */

typedef struct ring {
    const double *points; /* x, y, ... */
    size_t count;         /* points, the last being the first */
} ring;

/* Even-odd over all rings, so that holes are outside. */
static bool point_inside(const ring *rings, size_t n, double x, double y)
{
    bool inside = false;
    for (size_t r = 0; r < n; r++) {
        const double *p = rings[r].points;
        for (size_t i = 0; i + 1 < rings[r].count; i++, p += 2)
            if ((p[1] > y) != (p[3] > y) && x < p[0] + (p[2] - p[0]) * (y - p[1]) / (p[3] - p[1]))
                inside = !inside;
    }
    return inside;
}

/* Does the segment have a point in the rectangle? Liang and Barsky's clipping. */
static bool segment_meets(const double *p, const dip_rect *b)
{
    double from = 0, to = 1, dx = p[2] - p[0], dy = p[3] - p[1];
    const double step[4] = {-dx, dx, -dy, dy},
                 room[4] = {p[0] - b->west, b->east - p[0], p[1] - b->south, b->north - p[1]};
    for (int i = 0; i < 4; i++) {
        if (step[i] == 0 && room[i] < 0) return false;
        if (step[i] < 0 && room[i] / step[i] > from) from = room[i] / step[i];
        if (step[i] > 0 && room[i] / step[i] < to) to = room[i] / step[i];
    }
    return from <= to;
}

static bool border_meets(const ring *rings, size_t n, const dip_rect *b)
{
    for (size_t r = 0; r < n; r++)
        for (size_t i = 0; i + 1 < rings[r].count; i++)
            if (segment_meets(rings[r].points + 2 * i, b)) return true;
    return false;
}

static bool plain_meets(const ring *rings, size_t n, const dip_rect *b)
{
    return border_meets(rings, n, b) || point_inside(rings, n, b->west, b->south);
}

static bool plain_covers(const ring *rings, size_t n, const dip_rect *b)
{
    return !border_meets(rings, n, b) && point_inside(rings, n, b->west, b->south);
}

/* ---- tests ---- */

static dip_region *region_of(const char *wkt)
{
    dip_geometry *shape;
    dip_region *region;
    assert_ok(dip_geometry_parse(&shape, wkt, false));
    assert_ok(dip_region_create(&region, shape));
    return region;
}

static bool ask(dip_region *region, double west, double south, double east, double north,
                bool within)
{
    bool yes;
    assert_ok(dip_region_test(region, 0, west, south, east, north, within, &yes));
    return yes;
}

/* A star with a square hole: many rectangles of all sizes, near the borders too. */
static void test_random_rectangles(void **state)
{
    enum { SPIKES = 11, POINTS = 2 * SPIKES + 1 };
    double star[2 * POINTS], hole[10] = {9, 49, 11, 49, 11, 51, 9, 51, 9, 49};
    char wkt[4000] = "POLYGON((";
    size_t met = 0, covered = 0;
    dip_rng rng;
    (void)state;
    for (int i = 0; i < POINTS; i++) {
        double angle = 3.141592653589793 * (i % (POINTS - 1)) / SPIKES, radius = i % 2 ? 5 : 12;
        star[2 * i] = 10 + radius * cos(angle);
        star[2 * i + 1] = 50 + radius * sin(angle);
        sprintf(wkt + strlen(wkt), "%s%.17g %.17g", i ? "," : "", star[2 * i], star[2 * i + 1]);
    }
    strcat(wkt, "),(9 49,9 51,11 51,11 49,9 49))");
    const ring rings[2] = {{star, POINTS}, {hole, 5}};
    dip_region *region = region_of(wkt);
    dip_rng_init(&rng, 1, 0);
    for (int i = 0; i < 20000; i++) {
        double size = pow(10, 1.5 - 4 * dip_rng_uniform(&rng)), w = -5 + 30 * dip_rng_uniform(&rng),
               s = 35 + 30 * dip_rng_uniform(&rng);
        dip_rect r = {w, s, w + size, s + size * dip_rng_uniform(&rng)};
        bool meets = plain_meets(rings, 2, &r), covers = plain_covers(rings, 2, &r);
        assert_int_equal(ask(region, r.west, r.south, r.east, r.north, false), meets);
        assert_int_equal(ask(region, r.west, r.south, r.east, r.north, true), covers);
        met += meets;
        covered += covers;
    }
    assert_true(met > 3000 && met < 17000 && covered > 1000);
    dip_region_destroy(region);
}

static void test_borders_holes_and_parts(void **state)
{
    static const struct {
        const char *wkt;
        double rect[4];
        bool meets, within;
    } cases[] = {
        {"POLYGON((0 0,10 0,10 10,0 10,0 0))", {2, 2, 3, 3}, true, true},
        {"POLYGON((0 0,10 0,10 10,0 10,0 0))", {0, 0, 10, 10}, true, true},
        {"POLYGON((0 0,10 0,10 10,0 10,0 0))", {10, 4, 12, 5}, true, false},   /* touches */
        {"POLYGON((0 0,10 0,10 10,0 10,0 0))", {10, 10, 12, 12}, true, false}, /* at a corner */
        {"POLYGON((0 0,10 0,10 10,0 10,0 0))", {10.0000001, 4, 12, 5}, false, false},
        {"POLYGON((0 0,10 0,10 10,0 10,0 0))", {-5, -5, 20, 20}, true, false},
        {"POLYGON((0 0,10 0,10 10,0 10,0 0))", {4, 4, 4, 4}, true, true}, /* a point */
        {"POLYGON((0 0,10 0,10 10,0 10,0 0))", {4, 4, 4, 6}, true, true}, /* a line */
        {"POLYGON((0 0,10 0,10 10,0 10,0 0),(4 4,6 4,6 6,4 6,4 4))",
         {4.5, 4.5, 5, 5},
         false,
         false},
        {"POLYGON((0 0,10 0,10 10,0 10,0 0),(4 4,6 4,6 6,4 6,4 4))", {4, 4, 6, 6}, true, false},
        {"POLYGON((0 0,10 0,10 10,0 10,0 0),(4 4,6 4,6 6,4 6,4 4))", {3, 3, 7, 7}, true, false},
        {"POLYGON((0 0,10 0,10 10,0 10,0 0),(4 4,6 4,6 6,4 6,4 4))", {1, 1, 3, 3}, true, true},
        {"MULTIPOLYGON(((0 0,2 0,2 2,0 2,0 0)),((1 1,4 1,4 4,1 4,1 1)))", {1, 1, 2, 2}, true, true},
        {"MULTIPOLYGON(((0 0,2 0,2 2,0 2,0 0)),((2 0,4 0,4 2,2 2,2 0)))", {1, 1, 3, 2}, true, true},
        {"MULTIPOLYGON(((0 0,1 0,1 1,0 1,0 0)),((3 0,4 0,4 1,3 1,3 0)))",
         {1.5, 0, 2.5, 1},
         false,
         false},
        {"POINT(5 5)", {4, 4, 6, 6}, true, false},
        {"POINT(5 5)", {5, 5, 6, 6}, true, false},
        {"POINT(5 5)", {6, 6, 7, 7}, false, false},
        {"LINESTRING(0 0,10 10)", {4, 4, 6, 6}, true, false},
        {"LINESTRING(0 0,10 10)", {6, 4, 8, 5}, false, false},
        {"MULTIPOINT((1 1),(8 8))", {7, 7, 9, 9}, true, false},
        /* Across the antimeridian: a footprint, a shape that is cut there, one that goes on, both. */
        {"POLYGON((170 0,180 0,180 10,170 10,170 0))", {179, 4, -179, 5}, true, false},
        {"POLYGON((-180 0,-170 0,-170 10,-180 10,-180 0))", {179, 4, -179, 5}, true, false},
        {"POLYGON((-178 0,-170 0,-170 10,-178 10,-178 0))", {179, 4, -179, 5}, false, false},
        {"MULTIPOLYGON(((170 0,180 0,180 9,170 9,170 0)),((-180 0,-170 0,-170 9,-180 9,-180 0)))",
         {179, 4, -179, 5},
         true,
         true},
        {"POLYGON((170 0,190 0,190 10,170 10,170 0))", {179, 4, -179, 5}, true, true},
        {"POLYGON((170 0,190 0,190 10,170 10,170 0))", {-175, 4, -174, 5}, true, true},
        {"POLYGON((170 0,190 0,190 10,170 10,170 0))", {-169, 4, -168, 5}, false, false},
        {"POLYGON((-190 0,-170 0,-170 10,-190 10,-190 0))", {172, 4, 173, 5}, true, true},
        {"POLYGON((-180 -90,180 -90,180 90,-180 90,-180 -90))", {179, 4, -179, 5}, true, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double *r = cases[i].rect;
        dip_region *region = region_of(cases[i].wkt);
        if (ask(region, r[0], r[1], r[2], r[3], false) != cases[i].meets ||
            ask(region, r[0], r[1], r[2], r[3], true) != cases[i].within)
            fail_msg("case %zu: %s", i, cases[i].wkt);
        dip_region_destroy(region);
    }
}

static void test_geojson(void **state)
{
    static const struct {
        const char *text;
        double rect[4];
        bool meets;
    } cases[] = {
        {"{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[4,0],[4,4],[0,0]]]}", {2, 1, 3, 2}, true},
        {"{\"type\":\"Polygon\",\"coordinates\":[[[0,0,9],[4,0,9],[4,4,9],[0,0,9]]]}",
         {2, 1, 3, 2},
         true},
        {"{\"type\":\"Feature\",\"properties\":{\"a\":1},\"geometry\":{\"type\":\"Point\","
         "\"coordinates\":[2,2]}}",
         {1, 1, 3, 3},
         true},
        {"{\"type\":\"FeatureCollection\",\"features\":[{\"type\":\"Feature\",\"properties\":null,"
         "\"geometry\":{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[4,0],[4,4],[0,0]]]}},{"
         "\"type\":"
         "\"Feature\",\"properties\":{},\"geometry\":{\"type\":\"Polygon\",\"coordinates\":[[[3,0],"
         "[8,0],"
         "[8,4],[3,0]]]}}]}",
         {7, 1, 7.5, 2},
         true},
        {"{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[4,0],[4,4],[0,0]]]}", {0, 3, 1, 4}, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const double *r = cases[i].rect;
        dip_geometry *shape;
        dip_region *region;
        assert_ok(dip_geometry_parse(&shape, cases[i].text, true));
        assert_ok(dip_region_create(&region, shape));
        assert_int_equal(ask(region, r[0], r[1], r[2], r[3], false), cases[i].meets);
        dip_region_destroy(region);
    }
}

static void test_what_is_no_shape_is_refused(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"POLYGON((0 0,1 1,1 0,0 1,0 0))", "not valid: Self-intersection at 0.5 0.5"},
        {"POLYGON((0 0,4 0,4 4,0 0),(5 5,6 5,6 6,5 5))",
         "not valid: Hole lies outside shell at 5 5"},
        {"MULTIPOLYGON(((0 0,1 0,1 1,0 0)),((0 0,1 1,1 0,0 1,0 0)))", "Self-intersection"},
        {"POLYGON((0 0,1 0,1 1))", "closed"},
        {"POLYGON((0 0,1 0))", "geometry: "},
        {"POLYGON((0 0,1 0,x 1,0 0))", "geometry: "},
        {"POLYGON EMPTY", "it is empty"},
        {"POLYGON((0 0,400 0,400 1,0 0))", "it reaches from 0 0 to 400 1; longitudes must lie in"},
        {"POLYGON((0 0,1 0,1 95,0 0))", "latitudes in -90..90"},
        {"POINT(nan 1)", "geometry: "},
        {"", "geometry: "},
        {"{", "no JSON: "},
        {"[]", "geometry: "},
        {"{\"type\":\"Polygon\"}", "geometry: "},
        {"{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[1]]]}", "geometry: "},
        {"{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[48,1],[]]]}", "a position is no array"},
        {"{\"type\":\"Polygon\",\"coordinates\":[[]]}", "is empty or none"},
        {"{\"type\":\"Polygon\",\"coordinates\":[0,0]}", "is empty or none"},
        {"{\"type\":\"Point\",\"coordinates\":[\"a\",0]}", "a position is no array"},
        {"{\"type\":\"Circle\",\"coordinates\":[0,0]}", "there is no type 'Circle'"},
        {"{\"type\":\"Feature\",\"geometry\":null}", "it has no \"type\""},
        {"{\"type\":\"FeatureCollection\",\"features\":[]}", "the collection is empty"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dip_geometry *shape = NULL;
        bool json = cases[i].text[0] == '{' || cases[i].text[0] == '[';
        dip_status status = dip_geometry_parse(&shape, cases[i].text, json);
        if (status != DIP_EINVAL || shape || !strstr(dip_last_error(), cases[i].words))
            fail_msg("%s: said '%s'", cases[i].text, dip_last_error());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_rectangles),
        cmocka_unit_test(test_borders_holes_and_parts),
        cmocka_unit_test(test_geojson),
        cmocka_unit_test(test_what_is_no_shape_is_refused),
    };
    return cmocka_run_group_tests_name("search/region", tests, NULL, NULL);
}
