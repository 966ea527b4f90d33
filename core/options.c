/* Options tables; see options.h. */
#include "core/options.h"

#include "core/mem.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void *field(const dip_option *row, void *values) { return (char *)values + row->offset; }

static size_t edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    size_t n = strlen(a), m = strlen(b), row[LONGEST + 1];
    if (n > LONGEST || m > LONGEST) return LONGEST;
    for (size_t j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

const char *dip_nearest_word(const char *word, const char *const *words, size_t count)
{
    const char *best = NULL;
    size_t length = strlen(word), least = length / 2 + 1;
    for (size_t i = 0; i < count; i++) {
        size_t distance = edit_distance(word, words[i]);
        if (distance > 1 && length > 2 && !strncmp(word, words[i], length)) distance = 1;
        if (distance < least) {
            least = distance;
            best = words[i];
        }
    }
    return best;
}

static bool is_heading(const dip_option *row) { return row->type == DIP_OPTION_HEADING; }

static const dip_option *find(const dip_option *table, const char *name, size_t length)
{
    for (const dip_option *row = table; row->name; row++)
        if (!is_heading(row) && strlen(row->name) == length && !strncmp(row->name, name, length))
            return row;
    return NULL;
}

static dip_status unknown_option(const dip_option *table, const char *name)
{
    enum { MOST = 256 };
    const char *words[MOST];
    size_t n = 0;
    for (const dip_option *row = table; row->name && n < MOST; row++)
        if (!is_heading(row)) words[n++] = row->name;
    const char *near = dip_nearest_word(name, words, n);
    if (near) return dip_fail(DIP_EINVAL, "unknown option '%s'; did you mean '%s'?", name, near);
    return dip_fail(DIP_EINVAL, "unknown option '%s'; see --help", name);
}

static dip_status set_flag(const dip_option *row, void *target, const char *text)
{
    static const char *const yes[] = {"1", "yes", "true", "on"};
    static const char *const no[] = {"0", "no", "false", "off"};
    if (!text) {
        *(bool *)target = true;
        return DIP_OK;
    }
    for (size_t i = 0; i < 4; i++) {
        if (!strcmp(text, yes[i]) || !strcmp(text, no[i])) {
            *(bool *)target = !strcmp(text, yes[i]);
            return DIP_OK;
        }
    }
    return dip_fail(DIP_EINVAL, "option '%s': '%s' is neither yes nor no", row->name, text);
}

/* Whole numbers keep all 64 bits; "1e6" is one too. */
static bool parse_whole(const char *text, double value, int64_t *out)
{
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (!errno && end != text && !*end) return true;
    if (value != floor(value) || value < -0x1p63 || value >= 0x1p63) return false;
    *out = (int64_t)value;
    return true;
}

static dip_status set_number(const dip_option *row, void *target, const char *text)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    int64_t whole = 0;
    if (end == text || *end || errno || !isfinite(value))
        return dip_fail(DIP_EINVAL, "option '%s': '%s' is not a number", row->name, text);
    if (row->type == DIP_OPTION_INT && !parse_whole(text, value, &whole))
        return dip_fail(DIP_EINVAL, "option '%s': '%s' is not a whole number", row->name, text);
    if (row->low != row->high && (value < row->low || value > row->high))
        return dip_fail(DIP_EINVAL, "option '%s': %s is outside %.10g..%.10g", row->name, text,
                        row->low, row->high);
    if (row->type == DIP_OPTION_REAL)
        *(double *)target = value;
    else
        *(int64_t *)target = whole;
    return DIP_OK;
}

static dip_status set_choice(const dip_option *row, void *target, const char *text)
{
    int position = 0;
    size_t length = strlen(text);
    for (const char *word = row->choices; word; position++) {
        const char *bar = strchr(word, '|');
        size_t n = bar ? (size_t)(bar - word) : strlen(word);
        if (n == length && !strncmp(word, text, n)) {
            *(int *)target = position;
            return DIP_OK;
        }
        word = bar ? bar + 1 : NULL;
    }
    return dip_fail(DIP_EINVAL, "option '%s': '%s' is none of %s", row->name, text, row->choices);
}

