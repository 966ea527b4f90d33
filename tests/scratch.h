/** Where tests keep files. The includer has defined _GNU_SOURCE or _POSIX_C_SOURCE. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>

/** Makes a fresh folder in TMPDIR, or in /tmp; free with free(). Ends the program if none can be made. */
static inline char *scratch_folder(const char *word)
{
    const char *parent = getenv("TMPDIR");
    const size_t room = 4096;
    char *folder = malloc(room);
    if (folder)
        snprintf(folder, room, "%s/diptych-%s-XXXXXX", parent && *parent ? parent : "/tmp", word);
    if (folder && mkdtemp(folder)) return folder;
    perror("no scratch folder");
    abort();
}

#endif
