/** Hits on a stream: a table, JSON lines, GeoJSON. */
#ifndef TOOLS_HITS_H
#define TOOLS_HITS_H

#include <diptych/search.h>

#include <stdio.h>

/** One answered probe. */
typedef struct dip_answer {
    const char *probe;    /* how it is called: "s1/NAME", a file, "13.5,48.2" */
    const dip_meta *meta; /* of the probe's tile; never NULL */
    const char *from;     /* its modality */
    const dip_result *result;
    bool simulated; /* probe or a hit is */
} dip_answer;

dip_status dip_hits_table(const dip_archive *archive, const dip_answer *answer, FILE *out);
/** One object a hit and line. */
void dip_hits_json(const dip_archive *archive, const dip_answer *answer, FILE *out);
/** One FeatureCollection of all answers' hits; numberMatched: tiles that pass the filters, summed over the answers. */
void dip_hits_geojson(const dip_archive *archive, const dip_answer *answers, size_t count,
                      FILE *out);

#endif
