/** The clock by which stretches of work are measured. */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

/** Seconds since some moment; never goes back. */
double dip_seconds(void);

#endif
