/*
 * The contact sheet; see sheet.h.
 *
 * A hit of another modality than the probe's also shows, small, the tile of the hit's own place in the probe's
 * modality: like is then set beside like. Everything that comes from the archive is escaped.
 */
#include "tools/sheet.h"

#include "core/file.h"
#include "ingest/raster.h"
#include "tools/html.h"
#include "front/picture.h"
#include "tools/sheet_style.h"
#include "front/tile.h"
#include "core/when.h"

#include <math.h>
#include <string.h>

typedef struct page {
    FILE *out;
    const dip_archive *archive;
    const dip_sheet *sheet;
} page;

static void escape(const page *p, const char *text) { dip_html_text(p->out, text); }

/* ---- pictures ---- */

static dip_status stored_image(const page *p, uint64_t id, const char *class)
{
    return dip_html_stored(p->out, p->archive, id, class);
}

/* The tile of `place` in the modality called `name`; DIP_NO_ID if there is none. */
static dip_status find_twin(const page *p, uint64_t place, const char *name, uint64_t *twin)
{
    uint64_t *ids;
    size_t n;
    int wanted = dip_archive_find_modality(p->archive, name);
    *twin = DIP_NO_ID;
    if (wanted < 0 || place == DIP_NO_ID) return DIP_OK;
    dip_status status = dip_archive_place(p->archive, place, &ids, &n);
    if (status) return status;
    for (size_t i = 0; i < n && !status && *twin == DIP_NO_ID; i++) {
        dip_meta *meta;
        status = dip_archive_meta(p->archive, ids[i], &meta);
        if (status) break;
        if ((int)meta->modality == wanted) *twin = ids[i];
        dip_meta_free(meta);
    }
    dip_ids_free(ids);
    return status;
}

/* ---- facts ---- */

static bool lists_share(const char *list, const char *word, size_t length)
{
    while (*list) {
        size_t n = strcspn(list, "|");
        if (n == length && !strncmp(list, word, n)) return true;
        list += n + (list[n] == '|');
    }
    return false;
}

/* Chips; those that stand in `shared` too are marked. */
static void labels(const page *p, const char *list, const char *shared)
{
    if (!*list) return;
    fputs("<ul class=\"labels\">", p->out);
    while (*list) {
        size_t n = strcspn(list, "|");
        fputs(lists_share(shared, list, n) ? "<li class=\"shared\">" : "<li>", p->out);
        for (size_t i = 0; i < n; i++) dip_html_text_n(p->out, list[i] == '_' ? " " : list + i, 1);
        fputs("</li>", p->out);
        list += n + (list[n] == '|');
    }
    fputs("</ul>", p->out);
}

static void fact(const page *p, const char *name, const char *value)
{
    if (!*value) return;
    fprintf(p->out, "<dt>%s</dt><dd>", name);
    escape(p, value);
    fputs("</dd>", p->out);
}

static void facts(const page *p, const dip_meta *meta)
{
    char when[DIP_WHEN_CAPACITY], where[64] = "";
    double lon, lat;
    dip_when_format_short(meta->time, when, sizeof when);
    char *clock = strchr(when, 'T');
    if (clock) { /* to the minute, so that it fits a card in one line */
        *clock = ' ';
        clock[strlen(" 00:00")] = '\0';
    }
    if (dip_meta_centre(meta, &lon, &lat)) snprintf(where, sizeof where, "%.4f, %.4f", lon, lat);
    fputs("<dl>", p->out);
    if (strcmp(meta->place_name, meta->name) != 0) fact(p, "place", meta->place_name);
    fact(p, "date", when);
    fact(p, "lon, lat", where);
    fputs("</dl>", p->out);
}

/* ---- probe and hits ---- */

static dip_status probe_pictures(const page *p, const dip_sheet_entry *e)
{
    const dip_answer *a = e->answer;
    const char *to = "";
    uint64_t twin = DIP_NO_ID;
    dip_status status;
    if (e->tile)
        status = dip_html_tile(p->out, e->tile, e->modality, "large");
    else
        status = stored_image(p, a->result->probe_id, "large");
    for (size_t i = 0; i < a->result->count && !status && twin == DIP_NO_ID; i++) {
        const dip_meta *hit = a->result->hits[i].meta;
        to = dip_archive_modality(p->archive, hit->modality)->name;
        if (strcmp(to, a->from) != 0) status = find_twin(p, a->meta->place, to, &twin);
    }
    if (status || twin == DIP_NO_ID) return status;
    fputs("<figure class=\"beside\">", p->out);
    status = stored_image(p, twin, "small");
    fputs("<figcaption>the same place in <span class=\"modality\">", p->out);
    escape(p, to);
    fputs("</span>, which the search did not see</figcaption></figure>", p->out);
    return status;
}

static dip_status probe_panel(const page *p, const dip_sheet_entry *e)
{
    const dip_answer *a = e->answer;
    char caption[128];
    int position = dip_archive_find_modality(p->archive, a->from);
    const dip_modality *modality =
        e->modality ? e->modality
                    : dip_archive_modality(p->archive, position < 0 ? 0 : (size_t)position);
    dip_picture_caption(modality, caption, sizeof caption);
    fputs("<aside><p class=\"kind\">Probe <span class=\"modality\">", p->out);
    escape(p, a->from);
    fputs("</span> <span class=\"dim\">", p->out);
    escape(p, caption);
    fputs("</span></p>", p->out);
    dip_status status = probe_pictures(p, e);
    fputs("<h2>", p->out);
    escape(p, a->meta->name);
    fputs("</h2>", p->out);
    facts(p, a->meta);
    labels(p, a->meta->labels, "");
    fputs("</aside>\n", p->out);
    return status;
}

