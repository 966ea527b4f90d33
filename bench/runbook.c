/* Run-books, read line by line and made; see runbook.h. */
#include "bench/runbook.h"

#include "core/file.h"
#include "core/mem.h"
#include "core/rng.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 28, LEAST_ROWS = 10, SEED = 1 };

static const char *const words[BENCH_OPERATIONS] = {"insert", "delete", "search"};

typedef struct reading {
    const char *path;
    char set[128]; /* whose steps are wanted; "": the first's */
    bench_runbook book;
    size_t line, room, indent; /* indent: of the step at work */
    bool wanted, in_step;
} reading;

static dip_status wrong(const reading *r, const char *what, const char *word)
{
    return dip_fail(DIP_EFORMAT,
                    "'%s', line %zu: %s '%s'; see bench/runbook.h for what a run-book may say",
                    r->path, r->line, what, word);
}

static bool is_number(const char *word, size_t *value)
{
    char *end;
    *value = strtoull(word, &end, 10);
    return isdigit((unsigned char)*word) && !*end && strlen(word) < 16;
}

/* Takes blanks and one pair of quotes off. */
static char *bare(char *word)
{
    while (isspace((unsigned char)*word)) word++;
    size_t n = strlen(word);
    while (n && isspace((unsigned char)word[n - 1])) n--;
    if (n > 1 && (*word == '"' || *word == '\'') && word[n - 1] == *word) word++, n -= 2;
    word[n] = 0;
    return word;
}

static dip_status begin_step(reading *r, size_t number, size_t indent)
{
    bench_runbook *b = &r->book;
    if (b->count && b->steps[b->count - 1].number >= number)
        return wrong(r, "steps do not ascend at", r->set);
    if (dip_array_reserve((void **)&b->steps, &r->room, b->count + 1, sizeof *b->steps))
        return DIP_ENOMEM;
    b->steps[b->count++] = (bench_step){.number = number, .operation = BENCH_OPERATIONS};
    r->in_step = true;
    r->indent = indent;
    return DIP_OK;
}

static dip_status read_field(reading *r, const char *key, const char *value)
{
    bench_step *s = &r->book.steps[r->book.count - 1];
    if (!strcmp(key, "start"))
        return is_number(value, &s->start) ? DIP_OK : wrong(r, "no number:", value);
    if (!strcmp(key, "end"))
        return is_number(value, &s->end) ? DIP_OK : wrong(r, "no number:", value);
    if (strcmp(key, "operation") != 0) return wrong(r, "a step has no", key);
    for (s->operation = BENCH_INSERT; s->operation < BENCH_OPERATIONS; s->operation++)
        if (!strcmp(value, words[s->operation])) return DIP_OK;
    return wrong(r, "unknown operation", value);
}

static dip_status read_line(reading *r, char *text)
{
    size_t indent = strspn(text, " "), number;
    char *note = strchr(text, '#');
    while (note && note > text && !isspace((unsigned char)note[-1])) note = strchr(note + 1, '#');
    if (note) *note = 0;
    char *key = bare(text), *colon = strchr(key, ':');
    if (!*key || !strcmp(key, "---")) return DIP_OK;
    if (!colon || text[indent] == '\t') return wrong(r, "no 'key: value' but", key);
    *colon = 0;
    const char *value = bare(colon + 1);
    key = bare(key);
    if (!indent) {
        if (!*r->set) snprintf(r->set, sizeof r->set, "%s", key);
        r->wanted = !strcmp(key, r->set);
        r->in_step = false;
        return DIP_OK;
    }
    if (!r->wanted) return DIP_OK;
    if (r->in_step && indent > r->indent) return read_field(r, key, value);
    r->in_step = false;
    return is_number(key, &number) && !*value ? begin_step(r, number, indent) : DIP_OK;
}

