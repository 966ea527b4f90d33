/**
 * The folder of a training run: <archive>/runs/<run>/config.ini, and whether it is new, unfinished or finished.
 *
 * config.ini begins with the run's identity (sections [training] or [alignment], and [data]: all that decides what is
 * learned), then [run]. finished.ini is written when the model is there. While it is open, a run that is not finished
 * holds the folder's writer.lock (storage/writer_lock.h).
 */
#ifndef TRAIN_RUN_H
#define TRAIN_RUN_H

#include "core/status.h"

#include <stdbool.h>

typedef enum dip_run_state {
    DIP_RUN_NEW,        /* the folder was made now */
    DIP_RUN_UNFINISHED, /* a run of this identity was begun */
    DIP_RUN_FINISHED    /* its model is there */
} dip_run_state;

typedef struct dip_run {
    char id[80]; /* name of the run and of its model */
    char *folder, *model_path;
    char *identity; /* text of config.ini up to [run] */
    dip_run_state state;
    bool locked;
    int lock;
} dip_run;

typedef struct dip_run_request {
    const char *name, *identity;
    const char *notes; /* lines of [run] */
    bool resume, force;
} dip_run_request;

/**
 * Finds the run of this identity, or makes it: "name", or "name-2", ... if runs or models of other configurations
 * have the name. `force`, and `resume` switched off, begin it anew. DIP_EBUSY: another process is at it.
 */
dip_status dip_run_open(dip_run *run, const char *archive_path, const dip_run_request *request);
void dip_run_fini(dip_run *run);

/** "<folder>/<name>"; free with dip_free(). */
char *dip_run_file(const dip_run *run, const char *name);
/** Marks the run as finished; `text` is the content of finished.ini. */
dip_status dip_run_finish(const dip_run *run, const char *text);

#endif
