/* Running the program; see spawn.h. */
#define _GNU_SOURCE
#include "bench/quality/spawn.h"

#include "core/file.h"
#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST = 1 << 26, EXIT_NOT_FOUND = 127, EXIT_STOPPED = 130 };

dip_status dip_command_add(dip_command_line *command, const char *word)
{
    if (command->count == DIP_COMMAND_MOST_WORDS)
        return dip_fail(DIP_EINVAL, "a command of more than %d words", DIP_COMMAND_MOST_WORDS);
    char *copy = dip_strdup(word);
    if (!copy) return DIP_ENOMEM;
    command->words[command->count++] = copy;
    return DIP_OK;
}

dip_status dip_command_split(dip_command_line *command, const char *words)
{
    char *copy = dip_strdup(words), *rest = NULL;
    dip_status status = copy ? DIP_OK : DIP_ENOMEM;
    for (char *word = copy ? strtok_r(copy, " \t", &rest) : NULL; word && !status;
         word = strtok_r(NULL, " \t", &rest))
        status = dip_command_add(command, word);
    dip_free(copy);
    return status;
}

void dip_command_fini(dip_command_line *command)
{
    for (size_t i = 0; i < command->count; i++) dip_free(command->words[i]);
    *command = (dip_command_line){.count = 0};
}

/* In the child, between fork and exec. */
static void become(const dip_command_line *command, int out, const char *errors)
{
    int err = open(errors, O_WRONLY | O_CREAT | O_TRUNC, 0666), in = open("/dev/null", O_RDONLY);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (err >= 0 && in >= 0 && dup2(in, 0) >= 0 && dup2(out, 1) >= 0 && dup2(err, 2) >= 0)
        execvp(command->words[0], command->words);
    _exit(EXIT_NOT_FOUND);
}

static dip_status gather(int from, char **output)
{
    size_t length = 0, capacity = 0;
    dip_status status = DIP_OK;
    for (ssize_t got = 1; got && !status;) {
        if (dip_array_reserve((void **)output, &capacity, length + 65536, 1)) return DIP_ENOMEM;
        got = read(from, *output + length, 65535);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return dip_fail_errno("read the output of", "the program");
        length += (size_t)got;
        if (length > LARGEST) status = dip_fail(DIP_EIO, "the program's output has no end");
    }
    (*output)[length] = '\0';
    return status;
}

static dip_status explain(const dip_command_line *command, int state, const char *errors)
{
    char *text = NULL, *last;
    size_t length = 0;
    const char *name = command->count > 1 ? command->words[1] : command->words[0];
    if (WIFEXITED(state) && WEXITSTATUS(state) == EXIT_STOPPED)
        return dip_fail(DIP_ECANCEL, "stopped; the same command goes on");
    if (WIFEXITED(state) && WEXITSTATUS(state) == EXIT_NOT_FOUND)
        return dip_fail(DIP_ENOENT, "cannot run '%s'", command->words[0]);
    if (WIFSIGNALED(state))
        return dip_fail(DIP_EIO, "'%s' was ended by signal %d", name, WTERMSIG(state));
    if (dip_file_read(&text, &length, errors, LARGEST)) return DIP_EIO;
    while (length && text[length - 1] == '\n') text[--length] = '\0';
    last = strrchr(text, '\n');
    dip_fail(DIP_EIO, "'%s' failed: %s", name, last ? last + 1 : text);
    dip_free(text);
    return DIP_EIO;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double in_seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec * 1e-6; }

dip_status dip_command_run(const dip_command_line *command, const char *errors, dip_ran *out)
{
    int ends[2], state = 0;
    struct rusage usage;
    double began = seconds();
    *out = (dip_ran){.output = NULL};
    if (pipe2(ends, O_CLOEXEC)) return dip_fail_errno("make", "a pipe");
    pid_t child = fork();
    if (!child) become(command, ends[1], errors);
    close(ends[1]);
    dip_status status = child < 0 ? dip_fail_errno("start", command->words[0]) : DIP_OK;
    if (!status) status = gather(ends[0], &out->output);
    close(ends[0]);
    while (child > 0 && wait4(child, &state, 0, &usage) < 0)
        if (errno != EINTR) return dip_fail_errno("wait for", command->words[0]);
    if (!status && state) status = explain(command, state, errors);
    if (!status) {
        out->wall_s = seconds() - began;
        out->cpu_s = in_seconds(usage.ru_utime) + in_seconds(usage.ru_stime);
        return DIP_OK;
    }
    dip_free(out->output);
    *out = (dip_ran){.output = NULL};
    return status;
}
