/* What to measure of one engine; see spec.h. */
#define _GNU_SOURCE
#include "compare/spec.h"

#include "core/mem.h"

#include <stdio.h>
#include <string.h>

static const char blanks[] = " \t\r\n";

/* ---- grids ---- */

/* Names that the protocol itself uses. */
static bool reserved(const char *name)
{
    static const char *const names[] = {"base", "metric", "threads", "folder", "queries",
                                        "k",    "batch",  "out",     "seed"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name)) return true;
    return false;
}

static dip_status add_values(dip_grid *grid, size_t at, char *values)
{
    for (char *value; (value = strsep(&values, ","));) {
        if (!*value) return dip_fail(DIP_EINVAL, "'%s=' lacks a value", grid->names[at]);
        if (grid->value_count[at] == DIP_GRID_VALUES)
            return dip_fail(DIP_EINVAL, "'%s' has more than %d values", grid->names[at],
                            DIP_GRID_VALUES);
        grid->values[at][grid->value_count[at]++] = value;
    }
    return DIP_OK;
}

static dip_status add_parameter(dip_grid *grid, char *word)
{
    char *equals = strchr(word, '=');
    if (!equals || equals == word)
        return dip_fail(DIP_EINVAL, "'%s' is no parameter of the form NAME=VALUE,VALUE", word);
    *equals = '\0';
    if (reserved(word))
        return dip_fail(DIP_EINVAL, "'%s' is set for all engines alike, by an option of bench",
                        word);
    for (size_t i = 0; i < grid->count; i++)
        if (!strcmp(grid->names[i], word))
            return dip_fail(DIP_EINVAL, "'%s' is given twice; write its values as %s=1,2", word,
                            word);
    if (grid->count == DIP_GRID_MOST)
        return dip_fail(DIP_EINVAL, "more than %d parameters", DIP_GRID_MOST);
    grid->names[grid->count] = word;
    return add_values(grid, grid->count++, equals + 1);
}

dip_status dip_grid_parse(dip_grid *out, char *text)
{
    *out = (dip_grid){.count = 0};
    for (char *word, *rest = NULL; (word = strtok_r(text, blanks, &rest)); text = NULL) {
        dip_status status = add_parameter(out, word);
        if (status) return status;
    }
    return DIP_OK;
}

size_t dip_grid_size(const dip_grid *grid)
{
    size_t n = 1;
    for (size_t i = 0; i < grid->count; i++) n *= grid->value_count[i];
    return n;
}

void dip_grid_text(const dip_grid *grid, size_t i, char separator, char *out, size_t capacity)
{
    size_t n = dip_grid_size(grid), used = 0;
    *out = '\0';
    for (size_t p = 0; p < grid->count && used < capacity; p++) {
        n /= grid->value_count[p];
        const char *value = grid->values[p][i / n % grid->value_count[p]];
        used += (size_t)snprintf(out + used, capacity - used, "%s%s=%s",
                                 p ? (char[]){separator, '\0'} : "", grid->names[p], value);
    }
}

/* ---- lines ---- */

/* Is this word where the command ends? */
static bool ends_command(const char *word)
{
    return !strcmp(word, "/") ||
           (strchr(word, '=') && *word != '-' && *word != '/' && *word != '.');
}

/* Words up to the first parameter or the slash; the rest of the line goes to *rest. */
static dip_status take_command(dip_spec *s, char *line, char **rest)
{
    size_t n = 0;
    for (;;) {
        line += strspn(line, blanks);
        size_t length = strcspn(line, blanks);
        char *word = strndupa(line, length);
        if (!length || ends_command(word)) break;
        if (n == DIP_SPEC_WORDS)
            return dip_fail(DIP_EINVAL, "a command of more than %d words", DIP_SPEC_WORDS);
        bool last = !line[length];
        line[length] = '\0';
        if (n == 0 && !s->label && length > 1 && line[length - 1] == ':') {
            line[length - 1] = '\0';
            s->label = line;
        } else {
            s->command[n++] = line;
        }
        line += length + !last;
    }
    *rest = line;
    return n ? DIP_OK : dip_fail(DIP_EINVAL, "it names no engine");
}

/* Splits at a slash that stands alone. */
static char *find_slash(char *text)
{
    for (char *p = text; (p = strchr(p, '/')); p++) {
        bool before = p == text || strchr(blanks, p[-1]);
        if (before && (!p[1] || strchr(blanks, p[1]))) return p;
    }
    return NULL;
}

static dip_status parse(dip_spec *s)
{
    char *rest = NULL;
    dip_status status = take_command(s, s->text, &rest);
    if (status) return status;
    char *slash = find_slash(rest);
    if (slash) *slash = '\0';
    s->has_build = rest[strspn(rest, blanks)] != '\0';
    s->has_search = slash != NULL;
    status = dip_grid_parse(&s->build, rest);
    if (!status && slash) status = dip_grid_parse(&s->search, slash + 1);
    return status;
}

dip_status dip_spec_parse(dip_spec *out, const char *line)
{
    dip_spec s = {.text = dip_strdup(line)};
    dip_status status = s.text ? parse(&s) : DIP_ENOMEM;
    if (status && status != DIP_ENOMEM) dip_fail_prefix(status, "engine '%s'", line);
    if (status)
        dip_spec_fini(&s);
    else
        *out = s;
    return status;
}

void dip_spec_fini(dip_spec *spec)
{
    dip_free(spec->text);
    *spec = (dip_spec){.text = NULL};
}
