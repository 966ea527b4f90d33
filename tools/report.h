/** Progress on standard error: a bar on a terminal after a second's work, or plain lines when asked for. */
#ifndef TOOLS_REPORT_H
#define TOOLS_REPORT_H

#include "core/progress.h"

#include <stdbool.h>

typedef enum dip_report_style { DIP_REPORT_OFF, DIP_REPORT_BAR, DIP_REPORT_LINES } dip_report_style;

/** The process's one listener; set up before work begins. */
const dip_progress *dip_report_start(dip_report_style style);
/** Wipes the bar, so that a line can be written in its place. */
void dip_report_clear(void);

/** Ctrl-C and SIGTERM: the first lets the work finish its batch, the second ends the process. */
void dip_interrupt_catch(void);
bool dip_interrupt_pending(void);

#endif
