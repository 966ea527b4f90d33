/*
 * Examples of a run; see run_examples.h. A direction has two columns, best and worst; an example is a strip: the
 * probe, its twin, and the tiles nearest to the probe.
 */
#include "tools/run_examples.h"

#include "tools/html.h"
#include "front/picture.h"
#include "front/tile.h"

#include <string.h>

/* The tile's metadata, NULL if it is gone. */
static dip_status look_up(const dip_archive *archive, uint64_t id, dip_meta **meta)
{
    *meta = NULL;
    dip_status status = dip_archive_meta(archive, id, meta);
    if (status != DIP_ENOENT) return status;
    dip_error_clear();
    return DIP_OK;
}

/* Opens the figure of a tile, which tells its name when pointed at. */
static dip_status begin_figure(FILE *out, const dip_archive *archive, uint64_t id,
                               const char *class)
{
    char title[512] = "";
    dip_meta *meta;
    dip_status status = look_up(archive, id, &meta);
    if (status) return status;
    if (meta) dip_meta_title(archive, meta, title, sizeof title);
    fprintf(out, "<figure class=\"%s\" title=\"", class);
    dip_html_text(out, title);
    fputs("\">", out);
    if (meta)
        status = dip_html_stored(out, archive, id, "tile");
    else
        fputs("<span class=\"gone\">no longer in the archive</span>", out);
    dip_meta_free(meta);
    return status;
}

static dip_status hits(FILE *out, const dip_archive *archive, const dip_run_example *e)
{
    dip_status status = DIP_OK;
    for (size_t i = 0; i < e->hit_count && !status; i++) {
        bool twin = e->hits[i] == e->twin;
        status = begin_figure(out, archive, e->hits[i], twin ? "own" : "");
        fprintf(out, "<figcaption>%s%zu%s<span>%.3f</span></figcaption></figure>",
                twin ? "<b>" : "", i + 1, twin ? "</b>" : "", e->hit_scores[i]);
    }
    return status;
}

static dip_status strip(FILE *out, const dip_archive *archive, const dip_run_example *e)
{
    dip_meta *meta;
    dip_status status = look_up(archive, e->probe, &meta);
    fputs("<div class=\"strip\">", out);
    if (!status) status = begin_figure(out, archive, e->probe, "");
    fputs("<figcaption class=\"name\">", out);
    dip_html_text(out, meta ? meta->name : "");
    fputs("</figcaption></figure>", out);
    dip_meta_free(meta);
    if (!status) status = begin_figure(out, archive, e->twin, "own");
    fprintf(out, "<figcaption><b>%zu</b><span>%.3f</span></figcaption></figure><i></i>", e->rank,
            e->score);
    if (!status) status = hits(out, archive, e);
    fputs("</div>\n", out);
    return status;
}

static bool same_direction(const dip_run_example *a, const dip_run_example *b)
{
    return !strcmp(a->from, b->from) && !strcmp(a->to, b->to);
}

static dip_status column(FILE *out, const dip_archive *archive, const dip_run_history *run,
                         const dip_run_example *first, bool best)
{
    dip_status status = DIP_OK;
    fprintf(out,
            "<div><h4>Found %s</h4><div class=\"strip names\"><span>probe</span><span>its twin"
            "</span><i></i><span>nearest of %zu, with rank and score</span></div>\n",
            best ? "best" : "worst", first->of);
    for (size_t i = 0; i < run->example_count && !status; i++) {
        const dip_run_example *e = &run->examples[i];
        if (same_direction(e, first) && e->best == best) status = strip(out, archive, e);
    }
    fputs("</div>\n", out);
    return status;
}

static void caption(FILE *out, const dip_archive *archive, const char *name)
{
    char shown[128] = "";
    int position = dip_archive_find_modality(archive, name);
    if (position >= 0)
        dip_picture_caption(dip_archive_modality(archive, (size_t)position), shown, sizeof shown);
    fputs("<span class=\"modality\">", out);
    dip_html_text(out, name);
    fputs("</span> <span class=\"dim\">", out);
    dip_html_text(out, shown);
    fputs("</span>", out);
}

static dip_status direction(FILE *out, const dip_archive *archive, const dip_run_history *run,
                            const dip_run_example *first)
{
    fputs("<h3>", out);
    caption(out, archive, first->from);
    fputs(" &rarr; ", out);
    caption(out, archive, first->to);
    fputs("</h3>\n<div class=\"columns\">\n", out);
    dip_status status = column(out, archive, run, first, true);
    if (!status) status = column(out, archive, run, first, false);
    fputs("</div>\n", out);
    return status;
}

dip_status dip_run_examples_write(FILE *out, const dip_archive *archive, const dip_run_history *run)
{
    dip_status status = DIP_OK;
    if (!run->example_count) return DIP_OK;
    fputs("<h2>Held-out pairs</h2>\n<p>The twin of a probe is the tile of the same place in the "
          "other modality; its rank among all held-out tiles should be 1. What stands before it "
          "outranked it.</p>\n",
          out);
    for (size_t i = 0; i < run->example_count && !status; i++) {
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = same_direction(&run->examples[i], &run->examples[j]);
        if (!seen) status = direction(out, archive, run, &run->examples[i]);
    }
    return status;
}

dip_status dip_run_examples_simulated(const dip_archive *archive, const dip_run_history *run,
                                      bool *simulated)
{
    *simulated = false;
    for (size_t i = 0; i < run->example_count && !*simulated; i++) {
        dip_meta *meta;
        dip_status status = look_up(archive, run->examples[i].probe, &meta);
        if (status) return status;
        *simulated = meta && dip_meta_simulated(meta);
        dip_meta_free(meta);
    }
    return DIP_OK;
}
