/* Many at once or one alone; see gate.h. */
#define _GNU_SOURCE
#include "storage/gate.h"

void dip_gate_init(dip_gate *gate)
{
    *gate = (dip_gate){.inside = 0};
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->changed, NULL);
}

void dip_gate_fini(dip_gate *gate)
{
    pthread_mutex_destroy(&gate->lock);
    pthread_cond_destroy(&gate->changed);
}

void dip_gate_enter(dip_gate *gate, bool inside_already)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->alone || (gate->waiting && !inside_already))
        pthread_cond_wait(&gate->changed, &gate->lock);
    gate->inside++;
    pthread_mutex_unlock(&gate->lock);
}

void dip_gate_leave(dip_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    if (--gate->inside == 0) pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

void dip_gate_enter_alone(dip_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->waiting++;
    while (gate->alone || gate->inside) pthread_cond_wait(&gate->changed, &gate->lock);
    gate->waiting--;
    gate->alone = true;
    pthread_mutex_unlock(&gate->lock);
}

void dip_gate_leave_alone(dip_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->alone = false;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}
