/** The style of the contact sheet. */
#ifndef TOOLS_SHEET_STYLE_H
#define TOOLS_SHEET_STYLE_H

extern const char dip_sheet_style[];

#endif
