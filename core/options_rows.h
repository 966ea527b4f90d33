/** Short forms for the rows of an options table; OPTIONS is the struct that the table describes. */
#ifndef CORE_OPTIONS_ROWS_H
#define CORE_OPTIONS_ROWS_H

#include "core/options.h"

#define AT(field) .offset = offsetof(OPTIONS, field)
#define FLAG(word, field, value, text)                                                    \
    {                                                                                     \
        .name = word, .type = DIP_OPTION_FLAG, AT(field), .fallback = value, .help = text \
    }
#define INT(word, field, least, most, value, text)                                   \
    {                                                                                \
        .name = word, .type = DIP_OPTION_INT, AT(field), .low = least, .high = most, \
        .fallback = value, .help = text                                              \
    }
#define REAL(word, field, least, most, value, text)                                   \
    {                                                                                 \
        .name = word, .type = DIP_OPTION_REAL, AT(field), .low = least, .high = most, \
        .fallback = value, .help = text                                               \
    }
#define CHOICE(word, field, words, value, text)                                                  \
    {                                                                                            \
        .name = word, .type = DIP_OPTION_CHOICE, AT(field), .choices = words, .fallback = value, \
        .help = text                                                                             \
    }
#define TEXT(word, field, value, text)                                                    \
    {                                                                                     \
        .name = word, .type = DIP_OPTION_TEXT, AT(field), .fallback = value, .help = text \
    }
/* `stands` is the word that help shows for the value. */
#define NAMED(word, field, stands, value, text)                                                 \
    {                                                                                           \
        .name = word, .type = DIP_OPTION_TEXT, AT(field), .choices = stands, .fallback = value, \
        .help = text                                                                            \
    }
#define HELP                                                                                  \
    {                                                                                         \
        .name = "help", .letter = 'h', .type = DIP_OPTION_FLAG, AT(help), .help = "show this" \
    }
#define HEADING(title)                            \
    {                                             \
        .name = title, .type = DIP_OPTION_HEADING \
    }

#endif
