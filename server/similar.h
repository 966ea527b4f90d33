/** Searches by similarity: what POST and GET /search do with an ask that has `similar` set. */
#ifndef SERVER_SIMILAR_H
#define SERVER_SIMILAR_H

#include "server/ask.h"
#include "server/service.h"

/**
 * Runs the search of an ask. Items are named "collection/id"; those of collection "queries" are what POST /encode keeps. The
 * collections of the ask are what is searched: none: every one but the probe's. A vector need not have length 1. Adds to the
 * request's stages. Expected failures: those of dip_search_run(); DIP_ENOENT (an item, a collection).
 */
dip_status dip_similar_run(dip_service *service, const dip_view *view, const dip_request *request,
                           const dip_ask *ask, dip_result *out);

/**
 * Answers with a FeatureCollection, best first: items with sim:score, sim:rank, sim:percentile; numberMatched (tiles that the
 * filters leave), numberReturned, sim:plan, sim:expected_recall, sim:generation, sim:model. One page: k bounds it. An unknown
 * item is 404, an archive without an index 409.
 */
void dip_serve_similar(dip_service *service, const dip_view *view, const dip_request *request,
                       const dip_ask *ask, dip_response *response);

#endif