static dip_status set_row(const dip_option *row, void *values, const char *text)
{
    void *target = field(row, values);
    if (row->type == DIP_OPTION_FLAG) return set_flag(row, target, text);
    if (!text) return dip_fail(DIP_EINVAL, "option '%s' needs a value", row->name);
    switch (row->type) {
    case DIP_OPTION_INT:
    case DIP_OPTION_REAL: return set_number(row, target, text);
    case DIP_OPTION_CHOICE: return set_choice(row, target, text);
    default: *(const char **)target = text; return DIP_OK;
    }
}

dip_status dip_options_set(const dip_option *table, void *values, const char *name,
                           const char *text)
{
    const dip_option *row = find(table, name, strlen(name));
    return row ? set_row(row, values, text) : unknown_option(table, name);
}

void dip_options_defaults(const dip_option *table, void *values)
{
    for (const dip_option *row = table; row->name; row++) {
        if (is_heading(row)) continue;
        if (row->fallback) {
            dip_status status = set_row(row, values, row->fallback);
            assert(!status && "a default must parse");
            (void)status;
        } else if (row->type == DIP_OPTION_TEXT) {
            *(const char **)field(row, values) = NULL;
        } else if (row->type == DIP_OPTION_FLAG) {
            *(bool *)field(row, values) = false;
        } else if (row->type == DIP_OPTION_CHOICE) {
            *(int *)field(row, values) = 0;
        } else {
            memset(field(row, values), 0, 8);
        }
    }
}

/* One "--..." word; *used tells whether the next word was its value. */
static dip_status parse_long(const dip_option *table, void *values, const char *word,
                             const char *next, bool *used)
{
    const char *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    const dip_option *row = find(table, word, length);
    if (!row && !equals && !strncmp(word, "no-", 3)) {
        row = find(table, word + 3, length - 3);
        if (row && row->type == DIP_OPTION_FLAG) return set_row(row, values, "no");
        row = NULL;
    }
    if (!row) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)length, word);
        return unknown_option(table, name);
    }
    if (equals) return set_row(row, values, equals + 1);
    if (row->type == DIP_OPTION_FLAG) return set_row(row, values, NULL);
    *used = next != NULL;
    return set_row(row, values, next);
}

static dip_status parse_short(const dip_option *table, void *values, const char *word,
                              const char *next, bool *used)
{
    for (const dip_option *row = table; row->name; row++) {
        if (row->letter != word[0]) continue;
        if (row->type == DIP_OPTION_FLAG && !word[1]) return set_row(row, values, NULL);
        if (word[1]) return set_row(row, values, word + 1);
        *used = next != NULL;
        return set_row(row, values, next);
    }
    return dip_fail(DIP_EINVAL, "unknown option '-%c'; see --help", word[0]);
}

/* "-73.9,40.7" is a value (a negative number), not an option. */
static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] && !strchr("0123456789.", word[1]);
}

dip_status dip_options_parse(const dip_option *table, void *values, int argc, char **argv,
                             int *rest)
{
    int kept = 0;
    for (int i = 1; i < argc; i++) {
        char *word = argv[i];
        if (!strcmp(word, "--")) {
            while (++i < argc) argv[1 + kept++] = argv[i];
            break;
        }
        if (!is_option(word)) {
            argv[1 + kept++] = word;
            continue;
        }
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        bool used = false;
        dip_status status = word[1] == '-' ? parse_long(table, values, word + 2, next, &used)
                                           : parse_short(table, values, word + 1, next, &used);
        if (status) return status;
        i += used;
    }
    *rest = kept;
    return DIP_OK;
}

/* The shortest text that reads back as the same number. */
static void print_real(double value, char *out, size_t capacity)
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(out, capacity, "%.*g", digits, value);
        if (strtod(out, NULL) == value) return;
    }
}

