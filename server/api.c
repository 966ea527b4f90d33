/* The description of the API: server/openapi.json for programs and server/api.html, made of it, for people. */
#include "server/embedded.h"
#include "server/item.h"

static void answer(dip_response *response, const char *name, const char *type)
{
    const dip_embedded *file = dip_embedded_find(name);
    if (file)
        dip_response_lasting(response, 200, type, file->bytes, (size_t)(file->end - file->bytes));
    else
        dip_response_fail(response, 404, "NotFound", "this build carries no '%s'", name);
}

void dip_serve_api(void *context, const dip_request *request, dip_response *response)
{
    (void)context;
    (void)request;
    answer(response, "openapi.json", DIP_TYPE_OPENAPI);
}

void dip_serve_api_page(void *context, const dip_request *request, dip_response *response)
{
    (void)context;
    (void)request;
    answer(response, "api.html", DIP_TYPE_HTML);
}
