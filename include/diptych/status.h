/**
 * Status codes and the message that goes with a failure.
 *
 * Every call that can fail returns dip_status: DIP_OK (0) or one of the codes below. The code that notices
 * a failure writes one line, lower case, that names the object, the cause and the remedy; the line is kept
 * per thread until the next failure on that thread. A call that returns DIP_OK leaves the line alone.
 */
#ifndef DIPTYCH_STATUS_H
#define DIPTYCH_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum dip_status {
    DIP_OK = 0,
    DIP_EINVAL,    /* an argument or an option is wrong */
    DIP_ENOENT,    /* the named thing does not exist */
    DIP_EEXIST,    /* it exists already */
    DIP_EIO,       /* reading or writing failed */
    DIP_ENOSPC,    /* disk or quota is full */
    DIP_ENOMEM,    /* out of memory */
    DIP_ECORRUPT,  /* stored bytes are damaged: checksum, structure, reference */
    DIP_EFORMAT,   /* outside bytes are not of the format, or of a version we cannot read */
    DIP_EMISMATCH, /* two things do not belong together: bands, model, dimension */
    DIP_EBUSY,     /* somebody else holds it */
    DIP_ECANCEL,   /* stopped on request; what was finished is kept */
    DIP_ENOTSUP,   /* this build or machine cannot do it */
    DIP_STATUS_COUNT
} dip_status;

/** Short name of a code, e.g. "not-found"; never NULL. */
const char *dip_status_name(dip_status status);

/** The calling thread's last failure line; "" if there was none. Valid until its next failure. */
const char *dip_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