static void score(const page *p, const dip_hit *hit)
{
    double share = hit->score < 0 ? 0 : hit->score > 1 ? 1 : (double)hit->score;
    fprintf(
        p->out,
        "<div class=\"score\"><b>%.3f</b><span class=\"bar\"><i style=\"width:%.1f%%\"></i></span>",
        (double)hit->score, 100 * share);
    if (!isnan(hit->percentile))
        fprintf(
            p->out,
            "<span class=\"dim\" title=\"share of random pairs that score lower\">%.2f %%</span>",
            (double)hit->percentile);
    fputs("</div>", p->out);
}

static dip_status card(const page *p, const dip_answer *a, size_t rank)
{
    const dip_hit *hit = &a->result->hits[rank - 1];
    const char *modality = dip_archive_modality(p->archive, hit->meta->modality)->name;
    uint64_t twin = DIP_NO_ID;
    fputs("<article><figure>", p->out);
    dip_status status = stored_image(p, hit->id, "hit");
    if (!status && strcmp(modality, a->from) != 0)
        status = find_twin(p, hit->meta->place, a->from, &twin);
    if (!status && twin != DIP_NO_ID) status = stored_image(p, twin, "twin");
    fprintf(p->out, "<span class=\"rank\">%zu</span>", rank);
    if (hit->meta->place == a->meta->place && hit->meta->place != DIP_NO_ID)
        fputs("<span class=\"same\">same place</span>", p->out);
    fputs("</figure><div class=\"text\">", p->out);
    score(p, hit);
    fputs("<h3><span class=\"modality\">", p->out);
    escape(p, modality);
    fputs("</span> ", p->out);
    escape(p, hit->meta->name);
    fputs("</h3>", p->out);
    facts(p, hit->meta);
    labels(p, hit->meta->labels, a->meta->labels);
    fputs("</div></article>\n", p->out);
    return status;
}

static void section_heading(const page *p, const dip_answer *a)
{
    const dip_result *r = a->result;
    fprintf(p->out, "<h2 class=\"found\">%zu most similar", r->count);
    if (r->count) {
        bool one = true;
        for (size_t i = 1; i < r->count; i++)
            one &= r->hits[i].meta->modality == r->hits[0].meta->modality;
        if (one) {
            fputs(" in <span class=\"modality\">", p->out);
            escape(p, dip_archive_modality(p->archive, r->hits[0].meta->modality)->name);
            fputs("</span>", p->out);
        }
    }
    fprintf(p->out, " <span class=\"dim\">of %llu tiles</span></h2>",
            (unsigned long long)r->matching);
}

static dip_status section(const page *p, const dip_sheet_entry *e)
{
    fputs("<section>\n", p->out);
    dip_status status = probe_panel(p, e);
    fputs("<div>", p->out);
    section_heading(p, e->answer);
    fputs("<div class=\"grid\">\n", p->out);
    for (size_t i = 0; i < e->answer->result->count && !status; i++)
        status = card(p, e->answer, i + 1);
    fputs("</div></div></section>\n", p->out);
    return status;
}

/* ---- page ---- */

static void head(const page *p, bool simulated)
{
    const dip_sheet *s = p->sheet;
    const char *const styles[] = {dip_sheet_style, NULL};
    char title[512];
    snprintf(title, sizeof title, "%s%s", dip_archive_title(p->archive),
             simulated ? " (simulated data)" : "");
    dip_html_begin(p->out, title, styles);
    fputs("<header><h1>", p->out);
    escape(p, dip_archive_title(p->archive));
    fputs("</h1>", p->out);
    if (simulated) fputs("<span class=\"badge\">simulated data</span>", p->out);
    fputs("<p class=\"dim\">model ", p->out);
    escape(p, s->model);
    if (*s->filters) {
        fputs(" &middot; ", p->out);
        escape(p, s->filters);
    }
    fputs("</p></header>\n", p->out);
}

static void foot(const page *p)
{
    fputs("<footer><p>The number is the cosine of the two embeddings, the percentage the share of "
          "random pairs of "
          "different places in this archive that score lower. "
          "A small picture inside a hit shows the hit&rsquo;s own place in the probe&rsquo;s "
          "modality. Each "
          "picture is stretched by itself. Times are UTC.</p><p>Diptych</p></footer>\n",
          p->out);
    dip_html_end(p->out);
}

dip_status dip_sheet_write(const dip_sheet *sheet, const char *path)
{
    dip_aside file;
    bool simulated = false;
    dip_raster_init();
    dip_status status = dip_file_begin(&file, path);
    if (status) return status;
    page p = {file.stream, sheet->archive, sheet};
    for (size_t i = 0; i < sheet->count; i++) simulated |= sheet->entries[i].answer->simulated;
    head(&p, simulated);
    for (size_t i = 0; i < sheet->count && !status; i++) status = section(&p, &sheet->entries[i]);
    foot(&p);
    if (!status) status = dip_file_commit(&file);
    dip_file_abandon(&file);
    return status;
}
