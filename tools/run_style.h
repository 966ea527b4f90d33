/** The style of the page of a training run, over that of the contact sheet. */
#ifndef TOOLS_RUN_STYLE_H
#define TOOLS_RUN_STYLE_H

extern const char dip_run_style[];

#endif
