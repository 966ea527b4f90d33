/**
 * What the programs of bench/ share: usage, timing, and answering requests one after the other.
 *
 * A comparison wants its subjects measured in turns, so that whatever else the machine does meets all of them. So each
 * subject is a process that stays, builds its network once, and measures when a line on its standard input asks for it:
 *
 *   <task> <net> <px> <bands> <batch> <seconds> [<file>]
 *
 * It answers with one JSON object on a line. bench/encoder.py asks.
 */
#ifndef BENCH_SUPPORT_H
#define BENCH_SUPPORT_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/** Ends the program with `usage` on standard output if a word is --help or -h. */
void bench_help(int argc, char **argv, const char *usage);
/** For wrong words: `usage` goes to standard error; returns the exit status, 2. */
int bench_wrong_words(const char *usage);

double bench_clock(clockid_t clock);

typedef struct bench_timing {
    size_t calls;
    double median, best, p99; /* seconds a call, by the clock */
    double cpu;               /* mean seconds of processor time a call, of all threads */
} bench_timing;

/**
 * Calls fn until it has taken `seconds` of processor time, at least `least` times (1 or more). A busy machine thus takes
 * longer, but measures as much. The caller has called fn before if the first call is a special one. Not thread-safe.
 */
bench_timing bench_measure(void (*fn)(void *), void *context, double seconds, size_t least);

typedef struct bench_request {
    char task[16], net[16], file[512];
    uint32_t px, bands;
    size_t batch;
    double seconds;
} bench_request;

/** Hands each line of standard input to `answer`, until it ends. A line that is no request ends the program. */
void bench_serve(void (*answer)(const bench_request *request));

/** The answer to a request: `items` images (0: none) and `flops` operations a call. */
void bench_answer(const char *body, bench_timing t, size_t items, double flops);

#endif
