/* Usage, timing and requests; see support.h. */
#define _POSIX_C_SOURCE 200809L
#include "bench/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CALLS = 100000 };

void bench_help(int argc, char **argv, const char *usage)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-h") != 0) continue;
        fputs(usage, stdout);
        exit(0);
    }
}

int bench_wrong_words(const char *usage)
{
    fputs(usage, stderr);
    return 2;
}

double bench_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bench_timing bench_measure(void (*fn)(void *), void *context, double seconds, size_t least)
{
    static double wall[MAX_CALLS];
    size_t n = 0;
    const double cpu = bench_clock(CLOCK_PROCESS_CPUTIME_ID);
    do {
        const double before = bench_clock(CLOCK_MONOTONIC);
        fn(context);
        wall[n++] = bench_clock(CLOCK_MONOTONIC) - before;
    } while (n < MAX_CALLS && (n < least || bench_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu < seconds));
    bench_timing t = {.calls = n};
    t.cpu = (bench_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)n;
    qsort(wall, n, sizeof *wall, compare);
    t.best = wall[0];
    t.median = wall[n / 2];
    t.p99 = wall[n * 99 / 100];
    return t;
}

void bench_serve(void (*answer)(const bench_request *request))
{
    char line[1024];
    while (fgets(line, sizeof line, stdin)) {
        bench_request r = {.px = 0};
        const int fields = sscanf(line, "%15s %15s %u %u %zu %lf %511s", r.task, r.net, &r.px,
                                  &r.bands, &r.batch, &r.seconds, r.file);
        if (fields < 6 || !r.px || !r.bands || !r.batch) {
            fprintf(stderr, "bench: no request: %s", line);
            exit(2);
        }
        answer(&r);
        fflush(stdout);
    }
}

void bench_answer(const char *body, bench_timing t, size_t items, double flops)
{
    printf("{\"body\":\"%s\",\"calls\":%zu,\"items\":%zu,\"gflop\":%.6f,\"s\":%.9f,\"best_s\":%.9f,"
           "\"p99_s\":%.9f,\"cpu_s\":%.9f}\n",
           body, t.calls, items, flops * 1e-9, t.median, t.best, t.p99, t.cpu);
}
