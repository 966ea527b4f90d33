/** A small HTTP client for tests: raw bytes to a server on this machine, raw bytes back. */
#ifndef TESTS_SERVER_SUPPORT_SOCKET_H
#define TESTS_SERVER_SUPPORT_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

/** Connects to "http://127.0.0.1:PORT". */
int socket_open(const char *url);
/** False if the other side is gone. */
bool socket_send(int fd, const void *bytes, size_t length);
/** Reads until the other side closes, or nothing came for `milliseconds`; a 0 byte ends it. */
size_t socket_read(int fd, char *out, size_t capacity, int milliseconds);
/** Reads one answer with Content-Length (or without a body: `head`); its status, 0 if there was none. */
int socket_answer(int fd, char *out, size_t capacity, bool head);
/** Sends text on a new connection, reads one answer, closes. */
int socket_ask(const char *url, const char *text, char *out, size_t capacity);

#endif
