/*
 * Expressions as text; see cql.h. A lexer one token ahead and a parser that descends once a level of precedence.
 *
 * A geometry is taken as the piece of text from its word to the bracket that closes it; whoever builds it reads that.
 */
#include "search/cql.h"

#include "core/mem.h"
#include "search/json.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef enum token_kind { END, NAME, QUOTED_NAME, NUMBER, TEXT, SIGN } token_kind;

typedef struct token {
    token_kind kind;
    const char *begin;
    size_t length; /* as written, quotes included */
    double number;
} token;

typedef struct parser {
    const char *text, *cursor; /* cursor: behind `now` */
    token now;
    unsigned depth;
} parser;

static size_t position(const parser *p) { return (size_t)(p->now.begin - p->text) + 1; }

static dip_status expected(const parser *p, const char *what)
{
    int shown = p->now.length < 40 ? (int)p->now.length : 40;
    if (p->now.kind == END)
        return dip_cql_fail(position(p), "expected %s, found the end of the filter", what);
    return dip_cql_fail(position(p), "expected %s, found %.*s", what, shown, p->now.begin);
}

/* ---- tokens ---- */

static bool begins_name(char c) { return isalpha((unsigned char)c) || c == '_' || c & 0x80; }

static bool continues_name(char c)
{
    return begins_name(c) || isdigit((unsigned char)c) || c == ':' || c == '.';
}

/* The end of 'it''s' or "a name", behind the closing quote; NULL if it is not closed. */
static const char *end_of_quoted(const char *at)
{
    char quote = *at++;
    for (; *at; at++) {
        if (*at != quote) continue;
        if (at[1] != quote) return at + 1;
        at++;
    }
    return NULL;
}

static dip_status take_quoted(parser *p)
{
    const char *end = end_of_quoted(p->cursor);
    if (!end) return dip_cql_fail(position(p), "the quote %c is not closed", *p->cursor);
    p->now.kind = *p->cursor == '"' ? QUOTED_NAME : TEXT;
    p->cursor = end;
    return DIP_OK;
}

static dip_status take_number(parser *p)
{
    char *end;
    size_t length = strspn(p->cursor, "0123456789.eE+-");
    p->now.number = strtod(p->cursor, &end);
    if (end != p->cursor + length || !isfinite(p->now.number))
        return dip_cql_fail(position(p), "'%.*s' is no number", length < 40 ? (int)length : 40,
                            p->cursor);
    p->now.kind = NUMBER;
    p->cursor = end;
    return DIP_OK;
}

static dip_status advance(parser *p)
{
    dip_status status = DIP_OK;
    p->cursor += strspn(p->cursor, " \t\r\n");
    const char *c = p->cursor;
    p->now = (token){.kind = SIGN, .begin = c};
    if (!*c) {
        p->now.kind = END;
    } else if (*c == '\'' || *c == '"') {
        status = take_quoted(p);
    } else if (begins_name(*c)) {
        while (continues_name(*p->cursor)) p->cursor++;
        p->now.kind = NAME;
    } else if (isdigit((unsigned char)*c) || *c == '.' || *c == '+' || *c == '-') {
        status = take_number(p);
    } else {
        bool two = (*c == '<' && (c[1] == '=' || c[1] == '>')) || (*c == '>' && c[1] == '=');
        p->cursor += two ? 2 : 1;
    }
    p->now.length = (size_t)(p->cursor - c);
    return status;
}

static bool is_sign(const parser *p, const char *sign)
{
    return p->now.kind == SIGN && p->now.length == strlen(sign) &&
           !strncmp(p->now.begin, sign, p->now.length);
}

static bool is_word(const parser *p, const char *word)
{
    return p->now.kind == NAME && p->now.length == strlen(word) &&
           !strncasecmp(p->now.begin, word, p->now.length);
}

static dip_status expect_sign(parser *p, const char *sign, const char *what)
{
    return is_sign(p, sign) ? advance(p) : expected(p, what);
}

/* The text of a quoted token, doubled quotes made single. */
static char *unquote(const token *t)
{
    char quote = *t->begin, *text = dip_alloc(t->length), *to = text;
    if (!text) return NULL;
    for (const char *c = t->begin + 1; c < t->begin + t->length - 1; c++) {
        *to++ = *c;
        if (*c == quote) c++;
    }
    *to = '\0';
    return text;
}

/* ---- values ---- */

static dip_status make(dip_term **out, const parser *p, dip_term_kind kind)
{
    *out = dip_term_create(kind, position(p), NULL, 0);
    return *out ? DIP_OK : DIP_ENOMEM;
}

static dip_status take_text(parser *p, char **text, const char *what)
{
    if (p->now.kind != TEXT) return expected(p, what);
    *text = unquote(&p->now);
    return *text ? advance(p) : DIP_ENOMEM;
}

