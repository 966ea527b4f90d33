/*
 * Ranges of bytes (RFC 9110, section 14): an answer that accepts them is cut to the one that was asked for. Several ranges, or
 * what is none, are passed over, as the standard allows: then all of the answer goes out.
 */
#include "core/mem.h"
#include "server/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool accepts_ranges(const dip_response *response)
{
    if (response->status != 200) return false;
    for (size_t i = 0; i < response->header_count; i++)
        if (!strcmp(response->headers[i].name, "Accept-Ranges")) return true;
    return false;
}

static bool take_number(const char **at, size_t *value)
{
    size_t digits = strspn(*at, "0123456789");
    if (!digits || digits > 18) return false;
    *value = (size_t)strtoull(*at, NULL, 10);
    *at += digits;
    return true;
}

/* "bytes=first-last", "bytes=first-", "bytes=-count". False: not a range of this kind. `first` may be beyond the end. */
static bool parse(const char *range, size_t length, size_t *first, size_t *last)
{
    const char *at = range;
    if (strncmp(at, "bytes=", 6)) return false;
    at += 6;
    *last = length ? length - 1 : 0;
    if (*at == '-') {
        size_t count;
        at++;
        if (!take_number(&at, &count) || *at) return false;
        *first = !count ? length : count < length ? length - count : 0;
        return true;
    }
    size_t end;
    if (!take_number(&at, first) || *at++ != '-') return false;
    if (!*at) return true;
    if (!take_number(&at, &end) || *at || end < *first) return false;
    if (end < *last) *last = end;
    return true;
}

void dip_response_range(dip_response *response, const char *range)
{
    size_t first, last, length = response->length;
    char text[80];
    if (!range || !accepts_ranges(response) || !parse(range, length, &first, &last)) return;
    if (first >= length) {
        dip_response_fail(response, 416, "RangeNotSatisfiable",
                          "Range: '%.60s' begins behind the %zu bytes that there are", range,
                          length);
        snprintf(text, sizeof text, "bytes */%zu", length);
        dip_response_header(response, "Content-Range", text);
        return;
    }
    snprintf(text, sizeof text, "bytes %zu-%zu/%zu", first, last, length);
    dip_response_header(response, "Content-Range", text);
    response->status = 206;
    response->length = last - first + 1;
    if (response->owned)
        memmove(response->owned, response->owned + first, response->length);
    else
        response->lasting += first;
}
