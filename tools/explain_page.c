/* Explanations as text and as HTML; see explain_page.h. Everything that comes from an archive or a file name is escaped. */
#include "tools/explain_page.h"

#include "core/file.h"
#include "core/mem.h"
#include "front/explain.h"
#include "front/tile.h"
#include "ingest/raster.h"
#include "tools/html.h"
#include "tools/sheet_style.h"

#include <math.h>
#include <string.h>

enum { TITLE = 600, LINE = 2000, SWATCHES = 24 };

/* ---- lines ---- */

static void tell_random(const dip_explanation *e, char *line)
{
    if (isnan(e->percentile)) {
        snprintf(line, LINE, "no index tells what random pairs of %s and %s score",
                 e->side[0].modality, e->side[1].modality);
        return;
    }
    snprintf(line, LINE,
             "higher than %.2f %% of random %s-%s pairs in this archive; half of them score below "
             "%.2f, 95 %% below %.2f, 99 %% below %.2f",
             (double)e->percentile, e->side[0].modality, e->side[1].modality, (double)e->p50,
             (double)e->p95, (double)e->p99);
}

static void tell_parts(const dip_explanation *e, char *line)
{
    size_t used = (size_t)snprintf(line, LINE, "made of ");
    for (size_t p = 0; p < e->part_count; p++)
        used += (size_t)snprintf(line + used, LINE - used, "%s%.3f from %s (%.2f of %.2f)",
                                 p ? " and " : "", (double)e->part[p].share, e->part[p].name,
                                 (double)e->part[p].cosine, (double)e->part[p].weight);
}

static void tell_places(const dip_explanation *e, char *line)
{
    if (e->has_heat)
        snprintf(line, LINE, "best-matching part: %s (%.2f); weakest: %s (%.2f)", e->best.name,
                 (double)e->best.score, e->weakest.name, (double)e->weakest.score);
    else
        snprintf(line, LINE, "%s", e->no_heat);
}

static size_t words_of(const char *list)
{
    size_t n = *list != 0;
    for (; *list; list++) n += *list == '|';
    return n;
}

static void tell_labels(const dip_explanation *e, char *line)
{
    char both[LINE / 4], a[LINE / 4], b[LINE / 4];
    const size_t n = words_of(e->labels_both);
    const size_t all = n + words_of(e->labels_a) + words_of(e->labels_b);
    dip_list_spread(e->labels_both, both, sizeof both);
    dip_list_spread(e->labels_a, a, sizeof a);
    dip_list_spread(e->labels_b, b, sizeof b);
    line[0] = '\0';
    if (!all) return;
    size_t used = (size_t)snprintf(line, LINE, "labels agree in %zu of %zu%s%s%s", n, all,
                                   n ? " (" : "", both, n ? ")" : "");
    if (*a) used += (size_t)snprintf(line + used, LINE - used, "; only the first: %s", a);
    if (*b) snprintf(line + used, LINE - used, "; only the second: %s", b);
}

static void tell_apart(const dip_explanation *e, char *line)
{
    size_t used = 0;
    line[0] = '\0';
    if (!isnan(e->distance_km))
        used = (size_t)snprintf(line, LINE, "%.*f km apart", e->distance_km < 10 ? 1 : 0,
                                e->distance_km);
    if (!isnan(e->days_apart))
        snprintf(line + used, LINE - used, "%s%.0f days apart", used ? "; " : "",
                 floor(e->days_apart));
}

typedef void (*tell)(const dip_explanation *e, char *line);
static const tell tells[] = {tell_random, tell_parts, tell_places, tell_labels, tell_apart};

void dip_explain_print(const dip_explanation *e, FILE *out)
{
    char line[LINE], title[2][TITLE];
    for (int s = 0; s < 2; s++) dip_explanation_title(e, s, title[s], TITLE);
    fprintf(out, "%s and %s\n  score %.4f\n", title[0], title[1], (double)e->score);
    for (size_t i = 0; i < sizeof tells / sizeof *tells; i++) {
        tells[i](e, line);
        if (*line) fprintf(out, "  %s\n", line);
    }
}

/* ---- page ---- */

/* clang-format off */
static const char style[] =
    ".pair{display:grid;grid-template-columns:repeat(2,minmax(0,384px)) auto;gap:16px;padding-bottom:10px}"
    ".pair img{border-radius:8px}.pair figcaption{color:var(--dim);font-size:12.5px;margin-top:5px}"
    ".pair h2{font-size:15px;margin:0 0 6px;overflow-wrap:anywhere}"
    ".key{display:flex;gap:8px}.key i{display:block;width:22px;height:16px}.key i:first-child{border-radius:6px 6px 0 0}"
    ".key i:last-child{border-radius:0 0 6px 6px}.key div:last-child{display:flex;flex-direction:column;"
    "justify-content:space-between;height:384px;font-variant-numeric:tabular-nums;font-size:12.5px;color:var(--dim)}"
    "main{max-width:1500px;margin:0 auto;padding:0 28px 26px}main ul{margin:0 0 18px;padding-left:18px}"
    "@media(max-width:820px){.key div:last-child{height:auto}}";
