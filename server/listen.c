/*
 * From "host:port" to a listening socket; see listen.h. Who has a port is found as ss does it: /proc/net/tcp names the inode
 * of the listening socket, and one of the links in /proc/PID/fd names it too.
 */
#define _GNU_SOURCE
#include "server/listen.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

/* Takes "host:port" apart; *host "" is all addresses. */
static bool split(const char *where, char *host, size_t capacity, const char **port)
{
    const char *colon = strrchr(where, ':');
    const char *begin = where, *end = colon;
    if (!colon) {
        snprintf(host, capacity, "127.0.0.1");
        *port = where;
        return *where != '\0';
    }
    if (*begin == '[') {
        begin++;
        if (end == where || end[-1] != ']') return false;
        end--;
    } else if (memchr(where, ':', (size_t)(colon - where))) {
        return false; /* an address with colons stands in [] */
    }
    if ((size_t)(end - begin) >= capacity) return false;
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    if (!strcmp(host, "*")) *host = '\0';
    *port = colon + 1;
    return true;
}

static bool port_valid(const char *port)
{
    return *port && strlen(port) <= 5 && !port[strspn(port, "0123456789")] && atoi(port) <= 65535;
}

/* Inode of the socket that listens on the port, 0 if none is seen. */
static unsigned long long find_inode(const char *table, unsigned port)
{
    char line[512];
    unsigned long long inode, found = 0;
    unsigned local, state;
    FILE *file = fopen(table, "re");
    if (!file) return 0;
    while (!found && fgets(line, sizeof line, file))
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %llu", &local, &state,
                   &inode) == 3 &&
            local == port && state == 0x0a)
            found = inode;
    fclose(file);
    return found;
}

static bool has_socket(const char *pid, const char *wanted)
{
    char path[600], link[64];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *folder = opendir(path);
    if (!folder) return false;
    for (struct dirent *entry; !found && (entry = readdir(folder));) {
        ssize_t n = readlinkat(dirfd(folder), entry->d_name, link, sizeof link - 1);
        if (n <= 0) continue;
        link[n] = '\0';
        found = !strcmp(link, wanted);
    }
    closedir(folder);
    return found;
}

/* " by pid 812 (nginx)", or "" where that cannot be seen. */
static void find_holder(unsigned port, char *out, size_t capacity)
{
    char wanted[64], path[300], name[64] = "";
    unsigned long long inode = find_inode("/proc/net/tcp", port);
    *out = '\0';
    if (!inode) inode = find_inode("/proc/net/tcp6", port);
    DIR *folder = inode ? opendir("/proc") : NULL;
    if (!folder) return;
    snprintf(wanted, sizeof wanted, "socket:[%llu]", inode);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[strspn(entry->d_name, "0123456789")] ||
            !has_socket(entry->d_name, wanted))
            continue;
        snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        if (file && fgets(name, sizeof name, file)) name[strcspn(name, "\n")] = '\0';
        if (file) fclose(file);
        snprintf(out, capacity, " by pid %.20s (%.60s)", entry->d_name, name);
        break;
    }
    closedir(folder);
}

static dip_status fail_bind(const char *where, const char *port)
{
    char holder[128];
    int error = errno;
    if (error == EADDRINUSE) {
        find_holder((unsigned)atoi(port), holder, sizeof holder);
        return dip_fail(DIP_EBUSY, "port %s is taken%s; use --listen or stop it", port, holder);
    }
    if (error == EACCES)
        return dip_fail(DIP_EINVAL,
                        "may not listen on '%s': ports below 1024 are the system's; use --listen",
                        where);
    return dip_fail(DIP_EINVAL, "cannot listen on '%s': %s; use --listen", where, strerror(error));
}

static int open_socket(const struct addrinfo *address)
{
    int one = 1, zero = 0;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (address->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (!bind(fd, address->ai_addr, address->ai_addrlen) && !listen(fd, BACKLOG)) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Fills url and `elsewhere` from what the socket is bound to. */
static void describe(dip_listener *listener)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    char text[INET6_ADDRSTRLEN] = "";
    socklen_t length = sizeof address;
    memset(&address, 0, sizeof address);
    getsockname(listener->fd, &address.any, &length);
    if (address.any.sa_family == AF_INET6) {
        bool all = IN6_IS_ADDR_UNSPECIFIED(&address.v6.sin6_addr);
        inet_ntop(AF_INET6, &address.v6.sin6_addr, text, sizeof text);
        listener->elsewhere = !IN6_IS_ADDR_LOOPBACK(&address.v6.sin6_addr);
        snprintf(listener->url, sizeof listener->url, "http://%s%s%s:%u", all ? "" : "[",
                 all ? "localhost" : text, all ? "" : "]", ntohs(address.v6.sin6_port));
        return;
    }
    uint32_t ip = ntohl(address.v4.sin_addr.s_addr);
    inet_ntop(AF_INET, &address.v4.sin_addr, text, sizeof text);
    listener->elsewhere = ip >> 24 != 127;
    snprintf(listener->url, sizeof listener->url, "http://%s:%u", ip ? text : "localhost",
             ntohs(address.v4.sin_port));
}

dip_status dip_listen(dip_listener *out, const char *where)
{
    char host[256];
    const char *port;
    struct addrinfo *list = NULL, hints = {.ai_socktype = SOCK_STREAM,
                                           .ai_flags = (int)(AI_PASSIVE | AI_NUMERICSERV)};
    if (!split(where, host, sizeof host, &port) || !port_valid(port))
        return dip_fail(DIP_EINVAL, "--listen '%s' is no address; write 127.0.0.1:8080 or :8080",
                        where);
    int error = getaddrinfo(*host ? host : "::", port, &hints, &list);
    if (error)
        return dip_fail(DIP_EINVAL, "--listen '%s': %s; write 127.0.0.1:8080 or :8080", where,
                        gai_strerror(error));
    int fd = -1;
    for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) fd = open_socket(a);
    int reason = errno;
    freeaddrinfo(list);
    if (fd < 0 && !*host && reason == EAFNOSUPPORT) { /* a system without IPv6 */
        char all[32];
        snprintf(all, sizeof all, "0.0.0.0:%s", port);
        return dip_listen(out, all);
    }
    errno = reason;
    if (fd < 0) return fail_bind(where, port);
    *out = (dip_listener){.fd = fd};
    describe(out);
    return DIP_OK;
}
