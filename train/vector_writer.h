/**
 * Stores embeddings in transactions, in a thread of its own, while the caller makes the next ones.
 *
 * Two buffers go round: the caller fills one while the other is stored. All transactions are the thread's.
 */
#ifndef TRAIN_VECTOR_WRITER_H
#define TRAIN_VECTOR_WRITER_H

#include <diptych/archive.h>

typedef struct dip_vector_writer dip_vector_writer;

/** Vectors of `dim` floats of one model and modality; `room` of them in a transaction at most. */
dip_status dip_vector_writer_open(dip_vector_writer **out, dip_archive *archive, const char *model,
                                  uint32_t modality, size_t dim, size_t room);
/** The buffer to fill: (room) ids and (room, dim) vectors. Valid until the next dip_vector_writer_store(). */
void dip_vector_writer_buffer(const dip_vector_writer *writer, uint64_t **ids, float **vectors);
/** Hands over the first n of the buffer; waits until the one before is stored. The failure may be that one's. */
dip_status dip_vector_writer_store(dip_vector_writer *writer, size_t n);
/** Waits until all is stored, then tells how many vectors are, and the seconds that storing and waiting took. */
dip_status dip_vector_writer_finish(dip_vector_writer *writer, uint64_t *stored, double *work,
                                    double *wait);
void dip_vector_writer_close(dip_vector_writer *writer);

#endif
