/** The archive that import and simulate fill: opened for writing, made if it is not there. */
#ifndef TOOLS_TARGET_H
#define TOOLS_TARGET_H

#include "tools/cmd.h"

#include <diptych/archive.h>

/** `title` is for a new archive; NULL: the folder's name. A note says that one was made. */
dip_status dip_target_open(dip_archive **out, dip_tool *tool, const char *path, const char *title);

#endif