/* DATE('...'), TIMESTAMP('...'), INTERVAL('...', '...'); the word is the token. */
static dip_status parse_time(parser *p, dip_term **out)
{
    bool interval = is_word(p, "INTERVAL");
    char *begin = NULL, *end = NULL;
    dip_status status = make(out, p, DIP_TERM_TIME);
    if (!status) status = advance(p);
    if (!status) status = expect_sign(p, "(", "'('");
    if (!status) status = take_text(p, &begin, "a time in quotes");
    if (!status && interval) {
        status = expect_sign(p, ",", "',' and the end of the interval");
        if (!status) status = take_text(p, &end, "a time in quotes");
    }
    if (!status) status = dip_term_set_time(*out, begin, end);
    if (!status) status = expect_sign(p, ")", "')'");
    dip_free(begin);
    dip_free(end);
    return status;
}

/* BBOX(west, south, east, north) */
static dip_status parse_box(parser *p, dip_term **out)
{
    dip_status status = make(out, p, DIP_TERM_BOX);
    if (!status) status = advance(p);
    if (!status) status = expect_sign(p, "(", "'('");
    for (int i = 0; i < 4 && !status; i++) {
        if (p->now.kind != NUMBER) return expected(p, "a number of degrees");
        (*out)->box[i] = p->now.number;
        status = advance(p);
        if (!status && i < 3) status = expect_sign(p, ",", "',' (west, south, east, north)");
    }
    return status ? status : expect_sign(p, ")", "')'");
}

static dip_status parse_wkt(parser *p, dip_term **out)
{
    const char *c = p->cursor;
    unsigned open = 0;
    do {
        c += strcspn(c, "()'");
        if (*c == '\0' || *c == '\'')
            return dip_cql_fail(position(p), "the geometry is not closed");
        open += *c == '(';
        if (*c++ == ')' && --open == 0) break;
    } while (open < DIP_CQL_DEPTH);
    *out = dip_term_create(DIP_TERM_WKT, position(p), p->now.begin, (size_t)(c - p->now.begin));
    p->cursor = c;
    return *out ? advance(p) : DIP_ENOMEM;
}

