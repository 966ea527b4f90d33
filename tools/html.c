/* HTML pages; see html.h. */
#include "tools/html.h"

#include "core/mem.h"
#include "front/picture.h"

#include <string.h>

void dip_html_text_n(FILE *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (c == '&')
            fputs("&amp;", out);
        else if (c == '<')
            fputs("&lt;", out);
        else if (c == '>')
            fputs("&gt;", out);
        else if (c == '"')
            fputs("&quot;", out);
        else if ((unsigned char)c >= 0x20 && c != 0x7f)
            fputc(c, out);
        else
            fputc(' ', out);
    }
}

void dip_html_text(FILE *out, const char *text) { dip_html_text_n(out, text, strlen(text)); }

void dip_html_begin(FILE *out, const char *title, const char *const *styles)
{
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src "
          "data:; style-src 'unsafe-inline'\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
          out);
    dip_html_text(out, title);
    fputs("</title>\n<style>", out);
    for (; *styles; styles++) fputs(*styles, out);
    fputs("</style></head><body>\n", out);
}

void dip_html_end(FILE *out) { fputs("</body></html>\n", out); }

/* ---- pictures ---- */

static void base64(FILE *out, const uint8_t *bytes, size_t length)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < length; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (i + 1 < length) group |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < length) group |= bytes[i + 2];
        fputc(digits[group >> 18], out);
        fputc(digits[group >> 12 & 63], out);
        fputc(i + 1 < length ? digits[group >> 6 & 63] : '=', out);
        fputc(i + 2 < length ? digits[group & 63] : '=', out);
    }
}

void dip_html_png(FILE *out, const uint8_t *png, size_t length, const char *class, const char *alt)
{
    fprintf(out, "<img class=\"%s\" alt=\"", class);
    dip_html_text(out, alt);
    fputs("\" src=\"data:image/png;base64,", out);
    base64(out, png, length);
    fputs("\">", out);
}

dip_status dip_html_tile(FILE *out, const dip_tile *tile, const dip_modality *modality,
                         const char *class)
{
    uint8_t *png;
    size_t length;
    char alt[600];
    dip_status status = dip_picture_png(tile, modality, &png, &length);
    if (status) return status;
    snprintf(alt, sizeof alt, "%s image of %s", modality->name, tile->meta.name);
    dip_html_png(out, png, length, class, alt);
    dip_free(png);
    return DIP_OK;
}

dip_status dip_html_stored(FILE *out, const dip_archive *archive, uint64_t id, const char *class)
{
    dip_tile *tile;
    dip_status status = dip_archive_tile(archive, id, &tile);
    if (status) return status;
    status = dip_html_tile(out, tile, dip_archive_modality(archive, tile->meta.modality), class);
    dip_tile_free(tile);
    return status;
}
