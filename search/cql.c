/* Terms of filter expressions, and what both ways of writing them share; see cql.h. */
#include "search/cql.h"

#include "core/mem.h"
#include "core/when.h"
#include "search/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Names as in CQL2's JSON, and how many arguments; `more`: that many or more. */
static const struct {
    const char *name;
    unsigned char least;
    bool more;
} ops[DIP_OP_COUNT] = {
    [DIP_OP_AND] = {"and", 1, true},
    [DIP_OP_OR] = {"or", 1, true},
    [DIP_OP_NOT] = {"not", 1, false},
    [DIP_OP_EQ] = {"=", 2, false},
    [DIP_OP_NE] = {"<>", 2, false},
    [DIP_OP_LT] = {"<", 2, false},
    [DIP_OP_LE] = {"<=", 2, false},
    [DIP_OP_GT] = {">", 2, false},
    [DIP_OP_GE] = {">=", 2, false},
    [DIP_OP_BETWEEN] = {"between", 3, false},
    [DIP_OP_IN] = {"in", 2, false},
    [DIP_OP_IS_NULL] = {"isNull", 1, false},
    [DIP_OP_S_INTERSECTS] = {"s_intersects", 2, false},
    [DIP_OP_S_DISJOINT] = {"s_disjoint", 2, false},
    [DIP_OP_S_WITHIN] = {"s_within", 2, false},
    [DIP_OP_T_AFTER] = {"t_after", 2, false},
    [DIP_OP_T_BEFORE] = {"t_before", 2, false},
    [DIP_OP_T_DURING] = {"t_during", 2, false},
    [DIP_OP_T_EQUALS] = {"t_equals", 2, false},
    [DIP_OP_T_INTERSECTS] = {"t_intersects", 2, false},
    [DIP_OP_T_DISJOINT] = {"t_disjoint", 2, false},
    [DIP_OP_A_CONTAINS] = {"a_contains", 2, false},
    [DIP_OP_A_OVERLAPS] = {"a_overlaps", 2, false},
    [DIP_OP_A_CONTAINEDBY] = {"a_containedBy", 2, false},
    [DIP_OP_A_EQUALS] = {"a_equals", 2, false},
};

const char *dip_op_name(dip_op op) { return ops[op].name; }

dip_op dip_op_find(const char *name, size_t length)
{
    for (int op = 0; op < DIP_OP_COUNT; op++)
        if (strlen(ops[op].name) == length && !strncasecmp(ops[op].name, name, length))
            return (dip_op)op;
    return DIP_OP_COUNT;
}

dip_term *dip_term_create(dip_term_kind kind, size_t at, const char *text, size_t length)
{
    dip_term *term = dip_calloc(1, sizeof *term);
    if (!term) return NULL;
    term->kind = kind;
    term->at = at;
    if (text && !(term->text = dip_strndup(text, length))) {
        dip_free(term);
        return NULL;
    }
    return term;
}

/* Lists are walked, so only nesting, which is bounded, recurses. */
void dip_term_free(dip_term *term)
{
    while (term) {
        dip_term *next = term->next;
        dip_term_free(term->args);
        dip_free(term->text);
        dip_free(term);
        term = next;
    }
}

dip_status dip_cql_fail(size_t at, const char *format, ...)
{
    char line[600];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (at) return dip_fail(DIP_EINVAL, "filter, character %zu: %s", at, line);
    return dip_fail(DIP_EINVAL, "filter: %s", line);
}

dip_status dip_term_check_count(const dip_term *term)
{
    size_t n = 0, least = ops[term->op].least;
    for (const dip_term *arg = term->args; arg; arg = arg->next) n++;
    if (n == least || (n > least && ops[term->op].more)) return DIP_OK;
    return dip_cql_fail(term->at, "'%s' takes %zu argument%s%s, not %zu", ops[term->op].name, least,
                        least == 1 ? "" : "s", ops[term->op].more ? " or more" : "", n);
}

dip_status dip_term_set_time(dip_term *term, const char *begin, const char *end)
{
    int64_t unused;
    bool open_begin = end && !strcmp(begin, ".."), open_end = end && !strcmp(end, "..");
    term->first = INT64_MIN;
    term->last = INT64_MAX;
    if (!open_begin && !dip_when_span(begin, &term->first, end ? &unused : &term->last))
        return dip_cql_fail(term->at, "'%.60s' is no time like 2020-11-07 or 2020-11-07T13:52:41Z",
                            begin);
    if (end && !open_end && !dip_when_span(end, &unused, &term->last))
        return dip_cql_fail(term->at, "'%.60s' is no time like 2020-11-07 or 2020-11-07T13:52:41Z",
                            end);
    if (term->first > term->last)
        return dip_cql_fail(term->at, "the interval ends (%.40s) before it begins (%.40s)", end,
                            begin);
    return DIP_OK;
}

dip_status dip_cql_parse(dip_term **out, const char *text)
{
    const char *begin = text + strspn(text, " \t\r\n");
    *out = NULL;
    return *begin == '{' ? dip_cql_parse_json(out, begin) : dip_cql_parse_text(out, text);
}