static bool is_geometry(const parser *p)
{
    static const char *const words[] = {"POINT",      "LINESTRING",      "POLYGON",
                                        "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (is_word(p, words[i])) return p->cursor[strspn(p->cursor, " \t\r\n")] == '(';
    return false;
}

static bool is_reserved(const parser *p)
{
    static const char *const words[] = {"AND", "OR", "NOT", "BETWEEN", "IN", "IS", "NULL", "LIKE"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (is_word(p, words[i])) return true;
    return false;
}

static dip_status parse_list(parser *p, dip_term **out);

/* A property or a value. */
static dip_status parse_operand(parser *p, dip_term **out)
{
    dip_status status;
    if (is_sign(p, "(")) return parse_list(p, out);
    if (is_word(p, "DATE") || is_word(p, "TIMESTAMP") || is_word(p, "INTERVAL"))
        return parse_time(p, out);
    if (is_word(p, "BBOX")) return parse_box(p, out);
    if (is_geometry(p)) return parse_wkt(p, out);
    switch (p->now.kind) {
    case NUMBER:
        status = make(out, p, DIP_TERM_NUMBER);
        if (!status) (*out)->number = p->now.number;
        break;
    case TEXT:
    case QUOTED_NAME:
        status = make(out, p, p->now.kind == TEXT ? DIP_TERM_TEXT : DIP_TERM_PROPERTY);
        if (!status && !((*out)->text = unquote(&p->now))) status = DIP_ENOMEM;
        break;
    case NAME:
        if (is_reserved(p)) return expected(p, "a property or a value");
        bool flag = is_word(p, "TRUE") || is_word(p, "FALSE");
        *out = dip_term_create(flag ? DIP_TERM_TEXT : DIP_TERM_PROPERTY, position(p), p->now.begin,
                               p->now.length);
        status = *out ? DIP_OK : DIP_ENOMEM;
        for (char *c = flag && *out ? (*out)->text : NULL; c && *c; c++)
            *c = (char)tolower((unsigned char)*c);
        break;
    default: return expected(p, "a property or a value");
    }
    return status ? status : advance(p);
}

/* (value, ...) */
static dip_status parse_list(parser *p, dip_term **out)
{
    dip_status status = make(out, p, DIP_TERM_LIST);
    if (!status) status = expect_sign(p, "(", "a list in brackets");
    for (dip_term **arg = status ? NULL : &(*out)->args; !status; arg = &(*arg)->next) {
        if (is_sign(p, "(")) return expected(p, "a value");
        status = parse_operand(p, arg);
        if (status || !is_sign(p, ",")) break;
        status = advance(p);
    }
    return status ? status : expect_sign(p, ")", "',' or ')'");
}

/* ---- predicates ---- */

/* term := op(term, further arguments to come) */
static dip_status wrap(dip_term **term, dip_op op, size_t at)
{
    dip_term *outer = dip_term_create(DIP_TERM_OP, at, NULL, 0);
    if (!outer) return DIP_ENOMEM;
    outer->op = op;
    outer->args = *term;
    *term = outer;
    return DIP_OK;
}

static dip_status parse_between(parser *p, dip_term *term)
{
    dip_term **arg = &term->args->next;
    dip_status status = parse_operand(p, arg);
    if (status) return status;
    if (!is_word(p, "AND")) return expected(p, "AND and the upper bound");
    status = advance(p);
    return status ? status : parse_operand(p, &(*arg)->next);
}

static dip_status parse_null(parser *p, bool *negated)
{
    *negated = is_word(p, "NOT");
    dip_status status = *negated ? advance(p) : DIP_OK;
    if (status) return status;
    return is_word(p, "NULL") ? advance(p) : expected(p, *negated ? "NULL" : "NULL or NOT NULL");
}

/* The second half of a predicate that began with an operand, *out. */
static dip_status parse_relation(parser *p, dip_term **out)
{
    size_t at = (*out)->at;
    bool negated = is_word(p, "NOT");
    dip_status status = negated ? advance(p) : DIP_OK;
    if (status) return status;
    dip_op op = dip_op_find(p->now.begin, p->now.length);
    bool compares = p->now.kind == SIGN && op >= DIP_OP_EQ && op <= DIP_OP_GE;
    bool word = p->now.kind == NAME && (op == DIP_OP_BETWEEN || op == DIP_OP_IN);
    if (!negated && is_word(p, "IS")) {
        op = DIP_OP_IS_NULL;
    } else if (negated ? !word : !compares && !word) {
        return expected(p, negated ? "BETWEEN or IN"
                                   : "=, <>, <, <=, >, >=, BETWEEN, IN or IS [NOT] NULL");
    }
    status = advance(p);
    if (!status) status = wrap(out, op, at);
    if (status) return status;
    if (op == DIP_OP_BETWEEN)
        status = parse_between(p, *out);
    else if (op == DIP_OP_IN)
        status = parse_list(p, &(*out)->args->next);
    else if (op == DIP_OP_IS_NULL)
        status = parse_null(p, &negated);
    else
        status = parse_operand(p, &(*out)->args->next);
    return status || !negated ? status : wrap(out, DIP_OP_NOT, at);
}

/* S_...(property, geometry), T_...(...), A_...(...) */
static dip_status parse_function(parser *p, dip_term **out, dip_op op)
{
    dip_status status = make(out, p, DIP_TERM_OP);
    if (status) return status;
    (*out)->op = op;
    status = advance(p);
    if (!status) status = expect_sign(p, "(", "'('");
    if (!status) status = parse_operand(p, &(*out)->args);
    if (!status) status = expect_sign(p, ",", "',' and a second argument");
    if (!status) status = parse_operand(p, &(*out)->args->next);
    return status ? status : expect_sign(p, ")", "')'");
}

static dip_status parse_or(parser *p, dip_term **out);

static dip_status parse_factor(parser *p, dip_term **out)
{
    size_t at = position(p);
    if (is_word(p, "NOT")) {
        if (++p->depth > DIP_CQL_DEPTH)
            return dip_cql_fail(at, "more than %d levels of nesting", DIP_CQL_DEPTH);
        dip_status status = advance(p);
        if (!status) status = parse_factor(p, out);
        p->depth--;
        return status ? status : wrap(out, DIP_OP_NOT, at);
    }
    if (is_sign(p, "(")) {
        dip_status status = advance(p);
        if (!status) status = parse_or(p, out);
        return status ? status : expect_sign(p, ")", "AND, OR or ')'");
    }
    dip_op op = p->now.kind == NAME ? dip_op_find(p->now.begin, p->now.length) : DIP_OP_COUNT;
    if (op >= DIP_OP_S_INTERSECTS && op < DIP_OP_COUNT) return parse_function(p, out, op);
    dip_status status = parse_operand(p, out);
    return status ? status : parse_relation(p, out);
}

/* item, or op(item, item, ...) */
static dip_status parse_chain(parser *p, dip_term **out, dip_op op,
                              dip_status (*item)(parser *, dip_term **))
{
    size_t at = position(p);
    dip_status status = item(p, out);
    dip_term **last = out;
    while (!status && is_word(p, dip_op_name(op))) {
        if (last == out) {
            status = wrap(out, op, at);
            last = status ? out : &(*out)->args;
        }
        if (!status) status = advance(p);
        if (!status) status = item(p, &(*last)->next);
        if (!status) last = &(*last)->next;
    }
    return status;
}

static dip_status parse_and(parser *p, dip_term **out)
{
    return parse_chain(p, out, DIP_OP_AND, parse_factor);
}

static dip_status parse_or(parser *p, dip_term **out)
{
    if (++p->depth > DIP_CQL_DEPTH)
        return dip_cql_fail(position(p), "more than %d levels of nesting", DIP_CQL_DEPTH);
    dip_status status = parse_chain(p, out, DIP_OP_OR, parse_and);
    p->depth--;
    return status;
}

dip_status dip_cql_parse_text(dip_term **out, const char *text)
{
    parser p = {.text = text, .cursor = text};
    dip_term *term = NULL;
    dip_status status = advance(&p);
    if (!status) status = parse_or(&p, &term);
    if (!status && p.now.kind != END) status = expected(&p, "AND, OR or the end");
    if (status)
        dip_term_free(term);
    else
        *out = term;
    return status;
}
