/* The options of a run; see run_options.h. The defaults are those of this program, the values those of config.ini. */
#include "tools/run_options.h"

#include "tools/html.h"
#include "train/align.h"
#include "train/options.h"

#include <ctype.h>
#include <string.h>

enum { VALUE = 512 };

typedef struct settings {
    FILE *out;
    const dip_run_history *run;
    const dip_option *table; /* of the command that made the run */
    union {
        dip_train_options train;
        dip_align_options align;
    } defaults;
} settings;

bool dip_run_aligns(const dip_run_history *run)
{
    char steps[VALUE];
    return dip_run_setting(run, "steps", steps, sizeof steps);
}

/* The run's value and the default; false: the run does not know the option. */
static bool values_of(const settings *s, const dip_option *row, char *value, char *fallback)
{
    if (row->type == DIP_OPTION_HEADING) return false;
    dip_options_get(row, &s->defaults, fallback, VALUE);
    return dip_run_setting(s->run, row->name, value, VALUE);
}

static void row_cells(const settings *s, const dip_option *row, const char *value,
                      const char *fallback)
{
    bool differs = strcmp(value, fallback) != 0;
    fprintf(s->out, "<tr%s><td><code>--%s</code></td><td>", differs ? " class=\"differs\"" : "",
            row->name);
    dip_html_text(s->out, value);
    fputs("</td><td class=\"dim\">", s->out);
    dip_html_text(s->out, fallback);
    fputs("</td><td class=\"dim\">", s->out);
    dip_html_text(s->out, row->help);
    fputs("</td></tr>\n", s->out);
}

/* A value as a word of the shell. */
static void shell_word(FILE *out, const char *value)
{
    static const char *const plain =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,_+-/";
    bool quoted = !*value || strspn(value, plain) != strlen(value);
    if (quoted) fputc('\'', out);
    for (const char *c = value; *c; c++) {
        if (*c == '\'')
            fputs("'\\''", out);
        else
            dip_html_text_n(out, c, 1);
    }
    if (quoted) fputc('\'', out);
}

static void command(const settings *s)
{
    char value[VALUE], fallback[VALUE];
    fprintf(s->out, "<pre>diptych %s",
            dip_run_aligns(s->run) ? "align ARCHIVE MODALITY=VECTORS..." : "train ARCHIVE");
    for (const dip_option *row = s->table; row->name; row++) {
        if (!values_of(s, row, value, fallback) || !strcmp(value, fallback)) continue;
        if (row->type == DIP_OPTION_FLAG) {
            fprintf(s->out, " --%s%s", strcmp(value, "no") ? "" : "no-", row->name);
            continue;
        }
        fprintf(s->out, " --%s ", row->name);
        shell_word(s->out, value);
    }
    fputs("</pre>\n", s->out);
}

static void table_head(const settings *s)
{
    fputs("<div class=\"scroll\"><table><tr><th>option</th><th>value</th><th>default</th>"
          "<th>meaning</th></tr>\n",
          s->out);
}

static void differing(const settings *s)
{
    char value[VALUE], fallback[VALUE];
    size_t count = 0;
    for (const dip_option *row = s->table; row->name; row++) {
        if (!values_of(s, row, value, fallback) || !strcmp(value, fallback)) continue;
        if (!count++) table_head(s);
        row_cells(s, row, value, fallback);
    }
    fputs(count ? "</table></div>\n" : "<p>All are the defaults.</p>\n", s->out);
}

static void all(const settings *s)
{
    char value[VALUE], fallback[VALUE];
    fputs("<details><summary>All options</summary>\n", s->out);
    table_head(s);
    for (const dip_option *row = s->table; row->name; row++) {
        if (row->type == DIP_OPTION_HEADING)
            fprintf(s->out, "<tr><th colspan=\"4\" class=\"group\">%s</th></tr>\n", row->name);
        else if (values_of(s, row, value, fallback))
            row_cells(s, row, value, fallback);
    }
    fputs("</table></div></details>\n", s->out);
}

void dip_run_options_write(FILE *out, const dip_run_history *run)
{
    settings s = {.out = out, .run = run};
    s.table = dip_run_aligns(run) ? dip_align_table : dip_train_table;
    dip_options_defaults(s.table, &s.defaults);
    fputs("<h2>Options that differ from the defaults</h2>\n", out);
    differing(&s);
    command(&s);
    all(&s);
}

void dip_run_part_title(const char *name, char *out, size_t capacity)
{
    static const char *const beginning = "weight of ";
    snprintf(out, capacity, "%s", name);
    for (const dip_option *row = dip_train_table; row->name; row++) {
        if (strcmp(row->name, name) != 0 || strncmp(row->help, beginning, strlen(beginning)) != 0)
            continue;
        const char *what = row->help + strlen(beginning);
        if (!strncmp(what, "the ", 4)) what += 4;
        snprintf(out, capacity, "%c%.*s (%s)", toupper((unsigned char)*what),
                 (int)strcspn(what, ";") - 1, what + 1, name);
    }
}
