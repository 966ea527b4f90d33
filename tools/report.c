/*
 * Progress and interrupts; see report.h.
 *
 * Ticks may come from any thread and very often: a tick that is not due costs one clock reading under a lock. The
 * clock of a phase starts with its first tick, so rate and ETA are those of the phase.
 */
#define _GNU_SOURCE
#include "tools/report.h"

#include "core/clock.h"
#include "core/format.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR_WIDTH = 24 };

static struct {
    pthread_mutex_t lock;
    dip_report_style style;
    char phase[64];
    double phase_start, last_shown;
    uint64_t phase_done; /* at the phase's first tick: a continued run does not start at 0 */
    bool bar_drawn;
} state = {.lock = PTHREAD_MUTEX_INITIALIZER};

static volatile sig_atomic_t interrupts;

static void format_rate(double rate, char *out, size_t capacity)
{
    if (rate >= 99.5) {
        char count[32];
        dip_format_count((unsigned long long)(rate + 0.5), count, sizeof count);
        snprintf(out, capacity, "%s/s", count);
    } else {
        snprintf(out, capacity, "%.1f/s", rate);
    }
}

/* "43 %  9,812/s  ETA 1 m 50 s"; without a total "4,300  9,812/s". */
static void format_figures(uint64_t done, uint64_t total, double elapsed, char *out,
                           size_t capacity)
{
    char rate_text[40], left[40], count[40];
    uint64_t gained = done > state.phase_done ? done - state.phase_done : 0;
    double rate = elapsed > 0 ? (double)gained / elapsed : 0;
    format_rate(rate, rate_text, sizeof rate_text);
    if (!total) {
        dip_format_count(done, count, sizeof count);
        snprintf(out, capacity, "%s  %s", count, rate_text);
        return;
    }
    unsigned percent = (unsigned)(100.0 * (double)done / (double)total);
    dip_format_seconds(rate > 0 ? (double)(total - done) / rate : 0, left, sizeof left);
    if (rate > 0 && done < total)
        snprintf(out, capacity, "%u %%  %s  ETA %s", percent, rate_text, left);
    else
        snprintf(out, capacity, "%u %%  %s", percent, rate_text);
}

static void draw_bar(uint64_t done, uint64_t total, const char *figures)
{
    char bar[BAR_WIDTH + 1] = "";
    if (total) {
        int filled = (int)((double)BAR_WIDTH * (double)done / (double)total);
        for (int i = 0; i < BAR_WIDTH; i++) bar[i] = i < filled ? '=' : i == filled ? '>' : ' ';
        bar[BAR_WIDTH] = '\0';
        fprintf(stderr, "\r\033[K%s  [%s] %s", state.phase, bar, figures);
    } else {
        fprintf(stderr, "\r\033[K%s  %s", state.phase, figures);
    }
    fflush(stderr);
    state.bar_drawn = true;
}

static void begin_phase(const char *phase, uint64_t done, double t)
{
    snprintf(state.phase, sizeof state.phase, "%s", phase);
    state.phase_start = state.last_shown = t;
    state.phase_done = done;
}

static void show(uint64_t done, uint64_t total, double t)
{
    char figures[160];
    double pause = state.style == DIP_REPORT_BAR ? 0.1 : 5;
    bool last = total && done >= total;
    bool early = state.style == DIP_REPORT_BAR && t - state.phase_start < 1;
    if (early || (t - state.last_shown < pause && !(last && state.style == DIP_REPORT_LINES)))
        return;
    state.last_shown = t;
    if (total && done > total) done = total;
    format_figures(done, total, t - state.phase_start, figures, sizeof figures);
    if (state.style == DIP_REPORT_BAR)
        draw_bar(done, total, figures);
    else
        fprintf(stderr, "%s  %s\n", state.phase, figures);
}

static int tick(void *payload, const char *phase, uint64_t done, uint64_t total)
{
    (void)payload;
    if (state.style != DIP_REPORT_OFF) {
        pthread_mutex_lock(&state.lock);
        double t = dip_seconds();
        if (strncmp(phase, state.phase, sizeof state.phase - 1) != 0) begin_phase(phase, done, t);
        show(done, total, t);
        pthread_mutex_unlock(&state.lock);
    }
    return dip_interrupt_pending();
}

const dip_progress *dip_report_start(dip_report_style style)
{
    static const dip_progress listener = {.fn = tick};
    state.style = style;
    return &listener;
}

void dip_report_clear(void)
{
    pthread_mutex_lock(&state.lock);
    if (state.bar_drawn) fputs("\r\033[K", stderr);
    state.bar_drawn = false;
    pthread_mutex_unlock(&state.lock);
}

static void on_interrupt(int number)
{
    (void)number;
    static const char line[] =
        "\ndiptych: finishing what was begun; press Ctrl-C again to stop at once\n";
    interrupts = 1;
    ssize_t ignored = write(STDERR_FILENO, line, sizeof line - 1);
    (void)ignored;
}

void dip_interrupt_catch(void)
{
    /* SA_RESETHAND: the second one has its default effect. */
    struct sigaction action = {.sa_handler = on_interrupt,
                               .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool dip_interrupt_pending(void) { return interrupts != 0; }
