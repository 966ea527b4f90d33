/** Tiles that clients send: POST /encode. */
#ifndef SERVER_ENCODE_H
#define SERVER_ENCODE_H

#include "front/probe.h"
#include "server/keep.h"
#include "server/service.h"

enum {
    DIP_UPLOAD_MOST = 512,        /* tiles kept at a time */
    DIP_UPLOAD_PIXELS = 64 << 20, /* bytes of pixels of one */
    DIP_UPLOAD_BYTES = 256 << 20  /* of all */
};

/** A tile that was sent, encoded: item "queries/<id>". Pixels for its picture; immutable. */
typedef struct dip_upload {
    char model[DIP_MODEL_CAPACITY]; /* that encoded it */
    size_t dim;
    float *vector;          /* (dim), unit norm */
    dip_modality modality;  /* as the model has it */
    dip_typed_probe source; /* source.tile: its pixels and metadata */
} dip_upload;

/** Item "queries/<id>", held until dip_keep_release() of the service's uploads. Expected failure: DIP_ENOENT (or its time is over). */
dip_status dip_upload_hold(const dip_service *service, const char *id, dip_upload **out);

/** For the service's dip_keep. */
void dip_upload_free(void *upload);

#endif
