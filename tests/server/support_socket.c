/* See support_socket.h. */
#define _GNU_SOURCE
#include "support_socket.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int socket_open(const char *url)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

bool socket_send(int fd, const void *bytes, size_t length)
{
    const char *p = bytes;
    while (length) {
        ssize_t n = send(fd, p, length, MSG_NOSIGNAL);
        if (n <= 0) return false;
        p += n;
        length -= (size_t)n;
    }
    return true;
}

/* -1: nothing came in time. */
static ssize_t receive(int fd, char *out, size_t capacity, int milliseconds)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, milliseconds) <= 0) return -1;
    return recv(fd, out, capacity, 0);
}

size_t socket_read(int fd, char *out, size_t capacity, int milliseconds)
{
    size_t length = 0;
    while (length + 1 < capacity) {
        ssize_t n = receive(fd, out + length, capacity - length - 1, milliseconds);
        if (n <= 0) break;
        length += (size_t)n;
    }
    out[length] = '\0';
    return length;
}

/* Bytes of the first answer in `text`, headers and body; 0 if its headers are not all there. */
static size_t answer_length(const char *text, bool head)
{
    const char *end = strstr(text, "\r\n\r\n"), *field = strcasestr(text, "\r\nContent-Length:");
    if (!end) return 0;
    size_t length = (size_t)(end - text) + 4;
    if (!head && field && field < end) length += strtoul(field + 17, NULL, 10);
    return length;
}

/* Byte after byte until the headers are there, so that nothing of a next answer is taken. */
int socket_answer(int fd, char *out, size_t capacity, bool head)
{
    size_t length = 0, wanted = 0;
    *out = '\0';
    while (length + 1 < capacity && (!wanted || length < wanted)) {
        size_t ask = wanted ? wanted - length : 1;
        if (ask > capacity - length - 1) ask = capacity - length - 1;
        ssize_t n = receive(fd, out + length, ask, 20000);
        if (n <= 0) break;
        length += (size_t)n;
        out[length] = '\0';
        if (!wanted) wanted = answer_length(out, head);
    }
    return strncmp(out, "HTTP/1.", 7) || length < 12 ? 0 : atoi(out + 9);
}

int socket_ask(const char *url, const char *text, char *out, size_t capacity)
{
    int fd = socket_open(url);
    if (fd < 0) return 0;
    socket_send(fd, text, strlen(text));
    int status = socket_answer(fd, out, capacity, !strncmp(text, "HEAD", 4));
    close(fd);
    return status;
}
