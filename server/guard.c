/* Tokens, origins, hosts; see guard.h. */
#define _GNU_SOURCE
#include "server/guard.h"

#include "core/file.h"
#include "core/mem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { LARGEST_TOKEN_FILE = 1 << 20, HOST_CAPACITY = 256 };

struct dip_tokens {
    size_t count;
    char *text;
    const char *token[];
};

dip_status dip_tokens_read(dip_tokens **out, const char *path)
{
    char *text;
    size_t length, lines = 1, n = 0;
    dip_status status = dip_file_read(&text, &length, path, LARGEST_TOKEN_FILE);
    if (status) return status;
    for (size_t i = 0; i < length; i++) lines += text[i] == '\n';
    dip_tokens *tokens = dip_alloc(sizeof *tokens + lines * sizeof *tokens->token);
    if (!tokens) {
        dip_free(text);
        return DIP_ENOMEM;
    }
    *tokens = (dip_tokens){.text = text};
    for (char *line = text, *next; line; line = next) {
        if ((next = strchr(line, '\n'))) *next++ = '\0';
        line += strspn(line, " \t\r");
        size_t end = strlen(line);
        while (end && strchr(" \t\r", line[end - 1])) line[--end] = '\0';
        if (!*line || *line == '#') continue;
        if (strpbrk(line, " \t")) {
            dip_tokens_free(tokens);
            return dip_fail(DIP_EINVAL, "token file '%s': a token has spaces; one a line", path);
        }
        tokens->token[n++] = line;
    }
    tokens->count = n;
    if (!n) {
        dip_tokens_free(tokens);
        return dip_fail(DIP_EINVAL, "token file '%s' has no token; write one a line", path);
    }
    *out = tokens;
    return DIP_OK;
}

void dip_tokens_free(dip_tokens *tokens)
{
    if (!tokens) return;
    dip_free(tokens->text);
    dip_free(tokens);
}

/* The time depends on the length of `given` alone. */
static bool equal(const char *token, const char *given)
{
    size_t own = strlen(token), length = strlen(given);
    volatile unsigned char differs = own != length;
    for (size_t i = 0; i < length; i++)
        differs |= (unsigned char)(token[own ? i % own : 0] ^ given[i]);
    return !differs;
}

bool dip_tokens_allow(const dip_tokens *tokens, const char *header)
{
    bool allowed = false;
    if (!tokens) return true;
    if (!header || strncasecmp(header, "Bearer ", 7)) return false;
    header += 7;
    header += strspn(header, " ");
    for (size_t i = 0; i < tokens->count; i++) allowed |= equal(tokens->token[i], header);
    return allowed;
}

bool dip_origin_listed(const char *list, const char *origin)
{
    size_t length = strlen(origin);
    if (!list) return false;
    if (!strcmp(list, "*")) return true;
    while (*list) {
        list += strspn(list, ", ");
        size_t n = strcspn(list, ", ");
        if (n && n == length && !memcmp(list, origin, n)) return true;
        list += n;
    }
    return false;
}

bool dip_host_valid(const char *host)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    char name[HOST_CAPACITY];
    size_t length = strlen(host);
    if (!length || length >= sizeof name) return false;
    memcpy(name, host, length + 1);
    char *rest = name;
    if (*name == '[') {
        if (!(rest = strchr(name, ']'))) return false;
        *rest++ = '\0';
        if (name[1] == '\0' || name[1 + strspn(name + 1, "0123456789abcdefABCDEF:.")]) return false;
    } else {
        rest += strspn(name, letters);
        while (*rest && strchr("-._", *rest)) {
            rest++;
            rest += strspn(rest, letters);
        }
        if (rest == name) return false;
    }
    if (!*rest) return true;
    return *rest == ':' && rest[1] && strlen(rest + 1) <= 5 &&
           !rest[1 + strspn(rest + 1, "0123456789")];
}

static bool prefix_valid(const char *prefix)
{
    static const char may[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    return *prefix == '/' && strlen(prefix) < HOST_CAPACITY && !prefix[strspn(prefix, may)] &&
           prefix[1] != '/';
}

bool dip_base_format(char *out, size_t capacity, const char *own, const char *host,
                     const dip_forwarded *forwarded)
{
    const char *proto = forwarded->proto ? forwarded->proto : "http";
    const char *prefix = forwarded->prefix ? forwarded->prefix : "";
    if (forwarded->host) host = forwarded->host;
    if (host && !dip_host_valid(host)) return false;
    if (strcmp(proto, "http") && strcmp(proto, "https")) return false;
    if (*prefix && !prefix_valid(prefix)) return false;
    int n = host ? snprintf(out, capacity, "%s://%s%s", proto, host, prefix)
                 : snprintf(out, capacity, "%s%s%s", proto, own + strcspn(own, ":"), prefix);
    if (n < 0 || (size_t)n >= capacity) return false;
    while (n && out[n - 1] == '/') out[--n] = '\0';
    return true;
}
