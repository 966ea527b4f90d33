/* Engines in processes of their own; see program.h. */
#define _GNU_SOURCE
#include "compare/program.h"

#include "core/file.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PROTOCOL = 1,
    WAIT_MS = 200,       /* between looks at Ctrl-C */
    EXIT_WAIT_MS = 5000, /* that a program has to end by itself */
    NOT_FOUND = 127,
    LONGEST_LOG = 1 << 26,
};

struct dip_program {
    pid_t pid;
    int to, from; /* -1: closed */
    char *name, *errors;
    const dip_progress *progress;
    bool busy; /* it owes an answer */
    dip_message ready;
    size_t used; /* of the bytes read and not yet taken */
    char buffer[DIP_MESSAGE_LONGEST];
};

/* ---- the process ---- */

/* In the child, between fork and exec. */
static void become(char *const *command, char *const *environment, int in, int out, int err)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    signal(SIGPIPE, SIG_DFL);
    if (dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(err, 2) >= 0)
        execvpe(command[0], command, environment);
    _exit(NOT_FOUND);
}

static const char *const thread_names[] = {"DIP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                           "MKL_NUM_THREADS"};
enum { THREAD_NAMES = sizeof thread_names / sizeof *thread_names };

static bool is_thread_name(const char *entry)
{
    for (size_t i = 0; i < THREAD_NAMES; i++) {
        size_t length = strlen(thread_names[i]);
        if (!strncmp(entry, thread_names[i], length) && entry[length] == '=') return true;
    }
    return false;
}

/* Ours, with the number of threads in it; one block, free with dip_free(). */
static char **make_environment(unsigned threads)
{
    size_t count = 0, n = 0;
    while (environ[count]) count++;
    char **list = dip_alloc((count + THREAD_NAMES + 1) * sizeof *list + THREAD_NAMES * 64);
    if (!list) return NULL;
    for (size_t i = 0; i < count; i++)
        if (!is_thread_name(environ[i])) list[n++] = environ[i];
    char *text = (char *)(list + count + THREAD_NAMES + 1);
    for (size_t i = 0; i < THREAD_NAMES; i++, text += 64) {
        snprintf(text, 64, "%s=%u", thread_names[i], threads);
        list[n++] = text;
    }
    list[n] = NULL;
    return list;
}

static dip_status spawn(dip_program *p, char *const *command, unsigned threads)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    char **environment = make_environment(threads);
    int err = open(p->errors, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    dip_status status = DIP_OK;
    if (!environment)
        status = DIP_ENOMEM;
    else if (err < 0)
        status = dip_fail_errno("write", p->errors);
    else if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
        status = dip_fail_errno("make a pipe to", p->name);
    if (!status) p->pid = fork();
    if (!status && p->pid == 0) become(command, environment, in[0], out[1], err);
    if (!status && p->pid < 0) status = dip_fail_errno("start", p->name);
    p->to = in[1];
    p->from = out[0];
    if (in[0] >= 0) close(in[0]);
    if (out[1] >= 0) close(out[1]);
    if (err >= 0) close(err);
    dip_free(environment);
    return status;
}

/* Waits at most `ms`; true once it has ended. */
static bool reap(dip_program *p, int ms, int *state)
{
    for (int waited = 0; p->pid > 0; waited += 10) {
        pid_t got = waitpid(p->pid, state, WNOHANG);
        if (got == p->pid || (got < 0 && errno != EINTR)) p->pid = 0;
        if (p->pid == 0) break;
        if (waited >= ms) return false;
        usleep(10000);
    }
    return true;
}

/* The program closed its output. */
static dip_status explain_end(dip_program *p)
{
    int state = 0;
    char *text = NULL;
    size_t length = 0;
    reap(p, EXIT_WAIT_MS, &state);
    if (WIFEXITED(state) && WEXITSTATUS(state) == NOT_FOUND)
        return dip_fail(DIP_ENOENT, "cannot run '%s'; is it installed, or built (docs/bench.md)?",
                        p->name);
    if (dip_file_read(&text, &length, p->errors, LONGEST_LOG)) text = NULL;
    while (text && length && strchr("\r\n", text[length - 1])) text[--length] = '\0';
    const char *last = text ? strrchr(text, '\n') : NULL;
    last = last ? last + 1 : text && *text ? text : "it said nothing";
    if (WIFSIGNALED(state))
        dip_fail(DIP_EIO, "'%s' was ended by signal %d: %s", p->name, WTERMSIG(state), last);
    else
        dip_fail(DIP_EIO, "'%s' ended without an answer: %s; see '%s'", p->name, last, p->errors);
    dip_free(text);
    return DIP_EIO;
}

/* ---- lines ---- */

static dip_status send_line(dip_program *p, const char *line)
{
    size_t length = strlen(line), sent = 0;
    while (sent < length) {
        ssize_t n = write(p->to, line + sent, length - sent);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return explain_end(p);
        sent += (size_t)n;
    }
    return DIP_OK;
}

/* Cuts the first line off the buffer. */
static dip_status take_line(dip_program *p, dip_message *out, bool *taken)
{
    char *end = memchr(p->buffer, '\n', p->used);
    *taken = end != NULL;
    if (!end) return DIP_OK;
    *end = '\0';
    dip_status status = dip_message_parse(out, p->buffer);
    size_t length = (size_t)(end + 1 - p->buffer);
    p->used -= length;
    memmove(p->buffer, p->buffer + length, p->used);
    return status ? dip_fail_prefix(status, "'%s'", p->name) : DIP_OK;
}

static dip_status read_more(dip_program *p, const char *phase, uint64_t done, uint64_t total)
{
    struct pollfd ready = {.fd = p->from, .events = POLLIN};
    if (dip_progress_tick(p->progress, phase, done, total)) return dip_fail(DIP_ECANCEL, "stopped");
    if (poll(&ready, 1, WAIT_MS) <= 0) return DIP_OK;
    if (p->used == sizeof p->buffer)
        return dip_fail(DIP_EFORMAT, "'%s' sent a line of more than %zu bytes", p->name,
                        sizeof p->buffer);
    ssize_t n = read(p->from, p->buffer + p->used, sizeof p->buffer - p->used);
    if (n < 0) return errno == EINTR ? DIP_OK : dip_fail_errno("read from", p->name);
    if (n == 0) return explain_end(p);
    p->used += (size_t)n;
    return DIP_OK;
}

/* The next line that is not progress. */
static dip_status wait_for(dip_program *p, const char *phase, dip_message *out)
{
    double done = 0, total = 0;
    for (;;) {
        bool taken = false;
        dip_status status = take_line(p, out, &taken);
        if (status) return status;
        if (!taken) status = read_more(p, phase, (uint64_t)done, (uint64_t)total);
        if (status) return status;
        if (!taken) continue;
        if (strcmp(out->word, "progress") != 0) return DIP_OK;
        status = dip_message_number(out, "done", &done);
        if (!status) status = dip_message_number(out, "total", &total);
        dip_message_fini(out);
        if (status) return dip_fail_prefix(status, "'%s'", p->name);
    }
}

/* ---- the interface ---- */

static dip_status greet(dip_program *p)
{
    double version = 0;
    dip_status status = wait_for(p, "starting the engine", &p->ready);
    if (status) return status;
    if (!strcmp(p->ready.word, "ready"))
        status = dip_message_number(&p->ready, "protocol", &version);
    p->busy = false;
    if (!status && version == PROTOCOL && dip_message_get(&p->ready, "engine")) return DIP_OK;
    return dip_fail(DIP_EFORMAT,
                    "'%s' does not speak protocol %d of docs/bench.md: its first line is '%.60s'",
                    p->name, PROTOCOL, p->ready.word);
}

dip_status dip_program_start(dip_program **out, char *const *command, unsigned threads,
                             const char *errors_path, const dip_progress *progress)
{
    dip_program *p = dip_calloc(1, sizeof *p);
    if (!p) return DIP_ENOMEM;
    p->to = p->from = -1;
    p->busy = true; /* it owes its greeting */
    p->progress = progress;
    p->name = dip_strdup(command[0]);
    p->errors = dip_strdup(errors_path);
    signal(SIGPIPE, SIG_IGN);
    dip_status status = p->name && p->errors ? spawn(p, command, threads) : DIP_ENOMEM;
    if (!status) status = greet(p);
    if (status)
        dip_program_stop(p);
    else
        *out = p;
    return status;
}

const dip_message *dip_program_ready(const dip_program *program) { return &program->ready; }

dip_status dip_program_ask(dip_program *p, const char *line, const char *phase, dip_message *answer)
{
    p->busy = true;
    dip_status status = send_line(p, line);
    if (!status) status = wait_for(p, phase, answer);
    p->busy = status != DIP_OK;
    if (status || strcmp(answer->word, "error") != 0) return status;
    const char *text = dip_message_get(answer, "text");
    dip_fail(DIP_EINVAL, "%s: %s", dip_message_get(&p->ready, "engine"), text ? text : "it failed");
    dip_message_fini(answer);
    return DIP_EINVAL;
}

uint64_t dip_program_memory(const dip_program *p)
{
    char path[64], line[256];
    unsigned long long kilobytes = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)p->pid);
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %llu", &kilobytes) == 1) break;
    fclose(f);
    return 1024 * kilobytes;
}

void dip_program_stop(dip_program *p)
{
    int state;
    if (!p) return;
    if (p->to >= 0) close(p->to);
    if (p->from >= 0) close(p->from);
    /* One that is at work would go on for as long as that takes. */
    if (p->pid > 0 && (p->busy || !reap(p, EXIT_WAIT_MS, &state))) kill(p->pid, SIGKILL);
    reap(p, EXIT_WAIT_MS, &state);
    dip_message_fini(&p->ready);
    dip_free(p->name);
    dip_free(p->errors);
    dip_free(p);
}
