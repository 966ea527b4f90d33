/**
 * The collections that saved queries are: their hits as items, best first, for any client of STAC or OGC API Features.
 *
 * An item's id there is "modality:name", since two modalities may have a tile of the same name; its link "canonical" leads to
 * the tile's own item.
 */
#ifndef SERVER_VIRTUAL_H
#define SERVER_VIRTUAL_H

#include "server/ask.h"
#include "server/item.h"
#include "server/saved.h"
#include "server/service.h"

/** May the name be that of a saved query? */
bool dip_virtual_is(const char *collection);

/** The members of its collection document. */
void dip_virtual_describe(dip_json *json, dip_service *service, const char *base,
                          const char *collection, const dip_saved_hits *hits);

/** A page of its items, and one of them. Filters of the ask choose among the hits. */
void dip_virtual_items(dip_service *service, const dip_request *request, const dip_ask *ask,
                       const char *collection, dip_response *response);
void dip_virtual_item(dip_service *service, const dip_request *request, const char *collection,
                      const char *id, dip_response *response);

#endif