void dip_options_get(const dip_option *row, const void *values, char *out, size_t capacity)
{
    const void *source = (const char *)values + row->offset;
    const char *text;
    switch (row->type) {
    case DIP_OPTION_FLAG:
        snprintf(out, capacity, "%s", *(const bool *)source ? "yes" : "no");
        break;
    case DIP_OPTION_INT:
        snprintf(out, capacity, "%lld", (long long)*(const int64_t *)source);
        break;
    case DIP_OPTION_REAL: print_real(*(const double *)source, out, capacity); break;
    case DIP_OPTION_CHOICE: {
        const char *word = row->choices;
        for (int i = *(const int *)source; i > 0 && word; i--) word = strchr(word, '|') + 1;
        snprintf(out, capacity, "%.*s", (int)strcspn(word, "|"), word);
        break;
    }
    default:
        text = *(const char *const *)source;
        snprintf(out, capacity, "%s", text ? text : "");
        break;
    }
}

void dip_options_usage(const dip_option *row, char *out, size_t capacity)
{
    char letter[8] = "";
    const char *word = row->choices;
    if (row->letter) snprintf(letter, sizeof letter, "-%c, ", row->letter);
    if (row->type == DIP_OPTION_FLAG) {
        bool on = row->fallback && !strcmp(row->fallback, "yes");
        snprintf(out, capacity, "%s--%s%s", letter, on ? "[no-]" : "", row->name);
        return;
    }
    if (!word)
        word = row->type == DIP_OPTION_REAL ? "X" : row->type == DIP_OPTION_INT ? "N" : "TEXT";
    snprintf(out, capacity, "%s--%s %s", letter, row->name, word);
}

static bool is_listed(const char *name, const char *const *list)
{
    for (; list && *list; list++)
        if (!strcmp(*list, name)) return true;
    return false;
}

char *dip_options_text(const dip_option *table, const void *values, const char *const *without)
{
    char *text = dip_strdup("");
    for (const dip_option *row = table; text && row->name; row++) {
        char value[512];
        if (is_heading(row) || is_listed(row->name, without)) continue;
        dip_options_get(row, values, value, sizeof value);
        char *longer = dip_sprintf("%s%s = %s\n", text, row->name, value);
        dip_free(text);
        text = longer;
    }
    return text;
}

const char *dip_options_fallback(const dip_option *row)
{
    if (!row->fallback || !*row->fallback) return NULL;
    return row->type != DIP_OPTION_FLAG || !strcmp(row->fallback, "yes") ? row->fallback : NULL;
}

static void help_row(const dip_option *row, FILE *out)
{
    enum { COLUMN = 30 };
    char usage[128];
    dip_options_usage(row, usage, sizeof usage);
    if (strlen(usage) <= COLUMN - 3)
        fprintf(out, "  %-*s %s", COLUMN - 3, usage, row->help);
    else
        fprintf(out, "  %s\n%*s%s", usage, COLUMN, "", row->help);
    if (dip_options_fallback(row)) fprintf(out, " [default: %s]", row->fallback);
    fputc('\n', out);
}

void dip_options_help(const dip_option *table, FILE *out)
{
    for (const dip_option *row = table; row->name; row++) {
        if (is_heading(row))
            fprintf(out, "%s%s:\n", row == table ? "" : "\n", row->name);
        else
            help_row(row, out);
    }
}

static void markdown_row(const dip_option *row, FILE *out)
{
    char usage[128];
    dip_options_usage(row, usage, sizeof usage);
    fprintf(out, "| `");
    for (const char *p = usage; *p; p++) fprintf(out, *p == '|' ? "\\|" : "%c", *p);
    fprintf(out, "` | %s | %s |\n", row->help, dip_options_fallback(row) ? row->fallback : "");
}

void dip_options_markdown(const dip_option *table, FILE *out)
{
    for (const dip_option *row = table; row->name; row++) {
        if (is_heading(row)) fprintf(out, "%s### %s\n\n", row == table ? "" : "\n", row->name);
        if (is_heading(row) || row == table)
            fprintf(out, "| option | meaning | default |\n|---|---|---|\n");
        if (!is_heading(row)) markdown_row(row, out);
    }
}