/* clang-format on */

static dip_status picture(FILE *out, const dip_archive *archive, const dip_explanation *e, int side,
                          bool heat)
{
    dip_picture panel = {.width = 0};
    uint8_t *png = NULL;
    size_t length = 0;
    char title[TITLE];
    dip_status status = dip_explanation_panel(&panel, archive, e, side, heat);
    if (!status)
        status =
            dip_png_encode(panel.pixels, panel.width, panel.height, panel.channels, &png, &length);
    dip_explanation_title(e, side, title, sizeof title);
    if (!status) dip_html_png(out, png, length, heat ? "heat" : "plain", title);
    dip_free(png);
    dip_picture_fini(&panel);
    return status;
}

static void caption(FILE *out, const dip_archive *archive, const dip_explained *side, bool heat)
{
    char bands[128] = "";
    int position = dip_archive_find_modality(archive, side->modality);
    if (position >= 0)
        dip_picture_caption(dip_archive_modality(archive, (size_t)position), bands, sizeof bands);
    fputs("<figcaption><span class=\"modality\">", out);
    dip_html_text(out, side->modality);
    fputs("</span> ", out);
    dip_html_text(out, heat ? "under the map of what matches" : bands);
    fputs("</figcaption>", out);
}

static dip_status row(FILE *out, const dip_archive *archive, const dip_explanation *e, bool heat)
{
    dip_status status = DIP_OK;
    char title[TITLE];
    for (int s = 0; s < 2 && !status; s++) {
        dip_explanation_title(e, s, title, sizeof title);
        fputs("<figure>", out);
        if (!heat) {
            fputs("<h2>", out);
            dip_html_text(out, title);
            fputs("</h2>", out);
        }
        status = picture(out, archive, e, s, heat);
        caption(out, archive, &e->side[s], heat);
        fputs("</figure>\n", out);
    }
    return status;
}

static void key(FILE *out, const dip_explanation *e)
{
    float low, high;
    dip_explanation_range(e, &low, &high);
    fputs("<div class=\"key\"><div>", out);
    for (int i = 0; i < SWATCHES; i++) {
        uint8_t rgb[3];
        dip_heat_colour(1 - (float)i / (SWATCHES - 1), rgb);
        fprintf(out, "<i style=\"background:#%02x%02x%02x\"></i>", rgb[0], rgb[1], rgb[2]);
    }
    fprintf(out,
            "</div><div><span>%.2f matches best</span><span>%.2f</span><span>%.2f "
            "least</span></div></div>\n",
            (double)high, (double)(low + high) / 2, (double)low);
}

static dip_status pictures(FILE *out, const dip_archive *archive, const dip_explanation *e)
{
    fputs("<div class=\"pair\">", out);
    dip_status status = row(out, archive, e, false);
    fputs("<span></span>", out);
    if (!status && e->has_heat) status = row(out, archive, e, true);
    if (!status && e->has_heat) key(out, e);
    fputs("</div>", out);
    return status;
}

static void summary(FILE *out, const dip_explanation *e)
{
    char line[LINE];
    fputs("<ul>", out);
    for (size_t i = 0; i < sizeof tells / sizeof *tells; i++) {
        tells[i](e, line);
        if (!*line) continue;
        fputs("<li>", out);
        dip_html_text(out, line);
        fputs("</li>\n", out);
    }
    fputs("</ul>", out);
}

dip_status dip_explain_page(const dip_archive *archive, const dip_explanation *e, const char *path)
{
    const char *const styles[] = {dip_sheet_style, style, NULL};
    char title[2][TITLE], both[2 * TITLE + 8];
    dip_aside file;
    dip_status status = dip_file_begin(&file, path);
    if (status) return status;
    for (int s = 0; s < 2; s++) dip_explanation_title(e, s, title[s], TITLE);
    snprintf(both, sizeof both, "%s and %s", title[0], title[1]);
    dip_html_begin(file.stream, both, styles);
    fprintf(file.stream, "<header><h1>Score %.3f</h1><p class=\"dim\">", (double)e->score);
    dip_html_text(file.stream, both);
    fputs("</p></header><main>\n", file.stream);
    summary(file.stream, e);
    status = pictures(file.stream, archive, e);
    fputs("<p class=\"dim\">The map compares the same part of both: cut out and enlarged, shown "
          "alone, and "
          "hidden. 1 is how a tile matches itself. A part is half of a tile&rsquo;s width and "
          "height; its "
          "number is the score of the two cuts.</p></main>\n",
          file.stream);
    dip_html_end(file.stream);
    if (!status) status = dip_file_commit(&file);
    dip_file_abandon(&file);
    return status;
}