static dip_status check_steps(reading *r)
{
    bench_runbook *b = &r->book;
    if (!b->count)
        return dip_fail(DIP_ENOENT, "'%s' has no steps for data set '%s'", r->path, r->set);
    for (size_t i = 0; i < b->count; i++) {
        const bench_step *s = &b->steps[i];
        if (s->operation == BENCH_OPERATIONS ||
            (s->operation != BENCH_SEARCH && s->start >= s->end))
            return dip_fail(DIP_EFORMAT,
                            "'%s': step %zu needs an operation, and unless that is search a start "
                            "and an end behind it",
                            r->path, s->number);
        if (s->end > b->rows) b->rows = s->end;
    }
    return DIP_OK;
}

dip_status bench_runbook_read(bench_runbook *out, const char *path, const char *set)
{
    reading r = {.path = path};
    char *text = NULL, *rest;
    size_t length;
    snprintf(r.set, sizeof r.set, "%s", set ? set : "");
    dip_status status = dip_file_read(&text, &length, path, MOST_BYTES);
    for (rest = text; !status && rest && *rest;) {
        char *line = rest, *end = strchr(line, '\n');
        rest = end ? end + 1 : NULL;
        if (end) *end = 0;
        r.line++;
        status = read_line(&r, line);
    }
    if (!status) status = check_steps(&r);
    dip_free(text);
    if (status)
        dip_free(r.book.steps);
    else
        *out = r.book;
    return status;
}

/* ---- making ---- */

typedef struct making {
    FILE *out;
    size_t number, live, most;
} making;

static void put(making *m, bench_operation operation, size_t start, size_t end)
{
    fprintf(m->out, "  %zu:\n    operation: \"%s\"\n", ++m->number, words[operation]);
    if (operation == BENCH_SEARCH) return;
    fprintf(m->out, "    start: %zu\n    end: %zu\n", start, end);
    m->live = operation == BENCH_INSERT ? m->live + (end - start) : m->live - (end - start);
    if (m->live > m->most) m->most = m->live;
}

static void put_sliding(making *m, size_t rows, size_t parts)
{
    const size_t window = (parts + 1) / 2;
    for (size_t i = 0; i < parts; i++) {
        put(m, BENCH_INSERT, rows * i / parts, rows * (i + 1) / parts);
        if (i >= window)
            put(m, BENCH_DELETE, rows * (i - window) / parts, rows * (i - window + 1) / parts);
        put(m, BENCH_SEARCH, 0, 0);
    }
}

/* A share between 0.3 and 0.8 of a block's rows. */
static size_t share(size_t rows, uint64_t stream)
{
    dip_rng rng;
    dip_rng_init(&rng, SEED, stream);
    return (size_t)((double)rows * dip_rng_range(&rng, 0.3, 0.8));
}

static void put_clustered(making *m, size_t rows, size_t parts)
{
    const size_t blocks = (parts + 1) / 2;
    for (size_t i = 0; i < parts; i++) {
        const size_t b = i % blocks, start = rows * b / blocks, end = rows * (b + 1) / blocks;
        const size_t middle = start + share(end - start, b);
        if (i >= blocks) put(m, BENCH_DELETE, start, start + share(middle - start, i));
        put(m, BENCH_INSERT, i < blocks ? start : middle, i < blocks ? middle : end);
        put(m, BENCH_SEARCH, 0, 0);
    }
}

dip_status bench_runbook_make(const char *path, const char *kind, size_t rows, size_t parts)
{
    const bool sliding = !strcmp(kind, "sliding");
    if (!sliding && strcmp(kind, "clustered") != 0)
        return dip_fail(DIP_EINVAL, "no run-book is called '%s'; there are sliding and clustered",
                        kind);
    if (!parts || rows / parts < LEAST_ROWS)
        return dip_fail(DIP_EINVAL, "%zu rows are too few for %zu steps; each needs %d", rows,
                        parts, LEAST_ROWS);
    dip_aside file;
    dip_status status = dip_file_begin(&file, path);
    if (status) return status;
    making m = {.out = file.stream};
    fprintf(m.out, "%s-%zu-%zu:\n", kind, rows, parts);
    (sliding ? put_sliding : put_clustered)(&m, rows, parts);
    fprintf(m.out, "  max_pts: %zu\n", m.most);
    status = dip_file_commit(&file);
    dip_file_abandon(&file);
    return status;
}
