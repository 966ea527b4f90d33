/* Feeds arbitrary bytes to the reader of searches: as a body if they begin with '{', else as a query string, a field a line. */
#include "server/ask.h"

#include "core/mem.h"

#include <math.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST = 1 << 16, FIELDS = 64, MOST = 500 };

static void check(const dip_ask *ask)
{
    if (!ask->limit || ask->limit > MOST || !ask->k || ask->k > DIP_ASK_MOST_HITS) __builtin_trap();
    for (size_t i = 0; i < 4; i++)
        if (!isfinite(ask->bbox[i])) __builtin_trap();
    for (size_t i = 0; i < ask->vector_length; i++)
        if (!isfinite(ask->vector[i])) __builtin_trap();
    if (!isfinite(ask->min_score) || !isfinite(ask->recall)) __builtin_trap();
    if (ask->has_bbox && ask->intersects) __builtin_trap();
}

/* What was kept of a body says the same again. */
static void again(const dip_ask *ask)
{
    dip_ask second;
    if (dip_ask_parse_json(&second, ask->text, DIP_ASK_LIMIT, MOST)) __builtin_trap();
    if (strcmp(second.text, ask->text) != 0 || second.similar != ask->similar) __builtin_trap();
    dip_ask_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dip_field fields[FIELDS];
    dip_ask ask;
    dip_request request = {
        .method = size && data[0] == '{' ? "POST" : "GET", .query = fields, .body_length = size};
    if (size > LARGEST) return 0;
    char *text = dip_strndup((const char *)data, size);
    if (!text) __builtin_trap();
    request.body = (const uint8_t *)text;
    if (strlen(text) < size) request.body_length = strlen(text);
    if (*text != '{')
        for (char *line = strtok(text, "\n"); line && request.query_count < FIELDS;
             line = strtok(NULL, "\n")) {
            char *equals = strchr(line, '=');
            if (!equals) continue;
            *equals = '\0';
            fields[request.query_count++] = (dip_field){line, equals + 1};
        }
    if (!dip_ask_parse(&ask, &request, DIP_ASK_LIMIT, MOST)) {
        check(&ask);
        if (ask.text) again(&ask);
        dip_ask_fini(&ask);
    }
    dip_free(text);
    return 0;
}
