/** The most that an instruction set can do: multiply-adds on registers, nothing else. */
#ifndef BENCH_PEAK_H
#define BENCH_PEAK_H

/** Runs the loop of a kernel body's instruction set on every thread; returns the operations done. */
double bench_peak(const char *body);

#endif
