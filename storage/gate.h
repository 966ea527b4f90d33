/**
 * A gate in front of the map: many pass at once, or one alone.
 *
 * Whoever waits to be alone keeps newcomers out, so that it does not wait for ever; a thread that is inside already
 * says so and is always let in, or it would wait for itself.
 */
#ifndef STORAGE_GATE_H
#define STORAGE_GATE_H

#include <pthread.h>
#include <stdbool.h>

typedef struct dip_gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned inside, waiting;
    bool alone;
} dip_gate;

void dip_gate_init(dip_gate *gate);
void dip_gate_fini(dip_gate *gate);
void dip_gate_enter(dip_gate *gate, bool inside_already);
void dip_gate_leave(dip_gate *gate);
/** Waits until all are outside. */
void dip_gate_enter_alone(dip_gate *gate);
void dip_gate_leave_alone(dip_gate *gate);

#endif
